"""Votes over noisy copies: bounds, radii and attacks, on networks where the vote is known."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import binom
from torch import Tensor, nn

from fooling_utils.defences import smoothing
from fooling_utils.defences.smoothing import (
    ABSTAINS,
    Smoothed,
    certify,
    lower_bound,
    nearest_overturned,
    trained_in_noise,
    votes,
)
from fooling_utils.networks.small import digit_net, digits, fit, noisy
from nets import SHAPE, Linear, Recorder, generator, random_images

SIGMA = 0.25


def two_classes(distances: list[float], steepness: float = 100.0) -> tuple[Linear, Tensor, Tensor]:
    """A linear network, images at these distances (L2) from its boundary, and the unit vector towards class 1."""
    across = torch.randn(SHAPE, generator=generator(2))
    across /= across.norm()
    images = random_images(len(distances))
    beyond = (images * across).sum((1, 2, 3)) + torch.tensor(distances) - 0.1
    images = images - beyond.view(-1, 1, 1, 1) * across  # where the product with `across` is 0.1 - distance
    weight = steepness * across.flatten()
    return Linear(torch.stack([0 * weight, weight]), torch.tensor([0.0, -0.1 * steepness])).eval(), images, across


def phi(x: float) -> float:
    return (1 + math.erf(x / math.sqrt(2))) / 2


# votes


def test_every_draw_is_a_vote():
    net, images, _ = two_classes([0.1, 0.3, -0.2])
    counts = votes(net, images, SIGMA, 37)
    assert counts.shape == (3, 2)
    assert counts.dtype == torch.int64
    assert counts.sum(1).tolist() == [37] * 3
    assert votes(net, images, SIGMA, 1).sum(1).tolist() == [1] * 3


def test_a_class_without_votes_is_counted_too():
    net = Linear(torch.zeros(5, 48), torch.tensor([0.0, 3.0, 0.0, 0.0, 0.0])).eval()
    assert votes(net, random_images(2), SIGMA, 10).tolist() == [[0, 10, 0, 0, 0]] * 2


@pytest.mark.parametrize(("draws", "sizes"), [(20, [7, 7, 6]), (21, [7, 7, 7]), (6, [6]), (8, [7, 1])])
def test_votes_come_in_chunks_and_no_noise_is_used_twice(monkeypatch, draws, sizes):
    monkeypatch.setattr(smoothing, "AT_ONCE", 7)
    net, images, _ = two_classes([0.1, 0.1])
    images[1] = images[0]
    net = Recorder(net).eval()
    counts = votes(net, images, SIGMA, draws)
    net.calls = net.calls[2:]  # two that probe the network
    assert counts.sum(1).tolist() == [draws] * 2
    assert [len(call) for call in net.calls] == sizes * 2
    assert len(torch.cat(net.calls).unique(dim=0)) == 2 * draws
    labels = torch.cat([net.net(call).argmax(1) for call in net.calls])
    assert counts.tolist() == [part.bincount(minlength=2).tolist() for part in labels.split(draws)]


@pytest.mark.parametrize("sigma", [0.25, 1.0])
def test_the_noise_has_the_standard_deviation_and_is_not_clipped(sigma):
    net, images, _ = two_classes([0.1])
    net = Recorder(net).eval()
    votes(net, images, sigma, 2000)
    net.calls = net.calls[2:]  # two that probe the network
    noise = torch.cat(net.calls) - images
    assert noise.std().item() == pytest.approx(sigma, rel=0.02)
    assert noise.mean().item() == pytest.approx(0, abs=0.02 * sigma)
    assert torch.cat(net.calls).min() < -0.2


@pytest.mark.parametrize("distance", [0.05, 0.2, 0.5, -0.1])
@pytest.mark.parametrize("sigma", [0.1, 0.25])
def test_on_a_linear_network_the_share_is_the_normal_probability_of_the_distance(distance, sigma):
    net, images, _ = two_classes([distance])
    share = votes(net, images, sigma, 10_000)[0, 0].item() / 10_000
    p = phi(distance / sigma)
    assert share == pytest.approx(p, abs=4 * math.sqrt(p * (1 - p) / 10_000) + 1e-4)


def test_a_seed_gives_the_same_votes_and_another_gives_others_and_nothing_else_is_touched():
    net, images, _ = two_classes([0.1, 0.05, 0.02])
    before, state = images.clone(), torch.get_rng_state()
    counts = votes(net, images, SIGMA, 1000)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(votes(net, images, SIGMA, 1000), counts)
    assert not torch.equal(votes(net, images, SIGMA, 1000, seed=1), counts)
    assert torch.equal(images, before)
    assert not votes(net, images.requires_grad_(), SIGMA, 10).requires_grad


@pytest.mark.parametrize(
    ("sigma", "draws", "message"),
    [
        (0, 10, "sigma must be greater than 0, got 0"),
        (-0.5, 10, "sigma must be greater than 0, got -0.5"),
        (math.nan, 10, "sigma must be greater than 0, got nan"),
        (0.25, 0, "draws must be a whole number and at least 1, got 0"),
    ],
)
def test_votes_without_noise_or_draws_raise_with_the_values(sigma, draws, message):
    net, images, _ = two_classes([0.1])
    with pytest.raises(ValueError, match=message):
        votes(net, images, sigma, draws)
    with pytest.raises(ValueError, match=message):
        certify(net, images, sigma, draws=draws)


# the bound of a probability


def smallest_not_refuted(successes: int, draws: int, alpha: float) -> float:
    """The smallest p for which so many successes, or more, have a probability of at least alpha; by bisection."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if binom.sf(successes - 1, draws, middle) >= alpha else (middle, high)
    return high


