"""The wall of champions without a browser: what the page may ask, and what it is answered."""

import numpy as np
import pytest
import torch

from asking import Page, sent, twin
from fooling_utils import cppn, data, direct, evolve, load_archive, round_to_8bit
from fooling_utils.widgets import forget
from fooling_utils.widgets.wall import AT_ONCE, ChampionsWall
from nets import linear, random_linear, same_archive

ENCODING = direct((3, 4, 4), rate=0.5)


def evolved(model, generations, encoding=ENCODING, **options):
    *_, archive = evolve(model, encoding, generations=generations, **options)
    return archive


@pytest.mark.parametrize("per_question", [1, 3])
def test_the_wall_evolves_as_evolve_does(per_question):
    model = random_linear(5)
    wall = ChampionsWall(model, ENCODING, population=4, seed=3, per_question=per_question)
    page = Page(wall)
    assert wall.archive is None
    for asked in range(1, 4):
        facts, _ = page.ask("generation")
        assert facts["before"] == (asked - 1) * per_question
        expected = evolved(model, asked * per_question, population=4, seed=3)
        assert same_archive(wall.archive, expected)
        assert (facts["generations"], facts["evaluations"]) == (expected.generations, expected.evaluations)
        assert facts["over"] == [(expected.confidence > share).sum().item() for share in (0.5, 0.9, 0.99)]
        assert facts["median"] == expected.confidence.median().item()


def test_the_next_generation_is_there_before_the_page_asks_for_it():
    model = random_linear(5)
    wall = ChampionsWall(model, ENCODING, population=4, seed=3)
    page, passes = Page(wall), []
    model.net.register_forward_hook(lambda *_: passes.append(1))
    wall.generation()
    page.ask("look", place=0)
    done = len(passes)
    for generations in (2, 3):
        assert wall.archive.generations == generations - 1  # it is not shown before its turn
        page.ask("generation")
        assert same_archive(wall.archive, evolved(random_linear(5), generations, population=4, seed=3))
        assert len(passes) == done + generations - 1  # one ahead, and never more
    stored = ChampionsWall(model, ENCODING, population=4, archive=wall.archive)
    page, counts = Page(stored), [len(passes)]
    for _ in range(2):
        page.ask("look", place=0)
        counts.append(len(passes))
    assert counts[1] - counts[0] == counts[2] - counts[1]  # somebody who only looks at an archive evolves nothing


def test_only_champions_that_changed_are_sent():
    model = random_linear(12)
    wall = ChampionsWall(model, ENCODING, population=4)
    page = Page(wall)
    drawn, before, fewer = {}, None, 0
    for _ in range(12):
        facts, (content,) = page.ask("generation")
        new = facts["champions"]
        genomes = wall.archive.genomes
        changed = [k for k in range(12) if before is None or genomes[k] is not before[k]]
        assert new["places"] == changed
        fewer += len(changed) < 12
        assert len(content) == 48 * len({id(genomes[k]) for k in changed})  # shared ones are sent once
        for place, share, which in zip(new["places"], new["confidence"], new["which"], strict=True):
            drawn[place] = (share, content[48 * which : 48 * (which + 1)])
        for place in range(12):
            share, pixels = drawn[place]
            assert share == pytest.approx(wall.archive.confidence[place].item(), abs=1e-5)
            assert pixels == sent(wall.image_of(place))  # so small that it is sent as it is
        before = genomes
    assert fewer > 5


@pytest.mark.parametrize("targets", [None, [7, 2]])
def test_a_click_shows_exactly_the_image_that_was_classified(targets):
    model, second = random_linear(9), random_linear(9, seed=1)
    wall = ChampionsWall(model, ENCODING, second=second, targets=targets, population=4)
    page = Page(wall)
    for _ in range(3):
        page.ask("generation")
    for place, index in enumerate(targets or range(9)):
        facts, (pixels,) = page.ask("look", place=place)
        image = torch.frombuffer(bytearray(pixels), dtype=torch.uint8).view(1, 4, 4, 3).permute(0, 3, 1, 2) / 255
        assert torch.equal(image, round_to_8bit(wall.archive.champions([index])))
        assert facts["label"] == model.labels[index] and facts["born"] == wall.archive.born[place]
        own = facts["opinions"][0]["own"]
        assert own["probability"] == pytest.approx(wall.archive.confidence[place].item(), abs=1e-6)
        for network, opinion in zip((model, second), facts["opinions"], strict=True):
            assert opinion["top"] == [one._asdict() for one in network.top(image)]
            order = network.probabilities(image)[0].argsort(descending=True).tolist()
            assert opinion["own"]["rank"] == 1 + order.index(index)


