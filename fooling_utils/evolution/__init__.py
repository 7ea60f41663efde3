"""Fooling without gradients: evolution with a champion for every class, networks that paint, and a wall of champions."""