@pytest.mark.parametrize("alpha", [0.001, 0.05, 0.5])
@pytest.mark.parametrize("draws", [1, 2, 30])
def test_the_bound_is_the_smallest_probability_that_the_successes_do_not_refute(draws, alpha):
    found = lower_bound(torch.arange(draws + 1), draws, alpha)
    expected = [smallest_not_refuted(successes, draws, alpha) for successes in range(draws + 1)]
    assert found.tolist() == pytest.approx(expected, abs=1e-9)
    assert found[0] == 0
    assert found[-1].item() == pytest.approx(alpha ** (1 / draws))


def test_the_bound_without_an_alpha_is_wrong_once_in_a_thousand():
    assert torch.equal(lower_bound(torch.tensor([90]), 100), lower_bound(torch.tensor([90]), 100, 0.001))


def test_more_successes_more_draws_and_less_certainty_give_a_higher_bound():
    assert (lower_bound(torch.arange(1001), 1000).diff() > 0).all()
    shares = [lower_bound(torch.tensor([8 * n]), 10 * n).item() for n in (1, 10, 100, 1000, 10_000)]
    assert shares == sorted(shares) and 0.79 < shares[-1] < 0.8
    assert lower_bound(torch.tensor([8]), 10, 0.1) > lower_bound(torch.tensor([8]), 10, 0.01)


@pytest.mark.parametrize("p", [0.3, 0.7, 0.95])
@pytest.mark.parametrize("alpha", [0.01, 0.1])
def test_the_bound_exceeds_the_true_probability_in_alpha_of_all_cases_at_most(p, alpha):
    counts = torch.from_numpy(np.random.default_rng(0).binomial(200, p, 20_000))
    share = (lower_bound(counts, 200, alpha) > p).double().mean().item()
    assert alpha / 3 < share < alpha + 4 * math.sqrt(alpha / 20_000)


@pytest.mark.parametrize(
    ("successes", "alpha", "message"),
    [
        ([3], 0, "alpha must be between 0 and 1, got 0"),
        ([3], 1, "alpha must be between 0 and 1, got 1"),
        ([3], math.nan, "alpha must be a number from 0 to 1, got nan"),
        ([3, 11], 0.1, r"successes must be between 0 and draws = 10, got \[3, 11\]"),
        ([-1, 3], 0.1, r"between 0 and draws = 10, got \[-1, 3\]"),
    ],
)
def test_a_bound_that_cannot_be_raises_with_the_values(successes, alpha, message):
    with pytest.raises(ValueError, match=message):
        lower_bound(torch.tensor(successes), 10, alpha)


