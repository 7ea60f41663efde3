"""Attacks under their names in the literature: the loop with its choices filled in, and other searches."""

from .gradient import fgsm, pgd
from .lbfgs import lbfgs_frames
from .minimum_norm import smallest_change, smallest_change_frames
from .universal import patched, universally

__all__ = ["fgsm", "lbfgs_frames", "patched", "pgd", "smallest_change", "smallest_change_frames", "universally"]
