"""Fool a frozen network by changing pixels: the small library behind the course.

Every picture of the course is made by `optimize_pixels`: start somewhere, say what you want (objective), say where you
may go (constraint), say how to move (step).
"""

from .attacks import fgsm, lbfgs, lbfgs_frames, pgd
from .constraints import both, inside_mask, l2_ball, linf_ball, pixel_range
from .images import (
    blank,
    distances,
    from_uint8,
    gaussian_noise,
    round_to_8bit,
    save_png,
    through_jpeg,
    to_uint8,
    uniform_noise,
)
from .models import Classifier, load_model
from .objectives import away_from, distance_to, logit, total_variation, toward
from .optimize import Frame, optimize_pixels, run_until
from .pictures import PICTURES, load_image
from .steps import adam_step, sign_step, unit_step

__version__ = "0.1.0"

__all__ = [
    "PICTURES",
    "Classifier",
    "Frame",
    "adam_step",
    "away_from",
    "blank",
    "both",
    "distance_to",
    "distances",
    "fgsm",
    "from_uint8",
    "gaussian_noise",
    "inside_mask",
    "l2_ball",
    "lbfgs",
    "lbfgs_frames",
    "linf_ball",
    "load_image",
    "load_model",
    "logit",
    "optimize_pixels",
    "pgd",
    "pixel_range",
    "round_to_8bit",
    "run_until",
    "save_png",
    "sign_step",
    "through_jpeg",
    "to_uint8",
    "total_variation",
    "toward",
    "uniform_noise",
    "unit_step",
]