# certificates


def test_the_radius_is_never_beyond_the_boundary_and_comes_near_with_many_draws():
    distances = [0.1, 0.3, 0.5]
    net, images, _ = two_classes([*distances, -0.3])
    nearest = []
    for draws in (100, 1000, 30_000):
        labels, radius = certify(net, images, SIGMA, draws=draws)
        assert labels.tolist() in ([0, 0, 0, 1], [ABSTAINS, 0, 0, 1])
        assert (radius[:3] <= torch.tensor(distances)).all() and radius[3] <= 0.3
        nearest.append(radius.sum().item())
    assert nearest == sorted(nearest)
    assert radius.tolist() == pytest.approx([*distances, 0.3], rel=0.1)


@pytest.mark.parametrize("seed", range(20))
def test_no_seed_proves_more_than_is_true(seed):
    distances = torch.tensor([0.05, 0.2, 0.4])
    net, images, _ = two_classes(distances.tolist())
    labels, radius = certify(net, images, SIGMA, draws=300, seed=seed)
    assert (radius <= distances).all()
    assert 1 not in labels


def test_the_radius_is_sigma_times_the_quantile_of_the_bound():
    net, images, _ = two_classes([0.1, 0.3, 0.6])
    for sigma in (0.25, 0.5):
        for alpha in (0.001, 0.1):
            bound = lower_bound(votes(net, images, sigma, 500, seed=8)[:, 0], 500, alpha)
            labels, radius = certify(net, images, sigma, draws=500, alpha=alpha, seed=7)
            assert labels.tolist() == [0, 0, 0]
            assert [phi(r / sigma) for r in radius.tolist()] == pytest.approx(bound.tolist(), abs=1e-5)


def test_where_all_agree_the_radius_is_what_so_many_draws_can_prove():
    net, images, _ = two_classes([5.0])
    labels, radius = certify(net, images, SIGMA, draws=1000)
    assert labels.tolist() == [0]
    assert phi(radius.item() / SIGMA) == pytest.approx(0.001 ** (1 / 1000), abs=1e-6)
    assert radius.dtype == torch.float32


@pytest.mark.parametrize("seed", range(5))
def test_a_tie_abstains_and_has_no_radius(seed):
    net, images, _ = two_classes([0.0, 0.0, 2.0])
    labels, radius = certify(net, images, SIGMA, draws=500, seed=seed)
    assert labels.tolist() == [ABSTAINS, ABSTAINS, 0] and ABSTAINS == -1
    assert radius[:2].tolist() == [0, 0] and radius[2] > 0.3


def test_a_class_that_leads_without_a_majority_abstains():
    net = Linear(10 * torch.eye(48)[:4]).eval()  # four classes with a quarter of the votes each
    labels, radius = certify(net, torch.full((1, *SHAPE), 0.5), SIGMA, draws=200)
    assert labels.tolist() == [ABSTAINS] and radius.tolist() == [0]


def test_100_draws_choose_and_other_ones_count():
    net, images, _ = two_classes([0.3])
    net = Recorder(net).eval()
    certify(net, images, SIGMA, draws=150)
    assert sorted(len(call) for call in net.calls[2:]) == [100, 150]
    assert len(torch.cat(net.calls[2:]).unique(dim=0)) == 250


def test_a_certificate_depends_on_the_seed_only_and_modifies_nothing():
    net, images, _ = two_classes([0.2, 0.3])
    before, state = images.clone(), torch.get_rng_state()
    first = certify(net, images, SIGMA, draws=200)
    assert torch.equal(torch.get_rng_state(), state) and torch.equal(images, before)
    torch.rand(3)
    again, other = (certify(net, images, SIGMA, draws=200, seed=seed).radius for seed in (0, 5))
    assert torch.equal(again, first.radius)
    assert not torch.equal(other, first.radius)


# the mean as a network


