from . import (
    attacks,
    constraints,
    data,
    evolution,
    fourier,
    images,
    models,
    networks,
    objectives,
    optimize,
    regions,
    starts,
    steps,
    views,
)
from .attacks.gradient import fgsm, pgd
from .attacks.lbfgs import lbfgs_frames
from .attacks.minimum_norm import smallest_change, smallest_change_frames
from .constraints import both, inside_mask, l2_ball, linf_ball, pixel_range
from .data.gallery import PICTURES
from .evolution.evolve import direct, evolve, load_archive
from .evolution.painters import cppn, cppn_decode, cppn_weights, layered_genome
from .fourier import fourier_decode, fourier_encode, fourier_start
from .images import distances, from_uint8, round_to_8bit, save_png, through_jpeg, to_uint8
from .models import Classifier, load_model
from .objectives import activation, away_from, content, distance_to, logit, style, total_variation, toward
from .optimize import Frame, last, optimize_pixels, run_until
from .starts import blank, gaussian_noise, load_image, photographs, uniform_noise
from .steps import adam_step, sign_step, unit_step
from .views import random_views

__version__: str

__all__ = [
    "PICTURES",
    "Classifier",
    "Frame",
    "activation",
    "adam_step",
    "attacks",
    "away_from",
    "blank",
    "both",
    "constraints",
    "content",
    "cppn",
    "cppn_decode",
    "cppn_weights",
    "data",
    "direct",
    "distance_to",
    "distances",
    "evolution",
    "evolve",
    "fgsm",
    "fourier",
    "fourier_decode",
    "fourier_encode",
    "fourier_start",
    "from_uint8",
    "gaussian_noise",
    "images",
    "inside_mask",
    "l2_ball",
    "last",
    "layered_genome",
    "lbfgs_frames",
    "linf_ball",
    "load_archive",
    "load_image",
    "load_model",
    "logit",
    "models",
    "networks",
    "objectives",
    "optimize",
    "optimize_pixels",
    "pgd",
    "photographs",
    "pixel_range",
    "random_views",
    "regions",
    "round_to_8bit",
    "run_until",
    "save_png",
    "sign_step",
    "smallest_change",
    "smallest_change_frames",
    "starts",
    "steps",
    "style",
    "through_jpeg",
    "to_uint8",
    "total_variation",
    "toward",
    "uniform_noise",
    "unit_step",
    "views",
]
