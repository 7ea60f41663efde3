"""Step rules: how far, which way, and nothing remembered."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fooling_utils import adam_step, sign_step, unit_step
from nets import random_images

SHAPE = (2, 3, 2, 2)

finite = st.floats(allow_nan=False, allow_infinity=False, width=32)

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
    assert change.double().norm().item() == pytest.approx(2, rel=1e-5)


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
        (lambda: adam_step(0.1, 1.0), "beta1 must be less than 1, got 1.0"),
        (lambda: adam_step(0.1, 0.9, -1), "beta2 must be a number from 0 to 1, got -1"),
    ],
)
def test_a_rule_that_cannot_climb_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
