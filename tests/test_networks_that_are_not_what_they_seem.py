"""Networks of all kinds, given to every function that takes one: each works, or is refused with the code that helps."""

import copy
import math
import threading
import warnings

import pytest
import torch
from torch import nn

from fooling_utils import (
    Classifier,
    activation,
    content,
    cppn_decode,
    cppn_weights,
    distance_to,
    evolve,
    fgsm,
    fourier_decode,
    fourier_start,
    inside_mask,
    l2_ball,
    last,
    layered_genome,
    lbfgs_frames,
    load_model,
    optimize_pixels,
    pgd,
    random_views,
    smallest_change,
    smallest_change_frames,
    style,
    total_variation,
    toward,
    unit_step,
)
from fooling_utils.attacks.ddn import ddn
from fooling_utils.attacks.universal import add_to_all
from fooling_utils.defences.robustness import (
    accuracy_under,
    nearest_errors,
    random_change,
    right,
    warning_signs,
)
from fooling_utils.defences.smoothing import Smoothed, TooFewDraws, certify, nearest_overturned, votes
from fooling_utils.defences.transforms import behind, probabilities_behind
from fooling_utils.evolution.evolve import direct
from fooling_utils.lessons.lesson5 import way_to_runner_up
from fooling_utils.lessons.lesson6 import Behind, compare_methods, one_for_two
from fooling_utils.models import LooksLikeProbabilities
from fooling_utils.networks.small import fit, frozen
from fooling_utils.objectives import Objective
from fooling_utils.optimize import ZeroGradient
from fooling_utils.regions import boundary_distance, on_plane, plane_through, region_map
from fooling_utils.steps import Step
from nets import random_images

SHAPE = (3, 8, 8)
TWO = random_images(2, 8)
LABELS = torch.tensor([0, 1])
GENOME = layered_genome(3, 1)


