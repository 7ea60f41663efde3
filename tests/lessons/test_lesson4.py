"""The planes and lines of lesson 4, and what is stored of them."""

import pytest
import torch

from fooling_utils import data, regions
from fooling_utils.images import grey_levels
from fooling_utils.lessons import lesson4
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
