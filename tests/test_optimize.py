import weakref
from itertools import islice

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fooling_utils import (
    Frame,
    adam_step,
    away_from,
    distance_to,
    distances,
    inside_mask,
    l2_ball,
    last,
    linf_ball,
    logit,
    optimize_pixels,
    round_to_8bit,
    run_until,
    sign_step,
    total_variation,
    toward,
    unit_step,
)
from fooling_utils.objectives import Objective
from fooling_utils.optimize import Stopped
from nets import NUMBERS, linear, random_images, random_linear

STEPS = {"unit": unit_step(0.1), "sign": sign_step(0.01), "adam": adam_step(0.01)}


def counted():
    """A linear classifier, its counters of forward and backward passes, and a reset of both."""
    model = random_linear()
    model.net.forwards[0] = model.net.backwards[0] = 0
    return model, model.net.forwards, model.net.backwards


# what a frame costs


def test_a_run_is_one_forward_per_frame_and_one_backward_per_step():
    model, forwards, backwards = counted()
    frames = list(optimize_pixels(model, random_images(), toward(1), steps=7))
    assert [frame.index for frame in frames] == list(range(8))
    assert (forwards, backwards) == ([8], [7])


def test_nothing_is_computed_before_the_first_frame_is_asked_for():
    model, forwards, backwards = counted()
    frames = optimize_pixels(model, random_images(), toward(1))
    assert (forwards, backwards) == ([0], [0])
    next(frames)
    assert (forwards, backwards) == ([1], [0])


def test_the_frame_that_satisfies_costs_no_backward_pass():
    model, forwards, backwards = counted()
    for frame in optimize_pixels(model, random_images(), toward(1), steps=50):
        frame.probability(1)
        if frame.index == 3:
            break
    assert (forwards, backwards) == ([4], [3])


def test_the_logits_of_a_frame_are_free_without_a_view():
    model, forwards, _ = counted()
    frame = next(optimize_pixels(model, random_images(), toward(1)))
    logits = frame.logits
    assert forwards == [1]
    assert torch.allclose(logits, model(frame.image))


def test_old_frames_are_freed():
    alive = []
    for frame in optimize_pixels(random_linear(), random_images(), toward(1), steps=20):
        alive.append(weakref.ref(frame.image))
        if frame.index:
            assert sum(image() is not None for image in alive) <= 1


# validation at the call


def with_nan():
    image = random_images()
    image[0, 0, 0, 0] = torch.nan
    return image


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"model": torch.nn.Identity()}, TypeError, r"must be a Classifier, got Identity: use Classifier\(net, labels"),
        ({"objective": "ostrich"}, TypeError, r"such as toward\('ostrich'\), got 'ostrich'"),
        ({"objective": toward("class 9")}, ValueError, "no class is called 'class 9': did you mean 'class"),
        ({"objective": toward(3)}, ValueError, "there is no class 3: the indices go from 0 to 2"),
        ({"objective": toward([0, 1])}, ValueError, "the objective names targets for 2 images, but there are 1"),
        ({"start": random_images()[0]}, ValueError, r"start must have the shape .*start\[None\] makes a batch of one"),
        ({"start": random_images() * 255}, ValueError, r"start must be in \[0, 1\].*so use start / 255"),
        ({"start": random_images().double()}, TypeError, r"start must be float32.*use start\.float\(\)"),
        ({"start": with_nan()}, ValueError, "start has 1 values that are NaN or infinite"),
        ({"start": random_images()[:0]}, ValueError, "start is empty"),
        ({"start": random_images().to("meta")}, ValueError, r"start is on meta .*use start\.to\(model\.device\)"),
        ({"start": "school_bus"}, TypeError, r"start must be a tensor, got str: use load_image\(start\)"),
        ({"steps": 0}, ValueError, "steps must be a whole number and at least 1, got 0"),
        ({"steps": -3}, ValueError, "at least 1, got -3"),
        ({"steps": 2.5}, ValueError, "steps must be a whole number and at least 1, got 2.5"),
        ({"step": 0.3}, TypeError, r"step must be a step rule such as unit_step\(0\.3\), got 0\.3"),
        ({"step": unit_step}, TypeError, r"step must be a step rule such as unit_step\(0\.3\), got <function"),
        ({"constraint": 0.1}, TypeError, "constraint must be a function or None, got 0.1"),
        ({"view": 4}, TypeError, "view must be a function or None, got 4"),
        ({"decode": "fourier"}, TypeError, "decode must be a function or None, got 'fourier'"),
        ({"decode": lambda z: z + 1}, ValueError, r"decode\(start\) must be in \[0, 1\]"),
    ],
)
def test_what_cannot_work_raises_at_the_call(change, kind, message):
    settings = {"model": random_linear(), "start": random_images(), "objective": toward(1)} | change
    with pytest.raises(kind, match=message):
        optimize_pixels(**settings)


