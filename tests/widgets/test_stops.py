"""The epsilon and the prior explorer without a browser: what the page may ask, and what it is answered."""

import math

import pytest
import torch

from asking import Page, sent, twin
from fooling_utils import round_to_8bit
from fooling_utils.widgets.stops import AT_ONCE, SIZES, EpsilonExplorer, PriorExplorer
from nets import NUMBERS, linear, random_images, random_linear

LEVEL = math.sqrt(NUMBERS) / 255  # L2 of one grey level RMS in these small images

# --------------------------------------------------------------------------------------------- how large a change?

# signs: every value changes by the same whole number of grey levels, so that rounding and clipping take nothing
SIGNS = torch.where(torch.arange(NUMBERS) % 3 == 0, -1.0, 1.0).reshape(1, 3, 4, 4)

GREY = torch.full((1, 3, 4, 4), 128 / 255)


def two_classes(strength=4.0):
    """p(class 1) = sigmoid(strength * <signs, x - grey> - 2): known for every change along the signs."""
    weight = torch.stack([torch.zeros(NUMBERS), strength * SIGNS.flatten()])
    return linear(weight, torch.tensor([0.0, -2.0 - (strength * SIGNS * GREY).sum()]))


def all_rows(page):
    for _ in range(1 + SIZES):
        rows = page.ask("measure")[0]["rows"]
        if len(rows) == len(page.widget.sizes):
            return [row for _, row in rows]
    raise AssertionError("it does not come to an end")


def test_the_probability_along_the_gradient_is_the_known_one():
    counts = [0, 1, 2, 5, 9, 20]
    explorer = EpsilonExplorer(
        two_classes(), GREY, 7 * SIGNS, own=0, target=1, sizes=[count * LEVEL for count in counts]
    )
    for count, row in zip(counts, all_rows(Page(explorer)), strict=True):
        expected = torch.sigmoid(torch.tensor(4.0 * NUMBERS * count / 255 - 2)).item()
        assert row["change"]["size"] == pytest.approx(count * LEVEL, rel=1e-4)
        assert row["change"]["target"] == pytest.approx(expected, abs=1e-4)
        assert row["change"]["own"] == pytest.approx(1 - expected, abs=1e-4)
        assert row["change"]["index"] == int(expected > 0.5)


def test_a_grey_image_is_changed_and_drawn_in_grey():
    grey, signs = GREY[:, :1], SIGNS[:, :1]
    model = linear(torch.stack([0 * signs.flatten(), signs.flatten()]), shape=(1, 4, 4))
    size = 10 * LEVEL * math.sqrt(1 / 3)
    explorer = EpsilonExplorer(model, grey, signs, own=0, target=1, sizes=[0.0, size])
    _, (changed, _noise) = Page(explorer).ask("stop", place=1)
    assert changed == sent(grey + 10 / 255 * signs)


def test_noise_has_the_same_size_and_moves_the_logit_by_its_share_of_the_direction():
    model = two_classes()
    explorer = EpsilonExplorer(model, GREY, SIGNS, target=1, sizes=[0.0, 10 * LEVEL, 30 * LEVEL], seed=3)
    noise = torch.randn(GREY.shape, generator=torch.Generator().manual_seed(3))
    share = (noise * SIGNS).sum() / noise.norm() / SIGNS.norm()  # the cosine between noise and gradient
    assert abs(share) < 0.5
    for place, row in enumerate(all_rows(Page(explorer))):
        assert row["noise"]["size"] == pytest.approx(row["change"]["size"], rel=0.01)
        logit = 4 * share * math.sqrt(NUMBERS) * row["noise"]["size"] - 2
        assert row["noise"]["target"] == pytest.approx(torch.sigmoid(logit).item(), abs=0.02)
        direction = explorer.image_at(place, "noise") - round_to_8bit(GREY)
        if place:
            assert torch.cosine_similarity(direction.flatten(), noise.flatten(), dim=0) > 0.99


