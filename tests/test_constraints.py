"""Balls, the range and masks as projections."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fooling_utils import both, inside_mask, l2_ball, linf_ball, pixel_range
from nets import random_images

SHAPE = (2, 3, 2, 2)

legal = arrays(np.float32, SHAPE, elements=st.floats(0, 1, width=32)).map(torch.from_numpy)

anywhere = arrays(np.float32, SHAPE, elements=st.floats(-2, 3, width=32)).map(torch.from_numpy)

radii = st.floats(0, 5)

CHECKERBOARD = torch.tensor([[1, 0], [0, 1]])


def l2(change: torch.Tensor) -> torch.Tensor:
    return change.double().flatten(1).norm(dim=1)


def linf(change: torch.Tensor) -> torch.Tensor:
    return change.double().flatten(1).abs().amax(1)


def every_constraint(centre: torch.Tensor, radius: float) -> dict:
    return {
        "l2": l2_ball(centre, radius),
        "linf": linf_ball(centre, radius),
        "range": pixel_range(),
        "mask": inside_mask(centre, CHECKERBOARD),
        "l2 and range": both(l2_ball(centre, radius), pixel_range()),
        "linf and range": both(linf_ball(centre, radius), pixel_range()),
    }


@given(legal, anywhere, radii)
def test_a_projection_lands_inside_its_ball_and_its_range(centre, variable, radius):
    ends = {name: constraint(variable) for name, constraint in every_constraint(centre, radius).items()}
    for name, end in ends.items():
        if "l2" in name:
            assert (l2(end - centre) <= radius + 1e-6).all()
        if "linf" in name:
            assert (linf(end - centre) <= radius + 1e-6).all()
        if "range" in name:
            assert end.min() >= 0
            assert end.max() <= 1


@given(legal, anywhere, radii)
def test_a_second_projection_changes_nothing(centre, variable, radius):
    for name, constraint in every_constraint(centre, radius).items():
        once = constraint(variable)
        assert torch.allclose(constraint(once), once, atol=1e-6, rtol=0), name


@given(legal, anywhere, anywhere, radii)
def test_no_point_inside_is_nearer_than_the_projection(centre, variable, other, radius):
    for name in ("l2", "linf", "range", "mask"):
        constraint = every_constraint(centre, radius)[name]
        assert (l2(variable - constraint(variable)) <= l2(variable - constraint(other)) + 1e-5).all(), name


@given(legal, anywhere, radii)
def test_points_inside_do_not_move(centre, variable, radius):
    change = variable - centre
    inside = centre + change * torch.where(l2(change) > 0, 0.99 * radius / l2(change), 0)[:, None, None, None].float()
    for name in ("l2", "linf"):
        assert torch.equal(every_constraint(centre, radius + 1e-5)[name](inside), inside), name
    assert torch.equal(pixel_range()(centre), centre)


@given(legal, anywhere, radii)
def test_a_constraint_modifies_neither_its_point_nor_its_centre(centre, variable, radius):
    before = centre.clone(), variable.clone()
    for name, constraint in every_constraint(centre, radius).items():
        end = constraint(variable)
        end.add_(1)  # nor does the result share memory with them
        assert torch.equal(centre, before[0]), name
        assert torch.equal(variable, before[1]), name


@given(legal, anywhere, radii)
def test_members_of_a_batch_are_projected_for_themselves(centre, variable, radius):
    for name, constraint in every_constraint(centre, radius).items():
        for i in (0, 1):
            alone = every_constraint(centre[i : i + 1], radius)[name](variable[i : i + 1])
            assert torch.allclose(constraint(variable)[i : i + 1], alone, atol=1e-6), name


def test_one_centre_serves_a_whole_batch():
    centre, variable = random_images(1), random_images(3, seed=1, low=0, high=1)
    for ball in (l2_ball, linf_ball):
        assert torch.equal(ball(centre, 0.1)(variable), ball(centre.repeat(3, 1, 1, 1), 0.1)(variable))


def test_projections_by_hand():
    centre, point = torch.zeros(1, 2), torch.tensor([[3.0, -4.0]])
    assert torch.allclose(l2_ball(centre, 1)(point), torch.tensor([[0.6, -0.8]]), atol=1e-5)
    assert torch.equal(linf_ball(centre, 1)(point), torch.tensor([[1.0, -1.0]]))
    assert torch.equal(pixel_range(-2, 2)(point), torch.tensor([[2.0, -2.0]]))
    assert torch.equal(l2_ball(centre, 0)(point), centre)
    assert torch.equal(linf_ball(centre, 0)(point), centre)


def test_both_applies_its_constraints_in_order():
    add, double = lambda x: x + 1, lambda x: x * 2
    one = torch.ones(1)
    assert both(add, double)(one) == 4
    assert both(double, add)(one) == 3
    assert both()(one) == 1


def test_a_mask_lets_changes_through_where_it_is_true():
    original, variable = torch.zeros(1, 3, 2, 2), torch.ones(1, 3, 2, 2)
    for mask in (CHECKERBOARD, CHECKERBOARD.bool(), CHECKERBOARD.float()[None, None]):
        assert torch.equal(inside_mask(original, mask)(variable), CHECKERBOARD.float().expand(1, 3, 2, 2))


@pytest.mark.parametrize("ball", [l2_ball, linf_ball])
@pytest.mark.parametrize("radius", [-1, -1e-9, float("nan")])
def test_a_radius_cannot_be_negative_or_nan(ball, radius):
    with pytest.raises(ValueError, match=f"radius must be a number and at least 0, got {radius}"):
        ball(random_images(), radius)


def test_a_range_cannot_be_empty():
    with pytest.raises(ValueError, match="low must be at most high, got 1 and 0"):
        pixel_range(1, 0)


@pytest.mark.parametrize(
    "make",
    [
        lambda other: l2_ball(other, 1),
        lambda other: linf_ball(other, 1),
        lambda other: inside_mask(other, torch.ones(1, 1)),
    ],
)
def test_a_constraint_of_another_size_says_so(make):
    with pytest.raises(ValueError, match=r"has shape \(1, 3, 9, 9\) and cannot constrain \(2, 3, 2, 2\)"):
        make(torch.zeros(1, 3, 9, 9))(torch.zeros(2, 3, 2, 2))
    with pytest.raises(ValueError, match=r"has shape \(3, 3, 2, 2\)"):
        make(torch.zeros(3, 3, 2, 2))(torch.zeros(2, 3, 2, 2))
