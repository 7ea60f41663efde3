"""The blink comparator without a browser: what the page may ask, and what it is answered."""

import pytest
import torch

from asking import Page, sent, twin
from fooling_utils import distances, pgd, round_to_8bit
from fooling_utils.widgets.blink import PRESETS, BlinkComparator
from nets import linear, random_images


def test_the_page_is_given_both_images_and_their_distance():
    original, fooled = random_images(2, 6).split(1)
    facts, buffers = Page(BlinkComparator(original, fooled)).ask("start")
    assert buffers == [sent(original), sent(fooled)]
    expected = distances(round_to_8bit(original), round_to_8bit(fooled))
    assert facts["l2"] == pytest.approx(expected.l2, abs=1e-5)
    assert facts["rms"] == pytest.approx(expected.rms_grey_levels, abs=1e-4)
    assert facts["largest"] == pytest.approx(expected.linf_grey_levels, abs=1e-4)
    assert facts["width"] == 6
    assert facts["top"] == []


def test_both_images_are_judged_by_the_network(three_classes):
    original, fooled = random_images(2).split(1)
    facts, _ = Page(BlinkComparator(original, fooled, model=three_classes)).ask("start")
    for image, found in zip((original, fooled), facts["top"], strict=True):
        top = three_classes.top(round_to_8bit(image))[0]
        assert found["label"] == top.label
        assert found["probability"] == pytest.approx(top.probability, abs=1e-6)


def test_a_change_too_faint_to_be_saved_is_no_change():
    original = round_to_8bit(random_images())
    facts, buffers = Page(BlinkComparator(original, original + 0.4 / 255)).ask("start")
    assert buffers[0] == buffers[1]
    assert facts["l2"] == facts["rms"] == facts["largest"] == 0
    assert facts["times"] == 200


def test_the_images_need_not_be_square():
    wide = torch.rand(1, 3, 5, 9, generator=torch.Generator().manual_seed(0))
    facts, buffers = Page(BlinkComparator(wide, 1 - wide)).ask("start")
    assert facts["width"] == 9
    assert len(buffers[0]) == 3 * 5 * 9


def test_grey_images_of_a_network_for_grey_are_drawn_in_grey():
    original, fooled = random_images(2).mean(1, keepdim=True).split(1)
    model = linear(torch.randn(2, 16, generator=torch.Generator().manual_seed(0)), shape=(1, 4, 4))
    widget = BlinkComparator(original, fooled, model=model)
    assert Page(widget).ask("start")[1] == [sent(original), sent(fooled)]
    assert twin(widget).shape[2] == 3
    assert (twin(BlinkComparator(original, fooled)).std(axis=2) == 0).all()


def test_the_page_is_told_the_rate_and_the_presets():
    widget = BlinkComparator(*random_images(2).split(1), rate=2)
    assert widget.rate == 2.0
    assert widget.rates == [0.25, 3.0]
    assert widget.presets == list(PRESETS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fooled": torch.zeros(1, 3, 4, 5)}, "got (1, 3, 4, 4) and (1, 3, 4, 5)"),
        ({"original": torch.zeros(2, 3, 4, 4), "fooled": torch.zeros(2, 3, 4, 4)}, "got (2, 3, 4, 4)"),
        ({"original": torch.zeros(1, 2, 4, 4), "fooled": torch.zeros(1, 2, 4, 4)}, "got (1, 2, 4, 4)"),
        ({"fooled": torch.full((1, 3, 4, 4), 1.5)}, "fooled must be in [0, 1]"),
        ({"rate": 3.1}, "rate must be a number from 0.25 to 3, got 3.1"),
        ({"rate": 0}, "got 0"),
        ({"presets": [{"title": "flash", "rate": 10}]}, "got 10"),
        ({"presets": [{"title": "louder", "times": 500}]}, "times must be a number from 1 to 200"),
    ],
)
def test_what_cannot_be_compared_is_refused(change, message):
    arguments = {"original": torch.zeros(1, 3, 4, 4), "fooled": torch.ones(1, 3, 4, 4), **change}
    with pytest.raises(ValueError) as error:
        BlinkComparator(**arguments)
    assert message in str(error.value)


def test_an_image_for_another_network_is_refused():
    with pytest.raises(ValueError, match="this network expects"):
        BlinkComparator(
            torch.zeros(1, 3, 4, 4), torch.ones(1, 3, 4, 4), model=linear(torch.randn(2, 16), shape=(1, 4, 4))
        )


@pytest.mark.parametrize("with_model", [True, False])
def test_a_reader_without_a_kernel_sees_the_comparison(three_classes, with_model):
    widget = BlinkComparator(*random_images(2).split(1), model=three_classes if with_model else None)
    assert min(twin(widget).shape[:2]) > 300


def test_the_twin_names_a_and_b_and_marks_the_new_class(three_classes):
    original = random_images()
    own, other = (one.index for one in three_classes.top(original, 2))
    fooled = pgd(three_classes, original, 10.0, other, norm="l2")
    assert three_classes.top(fooled)[0].index == other != own
    figure = BlinkComparator(original, fooled, model=three_classes).twin()
    assert [figure.axes[place].get_title() for place in (0, 2)] == ["A", "B"]
    hatched = [[bool(bar.get_hatch()) for bar in figure.axes[place].patches] for place in (3, 5)]
    assert hatched[1] == [False, False, True] and sum(hatched[0]) == 1


def test_the_comparator_shows_an_error_of_the_network(three_classes, monkeypatch):
    widget = BlinkComparator(*random_images(2).split(1), model=three_classes)
    monkeypatch.setattr(three_classes, "top", lambda *_: 1 / 0)
    assert "ZeroDivisionError" in Page(widget).error("start")