def test_another_seed_is_another_noise(three_classes):
    image, change = random_images(), 0.01 * random_images(seed=1)
    one, two = (EpsilonExplorer(three_classes, image, change, own=0, target=1, seed=seed) for seed in (0, 1))
    assert not torch.equal(one.image_at(20, "noise"), two.image_at(20, "noise"))
    assert torch.equal(one.image_at(20), two.image_at(20))


def test_what_is_shown_is_what_was_classified(three_classes):
    image = random_images()
    page = Page(EpsilonExplorer(three_classes, image, random_images(seed=1) - image, own=0, target=1))
    rows = all_rows(page)
    for place in (0, 3, 12, 24):
        facts, buffers = page.ask("stop", place=place)
        assert facts["place"] == place
        assert facts["row"] == rows[place]
        for way, shown in zip(("change", "noise"), buffers, strict=True):
            assert shown == sent(page.widget.image_at(place, way))
            seen = torch.frombuffer(bytearray(shown), dtype=torch.uint8).reshape(4, 4, 3).permute(2, 0, 1)[None] / 255
            answer, row = three_classes.probabilities(seen)[0], rows[place][way]
            assert row["own"] == pytest.approx(answer[0].item(), abs=1e-5)
            assert row["target"] == pytest.approx(answer[1].item(), abs=1e-5)
            assert (row["index"], row["label"]) == (answer.argmax().item(), three_classes.labels[answer.argmax()])
            assert row["probability"] == pytest.approx(answer.max().item(), abs=1e-5)
            assert row["size"] == pytest.approx((seen - round_to_8bit(image)).norm().item(), abs=1e-5)


def test_the_size_counts_after_clipping():
    """Half of the values are white already: the other half must do all of it."""
    image = torch.ones(1, 3, 4, 4)
    image[:, :, :2] = 0.5
    explorer = EpsilonExplorer(two_classes(), image, torch.ones_like(image), own=0, target=1, sizes=[0, 1.0])
    row = all_rows(Page(explorer))[1]["change"]
    assert row["size"] == pytest.approx(1.0, abs=0.5 * LEVEL)
    assert row["scale"] == pytest.approx(1.0 * math.sqrt(2), abs=LEVEL)
    shown = explorer.image_at(1)
    assert shown.max() == 1
    assert torch.equal(shown[:, :, 2:], image[:, :, 2:])


def test_the_change_itself_gives_the_image_itself(three_classes):
    image, fooled = (round_to_8bit(one) for one in random_images(2).split(1))
    explorer = EpsilonExplorer(three_classes, image, fooled - image, own=0, target=1)
    assert len(explorer.sizes) == SIZES
    assert explorer.sizes[0] == 0
    assert explorer.sizes[-1] == pytest.approx(3 * explorer.sizes[12])
    assert explorer.sizes == sorted(explorer.sizes)
    assert torch.equal(explorer.image_at(12), fooled)
    assert torch.equal(explorer.image_at(0), image)
    gaps = [b - a for a, b in zip(explorer.sizes, explorer.sizes[1:], strict=False)]
    assert gaps[0] < gaps[-1] / 3


def test_one_and_eight_grey_levels_are_among_the_sizes_where_they_are_within(three_classes):
    image = random_images(low=0.4, high=0.6)
    for rms, expected in [(0.2, []), (1.5, [1.0]), (10.0, [1.0, 8.0])]:
        change = SIGNS * rms / 255
        explorer = EpsilonExplorer(three_classes, image, change, own=0, target=1)
        found = [level for level in (1.0, 8.0) if any(abs(size - level * LEVEL) < 1e-6 for size in explorer.sizes)]
        assert found == expected
        titles = [preset["title"] for preset in explorer.presets]
        assert titles[:3] == ["no change", "just enough", "the change itself"]
        assert len(titles) == 3 + len(expected)
        for preset in explorer.presets:
            if "place" in preset:
                assert explorer.sizes[preset["place"]] == pytest.approx(preset["size"], abs=1e-6)


