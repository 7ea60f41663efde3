"""A frozen network: what it answers, how classes are named, and which images it refuses."""

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

from fooling_utils import (
    Classifier,
    activation,
    fgsm,
    load_image,
    optimize_pixels,
    pgd,
    sign_step,
    smallest_change,
    toward,
    unit_step,
)
from fooling_utils.models import on_each_chunk
from nets import ChannelMeans, ConvNorm, fingerprint, linear, random_images

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
    with pytest.raises(ValueError, match=r"top takes one image, got 2: use image\[i : i \+ 1\]"):
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
    with pytest.raises(TypeError, match="a class must be a name or an index, got"):
        model.index(wrong)


def test_an_objective_says_what_is_wrong_with_a_name_before_the_first_frame(model, coffee):
    with pytest.raises(ValueError, match="did you mean 'ostrich'"):
        optimize_pixels(model, coffee, toward("ostritch"))


# bad images and bad networks


def with_nan(images):
    images = images.clone()
    images[0, 0, 0, 0] = torch.nan
    return images


def test_a_network_of_another_range_is_given_advice_that_keeps_the_picture():
    model = linear(torch.eye(48)[:3], bounds=(-1.0, 1.0))
    for image, way in (
        (1.3, r"use image\.clamp\(-1, 1\)"),
        (255.0, "scale it to the bounds, from -1 for black to 1 for white"),
    ):
        with pytest.raises(ValueError, match=way):
            model.probabilities(torch.full((1, 3, 4, 4), image))


