"""Defences: transforms in front of a network, votes with a proof, and the accuracy that is left under attack."""