def test_it_measures_a_few_at_a_time_and_each_once():
    model = two_classes()
    explorer = EpsilonExplorer(model, GREY, SIGNS / 255, own=0, target=1)
    page = Page(explorer)
    page.ask("begin")
    before = model.net.forwards[0]
    counts = []
    while not counts or counts[-1] < SIZES:
        counts.append(len(page.ask("measure")[0]["rows"]))
    assert counts[:3] == [AT_ONCE, 2 * AT_ONCE, 3 * AT_ONCE]
    passes = model.net.forwards[0] - before
    assert passes == len(counts)
    for place in (0, 12, 24):
        page.ask("stop", place=place)
    assert model.net.forwards[0] - before == passes


def test_just_enough_is_the_first_size_where_the_target_wins():
    counts = list(range(12))
    explorer = EpsilonExplorer(two_classes(), GREY, SIGNS, own=0, target=1, sizes=[one * LEVEL for one in counts])
    first = next(count for count in counts if 4 * NUMBERS * count / 255 > 2)
    facts, _ = Page(explorer).ask("enough")
    assert facts["place"] == explorer.enough() == explorer.place == first > 1


def test_where_nothing_is_enough_it_says_so():
    explorer = EpsilonExplorer(two_classes(), GREY, -SIGNS / 255, own=0, target=1)
    message = Page(explorer).error("enough")
    assert "'class 1' is not the top class at any size up to" in message.replace("Class", "class")
    assert explorer.place == 0


def test_the_table_has_the_numbers(three_classes):
    image = random_images()
    explorer = EpsilonExplorer(three_classes, image, 0.2 * random_images(seed=1), own=0, target="class 2")
    rows = all_rows(Page(explorer))
    table = explorer.table()
    assert len(table) == SIZES
    for place in (0, 12, 24):
        found, row = table.iloc[place], rows[place]
        assert found["size, L2"] == row["change"]["size"]
        assert found["RMS, grey levels"] == pytest.approx(row["change"]["size"] / LEVEL)
        assert found["class 0, change"] == row["change"]["own"]
        assert found["class 2, noise"] == row["noise"]["target"]
        assert found["top, change"] == row["change"]["label"]
        assert found["size of the noise, L2"] == row["noise"]["size"]


def test_the_twin_draws_the_same_numbers(three_classes):
    explorer = EpsilonExplorer(three_classes, random_images(), 0.2 * random_images(seed=1), own=0, target=2)
    axes = explorer.twin().axes[0]
    rows = all_rows(Page(explorer))
    drawn = {line.get_label(): line.get_xydata().tolist() for line in axes.lines}
    assert drawn["class 2, change"] == [[row["change"]["size"], row["change"]["target"]] for row in rows[::3]]
    assert drawn["class 0, noise"] == [[row["noise"]["size"], row["noise"]["own"]] for row in rows[::3]]
    assert min(twin(explorer).shape[:2]) > 300


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": torch.zeros(1, 3, 5, 5)}, "got (1, 3, 5, 5) and (1, 3, 4, 4)"),
        ({"image": torch.zeros(2, 3, 4, 4), "change": torch.ones(2, 3, 4, 4)}, "got (2, 3, 4, 4)"),
        ({"image": torch.full((1, 3, 4, 4), 2.0)}, "image must be in [0, 1]"),
        ({"change": torch.zeros(1, 3, 4, 4)}, "change is 0 everywhere"),
        ({"change": torch.full((1, 3, 4, 4), math.nan)}, "change has 48 values that are NaN"),
        ({"target": "no such class"}, "no class is called 'no such class'"),
        ({"own": 7}, "there is no class 7"),
        ({"own": 1}, "own and target are both 'class 1': choose another target"),
        ({"sizes": [0.1]}, "sizes must be two or more"),
        ({"sizes": [0.2, 0.1]}, "got [0.2, 0.1]"),
        ({"sizes": [-1, 1]}, "sizes must be"),
        ({"sizes": [0, math.inf]}, "sizes must be"),
        ({"sizes": [0, 100.0]}, "the size 100 is out of reach"),
        ({"presets": [{"title": "huge", "levels": 300}]}, "'huge'"),
        ({"presets": [{"title": "nothing said"}]}, "'nothing said'"),
    ],
)
def test_what_cannot_be_measured_is_refused(three_classes, change, message):
    arguments = {"image": GREY, "change": SIGNS / 255, "own": 0, "target": 1, **change}
    with pytest.raises(ValueError) as error:
        EpsilonExplorer(three_classes, **arguments)
    assert message in str(error.value)