def test_a_network_in_training_mode_raises_at_the_call():
    model = random_linear()
    model.train()
    with pytest.raises(ValueError, match=r"in training mode.*call model\.eval\(\) first"):
        optimize_pixels(model, random_images(), toward(1))


def test_a_score_that_is_not_finite_raises_and_names_the_frame(three_classes):
    def bind(model):
        return lambda seen: (0.55 - seen.image.amax((1, 2, 3))).sqrt()

    frames = optimize_pixels(three_classes, random_images(low=0.5, high=0.54), logit(1) + 0 * Objective(bind),
                             step=sign_step(0.02), steps=9)  # fmt: skip
    with pytest.raises(FloatingPointError, match=r"score became \[nan\] at frame [1-9]: try a smaller step"):
        list(frames)


# what is left alone


@pytest.mark.parametrize("name", STEPS)
def test_neither_the_start_nor_the_tensors_of_the_choices_are_modified(three_classes, name):
    start, goal, centre = random_images(2), random_images(2, seed=1), random_images(2, seed=2)
    before = start.clone(), goal.clone(), centre.clone()
    objective = toward(1) - distance_to(goal)
    list(optimize_pixels(three_classes, start, objective, step=STEPS[name], constraint=l2_ball(centre, 0.1), steps=3))
    assert all(torch.equal(now, then) for now, then in zip((start, goal, centre), before, strict=True))
    assert not start.requires_grad


@pytest.mark.parametrize("name", STEPS)
def test_changing_a_frame_in_place_does_not_change_the_run(three_classes, name):
    def run(spoil: bool) -> list[torch.Tensor]:
        images = []
        for frame in optimize_pixels(three_classes, random_images(2), toward(1), step=STEPS[name], steps=4):
            images.append(frame.image.clone())
            if spoil:
                for tensor in (frame.variable, frame.image, frame.logits, frame.score):
                    tensor.zero_()
        return images

    assert torch.equal(torch.stack(run(spoil=True)), torch.stack(run(spoil=False)))


def test_frames_can_be_kept(three_classes):
    frames = list(optimize_pixels(three_classes, random_images(), toward(1), steps=5))
    images = [frame.image for frame in frames]
    assert len({image.data_ptr() for image in images}) == 6
    for frame in frames:
        assert torch.allclose(three_classes(frame.image), frame.logits, atol=1e-6)
        assert not any(tensor.requires_grad for tensor in (frame.image, frame.variable, frame.score, frame.logits))
    assert torch.equal(images[0], random_images())


@pytest.mark.parametrize("mode", [torch.no_grad, torch.enable_grad])
def test_the_callers_gradient_mode_is_left_alone_at_a_yield(three_classes, mode):
    images = []
    with mode():
        expected = torch.is_grad_enabled()
        start = random_images() + 0  # made in this mode
        for frame in optimize_pixels(three_classes, start, toward(1) - distance_to(start), steps=2):
            assert torch.is_grad_enabled() == expected
            images.append(frame.image)
        assert torch.is_grad_enabled() == expected
    plain = [f.image for f in optimize_pixels(three_classes, random_images(), toward(1) - distance_to(start), steps=2)]
    assert torch.equal(torch.cat(images), torch.cat(plain))


def test_two_runs_can_take_turns(three_classes):
    alone = [frame.image for frame in optimize_pixels(three_classes, random_images(), toward(1), steps=3)]
    rule = adam_step(0.01)
    first = optimize_pixels(three_classes, random_images(), toward(1), steps=3)
    second = optimize_pixels(three_classes, random_images(seed=5), toward(2), step=rule, steps=3)
    assert torch.equal(torch.cat([one.image for one, _ in zip(first, second, strict=True)]), torch.cat(alone))