def test_the_mean_is_the_mean_of_the_probabilities_of_noisy_copies():
    net, images, _ = two_classes([0.1, 0.2, -0.1], steepness=3)
    recorder = Recorder(net).eval()
    smoothed = Smoothed(recorder, SIGMA, SHAPE, draws=10)
    logits = smoothed(images)
    copies = torch.cat(recorder.calls).view(3, 10, *SHAPE)
    expected = torch.stack([net(each).softmax(1).mean(0) for each in copies])
    assert torch.allclose(logits.exp(), expected, atol=1e-6)
    assert logits.exp().sum(1).tolist() == pytest.approx([1, 1, 1], abs=1e-5)
    noise = copies - images[:, None]
    assert noise.std().item() == pytest.approx(SIGMA, rel=0.1)
    assert torch.allclose(noise[0], noise[1], atol=1e-6) and not torch.allclose(noise[0, 0], noise[0, 1])
    assert torch.allclose(smoothed(images[1:2]), logits[1:2], atol=1e-5)


def test_the_mean_is_near_the_shares_of_the_vote_where_the_network_is_steep():
    net, images, _ = two_classes([0.1, 0.2, -0.1], steepness=1000)
    shares = votes(net, images, SIGMA, 5000) / 5000
    assert torch.allclose(Smoothed(net, SIGMA, SHAPE, draws=5000)(images).exp(), shares, atol=0.03)
    assert torch.allclose(Smoothed(net, SIGMA, SHAPE)(images).exp(), shares, atol=0.2)


def test_the_mean_answers_the_same_each_time_and_its_seed_matters():
    net, images, _ = two_classes([0.1, 0.2], steepness=3)
    before, state = images.clone(), torch.get_rng_state()
    smoothed = Smoothed(net, SIGMA, SHAPE)
    assert torch.equal(smoothed(images), smoothed(images))
    assert torch.equal(Smoothed(net, SIGMA, SHAPE)(images), smoothed(images))
    assert not torch.equal(Smoothed(net, SIGMA, SHAPE, seed=1)(images), smoothed(images))
    assert torch.equal(torch.get_rng_state(), state) and torch.equal(images, before)


def test_the_mean_has_a_gradient_that_points_across_the_boundary():
    net, images, across = two_classes([0.1, 0.2], steepness=10)
    leaf = images.clone().requires_grad_()
    smoothed = Smoothed(net, SIGMA, SHAPE)
    (gradient,) = torch.autograd.grad(smoothed(leaf)[:, 1].sum(), leaf)
    for one in gradient:
        assert (one / one.norm() * across).sum().item() == pytest.approx(1, abs=1e-4)
    certain = Smoothed(Linear(torch.zeros(2, 48), torch.tensor([0.0, 500.0])).eval(), SIGMA, SHAPE)
    assert certain(images).isfinite().all()


# attacks on the vote


def test_on_a_linear_network_the_vote_is_overturned_near_the_boundary():
    distances = [0.15, 0.3, 0.45]
    net, images, _ = two_classes(distances, steepness=20)
    before, state = images.clone(), torch.get_rng_state()
    found = nearest_overturned(net, images, torch.zeros(3, dtype=torch.int64), SIGMA, steps=30)
    assert found.tolist() == pytest.approx(distances, rel=0.12)
    assert torch.equal(images, before) and torch.equal(torch.get_rng_state(), state)
    assert not found.requires_grad
    assert (certify(net, images, SIGMA, draws=1000).radius <= found).all()


def test_a_vote_that_is_wrong_already_needs_no_change():
    net, images, _ = two_classes([0.2, -0.2, -0.5], steepness=20)
    found = nearest_overturned(net, images, torch.zeros(3, dtype=torch.int64), SIGMA, steps=10, draws=200)
    assert found[1:].tolist() == [0, 0] and found[0] > 0.1


def test_where_every_vote_is_wrong_already_no_change_is_needed():
    net, images, _ = two_classes([-0.2, -0.5], steepness=20)
    assert nearest_overturned(net, images, torch.tensor([0, 0]), SIGMA, steps=5, draws=100).tolist() == [0, 0]