def test_a_stored_archive_is_shown_and_continued():
    model = random_linear(100)
    archive = evolved(model, 4, population=4)
    wall = ChampionsWall(model, ENCODING, archive=archive, population=4)
    page = Page(wall)
    assert page.ask("begin")[0]["generations"] == 4
    places = []
    for first in (0, AT_ONCE, 2 * AT_ONCE):
        facts, (content,) = page.ask("champions", first=first)
        places += facts["champions"]["places"]
        for place, which in zip(facts["champions"]["places"], facts["champions"]["which"], strict=True):
            assert content[48 * which : 48 * (which + 1)] == sent(archive.champions([place]))
    assert places == list(range(100))
    page.ask("generation")
    assert same_archive(wall.archive, evolved(model, 5, population=4))


def test_the_champions_survive_a_second_run_of_the_cell(cell):
    model = random_linear(5)
    cell()
    ChampionsWall(model, direct((3, 4, 4), rate=0.5), population=4).generation()
    cell()
    again = ChampionsWall(model, direct((3, 4, 4), rate=0.5), population=4)
    assert again.archive.generations == 1
    again.generation()
    assert same_archive(again.archive, evolved(model, 2, population=4))
    cell()
    assert ChampionsWall(model, ENCODING, population=4, seed=1).archive is None
    stored = [evolved(model, 2, population=4, seed=seed) for seed in (0, 0, 5)]
    shown = []
    for archive in stored:
        cell()
        shown.append(ChampionsWall(model, ENCODING, archive=archive).archive)
    assert shown[0] is shown[1] is stored[0] and shown[2] is stored[2]


def test_an_error_is_shown_and_nothing_is_lost(monkeypatch):
    model = random_linear(5)
    wall = ChampionsWall(model, ENCODING, population=4)
    page = Page(wall)
    page.ask("generation")
    with monkeypatch.context() as broken:
        broken.setattr(type(model.net), "forward", lambda *_: 1 / 0)
        assert "error" not in page.ask("generation")[0]  # it was made before
        assert "ZeroDivisionError" in page.ask("generation")[0]["error"]
        assert "ZeroDivisionError" in page.ask("look", place=1)[0]["error"]
    page.ask("generation")
    assert same_archive(wall.archive, evolved(model, 3, population=4))


@pytest.mark.parametrize("values", [{"place": 5}, {"place": -1}, {"place": True}, {"place": "1"}, {"place": 0.5}, {}])
def test_a_place_that_is_none_is_explained(values):
    wall = ChampionsWall(random_linear(5), ENCODING, population=4)
    page = Page(wall)
    assert "there are no champions yet" in page.ask("look", place=0)[0]["error"].lower()
    page.ask("generation")
    assert "error" in page.ask("look", **values)[0]
    assert "error" in page.ask("champions", first=-1)[0]


def test_the_second_network_is_asked_a_few_at_a_time():
    model, second = random_linear(40), random_linear(40, seed=1)
    wall = ChampionsWall(model, ENCODING, second=second, population=4)
    page = Page(wall)
    assert "error" in page.ask("agree")[0]
    page.ask("generation")
    asked = [page.ask("agree")[0] for _ in range(3)]
    assert [one["asked"] for one in asked] == [16, 32, 40] and "place" not in asked[1]
    agrees = [second.probabilities(wall.image_of(k))[0, k].item() for k in range(40)]
    best = sorted(range(40), key=lambda place: -agrees[place])
    found = [page.ask("agree", rank=rank)[0]["place"] for rank in (1, 2, 41)]
    assert [agrees[place] for place in found] == pytest.approx([agrees[best[k]] for k in (0, 1, 39)])
    forwards = second.net.forwards[0]
    page.ask("agree")
    assert second.net.forwards[0] == forwards  # they are remembered
    assert "no second network" in Page(ChampionsWall(model, ENCODING)).ask("agree")[0]["error"]