# members of a batch


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("count", [3, 20], ids=["one chunk", "two chunks"])
def test_a_batch_is_its_members_one_by_one(three_classes, name, count):
    starts, targets = random_images(count), [i % 3 for i in range(count)]

    def last(images, labels):
        objective = toward(labels) - 0.01 * total_variation() - 0.1 * distance_to(images)
        balls = linf_ball(images, 0.05)
        *_, frame = optimize_pixels(three_classes, images, objective, step=STEPS[name], constraint=balls, steps=6)
        return frame

    together = last(starts, targets)
    alone = [last(starts[i : i + 1], targets[i]) for i in range(count)]
    assert torch.allclose(together.image, torch.cat([frame.image for frame in alone]), atol=1e-5)
    assert torch.allclose(together.score, torch.cat([frame.score for frame in alone]), atol=1e-4)
    assert torch.allclose(together.logits, torch.cat([frame.logits for frame in alone]), atol=1e-4)


def test_a_batch_is_its_members_for_the_real_network(model, coffee):
    batch = torch.cat([coffee, coffee.flip(3)])
    *_, together = optimize_pixels(model, batch, toward(["ostrich", "robin"]), step=unit_step(0.5), steps=1)
    for i, label in enumerate(["ostrich", "robin"]):
        *_, alone = optimize_pixels(model, batch[i : i + 1], toward(label), step=unit_step(0.5), steps=1)
        assert torch.allclose(together.image[i : i + 1], alone.image, atol=1e-4)


# where the variable may be


@given(st.sampled_from(list(STEPS)), st.floats(0.1, 3), st.integers(0, 20))
def test_every_frame_is_a_legal_image(name, size, seed):
    rule = {"unit": unit_step, "sign": sign_step, "adam": adam_step}[name](size)
    start = random_images(2, seed=seed, low=0, high=1)
    for frame in optimize_pixels(random_linear(), start, toward(1), step=rule, steps=3):
        assert frame.image.min() >= 0
        assert frame.image.max() <= 1


def test_the_legal_range_is_applied_after_a_constraint(three_classes):
    def too_far(variable):
        return variable + 10

    *_, frame = optimize_pixels(three_classes, random_images(), toward(1), constraint=too_far, steps=1)
    assert torch.equal(frame.image, torch.ones(1, 3, 4, 4))


def test_only_what_the_mask_allows_changes(three_classes):
    start, mask = random_images(), torch.zeros(4, 4, dtype=torch.bool)
    mask[1, 2] = True
    *_, frame = optimize_pixels(three_classes, start, toward(1), constraint=inside_mask(start, mask), steps=5)
    changed = (frame.image != start).any(1)[0]
    assert torch.equal(changed, mask)


def test_on_the_plane_there_is_no_range_and_the_point_walks_where_it_wants(plane):
    *_, frame = optimize_pixels(plane, torch.tensor([[-0.5, 0.25]]), toward(1), step=unit_step(2), steps=3)
    assert torch.allclose(frame.image, torch.tensor([[5.5, 0.25]]))


# decode


def test_a_decoded_variable_is_optimised_in_its_own_coordinates(three_classes):
    def shades(z):  # one number per channel and image
        return z.sigmoid()[:, :, None, None].expand(-1, -1, 4, 4)

    frames = list(optimize_pixels(three_classes, torch.zeros(2, 3), toward([0, 1]), decode=shades, steps=5))
    for frame in frames:
        assert frame.variable.shape == (2, 3)
        assert torch.allclose(frame.image, shades(frame.variable))
        assert torch.allclose(frame.logits, three_classes(frame.image), atol=1e-6)
    assert (frames[-1].score > frames[0].score).all()
    lengths = (frames[1].variable - frames[0].variable).norm(dim=1)
    assert torch.allclose(lengths, torch.tensor(0.3)), "the step is measured in the variable's coordinates"


def test_one_variable_may_be_decoded_into_many_images(three_classes):
    pictures = random_images(3)

    def everywhere(change):
        return (pictures + change).clamp(0, 1)

    objective = toward([0, 1, 2])
    frames = list(optimize_pixels(three_classes, torch.zeros(1, 3, 4, 4), objective, decode=everywhere, steps=3))
    assert frames[0].image.shape == (3, 3, 4, 4)
    assert frames[0].variable.shape == (1, 3, 4, 4)
    assert frames[0].score.shape == (3,)
    assert frames[-1].score.sum() > frames[0].score.sum()


def test_the_pixel_range_is_not_applied_to_a_decoded_variable(three_classes):
    *_, frame = optimize_pixels(three_classes, torch.full((1, 3, 4, 4), -5.0), toward(1), decode=torch.sigmoid, steps=1)
    assert (frame.variable < 0).any()


