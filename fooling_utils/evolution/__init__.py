"""Fooling without gradients: evolution with one champion per class, networks that paint, and a wall of champions."""