class Unequal(nn.Module):
    """Two classes beside a boundary, of which one is sure of itself: it has the mean where it has not the vote."""

    def __init__(self, net: nn.Module):
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> Tensor:
        ahead = self.net(images).diff(dim=1)
        return torch.cat([0 * ahead, torch.where(ahead > 0, 100 * ahead, 0.01 * ahead)], 1)


def test_where_only_the_mean_is_wrong_there_is_no_direction_to_go():
    linear, images, _ = two_classes([0.05], steepness=20)
    net = Unequal(linear).eval()
    assert votes(net, images, SIGMA, 1000).argmax(1).item() == 0
    assert Smoothed(net, SIGMA, SHAPE)(images).argmax(1).item() == 1
    assert nearest_overturned(net, images, torch.tensor([0]), SIGMA, steps=5).tolist() == [math.inf]


def test_a_vote_that_stands_all_along_is_infinitely_far():
    net = Linear(torch.zeros(2, 48), torch.tensor([0.0, 1.0])).eval()
    found = nearest_overturned(net, random_images(2), torch.tensor([1, 0]), SIGMA, steps=3, draws=50)
    assert found.tolist() == [math.inf, 0]


def test_what_is_found_overturns_the_vote_and_is_a_legal_image(monkeypatch):
    monkeypatch.setattr(smoothing, "AT_ONCE", 1000)
    net, images, _ = two_classes([0.3], steepness=20)
    net = Recorder(net).eval()
    found = nearest_overturned(net, images, torch.tensor([0]), SIGMA, steps=10, draws=1000)
    centres = [call.mean(0) for call in net.calls if len(call) == 1000][1:]  # the votes along the line
    assert len(centres) == 27
    lengths = [(centre - images[0]).norm().item() for centre in centres]
    assert max(lengths) / min(lengths) == pytest.approx(2 / 0.7, rel=0.1)
    overturned = [net.net(call).argmax(1).sum() > 500 for call in net.calls if len(call) == 1000][1:]
    nearest = min(length for length, over in zip(lengths, overturned, strict=True) if over)
    assert found.item() == pytest.approx(nearest, rel=0.1)


def test_the_line_on_which_the_vote_is_asked_ends_at_black():
    darker = torch.full((48,), -20.0)
    net = Recorder(Linear(torch.stack([0 * darker, darker]), torch.tensor([0.0, 0.03 * 48 * 20]))).eval()
    images = torch.full((1, *SHAPE), 0.1)
    found = nearest_overturned(net, images, torch.tensor([0]), SIGMA, steps=10, draws=400)
    assert found.item() == pytest.approx(0.07 * 48**0.5, rel=0.2)
    shades = [call.mean().item() for call in net.calls if len(call) == 400]
    assert min(shades) == pytest.approx(0, abs=0.01)


def test_no_digit_is_overturned_within_its_proven_radius():
    data = digits()
    net = trained_in_noise(data, SIGMA, epochs=6)
    assert not net.training
    images, labels = data.test_images[:12], data.test_labels[:12]
    before = images.clone()
    proof = certify(net, images, SIGMA, draws=500)
    assert torch.equal(proof.labels, labels)
    found = nearest_overturned(net, images, labels, SIGMA, steps=10, draws=150)
    assert torch.equal(images, before)
    assert (found >= proof.radius).all()
    assert found.isfinite().all() and (found < 2).all()
    assert (proof.radius > 0.2).double().mean() > 0.8


def test_training_in_noise_is_training_on_digits_with_that_much_noise():
    data, net = digits(), digit_net()
    for _ in fit(net, data.train_images, data.train_labels, epochs=4, shown=noisy(0.5)):
        pass
    found = trained_in_noise(data, 0.5, epochs=4)
    assert all(torch.equal(x, y) for x, y in zip(found.parameters(), net.parameters(), strict=True))
    other = trained_in_noise(data, 0.5, epochs=1, seed=1)
    assert not torch.equal(next(other.parameters()), next(trained_in_noise(data, 0.5, epochs=1).parameters()))
    images, labels = data.test_images[:100], data.test_labels[:100]
    assert (votes(found, images, 0.5, 100).argmax(1) == labels).double().mean() > 0.85
