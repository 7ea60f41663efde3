"""The network as an ONNX file: what torch answers, in one file, or an error and no file."""

import copy

import pytest
import torch

from fooling_utils import Classifier, load_image
from fooling_utils.web import network

onnx = pytest.importorskip("onnx", reason='the extra "web" is not installed')
onnxruntime = pytest.importorskip("onnxruntime", reason='the extra "web" is not installed')


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("network") / "network.onnx"
    network.export_network(path, model)
    return path


@pytest.fixture(scope="module")
def ask(exported):
    """From (image, target, of_logit) to (logits, gradient)."""
    session = onnxruntime.InferenceSession(exported)

    def answer(image, target, of_logit=0.0):
        given = {"image": image.numpy(), "target": target.numpy(), "of_logit": torch.tensor([of_logit]).numpy()}
        return [torch.from_numpy(one) for one in session.run(["logits", "gradient"], given)]

    return answer


def gradient_of(model, image, score):
    image = image.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(score(model(image)), image)
    return gradient


def alike(found, right):
    """How close two gradients are, 1 for equal ones: a ReLU at its kink may be on either side of it."""
    return torch.nn.functional.cosine_similarity(found.flatten(), right.flatten(), dim=0).item()


def test_it_is_one_file_with_each_weight_once(exported, model):
    weights = 4 * sum(one.numel() for one in model.net.parameters())
    assert [path.name for path in exported.parent.iterdir()] == ["network.onnx"]
    assert weights < exported.stat().st_size < 1.02 * weights
    graph = onnx.load(exported, load_external_data=False).graph
    shapes = [[side.dim_value for side in one.type.tensor_type.shape.dim] for one in [*graph.input, *graph.output]]
    assert shapes == [[1, 3, 224, 224], [1, 1000], [1], [1, 1000], [1, 3, 224, 224]]


def test_the_file_has_no_place_of_this_computer(exported):
    content = exported.read_bytes()
    assert b".py" not in content and b"site-packages" not in content


@pytest.mark.parametrize("picture", ["school_bus", "robin", "coffee"])
@pytest.mark.parametrize("target", ["ostrich", "goldfish"])
def test_logits_and_gradient_of_the_log_probability(ask, model, picture, target):
    image, index = load_image(picture, device="cpu"), model.index(target)
    logits, gradient = ask(image, torch.eye(1000)[index, None])
    assert torch.allclose(logits, model(image), atol=1e-4)
    right = gradient_of(model, image, lambda logits: logits.log_softmax(1)[0, index])
    assert alike(gradient, right) > 0.9999
    assert gradient.norm().item() == pytest.approx(right.norm().item(), rel=0.01)


def test_the_gradient_of_a_logit_and_of_several_classes(ask, model):
    image, target = load_image("robin", device="cpu"), torch.zeros(1, 1000)
    target[0, 7], target[0, 70] = 1, -0.5
    right = gradient_of(model, image, lambda logits: (logits * target).sum())
    assert alike(ask(image, target, 1.0)[1], right) > 0.9999
    right = gradient_of(model, image, lambda logits: (logits.log_softmax(1) * target).sum())
    assert alike(ask(image, target)[1], right) > 0.9999


def test_no_target_has_no_gradient(ask):
    logits, gradient = ask(load_image("robin", device="cpu"), torch.zeros(1, 1000))
    assert not gradient.any()
    assert logits[0].argmax() == 15


def small(net):
    return Classifier(net.eval(), input_shape=(3, 16, 16), prepare=False)


class Uneven(torch.nn.Sequential):
    """Every way in which a convolution can meet its edges, and groups of several channels."""

    def __init__(self):
        torch.manual_seed(0)
        super().__init__(
            torch.nn.Conv2d(3, 8, 3, stride=2),  # leaves a row of the 16 without a use
            torch.nn.ReLU6(),
            torch.nn.Conv2d(8, 4, (3, 1), padding=(2, 1), groups=2),
            torch.nn.Tanh(),
            torch.nn.Conv2d(4, 4, 3, padding=2, dilation=2),
            torch.nn.Conv2d(4, 4, 5, stride=(1, 3), padding=1, groups=4),
            torch.nn.Flatten(),
            torch.nn.LazyLinear(5),
        )
        self(torch.zeros(1, 3, 16, 16))


def test_a_network_of_ones_own(tmp_path):
    model = small(Uneven())
    network.export_network(tmp_path / "small.onnx", model)  # which compares all its gradients
    network.check_network((tmp_path / "small.onnx").read_bytes(), model)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"content": "network.onnx"}, "content must be a bytes, got 'network.onnx'"),
        ({"content": b"<html>"}, "content is not an ONNX file that can be run"),
        ({"model": torch.nn.Linear(2, 2)}, "model must be a Classifier, got Linear.*use load_model"),
    ],
)
def test_what_is_no_file_and_no_network_is_named(wrong, message):
    with pytest.raises((TypeError, ValueError), match=message):
        network.check_network(**{"content": b"", "model": small(Uneven())} | wrong)


@pytest.mark.parametrize(
    ("fault", "what"),
    [(lambda weight: weight.mul_(1.0003), "gradient"), (lambda weight: weight.add_(0.01), "logits")],
)
def test_a_network_that_answers_otherwise_is_noticed(tmp_path, fault, what):
    model = small(Uneven())
    network.export_network(tmp_path / "small.onnx", model)
    other = copy.deepcopy(model)
    fault(other.net[4].weight)
    with pytest.raises(ValueError, match=f"the exported network's {what} differ"):
        network.check_network((tmp_path / "small.onnx").read_bytes(), other)


@pytest.mark.parametrize(
    ("part", "fault"),
    [("_convolution", lambda made: (made[0].flip(2), None, None)), ("_clipped", lambda grad: 0 * grad)],
)
def test_a_wrong_gradient_is_not_written(tmp_path, monkeypatch, part, fault):
    right = getattr(network, part)
    monkeypatch.setattr(network, part, lambda *given: fault(right(*given)))
    with pytest.raises(ValueError, match="the exported network's gradient differ"):
        network.export_network(tmp_path / "small.onnx", small(Uneven()))
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_classifier_is_not_written(tmp_path):
    with pytest.raises(TypeError, match="model must be a Classifier"):
        network.export_network(tmp_path / "small.onnx", Uneven())
    assert list(tmp_path.iterdir()) == []