def test_a_thumbnail_is_the_mean_of_what_it_stands_for():
    generator = torch.Generator().manual_seed(0)
    model = linear(torch.randn(3, 3 * 96 * 96, generator=generator) / 100, shape=(3, 96, 96))
    for encoding in (direct((3, 96, 96)), cppn(96)):
        wall = ChampionsWall(model, encoding, population=4)
        page = Page(wall)
        facts, _ = page.ask("begin")
        assert (facts["height"], facts["width"]) == (24, 24)
        _, (content,) = page.ask("generation")
        found = torch.frombuffer(bytearray(content), dtype=torch.uint8).view(-1, 24, 24, 3)
        first = wall.image_of(0).view(3, 24, 4, 24, 4).mean((2, 4)).permute(1, 2, 0)
        assert (found[0] / 255 - first).abs().max() < 1.01 / 255
        archive = wall.archive
        forget()
        stored = ChampionsWall(model, encoding, archive=archive, population=4)
        _, (again,) = Page(stored).ask("champions", first=0)
        difference = np.frombuffer(again, np.uint8).astype(int) - np.frombuffer(content, np.uint8)
        assert np.abs(difference).mean() < (1 if encoding.name.startswith("direct") else 12)


def test_grey_images_have_a_wall_too():
    model = linear(torch.randn(4, 64, generator=torch.Generator().manual_seed(0)), shape=(1, 8, 8))
    wall = ChampionsWall(model, direct((1, 8, 8)), population=4)
    page = Page(wall)
    _, (content,) = page.ask("generation")
    assert len(content) % (3 * 64) == 0
    _, (pixels,) = page.ask("look", place=2)
    assert pixels == sent(wall.image_of(2))
    assert wall.twin()


def test_what_a_wall_cannot_show_is_explained(plane):
    model = random_linear(3)
    with pytest.raises(ValueError, match="this network takes"):
        ChampionsWall(plane, ENCODING)
    with pytest.raises(ValueError, match="same classes"):
        ChampionsWall(model, ENCODING, second=random_linear(4))
    with pytest.raises(ValueError, match="per_question must"):
        ChampionsWall(model, ENCODING, per_question=0)
    with pytest.raises(ValueError, match="encoding"):
        ChampionsWall(model, direct((3, 4, 4), rate=0.1)._replace(name="other"), archive=evolved(model, 1))
    for preset in ({"title": "x"}, {"best": 1}, {"title": "x", "best": 0}, {"title": "x", "agree": 1}):
        with pytest.raises(ValueError):
            ChampionsWall(model, ENCODING, presets=[preset])
    with pytest.raises(ValueError, match="no class is called"):
        ChampionsWall(model, ENCODING, presets=[{"title": "x", "label": "unicorn"}])


def test_classes_of_the_same_name_are_told_apart():
    model = linear(torch.zeros(3, 48), labels=["crane", "crane", "whale"])
    wall = ChampionsWall(model, ENCODING, targets=[2, 1, 0], presets=[{"title": "that one", "label": 1}])
    assert wall.names == ["whale", "crane (1)", "crane (0)"]
    assert wall.presets[0]["place"] == 1


def test_a_reader_without_a_kernel_sees_the_wall():
    wall = ChampionsWall(random_linear(10), ENCODING, population=4)
    empty = twin(wall)
    for _ in range(30):
        wall.generation()
    filled = twin(wall)
    height, width, _ = filled.shape
    middle = filled[height // 3 : 2 * height // 3, width // 3 : 2 * width // 3]
    assert middle.std() > 10 > empty[len(empty) // 2, 20:-20].std()


def test_the_long_run_can_be_shown(model):
    archive = load_archive(data.path("champions"))
    page = Page(ChampionsWall(model, cppn(), archive=archive))
    facts, (content,) = page.ask("champions", first=960)
    assert facts["champions"]["places"] == list(range(960, 1000))
    assert len(content) == 24 * 24 * 3 * len({id(archive.genomes[k]) for k in range(960, 1000)})
    (best,) = archive.best(1)
    own = page.ask("look", place=best)[0]["opinions"][0]["own"]
    assert own["probability"] == pytest.approx(archive.confidence[best].item(), abs=0.02)