def test_the_own_class_is_what_the_network_says(three_classes):
    own = three_classes.top(GREY)[0].index
    explorer = EpsilonExplorer(three_classes, GREY, SIGNS / 255, target=(own + 1) % 3)
    assert explorer.own == own
    with pytest.raises(ValueError, match="choose another target"):
        EpsilonExplorer(three_classes, GREY, SIGNS / 255, target=own)


def test_curves_and_place_survive_a_second_run_of_the_cell(cell):
    model = two_classes()

    def make(net=model, change=SIGNS / 255, **other):
        cell()
        return EpsilonExplorer(net, GREY, change, **{"own": 0, "target": 1, **other})

    page = Page(make())
    all_rows(page)
    page.ask("stop", place=7)
    before = model.net.forwards[0]
    again = make()
    assert Page(again).ask("begin")[0]["place"] == again.place == 7
    assert len(Page(again).ask("measure")[0]["rows"]) == SIZES
    assert model.net.forwards[0] == before
    assert make(seed=1).place == make(sizes=[0, 0.1]).place == make(own=1, target=0).place == 0
    assert make(change=2 * SIGNS / 255).place == make(two_classes()).place == 0


def test_what_is_measured_are_numbers_and_names(three_classes):
    rows = all_rows(Page(EpsilonExplorer(three_classes, GREY, SIGNS / 255, own=0, target=1)))
    values = [value for row in rows for way in row.values() for value in way.values()]
    assert {type(value) for value in values} == {int, float, str}


# ------------------------------------------------------------------------------------- from a full prior to none


@pytest.fixture
def priors(three_classes):
    images = random_images(3)
    return PriorExplorer(
        images, ["a: 1 %", "b\nsecond line", "c"], {"one": three_classes, "two": random_linear(3, 1)}, label=1
    )


def test_every_stop_is_judged_by_both_networks(priors):
    page = Page(priors)
    for place in (2, 0, 1):
        facts, (shown,) = page.ask("stop", place=place)
        assert (facts["place"], facts["width"]) == (place, 4)
        assert shown == sent(priors.images[place])
        assert [one["name"] for one in facts["answers"]] == ["one", "two"]
        for judged, model in zip(facts["answers"], priors.models.values(), strict=True):
            expected = model.probabilities(priors.images[place])[0]
            order = expected.argsort(descending=True).tolist()
            assert [one["index"] for one in judged["top"]] == order
            assert [one["probability"] for one in judged["top"]] == pytest.approx(expected[order].tolist(), abs=1e-6)
            assert judged["marked"]["label"] == model.labels[1]
            assert judged["marked"]["rank"] == 1 + order.index(1)
            assert judged["marked"]["probability"] == pytest.approx(expected[1].item(), abs=1e-6)


def test_an_image_is_rounded_before_it_is_judged():
    # 100.4 grey levels round down: bright enough for class 1 as floats, not after saving
    model = linear(torch.stack([torch.zeros(48), torch.full((48,), 20.0)]), torch.tensor([0, -20 * 48 * 100.3 / 255]))
    explorer = PriorExplorer([torch.full((1, 3, 4, 4), 100.4 / 255)], ["grey"], {"one": model})
    assert explorer.answers(0)[0]["top"][0]["index"] == 0


def test_each_stop_is_judged_once_and_only_when_asked():
    model = two_classes()
    before = model.net.forwards[0]
    page = Page(PriorExplorer(random_images(4), list("abcd"), {"one": model}))
    assert model.net.forwards[0] == before
    for place in (1, 1, 3, 1):
        page.ask("stop", place=place)
    assert model.net.forwards[0] == before + 2