# random views


def two_noisy_views(images, generator):
    noise = torch.randn(2, *images.shape, generator=generator)
    return torch.cat([images + 0.05 * noise[0], images - 0.1 * noise[1]])


def test_the_score_is_the_mean_over_the_views_of_each_image():
    model = random_linear()
    images = random_images(2)

    def shifts(images, generator):
        return torch.cat([images, images * 0.5, images * 0.25])

    frame = next(optimize_pixels(model, images, logit([0, 1]), view=shifts))
    expected = torch.stack([model(images * s)[range(2), [0, 1]] for s in (1, 0.5, 0.25)]).mean(0)
    assert torch.allclose(frame.score, expected)


def test_random_views_follow_the_seed_alone(three_classes):
    def last(seed):
        *_, frame = optimize_pixels(
            three_classes, random_images(2), toward(1), view=two_noisy_views, steps=4, seed=seed
        )
        return frame.image

    first = last(1)
    torch.rand(3)
    assert torch.equal(last(1), first)
    assert not torch.equal(last(2), first)


def test_each_frame_draws_new_views(three_classes):
    seen = []

    def remember(images, generator):
        seen.append(torch.rand(1, generator=generator).item())
        return images

    list(optimize_pixels(three_classes, random_images(), toward(1), view=remember, steps=3))
    assert len(set(seen)) == 4


def test_after_random_views_the_logits_are_those_of_the_image_computed_when_asked_for():
    model, forwards, backwards = counted()
    frames = optimize_pixels(model, random_images(), toward(1), view=two_noisy_views, steps=3)
    first, second = islice(frames, 2)
    assert (forwards, backwards) == ([2], [1])
    assert torch.allclose(second.logits, model(second.image))
    assert forwards == [4], "one for the frame's logits and one for the comparison"
    assert not second.logits.requires_grad
    assert second.probability(1) == pytest.approx(model.probabilities(second.image)[0, 1].item())
    assert first.index == 0


def test_views_of_a_batch_leave_its_members_independent(three_classes):
    def half(images, generator):
        return torch.cat([images, 0.5 * images])

    batch = random_images(3)
    *_, together = optimize_pixels(three_classes, batch, toward([0, 1, 2]), view=half, steps=4)
    for i in range(3):
        *_, alone = optimize_pixels(three_classes, batch[i : i + 1], toward(i), view=half, steps=4)
        assert torch.allclose(together.image[i : i + 1], alone.image, atol=1e-5)


# frames and run_until


def test_the_probability_of_a_frame_is_a_number_for_one_image_and_a_tensor_for_several(three_classes):
    one = next(optimize_pixels(three_classes, random_images(), toward(1)))
    assert isinstance(one.probability(1), float)
    assert sum(one.probability(i) for i in range(3)) == pytest.approx(1)
    assert one.probability("class 1") == one.probability([1]) == one.probability(torch.tensor(1))
    two = next(optimize_pixels(three_classes, random_images(2), toward(1)))
    expected = two.logits.softmax(1)
    assert torch.equal(two.probability(1), expected[:, 1])
    assert torch.equal(two.probability([2, 0]), expected[range(2), [2, 0]])
    with pytest.raises(ValueError, match="3 classes are named for 2 images"):
        two.probability([0, 1, 2])


def frames_with(probabilities: list[list[float]], shape: tuple[int, ...] = (3, 4, 4)):
    """Frames of a two-class network in which image i of frame k is class 1 with probability probabilities[k][i]."""
    model = linear(torch.zeros(2, NUMBERS))
    for index, row in enumerate(probabilities):
        p = torch.tensor(row)
        image = torch.full((len(row), *shape), index / 10)
        yield Frame(index, image, image, p, model, torch.stack([(1 - p).log(), p.log()], 1))


@pytest.mark.parametrize("shape", [(3, 4, 4), (2,)])
def test_run_until_takes_every_image_at_its_own_first_frame_past_the_mark(shape):
    frames = frames_with([[0.1, 0.2, 0.1], [0.6, 0.2, 0.1], [0.3, 0.7, 0.2], [0.9, 0.9, 0.4]], shape)
    reached = run_until(frames, 1, 0.5)
    assert reached.frames == [1, 2, None]
    assert reached.image.shape == (3, *shape)
    assert reached.image.flatten(1)[:, 0].tolist() == pytest.approx([0.1, 0.2, 0.3])