def plain(channels: int = 3) -> nn.Sequential:
    """A network whose classes depend on the image, with a batch norm and a dropout."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        net = nn.Sequential(
            nn.Conv2d(channels, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(),
            nn.Dropout(), nn.Linear(16, 3),
        )  # fmt: skip
        with torch.no_grad():
            net[6].weight.mul_(8)
    return net.eval()


class Changed(nn.Module):
    """`plain()` with another answer, or another look at its images."""

    def __init__(self, answer, net=None):
        super().__init__()
        self.net, self.answer = net or plain(), answer
        self.eval()

    def forward(self, images):
        return self.answer(self.net, images)


def both_labels(net):
    return net(TWO).argmax(1)


def wrapped(net=None) -> Classifier:
    return Classifier(net or plain(), None, SHAPE, prepare=False, share=True)


def other(net) -> int:
    return (int(net(TWO[:1]).argmax(1)) + 1) % 3


def attack(model, images, epsilon):
    return pgd(model, images, epsilon, norm="l2", steps=2)


# every public function that takes a plain network
TAKE_A_NETWORK = {
    "Classifier": lambda net: Classifier(net, None, SHAPE).probabilities(TWO),
    "Classifier that shares": lambda net: wrapped(net).probabilities(TWO),
    "smallest_change": lambda net: smallest_change(net, TWO[:1], None, steps=3),
    "smallest_change_frames": lambda net: next(smallest_change_frames(net, TWO[:1], None, steps=3)),
    "right": lambda net: right(net, TWO, torch.tensor([0, 1])),
    "votes": lambda net: votes(net, TWO, 0.1, 20),
    "certify": lambda net: certify(net, TWO, 0.1, draws=20),
    "Smoothed": lambda net: Smoothed(net, 0.1, SHAPE, draws=4)(TWO),
    "nearest_overturned": lambda net: nearest_overturned(net, TWO, torch.tensor([0, 1]), 0.1, steps=2, draws=20),
    "Behind": lambda net: Behind(plain(), net, 1)(TWO),
}
# those that take a Classifier, which shares its network with the user here
TAKE_A_CLASSIFIER = {
    "probabilities": lambda net: wrapped(net).probabilities(TWO),
    "features": lambda net: wrapped(net).features(TWO, ["0", "6"]),
    "layers": lambda net: wrapped(net).layers(),
    "a run that is left": lambda net: next(optimize_pixels(wrapped(net), TWO, activation("0"))),
    "a run that fails": lambda net: list(
        optimize_pixels(wrapped(net), TWO, activation("0"), step=Step(lambda x: None, lambda g, s: 1 / 0))
    ),
    "style": lambda net: last(optimize_pixels(wrapped(net), TWO, style(TWO.flip(3), ["0"]), steps=2)),
    "content": lambda net: last(optimize_pixels(wrapped(net), TWO, content(TWO.flip(3), "0"), steps=2)),
    "distance_to": lambda net: last(optimize_pixels(wrapped(net), TWO, -distance_to(TWO.flip(3)), steps=2)),
    "total_variation": lambda net: last(optimize_pixels(wrapped(net), TWO, -total_variation(), steps=2)),
    "views": lambda net: last(optimize_pixels(wrapped(net), TWO, toward(0), view=random_views(2), steps=2)),
    "universal": lambda net: last(
        optimize_pixels(wrapped(net), TWO[:1] * 0 + 0.5, toward(0), view=add_to_all(TWO, 2), steps=2)
    ),
    "a ball": lambda net: last(optimize_pixels(wrapped(net), TWO, toward(0), constraint=l2_ball(TWO, 1), steps=2)),
    "fourier": lambda net: last(
        optimize_pixels(wrapped(net), fourier_start(2, 8, device="cpu"), toward(0), decode=fourier_decode(8), steps=2)
    ),
    "cppn": lambda net: last(
        optimize_pixels(wrapped(net), cppn_weights(GENOME), toward(0), decode=cppn_decode(GENOME, 8), steps=2)
    ),
    "fgsm": lambda net: fgsm(wrapped(net), TWO, 0.1),
    "pgd": lambda net: pgd(wrapped(net), TWO, 0.1, steps=2),
    "ddn": lambda net: ddn(wrapped(net), TWO[:1], other(net), steps=2),
    "lbfgs": lambda net: last(lbfgs_frames(wrapped(net), TWO[:1], other(net), rounds=1, evaluations=2)),
    "evolve": lambda net: last(evolve(wrapped(net), direct(SHAPE), population=2, generations=2)),
    "accuracy_under": lambda net: accuracy_under(wrapped(net), TWO, both_labels(net), attack, 0.1),
    "nearest_errors": lambda net: nearest_errors(wrapped(net), TWO, both_labels(net), steps=2),
    "random_change": lambda net: random_change(wrapped(net), TWO, 0.1),
    "warning_signs": lambda net: warning_signs(wrapped(net), TWO, both_labels(net), attack, [0.1, 1.0]),
    "behind": lambda net: behind(wrapped(net), random_views(1)).probabilities(TWO),
    "probabilities_behind": lambda net: probabilities_behind(wrapped(net), random_views(1), TWO),
    "boundary_distance": lambda net: boundary_distance(
        wrapped(net), TWO[:1], TWO[1:] - TWO[:1], torch.linspace(0.1, 2, 3)
    ),
    "a plane": lambda net: region_map(
        on_plane(wrapped(net), plane_through(TWO[:1], TWO[1:], TWO[:1].flip(3))), (-1, 1, -1, 1), 3
    ),
    "compare_methods": lambda net: list(compare_methods(wrapped(net), TWO[:1], other(net))),
    "way_to_runner_up": lambda net: way_to_runner_up(wrapped(net), TWO, both_labels(net)),
    "frozen": lambda net: frozen(nn.Sequential(nn.Flatten(), nn.Linear(64, 3))),
}
EVERYTHING = TAKE_A_NETWORK | TAKE_A_CLASSIFIER


def state(net: nn.Module) -> list:
    """All that a user could find changed."""
    return [
        [(name, tensor.clone(), tensor.requires_grad) for name, tensor in net.state_dict(keep_vars=True).items()],
        [module.training for module in net.modules()],
        [(len(module._forward_hooks), len(module._forward_pre_hooks)) for module in net.modules()],
        [parameter.grad for parameter in net.parameters()],
    ]


def same(before: list, after: list) -> bool:
    tensors = zip(before[0], after[0], strict=True)
    return before[1:] == after[1:] and all(
        a[0] == b[0] and torch.equal(a[1], b[1]) and a[2] == b[2] for a, b in tensors
    )


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


@pytest.mark.parametrize("name", EVERYTHING)
def test_nobodys_network_and_nobodys_image_is_changed(name):
    net, images = plain(), TWO.clone()
    before = state(net)
    try:
        EVERYTHING[name](net)
    except ZeroDivisionError:
        assert name == "a run that fails"
    assert same(before, state(net))
    assert torch.equal(TWO, images)


@pytest.mark.parametrize("part", ["", "1", "5"], ids=["all", "a batch norm", "a dropout"])
@pytest.mark.parametrize("name", TAKE_A_NETWORK)
def test_a_network_with_a_part_in_training_mode_is_refused_and_left_as_it_is(name, part):
    net = plain()
    net.get_submodule(part).train()
    before = state(net)
    with pytest.raises(ValueError, match=r"is in training mode.*call (net|model|second)\.eval\(\) first"):
        TAKE_A_NETWORK[name](net)
    assert same(before, state(net))


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("name", [name for name in EVERYTHING if name != "a run that fails"])
def test_everything_works_without_gradients_and_in_inference_mode(name, mode):
    with mode():
        EVERYTHING[name](plain())


def test_a_mask_made_inside_inference_mode_serves_outside():
    with torch.inference_mode():
        mask = torch.ones(1, 1, 8, 8)
    found = last(optimize_pixels(wrapped(), TWO, toward(0), constraint=inside_mask(TWO, mask), steps=2)).image
    assert torch.equal(found, last(optimize_pixels(wrapped(), TWO, toward(0), steps=2)).image)


def test_what_is_begun_inside_inference_mode_goes_on_outside_and_gives_the_same():
    with torch.inference_mode():
        model, start = Classifier(plain(), None, SHAPE), TWO.clone()
        frames = optimize_pixels(model, start, toward(0) - distance_to(start), constraint=l2_ball(start, 1), steps=3)
        search = smallest_change_frames(plain(), start[:1], None, steps=4)
        next(frames), next(search)
    outside = Classifier(plain(), None, SHAPE)
    expected = optimize_pixels(outside, TWO, toward(0) - distance_to(TWO), constraint=l2_ball(TWO, 1), steps=3)
    assert torch.equal(last(frames).image, last(expected).image)
    assert torch.equal(last(search).image, last(smallest_change_frames(plain(), TWO[:1], None, steps=4)).image)


@pytest.mark.parametrize("name", ["smallest_change", "pgd", "fgsm", "loop", "style", "lbfgs", "ddn", "right"])
def test_an_image_that_requires_a_gradient_gives_what_it_gives_without(name):
    net, target = plain(), other(plain())
    model = wrapped(net)
    call = {
        "smallest_change": lambda x: smallest_change(net, x, None, steps=3),
        "pgd": lambda x: pgd(model, x, 0.1, steps=2),
        "fgsm": lambda x: fgsm(model, x, 0.1),
        "loop": lambda x: last(optimize_pixels(model, x, toward(target) - distance_to(x), steps=2)).image,
        "style": lambda x: last(optimize_pixels(model, TWO, style(x, ["0"]), steps=2)).image,
        "lbfgs": lambda x: last(lbfgs_frames(model, x, target, rounds=1)).image,
        "ddn": lambda x: ddn(model, x, target, steps=2),
        "right": lambda x: right(net, x, torch.tensor([0])),
    }[name]
    found = call(TWO[:1].clone().requires_grad_())
    assert torch.equal(found, call(TWO[:1])) and not found.requires_grad


# ------------------------------------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Changed(lambda net, x: net(x)[:, :1]), r"one output.*torch\.cat\(\[0 \* self\.net\(images\), self"),
        (lambda: Changed(lambda net, x: net(x)[:, 0]), r"one output.*self\.net\(images\)\[:, None\]"),
        (lambda: Changed(lambda net, x: (net(x), x)), r"got tuple: wrap.*return self\.net\(images\)\[0\]"),
        (lambda: Changed(lambda net, x: {"logits": net(x)}), r"got dict: wrap.*self\.net\(images\)\['logits'\]"),
        (lambda: Changed(lambda net, x: None), r"got NoneType: return one from its forward"),
        (
            lambda: Changed(lambda net, x: net(x).double()),
            r"float32, got float64: wrap.*self\.net\(images\)\.float",
        ),
        (lambda: plain().double(), r"its weights are float64: use net\.float\(\)"),
        (lambda: plain().half(), r"its weights are float16: use net\.float\(\)"),
        (lambda: plain().bfloat16(), r"its weights are bfloat16: use net\.float\(\)"),
        (lambda: plain().to("meta"), r"net is on meta: .* net\.to\('cpu'\)"),
        (lambda: Changed(lambda net, x: net(x)[..., None, None]), r"\(1, 3, 1, 1\).*nn\.Sequential\(net, nn\.Flatten"),
        (lambda: nn.Conv2d(3, 5, 3).eval(), r"\(2, 5, 6, 6\).*AdaptiveAvgPool2d\(1\), nn\.Flatten"),
        (lambda: Changed(lambda net, x: net(x).flatten()), r"\(6,\) for 2 images.*images\.split\(1\)"),
        (lambda: Changed(lambda net, x: net(x) * torch.nan), "NaN or infinite logits: its weights are damaged"),
        (lambda: plain(channels=1), r"net cannot take images of shape \(2, 3, 8, 8\), such as input_shape"),
        (
            lambda: nn.Sequential(nn.BatchNorm2d(3, track_running_stats=False), plain()).eval(),
            r"answers differently for an image alone and in a batch.*track_running_stats=False",
        ),
        (
            lambda: nn.Sequential(nn.Flatten(), nn.LazyLinear(3)).eval(),
            r"net has lazy layers.*net\(torch\.zeros\(1, 3, 8, 8\)\)",
        ),
        (
            lambda: Changed(lambda net, x: net(nn.functional.dropout(x))),
            r"answers differently each time it sees the same.*training=self\.training",
        ),
    ],
)
@pytest.mark.parametrize("name", ["Classifier", "smallest_change", "right", "certify"])
def test_what_is_not_such_a_network_is_refused_with_the_code_that_wraps_it(name, make, message):
    with pytest.raises((ValueError, TypeError), match="(?s)" + message) as raised:
        TAKE_A_NETWORK[name](make())
    if "`class Wrapped" in str(raised.value):  # the code does what it says
        names = {"nn": nn, "torch": torch}
        exec(str(raised.value).split("`")[1], names)
        Classifier(names["Wrapped"](make()).eval(), None, SHAPE)


def test_probabilities_in_place_of_logits_are_warned_of_once_and_the_code_undoes_it():
    softmax = nn.Sequential(plain(), nn.Softmax(1)).eval()
    with pytest.warns(LooksLikeProbabilities, match="Remove the softmax, or undo it") as caught:
        Classifier(softmax, None, SHAPE)
    assert caught[0].filename == __file__
    names = {"nn": nn, "torch": torch}
    exec(str(caught[0].message).split("`")[1], names)
    mended = Classifier(names["Wrapped"](softmax).eval(), None, SHAPE)
    assert torch.allclose(mended.probabilities(TWO), wrapped().probabilities(TWO), atol=1e-6)


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Sequential(nn.ReLU(inplace=True), plain()).eval(),
        lambda: Changed(lambda net, x: net(x.sub_(0.1).add_(0.1))),
        lambda: Changed(lambda net, x: (x.data.sub_(0.1), net(x + 0.1))[1]),
        lambda: torch.compile(plain()),
        lambda: torch.jit.trace(plain(), TWO),
        lambda: torch.jit.script(plain()),
        lambda: torch.jit.freeze(torch.jit.script(plain())),
    ],
    ids=["a ReLU in place", "sub_", "data.sub_", "compiled", "traced", "scripted", "frozen"],
)
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_these_work_and_leave_the_image_as_it_is(make):
    images = TWO.clone()
    expected = last(optimize_pixels(wrapped(), images, toward(0), steps=2)).image
    for share in (False, True):
        model = Classifier(make(), None, SHAPE, prepare=False, share=share)
        assert torch.allclose(last(optimize_pixels(model, images, toward(0), steps=2)).image, expected, atol=1e-5)
        model.layers()
    assert torch.allclose(right(make(), images, [0, 1]), right(plain(), images, [0, 1]))
    smallest_change(make(), images[:1], None, steps=2)
    assert torch.equal(images, TWO)


class Remembers(nn.Module):
    """`plain()` that keeps something which cannot be copied, once it has answered."""

    def __init__(self, something):
        super().__init__()
        self.net, self.something, self.kept = plain(), something, None

    def forward(self, images):
        answer = self.net(images)
        self.kept = self.something(answer)
        return answer


@pytest.mark.parametrize("something", [lambda answer: answer, lambda answer: threading.Lock()], ids=["answer", "lock"])
def test_a_network_that_cannot_be_copied_is_told_how_to_be_used_without(something):
    net = Remembers(something).eval()
    net(TWO)
    message = r"cannot be copied.*use Classifier\(net, \.\.\., prepare=False, share=True"
    for copy_it in (lambda: Classifier(net, None, SHAPE), lambda: frozen(net), lambda: next(fit(net, TWO, LABELS))):
        net.kept = something(net.net(TWO))
        with pytest.raises(ValueError, match=message):
            copy_it()
    shared = Classifier(net, None, SHAPE, prepare=False, share=True)
    assert torch.equal(shared.probabilities(TWO), wrapped().probabilities(TWO))
    assert torch.equal(smallest_change(net, TWO[:1], None, steps=3), smallest_change(plain(), TWO[:1], None, steps=3))


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_a_network_without_gradients_can_be_asked_and_not_climbed(mode):
    model = wrapped(Changed(mode()(lambda net, x: net(x))))
    assert torch.allclose(model.probabilities(TWO), wrapped().probabilities(TWO))
    for call in (
        lambda: fgsm(model, TWO, 0.1),
        lambda: smallest_change(model, TWO, None),
        lambda: ddn(model, TWO[:1], other(plain())),
        lambda: last(lbfgs_frames(model, TWO[:1], other(plain()))),
    ):
        with pytest.raises(ValueError, match="the network has no gradient back to the image"):
            call()


def test_advice_for_a_size_that_does_not_fit_leads_out():
    for shape, way in {(3, 4, 6): "interpolate", (1, 4, 4): r"size=4\)\.mean\(1, keepdim=True\)"}.items():
        size = shape[0] * shape[1] * shape[2]
        model = Classifier(nn.Sequential(nn.Flatten(), nn.Linear(size, 2)).eval(), None, shape)
        with pytest.raises(ValueError, match=way):
            model(torch.rand(1, shape[0], 9, 9))
    with pytest.raises(ValueError, match=r"expects \(N, 1, 4, 4\): use image\.mean\(1, keepdim=True\)"):
        model.probabilities(torch.rand(1, 3, 4, 4))


def test_one_channel_goes_through_the_loop_and_the_attacks():
    grey = TWO.mean(1, keepdim=True)
    model = Classifier(plain(1), None, (1, 8, 8), mean=[0.5], std=[0.5])
    for found in (last(optimize_pixels(model, grey, toward(0), steps=2)).image, pgd(model, grey, 0.1, steps=2)):
        assert found.shape == grey.shape and not torch.equal(found, grey)
    assert smallest_change(model, grey[:1], None, steps=3).shape == (1, 1, 8, 8)


# ------------------------------------------------------------------------------------------------------------ labels


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.tensor([[0], [1]]), r"labels must be one class, or a list \(N,\)"),
        (torch.tensor([0]), "1 classes are named for 2 images"),
        (torch.tensor([0, 3]), "there is no class 3"),
        (torch.tensor([-1, 0]), "there is no class -1"),
        (torch.tensor([True, False]), "a class must be a name or an index, got True"),
        (torch.tensor([0.0, 1.0]), "a class must be a name or an index, got 0.0"),
        (1, "labels must be one class for each image"),
    ],
)
@pytest.mark.parametrize("name", ["right", "accuracy_under", "nearest_errors", "warning_signs", "nearest_overturned"])
def test_labels_that_do_not_fit_are_refused_in_the_same_words(name, labels, message):
    model = wrapped()
    call = {
        "right": lambda: right(model, TWO, labels),
        "accuracy_under": lambda: accuracy_under(model, TWO, labels, attack, 0.1),
        "nearest_errors": lambda: nearest_errors(model, TWO, labels),
        "warning_signs": lambda: warning_signs(model, TWO, labels, attack, [0.1, 1]),
        "nearest_overturned": lambda: nearest_overturned(model, TWO, labels, 0.1),
    }[name]
    with pytest.raises((ValueError, TypeError), match=message):
        call()


def test_labels_as_a_list_count_as_a_tensor_does():
    labels = both_labels(plain())
    assert right(plain(), TWO, labels.tolist()).all()
    assert accuracy_under(wrapped(), TWO, labels.tolist(), attack, 0) == 1


def test_images_and_answers_of_nan_are_refused():
    broken = TWO * torch.nan
    for call in (lambda: certify(plain(), broken, 0.1), lambda: right(plain(), broken, [0, 1])):
        with pytest.raises(ValueError, match="NaN or infinite"):
            call()
    sometimes = Changed(lambda net, x: torch.where(x.mean((1, 2, 3))[:, None] > 0.9, torch.nan, net(x)))
    white = torch.ones(1, *SHAPE)
    frame = next(optimize_pixels(wrapped(sometimes), white, -distance_to(TWO[:1])))
    for call in (
        lambda: certify(sometimes, white, 0.01),
        lambda: wrapped(sometimes).probabilities(white),
        lambda: frame.probability(0),
    ):
        with pytest.raises(FloatingPointError, match="NaN"):
            call()


@pytest.mark.parametrize("value", [math.inf, -math.inf])
def test_an_answer_of_infinity_is_no_vote(value):
    sometimes = Changed(lambda net, x: torch.where(x.mean((1, 2, 3))[:, None] > 0.9, value, net(x)))
    with pytest.raises(FloatingPointError, match=r"infinity to image 1 with noise of sigma 0\.01"):
        certify(sometimes, torch.stack([TWO[0], torch.ones(SHAPE)]), 0.01)


@pytest.mark.parametrize(("draws", "warns"), [(9, True), (11, False)])
def test_too_few_draws_for_the_level_are_said_aloud(draws, warns):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = certify(plain(), TWO, 1e-6, draws=draws)
    assert [warning.category for warning in caught] == [TooFewDraws] * warns
    assert (found.labels == -1).all() == warns


# --------------------------------------------------------------------------------------------------------- gradients


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"decode": lambda x: x.detach().clone()}, r"decode\(start\) has no gradient back"),
        ({"decode": lambda x: None}, "decode must return a tensor, got None"),
        ({"decode": lambda x: x.clamp_(0, 1)}, "decode changes its argument in place"),
        ({"decode": lambda x: x.double()}, r"decode\(start\) must be float32"),
        ({"constraint": lambda x: None}, "the constraint must return a tensor, got None"),
        ({"constraint": lambda x: x.double()}, "the constraint must return a tensor of shape .* got a tensor"),
        ({"constraint": lambda x: x[:1]}, "the constraint must return a tensor of shape"),
        ({"constraint": lambda x: x.clamp_(0, 1)}, "the constraint changes its argument in place"),
    ],
)
def test_a_function_that_cannot_work_is_named_at_the_call(choice, message):
    with pytest.raises((ValueError, TypeError), match=message):
        optimize_pixels(wrapped(), TWO, toward(0), **choice)


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"view": lambda x, g: x.detach()}, "the view has no gradient back to the image: use straight_through"),
        ({"view": lambda x, g: None}, "the view must return images"),
        ({"view": lambda x, g: x.double()}, "the view must return images of torch.float32"),
        ({"objective": Objective(lambda model: lambda seen: seen.logits)}, "the objective must return one score per"),
        ({"objective": Objective(lambda model: lambda seen: seen.logits.sum())}, "the objective must return one score"),
        (
            {"objective": Objective(lambda model: lambda seen: seen.logits.detach()[:, 0])},
            "the objective has no gradie",
        ),
        ({"step": Step(lambda x: None, lambda g, s: g)}, r"the step must return \(change, state\)"),
        ({"step": Step(lambda x: None, lambda g, s: (g[:1], s))}, "the step must return a tensor of shape"),
        ({"step": Step(lambda x: None, lambda g, s: (g.double(), s))}, "the step must return a tensor of shape"),
    ],
)
def test_a_function_that_cannot_work_is_named_at_the_first_frame(choice, message):
    arguments = {"objective": toward(0)} | choice
    with pytest.raises((ValueError, TypeError), match=message):
        last(optimize_pixels(wrapped(), TWO, **arguments, steps=1))


SURE = Changed(lambda net, x: 1e4 * nn.functional.one_hot(torch.zeros(len(x), dtype=int), 3) + 0 * net(x))


@pytest.mark.parametrize(
    "call",
    [
        lambda: last(optimize_pixels(wrapped(SURE), TWO, toward(0), step=unit_step(1), steps=3)),
        lambda: fgsm(wrapped(SURE), TWO, 0.1),
        lambda: pgd(wrapped(SURE), TWO, 0.1, steps=3),
        lambda: ddn(wrapped(SURE), TWO[:1], 1, steps=3),
        lambda: last(lbfgs_frames(wrapped(SURE), TWO[:1], 1, rounds=1)),
    ],
)
def test_a_zero_gradient_at_the_start_is_said_once_where_the_user_called(call):
    with pytest.warns(ZeroGradient, match="the gradient is zero for every image at the start") as caught:
        call()
    assert [warning.filename for warning in caught] == [__file__]


def test_a_network_that_nothing_moves_is_compared_all_the_same():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rows = list(compare_methods(wrapped(SURE), TWO[:1], 1))
        with pytest.raises(ValueError, match="no change to target 1 was found for first: choose another target"):
            one_for_two(wrapped(SURE), wrapped(SURE), TWO[:1], 1)
    assert [row["L2"] for row in rows] == [0] * len(rows)
    assert not any(row["fools"] for row in rows)


def test_one_image_that_can_move_is_enough_to_say_nothing():
    images = torch.stack([TWO[0], torch.ones(SHAPE)])
    dead = Changed(lambda net, x: net(torch.where(x.amin((1, 2, 3), keepdim=True) > 0.99, 0 * x, x)))
    with warnings.catch_warnings():
        warnings.simplefilter("error", ZeroGradient)
        last(optimize_pixels(wrapped(dead), images, toward(other(plain())), steps=1))


# ----------------------------------------------------------------------------------------------------------- threads


def test_features_of_two_threads_are_each_ones_own():
    model = wrapped()
    inside, go_on = threading.Barrier(2), threading.Barrier(2)
    batches = [TWO[:1], TWO]
    found = {}

    class Waits(nn.Module):
        def forward(self, images):
            inside.wait(20)  # both threads listen now
            return images

    model = Classifier(plain(), None, SHAPE, prepare=False)
    model.net = nn.Sequential(Waits(), *copy.deepcopy(list(model.net))).eval()

    def ask(i):
        found[i] = model.features(batches[i], ["1"])[1]["1"]
        go_on.wait(20)

    threads = [threading.Thread(target=ask, args=[i]) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i, images in enumerate(batches):
        assert torch.equal(found[i], plain()[0](images))


def test_the_network_of_the_course_is_none_of_these():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_model(prepare=False, device="cpu")


def test_training_works_inside_inference_mode():
    net = nn.Sequential(nn.Flatten(), nn.Linear(192, 2))
    other_net = copy.deepcopy(net)
    with torch.inference_mode():
        inside = next(fit(net, TWO.clone(), torch.tensor([0, 1]), epochs=1, batch_size=None))
    assert inside == next(fit(other_net, TWO, torch.tensor([0, 1]), epochs=1, batch_size=None))
    assert torch.equal(net[1].weight, other_net[1].weight)