def test_images_of_other_sizes_are_taken_as_they_are(model):
    images = [random_images(1, size) for size in (64, 96)]
    page = Page(PriorExplorer(images, ["small", "larger"], {"Lite0": model}))
    for place, image in enumerate(images):
        facts, (shown,) = page.ask("stop", place=place)
        assert shown == sent(image)
        assert facts["width"] == image.shape[3]
        assert facts["answers"][0]["top"][0]["label"] == model.top(round_to_8bit(image))[0].label
        assert facts["answers"][0]["marked"] is None
        assert len(facts["answers"][0]["top"]) == 5


def test_the_first_nine_stops_are_the_presets(three_classes):
    titles = ["d = 1.3: robin 100%", "none\n2nd: wren", *map(str, range(10))]
    explorer = PriorExplorer(random_images(12), titles, {"one": three_classes})
    assert [preset["place"] for preset in explorer.presets] == list(range(9))
    assert [preset["title"] for preset in explorer.presets[:3]] == ["d = 1.3", "none", "0"]
    own = [{"title": "the last", "place": 11}]
    assert PriorExplorer(random_images(12), titles, {"one": three_classes}, presets=own).presets == own


def test_the_place_survives_a_second_run_of_the_cell(three_classes, cell):
    images = random_images(3)

    def make(images, titles):
        cell()
        return PriorExplorer(images, list(titles), {"one": three_classes})

    Page(make(images, "abc")).ask("stop", place=2)
    assert Page(make(images.clone(), "abc")).ask("begin")[0]["place"] == 2
    assert make(images, "abd").place == make(1 - images, "abc").place == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"titles": ["a"]}, "2 images and 1 titles"),
        ({"images": [], "titles": []}, "images is empty: give at least one"),
        ({"images": [random_images(2), random_images(1)]}, "images[0] must have the shape (1, 3, H, W)"),
        ({"images": [random_images(1), random_images(1)[0]]}, "images[1] must have the shape"),
        ({"models": {}}, "one or two networks by name"),
        ({"models": "Lite0"}, "one or two networks by name"),
        ({"label": "no such class"}, "no class is called"),
        ({"presets": [{"title": "far", "place": 2}]}, "a preset needs a place from 0 to 1"),
    ],
)
def test_what_cannot_be_shown_is_refused(three_classes, change, message):
    arguments = {"images": random_images(2), "titles": ["a", "b"], "models": {"one": three_classes}, **change}
    with pytest.raises(ValueError) as error:
        PriorExplorer(**arguments)
    assert message in str(error.value)


def test_a_reader_without_a_kernel_sees_all_stops(priors):
    assert min(twin(priors).shape[:2]) > 300
    assert [axes.get_title() for axes in priors.twin().axes][:3] == ["a: 1 %", "b\nsecond line", "c"]


# ------------------------------------------------------------------------------------------------------ for all of them


@pytest.mark.parametrize("place", [-1, 3])
def test_a_stop_that_does_not_exist_is_explained_and_loses_nothing(priors, place):
    page = Page(priors)
    page.ask("stop", place=2)
    assert "top must be a whole number from 0 to 2" in page.error("stop", place=place)
    assert page.ask("begin")[0]["place"] == 2


def test_an_error_in_an_answer_is_shown_and_loses_nothing(priors, monkeypatch):
    page = Page(priors)
    with monkeypatch.context() as patch:
        patch.setattr(priors, "answers", lambda place: 1 / 0)
        assert "ZeroDivisionError: division by zero" in page.error("stop", place=1)
    assert page.ask("begin")[0]["place"] == 0
    assert page.ask("stop", place=1)[0]["place"] == 1


def test_a_network_that_breaks_off_leaves_no_half_measured_curve(monkeypatch):
    explorer = EpsilonExplorer(two_classes(), GREY, SIGNS / 255, own=0, target=1)
    page = Page(explorer)
    page.ask("measure")

    def broken(images):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(explorer.model, "probabilities", broken)
        assert page.error("measure") == "Interrupted. Ask again to go on."
    assert len(page.ask("measure")[0]["rows"]) == 2 * AT_ONCE
