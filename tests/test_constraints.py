import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fooling_utils import adam_step, both, inside_mask, l2_ball, linf_ball, pixel_range, sign_step, unit_step
from nets import random_images

SHAPE = (2, 3, 2, 2)
finite = st.floats(allow_nan=False, allow_infinity=False, width=32)
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


# constraints


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
    with pytest.raises(ValueError, match=f"the radius must be 0 or more, got {radius}"):
        ball(random_images(), radius)


def test_a_range_cannot_be_empty():
    with pytest.raises(ValueError, match="low must be at most high, got 1 and 0"):
        pixel_range(1, 0)


# steps

RULES = {"unit": unit_step(0.3), "sign": sign_step(0.1), "adam": adam_step(0.1)}


@given(arrays(np.float32, SHAPE, elements=finite).map(torch.from_numpy), st.floats(1e-3, 100))
def test_a_unit_step_has_exactly_its_length_along_the_gradient(gradient, length):
    rule = unit_step(length)
    change, _ = rule(gradient, rule.init(gradient))
    for one, its_gradient in zip(change.double(), gradient.double(), strict=True):
        moves = bool(its_gradient.any())
        assert one.norm().item() == pytest.approx(length * moves, rel=1e-5)
        along = (one * its_gradient).sum() / its_gradient.norm() if moves else one.norm()
        assert along.item() == pytest.approx(one.norm().item(), rel=1e-4)


@pytest.mark.parametrize("scale", [1e-30, 1e-20, 1.0, 1e30])
def test_a_tiny_or_huge_gradient_still_gives_a_unit_step(scale):
    gradient = scale * (random_images() - 0.5)
    change, _ = unit_step(2)(gradient, None)
    assert l2(change).item() == pytest.approx(2, rel=1e-5)


@pytest.mark.parametrize("name", RULES)
def test_a_zero_gradient_gives_a_zero_step(name):
    zero = torch.zeros(SHAPE)
    change, _ = RULES[name](zero, RULES[name].init(zero))
    assert torch.equal(change, zero)


def test_a_member_without_gradient_stays_while_the_others_move():
    gradient = random_images(2)
    gradient[0] = 0
    for name, rule in RULES.items():
        change, _ = rule(gradient, rule.init(gradient))
        assert not change[0].any(), name
        assert change[1].any(), name


def test_a_sign_step_moves_every_value_by_its_size():
    change, _ = sign_step(0.25)(torch.tensor([[1e-30, -5.0, 0.0]]), None)
    assert change.tolist() == [[0.25, -0.25, 0.0]]


def test_adam_is_that_of_torch():
    start = random_images(2)
    gradients = [random_images(2, seed=seed, low=-1, high=1) for seed in range(1, 7)]
    parameter = torch.nn.Parameter(start.clone())
    torch_adam = torch.optim.Adam([parameter], lr=0.02, betas=(0.8, 0.95), maximize=True, eps=1e-12)
    rule, variable = adam_step(0.02, 0.8, 0.95), start
    state = rule.init(variable)
    for gradient in gradients:
        parameter.grad = gradient.clone()
        torch_adam.step()
        change, state = rule(gradient, state)
        variable = variable + change
        assert torch.allclose(variable, parameter, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", RULES)
def test_a_rule_remembers_nothing_and_can_be_used_again(name):
    rule = RULES[name]
    gradients = [random_images(2, seed=seed, low=-1, high=1) for seed in range(3)]
    before = [gradient.clone() for gradient in gradients]

    def run() -> list[torch.Tensor]:
        state, changes = rule.init(gradients[0]), []
        for gradient in gradients:
            change, state = rule(gradient, state)
            changes.append(change)
        return changes

    assert all(torch.equal(a, b) for a, b in zip(run(), run(), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(gradients, before, strict=True))


@pytest.mark.parametrize("name", RULES)
def test_an_old_state_stays_as_it_was(name):
    rule, gradient = RULES[name], random_images(low=-1, high=1)
    _, state = rule(gradient, rule.init(gradient))
    first, _ = rule(2 * gradient, state)
    again, _ = rule(2 * gradient, state)
    assert torch.equal(first, again)


@pytest.mark.parametrize("name", RULES)
def test_members_of_a_batch_move_for_themselves(name):
    rule = RULES[name]
    gradients = [random_images(3, seed=seed, low=-1, high=1) * torch.tensor([1e-3, 1, 1e3]).view(3, 1, 1, 1)
                 for seed in range(4)]  # fmt: skip

    def run(member: slice) -> torch.Tensor:
        state = rule.init(gradients[0][member])
        for gradient in gradients:
            change, state = rule(gradient[member], state)
        return change

    together = run(slice(None))
    for i in range(3):
        assert torch.allclose(together[i : i + 1], run(slice(i, i + 1)), rtol=1e-5, atol=0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: unit_step(0), "length must be greater than 0, got 0"),
        (lambda: unit_step(float("nan")), "length must be greater than 0, got nan"),
        (lambda: sign_step(-0.1), "size must be greater than 0, got -0.1"),
        (lambda: adam_step(0), "rate must be greater than 0, got 0"),
        (lambda: adam_step(0.1, 1.0), r"beta1 must be in \[0, 1\), got 1.0"),
        (lambda: adam_step(0.1, 0.9, -1), r"beta2 must be in \[0, 1\), got -1"),
    ],
)
def test_a_rule_that_cannot_climb_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    "make",
    [
        lambda other: l2_ball(other, 1),
        lambda other: linf_ball(other, 1),
        lambda other: inside_mask(other, CHECKERBOARD),
    ],
)
def test_a_constraint_of_another_size_says_so(make):
    with pytest.raises(ValueError, match=r"has shape \(1, 3, 9, 9\) and cannot constrain \(2, 3, 2, 2\)"):
        make(torch.zeros(1, 3, 9, 9))(torch.zeros(2, 3, 2, 2))
    with pytest.raises(ValueError, match=r"has shape \(3, 3, 2, 2\)"):
        make(torch.zeros(3, 3, 2, 2))(torch.zeros(2, 3, 2, 2))