def test_run_until_stops_as_soon_as_every_image_is_there():
    frames = frames_with([[0.1], [0.6], [0.1]])
    assert run_until(frames, 1, 0.5).frames == [1]
    assert next(frames).index == 2


def test_run_until_follows_one_class_per_image():
    assert run_until(frames_with([[0.1, 0.1], [0.6, 0.1]]), [1, 0], 0.5).frames == [1, 0]


def test_run_until_returns_what_it_has_when_the_reader_stops_it():
    def stopped(count):
        yield from frames_with([[0.1, 0.2], [0.6, 0.2], [0.9, 0.3]][:count])
        raise KeyboardInterrupt

    with pytest.warns(Stopped, match="at frame 2, when 1 of 2 images had reached their class") as caught:
        reached = run_until(stopped(3), 1, 0.5)
    assert caught[0].filename == __file__
    assert reached.frames == [1, None]
    assert reached.image.flatten(1)[:, 0].tolist() == pytest.approx([0.1, 0.2])
    with pytest.raises(KeyboardInterrupt):  # there is nothing yet that it could return
        run_until(stopped(0), 1, 0.5)


def test_run_until_costs_no_backward_pass_after_the_end():
    model, forwards, backwards = counted()
    result = run_until(optimize_pixels(model, random_images(), toward(1), step=unit_step(1)), 1, 0.9)
    assert result.frames[0] > 0
    assert (forwards, backwards) == ([result.frames[0] + 1], [result.frames[0]])


def test_run_until_refuses_what_cannot_be_reached_and_what_is_used_up():
    with pytest.raises(ValueError, match=r"probability must be a number from 0 to 1, got 99"):
        run_until(frames_with([[0.1]]), 1, 99)
    frames = frames_with([[0.1]])
    list(frames)
    with pytest.raises(ValueError, match=r"no frames left: make a new optimize_pixels"):
        run_until(frames, 1)


# the claim of the course


def test_a_coffee_becomes_an_ostrich_and_stays_one_after_rounding(model, coffee):
    reached = run_until(optimize_pixels(model, coffee, toward("ostrich"), steps=60), "ostrich", 0.99)
    assert reached.frames[0] is not None
    rounded = round_to_8bit(reached.image)
    assert model.top(rounded, 1)[0].label == "ostrich"
    assert distances(coffee, rounded).rms_grey_levels < 3


def test_away_from_leaves_the_class(model, coffee):
    frames = optimize_pixels(model, coffee, away_from("espresso"), step=unit_step(0.5), steps=8)
    *_, last = frames
    assert model.top(last.image, 1)[0].label != "espresso"


def test_what_does_not_fit_is_refused_before_the_first_step(three_classes):
    other = torch.zeros(1, 3, 9, 9)
    with pytest.raises(ValueError, match="cannot constrain"):
        optimize_pixels(three_classes, random_images(), toward(1), constraint=l2_ball(other, 1))
    with pytest.raises(ValueError, match="load both images with the same size"):
        next(optimize_pixels(three_classes, random_images(), toward(1) - distance_to(other)))


# -------------------------------------------------------------------------------------------- to the end, and views


def test_last_gives_the_last_frame_and_keeps_no_other(three_classes):
    alive = []

    def watched():
        for frame in optimize_pixels(three_classes, random_images(), toward(0), steps=8):
            alive.append(weakref.ref(frame.image))
            yield frame
            frame = None

    frame = last(watched())
    assert frame.index == 8
    assert [one() is not None for one in alive] == [False] * 8 + [True]


def test_last_of_nothing_says_so():
    with pytest.raises(ValueError, match="there are no frames left"):
        last(iter(()))


@pytest.mark.parametrize("decode", [None, lambda x: x.clamp(0.1, 0.9)], ids=["pixels", "decoded"])
def test_a_view_that_works_in_place_says_what_it_must_give(three_classes, decode):
    view = {"view": lambda images, _: images.mul_(0.5), "decode": decode}
    with pytest.raises(ValueError, match=r"the view changes its images in place: return a new tensor"):
        next(optimize_pixels(three_classes, random_images(2), toward(0), **view))


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_view_that_loses_images_says_what_it_must_give(three_classes, count):
    frames = optimize_pixels(
        three_classes, random_images(2), toward(0), view=lambda images, _: images.repeat(2, 1, 1, 1)[:count]
    )
    with pytest.raises(ValueError, match=f"the view turns 2 images into {count}: it must return the same number"):
        next(frames)
