"""Stored results that took minutes or hours to compute. `make.py` makes them again."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..arguments import instance, usable_device

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

FOLDER = Path(__file__).parent
TABLES, DRAWN, ARRAYS = (".csv", ".json"), (".png",), (".npz",)


def path(name: str) -> Path:
    """The stored file with this name, given without its ending. FileNotFoundError lists the names that exist."""
    instance(str, name=name)
    stored = {file.stem: file for file in sorted(FOLDER.iterdir()) if file.suffix in TABLES + DRAWN + ARRAYS}
    if name not in stored:
        raise FileNotFoundError(f"nothing is stored as {name!r}: choose from {', '.join(stored)}")
    return stored[name]


def read(name: str) -> "pd.DataFrame | pd.Series | Tensor | dict[str, np.ndarray]":
    """Load what is stored under this name.

    A table is a DataFrame, or a Series if it has a single row; a picture is an image (1, 3, H, W), on the GPU if there
    is one; anything else is a dictionary of arrays.
    Raises FileNotFoundError as `path` does.
    """
    import pandas as pd
    from PIL import Image

    from ..images import from_pil  # here, since the names of pictures are wanted where torch is not

    file = path(name)
    if file.suffix == ".csv":
        return pd.read_csv(file)
    if file.suffix == ".json":
        found = json.loads(file.read_text(encoding="utf-8"))
        return pd.Series(found) if isinstance(found, dict) else pd.DataFrame(found)
    if file.suffix in DRAWN:
        return from_pil(Image.open(file)).to(usable_device())
    with np.load(file, allow_pickle=False) as arrays:
        return dict(arrays)
