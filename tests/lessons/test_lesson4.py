"""The planes and lines of lesson 4, and what is stored of them."""

import pytest
import torch

from fooling_utils import data, regions
from fooling_utils.images import grey_levels
from fooling_utils.lessons import lesson4
from fooling_utils.networks import small
from nets import linear


def test_the_planes_go_through_the_images_that_they_name(model):
    planes = lesson4.planes(model)
    assert list(planes) == list(lesson4.stored_maps())
    for survey in planes.values():
        plane, (left, right, bottom, top), images = survey
        assert list(survey.marks) == list(images)
        places = torch.stack(list(survey.marks.values()))
        assert places[0].abs().max() < 1e-4
        assert ((places > torch.tensor([left, bottom])) & (places < torch.tensor([right, top]))).all()
        # one of the images was clipped to what can be shown, by less than half a grey level (RMS)
        shown = plane.images(places).clamp(0, 1)
        assert (shown - torch.cat(list(images.values()))).flatten(1).norm(dim=1).max() * grey_levels(shown) < 0.5
    fooled = planes["bus, fooled bus, noise"].images["fooled"]
    top = model.top(fooled, 1)[0]
    assert top.label == "ostrich" and top.probability > 0.98
    assert planes["around the bus"].images["random change"].max() <= 1


def test_stored_maps_are_those_of_the_network(model):
    planes = lesson4.planes(model)
    for name, found in lesson4.stored_maps().items():
        assert found.labels.shape == found.confidence.shape == (96, 96) and found.exact.all()
        assert found.labels.max() < 1000 and found.confidence.min() > 0 and found.confidence.max() <= 1
        assert found.extent == pytest.approx(planes[name].extent, rel=1e-5)
        first = planes[name].images[next(iter(planes[name].images))]
        left, right, bottom, top = found.extent
        row, column = round(-bottom / (top - bottom) * 95), round(-left / (right - left) * 95)
        prediction = model.top(first, 1)[0]
        assert found.labels[row, column] == prediction.index
        assert found.confidence[row, column].item() == pytest.approx(prediction.probability, abs=0.05)


@pytest.mark.parametrize("name", ["bus, fooled bus, noise", "around the bus"])
def test_stored_maps_are_those_of_the_stored_fooled_bus(model, name):
    (plane, extent, _), stored = lesson4.planes(model)[name], lesson4.stored_maps()[name]
    grid = regions.grid_points(extent, 96)
    rows, columns = torch.randint(96, (2, 32), generator=torch.Generator().manual_seed(0))
    confidence, labels = regions.on_plane(model, plane)(grid[rows, columns]).max(1)
    assert (labels == stored.labels[rows, columns]).float().mean() > 0.9
    assert torch.allclose(confidence, stored.confidence[rows, columns], atol=0.01)


def test_maps_can_be_stored_where_none_were_stored_before(monkeypatch, tmp_path):
    before = lesson4.stored_maps()
    monkeypatch.setattr(data, "FOLDER", tmp_path)
    lesson4.save_maps(before)
    for name, found in lesson4.stored_maps().items():
        assert torch.equal(found.labels, before[name].labels)
        assert torch.equal(found.confidence, before[name].confidence)
        assert found.extent == before[name].extent


def test_stored_lines_begin_where_the_command_begins(model):
    stored = lesson4.stored_lines()
    assert tuple(stored) == lesson4.LINE_KINDS
    for kind, (labels, confidence) in stored.items():
        assert labels.shape == confidence.shape == (100, 200)
        begin, end = lesson4.line_ends(kind, 100)
        top, probability = lesson4.along_line(model, begin[7:8], end[7:8], 2)
        assert top.tolist() == labels[7, [0, -1]].tolist()
        assert torch.allclose(probability, confidence[7, [0, -1]], atol=0.02)


def test_lines_from_corner_to_corner_go_through_grey():
    begin, end = lesson4.line_ends("corner to corner", 3)
    assert set(begin.unique().tolist()) == {0, 1} and torch.equal(begin + end, torch.ones_like(begin))
    assert abs(begin.mean().item() - 0.5) < 0.01
    assert not torch.equal(begin[0], begin[1])


