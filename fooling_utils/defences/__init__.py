"""Defences: transforms in front of a network, votes with a proven radius, and the accuracy that attacks leave."""