@pytest.mark.parametrize(
    ("spoil", "kind", "message"),
    [
        (lambda x: (x * 255).byte(), TypeError, r"float32 in \[0, 1\], got torch\.uint8 .*fooling_utils\.from_uint8"),
        (lambda x: x.double(), TypeError, r"float32 in \[0, 1\], got torch\.float64.*use image\.float\(\)"),
        (lambda x: x.half(), TypeError, r"got torch\.float16.*use image\.float\(\)"),
        (lambda x: x * 255, ValueError, r"must be in \[0, 1\], got .* to \d+.*so use image / 255"),
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


def test_clipping_keeps_images_within_the_bounds_of_the_network_if_it_has_any(three_classes, plane):
    images = torch.tensor([-0.5, 0.25, 1.5]).repeat(16).view(1, 3, 4, 4)
    assert torch.equal(three_classes.clip(images), images.clamp(0, 1))
    points = torch.tensor([[-9.0, 9.0]])
    assert torch.equal(plane.clip(points), points)


def test_another_image_size_is_accepted_where_the_network_can(model):
    assert model(load_image("coffee", 128)).shape == (1, 1000)


def test_another_image_size_is_refused_clearly_where_the_network_cannot():
    wrapped = Classifier(nn.Sequential(nn.Flatten(), nn.Linear(48, 2)).eval(), input_shape=(3, 4, 4))
    message = r"expects images of shape \(3, 4, 4\) and cannot take \(3, 5, 5\): use load_image\(\.\.\., size=4\)"
    with pytest.raises(ValueError, match=message):
        wrapped(random_images(1, 5))


def test_a_network_with_another_number_of_outputs_than_labels_is_refused():
    with pytest.raises(ValueError, match=r"an output of shape \(1, 3\) .* 2 labels: it must return"):
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


def test_mean_and_std_are_used_per_channel():
    mean, std = [0.1, 0.2, 0.3], [0.5, 1.0, 2.0]
    wrapped = Classifier(ChannelMeans().eval(), mean=mean, std=std)
    assert torch.allclose(wrapped(torch.full((1, 3, 8, 8), 0.6)), torch.tensor([[1.0, 0.4, 0.15]]), atol=1e-6)


def hooks_left(model):
    return sum(len(module._forward_hooks) for module in model.modules())


# ------------------------------------------------------------------------------------------------------- the layers


def test_layers_are_listed_with_the_shapes_of_their_outputs(conv_net):
    shapes = conv_net.layers()
    assert shapes["first.0"] == (1, 8, 12, 12)
    assert shapes["second"] == (1, 8, 5, 5)
    assert list(shapes)[-1] == "last" and shapes["last"] == (1, 5)
    assert hooks_left(conv_net) == 0


def test_features_are_the_outputs_of_the_layers_and_the_logits_are_the_same(conv_net):
    images = random_images(3, 12)
    logits, features = conv_net.features(images, ["first", "second"])
    assert torch.equal(logits, conv_net(images))
    first = conv_net.net.first(images)
    assert torch.allclose(features["first"], first, atol=1e-6)
    assert torch.allclose(features["second"], conv_net.net.second(first), atol=1e-6)
    assert hooks_left(conv_net) == 0


def test_features_of_many_images_are_those_of_each(conv_net):
    images = random_images(20, 12)  # two chunks
    _, together = conv_net.features(images, ["second"])
    apart = torch.cat([conv_net.features(image, ["second"])[1]["second"] for image in images.split(1)])
    assert torch.allclose(together["second"], apart, atol=1e-6)


class InPlace(nn.Module):
    """A convolution whose output the next layer overwrites."""

    def __init__(self):
        super().__init__()
        self.before, self.act = nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True)

    def forward(self, images):
        return self.act(self.before(images)).mean((2, 3))


def test_a_layer_that_works_in_place_does_not_change_the_features_before_it():
    torch.manual_seed(0)
    net = Classifier(InPlace().eval(), input_shape=(3, 8, 8))
    _, features = net.features(random_images(1, 8), ["before"])
    assert features["before"].min() < 0
    *_, last = optimize_pixels(net, random_images(1, 8), activation("before", 0), step=sign_step(), steps=2)
    assert last.score.isfinite().all()


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.again, self.last = nn.Conv2d(3, 3, 1), nn.Linear(3, 2)

    def forward(self, images):
        return self.last(self.again(self.again(images)).mean((2, 3)))


def test_a_layer_that_answers_twice_cannot_be_named():
    net = Classifier(Twice().eval(), input_shape=(3, 8, 8))
    assert list(net.layers()) == ["last"]
    with pytest.raises(ValueError, match="no layer is called 'again'"):
        activation("again").bind(net)


def test_a_misspelt_layer_is_refused_at_the_call_with_the_nearest_names(conv_net):
    with pytest.raises(ValueError, match=r"no layer is called 'secnd': did you mean 'second'.*model.layers\(\)"):
        optimize_pixels(conv_net, random_images(1, 12), activation("secnd"))


def test_hooks_are_gone_after_a_frame_after_an_error_and_after_a_run_that_was_left(conv_net):
    frames = optimize_pixels(conv_net, random_images(1, 12), activation("second"))
    next(frames)
    assert hooks_left(conv_net) == 0
    with pytest.raises(ValueError, match="expects images of shape"):
        conv_net.features(torch.zeros(1, 3, 2, 2), ["first"])  # too small for the second convolution
    with pytest.raises(ValueError, match="no layer is called 'nothing'"):
        conv_net.features(random_images(1, 12), ["first", "nothing"])
    assert hooks_left(conv_net) == 0


@pytest.mark.parametrize("name", ["alexnet", "resnet18", "mobilenet_v3_small", "densenet121"])
def test_torchvision_networks_list_layers_that_can_be_climbed(name):
    torch.manual_seed(0)
    net = getattr(torchvision.models, name)(weights=None).eval()
    wrapped = Classifier(net, input_shape=(3, 64, 64))
    layer = [name for name, shape in wrapped.layers().items() if len(shape) == 4][-1]
    frames = list(optimize_pixels(wrapped, random_images(1, 64), activation(layer), step=sign_step(), steps=2))
    assert frames[-1].score > frames[0].score
    assert hooks_left(wrapped) == 0


# ----------------------------------------------------------------------------------- one class for all, or one for each


@pytest.mark.parametrize(
    ("labels", "count", "indices"),
    [
        (2, 3, [2, 2, 2]),
        ("class 1", 2, [1, 1]),
        (["class 1", 0], 2, [1, 0]),
        (torch.tensor([2, 0]), 2, [2, 0]),
        (np.array([2, 0]), 2, [2, 0]),
        ("class 1", None, [1]),
        ((0, 2), None, [0, 2]),
    ],
)
def test_classes_are_named_once_for_all_images_or_once_for_each(three_classes, labels, count, indices):
    assert three_classes.indices(labels, count).tolist() == indices


def test_another_number_of_classes_than_images_is_refused_everywhere(three_classes):
    images = random_images(3)
    message = "2 classes are named for 3 images: name one class, or one per image"
    frame = next(optimize_pixels(three_classes, images, toward(0)))
    for call in (
        lambda: three_classes.indices([0, 1], 3),
        lambda: frame.probability([0, 1]),
        lambda: pgd(three_classes, images, 0.1, [0, 1]),
        lambda: smallest_change(three_classes, images, [0, 1]),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_what_is_aimed_at_is_a_class_for_each_image_and_a_sign(three_classes):
    images = random_images(4)
    now = three_classes.probabilities(images).argmax(1)
    classes, sign = three_classes.aim(images, None)
    assert classes.tolist() == now.tolist() and sign == -1
    classes, sign = three_classes.aim(images, (now + 1) % 3)
    assert classes.tolist() == ((now + 1) % 3).tolist() and sign == 1


def test_an_image_that_is_its_target_already_is_named_everywhere(three_classes):
    images = random_images(4)
    targets = (three_classes.probabilities(images).argmax(1) + 1) % 3
    targets[2] = (targets[2] - 1) % 3
    message = f"image 2 is already 'class {targets[2]}': choose another target"
    for call in (
        lambda: three_classes.aim(images, targets),
        lambda: fgsm(three_classes, images, 0.1, targets),
        lambda: pgd(three_classes, images, 0.1, targets),
        lambda: smallest_change(three_classes, images, targets),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_a_point_with_too_many_numbers_is_not_told_to_load_a_picture(plane):
    with pytest.raises(ValueError, match=r"images of shape \(2,\) and cannot take \(3,\)") as raised:
        plane(torch.zeros(1, 3))
    assert "load_image" not in str(raised.value)