def test_lines_between_photographs_join_different_ones():
    begin, end = lesson4.line_ends("photograph to photograph", 20)
    assert begin.shape == end.shape == (20, 3, 224, 224)
    assert ((begin - end).flatten(1).norm(dim=1) * grey_levels(begin)).min() > 20
    again, _ = lesson4.line_ends("photograph to photograph", 20)
    assert torch.equal(begin, again)


def test_an_unknown_kind_of_lines():
    with pytest.raises(ValueError, match=r"kind must be one of corner to corner, .*, got 'zigzag'"):
        lesson4.line_ends("zigzag", 3)


def test_along_a_line_the_classes_of_a_linear_network_change_once():
    weight = torch.ones(48)
    model = linear(torch.stack([0 * weight, weight]), torch.tensor([0.0, -0.7 * 48]))
    labels, confidence = lesson4.along_line(model, torch.zeros(1, 3, 4, 4), torch.ones(1, 3, 4, 4), 41)
    assert labels[:28].tolist() == [0] * 28 and labels[29:].tolist() == [1] * 12
    assert confidence[0] > 0.99 and confidence[28] == pytest.approx(0.5, abs=1e-3)


# --------------------------------------------------------------------------------------------------------- the ladder


@pytest.mark.parametrize("d", [2, 100, 10_000])
def test_the_ladder_is_right_for_97_7_percent_and_crossed_by_2_over_the_root_of_d(d):
    found = lesson4.crossing(d, count=4000)
    assert found["right"] == pytest.approx(0.977, abs=0.01)
    assert found["straight"] == pytest.approx(2 / d**0.5, rel=0.06)
    assert found["random"] > found["straight"]


def test_the_share_is_of_the_distance_between_points_of_different_classes():
    d, generator = 50, torch.Generator().manual_seed(0)
    centres = torch.stack([torch.full((d,), side * 2 / d**0.5) for side in (-1, 1)])
    first, second = (centre + torch.randn(20_000, d, generator=generator) for centre in centres)
    apart = (first - second).square().sum(1).mean().sqrt().item()
    assert lesson4.ladder_share(d) == pytest.approx(2 / apart, rel=0.01)


@pytest.mark.parametrize("size", lesson4.RUNGS)
def test_a_rung_crosses_the_boundary_of_its_two_classes_by_a_little(size):
    before, across, levels = lesson4.rung(size)
    assert before.shape == across.shape == (1, 3, size, size)
    assert before.min() >= 0 and before.max() <= 1
    change = before - across
    w = change / change.norm()
    middle = before - change / 1.01  # the picture without the pattern
    assert ((before - middle) * w).sum().item() == pytest.approx(2 * lesson4.NOISE, rel=1e-3)
    assert -0.02 * lesson4.NOISE * 2 < ((across - middle) * w).sum().item() < 0
    assert change.abs() == pytest.approx(levels / 255, rel=1e-3)


def test_ten_points_of_nothing_end_the_certainty_far_out_and_leave_the_points_right():
    points = small.plane_points("spiral")
    grid = regions.grid_points((-20, 20, -20, 20), 50).flatten(0, 1)
    without, asked = (lesson4.with_nothing(points, count) for count in (0, 10))
    assert without.labels == small.POINTS.labels
    assert asked.labels == (*small.POINTS.labels, "nothing")
    assert (without.probabilities(grid).amax(1) > 0.99).float().mean() > 0.95
    assert (asked.probabilities(grid)[:, :3].amax(1) > 0.99).float().mean() < 0.05
    assert (asked.probabilities(points.places).argmax(1) == points.labels).all()


def test_the_slider_shows_another_rung():
    box = lesson4.ladder_slider()
    slider, picture = box.children
    before = picture.value
    assert before[:4] == b"\x89PNG"
    slider.value = 2
    assert picture.value != before
