"""Fooling without gradients: evolution with a champion for every class, networks that paint, a wall of champions."""
