import importlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fooling_utils import last, round_to_8bit
from fooling_utils.evolution.evolve import Encoding, direct, evolve, load_archive
from fooling_utils.evolution.painters import cppn
from nets import NUMBERS, SHAPE, linear, random_linear, same_archive
from pixels import Pickled

SMALL = direct(SHAPE, rate=0.3)


# ------------------------------------------------------------------------------------------------------- evolution


@pytest.mark.parametrize("encoding", [SMALL, cppn(4, hidden=5)], ids=lambda encoding: encoding.name)
def test_the_archive_never_gets_worse_and_says_the_truth(three_classes, encoding):
    before = torch.full((3,), -1.0)
    for archive in evolve(three_classes, encoding, population=4, generations=25):
        assert (archive.confidence >= before).all()
        images = round_to_8bit(encoding.render(archive.champions(range(3))))
        torch.testing.assert_close(three_classes.probabilities(images).diagonal(), archive.confidence)
        before = archive.confidence
    assert archive.generations == 25
    assert archive.evaluations == 100
    assert archive.born.max() > 5  # it went on improving


def test_evolution_climbs_to_a_known_optimum():
    # the best image for class c of a linear network has a 1 where its weight is larger than those of the others
    model = random_linear(2)
    weight = model.net.weight
    optima = torch.stack([(weight[c] > weight[1 - c]).float().view(SHAPE) for c in range(2)])
    known = model.probabilities(optima).diagonal()
    archive = last(evolve(model, direct(SHAPE, strength=1), population=32, generations=400))
    assert (archive.confidence <= known + 1e-6).all()
    assert (archive.confidence > known - 0.05).all()


def test_every_child_is_compared_with_every_champion():
    """Two children and three classes: black is the best for classes 0 and 2, white for class 1."""
    model = linear(torch.tensor([[0.0], [3.0], [0.0]]).expand(3, NUMBERS) / NUMBERS)
    both = torch.stack([torch.zeros(SHAPE), torch.ones(SHAPE)])
    children = iter([both, 0.1 + 0.8 * both.flip(0)])  # the second pair is worse
    grey = lambda count, generator: torch.full((count, *SHAPE), 0.5)  # noqa: E731
    encoding = SMALL._replace(start=grey, mutate=lambda genomes, generator, reach: next(children))
    _, credited, kept = evolve(model, encoding, population=2, generations=3)
    for archive in (credited, kept):
        assert [genome.mean().item() for genome in archive.genomes] == [0, 1, 0]
        assert archive.born.tolist() == [2, 2, 2]
        torch.testing.assert_close(archive.confidence, model.probabilities(both).amax(0))


def test_crediting_a_child_for_one_class_only_would_be_caught(monkeypatch):
    def only_its_best_class(archive, genomes, confidence, *parents):
        mine = torch.zeros_like(confidence).scatter(1, confidence.argmax(1, True), confidence.amax(1, True))
        return credit(archive, genomes, mine, *parents)

    module = importlib.import_module("fooling_utils.evolution.evolve")
    credit = module._credit
    monkeypatch.setattr(module, "_credit", only_its_best_class)
    with pytest.raises(AssertionError):
        test_every_child_is_compared_with_every_champion()


def test_classes_share_a_champion_without_keeping_the_other_children(three_classes):
    archive = next(evolve(three_classes, SMALL, population=2, generations=1))
    assert len({id(genome) for genome in archive.genomes}) <= 2
    assert all(genome.untyped_storage().nbytes() == 4 * genome.numel() for genome in archive.genomes)


def test_targets_choose_the_classes(three_classes):
    archive = last(evolve(three_classes, SMALL, targets=["class 2", 0], generations=3))
    assert archive.labels == ("class 2", "class 0")
    assert archive.indices == (2, 0)
    images = round_to_8bit(archive.champions(["class 2", 0]))
    found = three_classes.probabilities(images)
    torch.testing.assert_close(torch.stack([found[0, 2], found[1, 0]]), archive.confidence)
    assert set(archive.best(2)) == {0, 2}
    assert archive.best(1) == [archive.indices[archive.confidence.argmax()]]
    with pytest.raises(ValueError, match="no champion of 'class 1'"):
        archive.champions(["class 1"])


def test_a_seed_is_a_run(three_classes):
    runs = [last(evolve(three_classes, SMALL, generations=4, seed=seed)) for seed in (1, 1, 2)]
    assert same_archive(runs[0], runs[1])
    assert not torch.equal(runs[0].confidence, runs[2].confidence)


def test_classes_between_hopeless_and_solved_have_the_most_children(three_classes):
    parents = []

    def mutate(genomes, generator, reach):
        parents.extend(genomes.mean((1, 2, 3)).tolist())
        return genomes

    archive = next(evolve(three_classes, SMALL, generations=1))
    marked = tuple(torch.full(SHAPE, value) for value in (0.1, 0.2, 0.3))
    archive = replace(archive, genomes=marked, confidence=torch.tensor([1.0, 0.6, 0.0]))
    encoding = SMALL._replace(mutate=mutate, render=lambda genomes: torch.zeros(len(genomes), *SHAPE))
    last(evolve(three_classes, encoding, population=500, generations=5, archive=archive))
    solved, between, hopeless = (sum(abs(parent - value) < 0.01 for parent in parents) for value in (0.1, 0.2, 0.3))
    assert between > 20 * solved > 0
    assert between > 20 * hopeless > 0


def test_changes_grow_after_a_success_and_shrink_after_a_failure(three_classes):
    """Of three children, the first beats its own parent and the champion of class 2, and two of class 1 fail."""
    archive = next(evolve(three_classes, SMALL, generations=1))
    archive = replace(archive, confidence=torch.full((3,), 0.5), reach=torch.tensor([0.6, 0.7, 0.8]))
    judged = torch.tensor([[0.9, 0.0, 0.8], [0.0, 0.4, 0.0], [0.0, 0.4, 0.0]])
    evolution = importlib.import_module("fooling_utils.evolution.evolve")
    credit = evolution._credit
    after = credit(archive, torch.rand(3, *SHAPE), judged, torch.tensor([0, 1, 1]))
    torch.testing.assert_close(after.reach, torch.tensor([0.6 * 1.28, 0.7 * 0.94**2, 0.6]))
    large = replace(after, reach=torch.ones(3))
    again = credit(large, torch.rand(3, *SHAPE), judged + 0.01, torch.tensor([0, 1, 1]))
    assert again.reach[0] == 1, "never larger than at the start"
    for _ in range(200):
        after = credit(after, torch.rand(3, *SHAPE), 0 * judged, torch.tensor([0, 1, 2]))
    assert (after.reach == evolution.NEAREST).all()


def test_an_encoding_is_told_how_far_to_go(three_classes):
    told = []

    def mutate(genomes, generator, reach):
        told.append(reach)
        return genomes

    archive = next(evolve(three_classes, SMALL, generations=1))
    for size in (0.05, 0.5):
        wide = replace(archive, reach=torch.full((3,), size))
        next(evolve(three_classes, SMALL._replace(mutate=mutate), population=200, generations=1, archive=wide))
        assert torch.equal(told[-1], torch.full((200,), size))


def test_an_archive_without_reach_is_continued(saved, three_classes):
    """The archives of earlier versions."""
    archive, path = saved
    with np.load(path) as file:
        stored = dict(file)
    del stored["reach"]
    np.savez(path, **stored)
    loaded = load_archive(path)
    assert same_archive(replace(loaded, reach=archive.reach), archive)
    assert (loaded.reach == 0.25).all()
    last(evolve(three_classes, SMALL, generations=2, archive=loaded))


def test_evaluations_are_forward_passes(three_classes):
    frames = evolve(three_classes, SMALL, population=5, generations=3)
    counted, backwards = three_classes.net.forwards[0], three_classes.net.backwards[0]
    list(frames)
    assert three_classes.net.forwards[0] == counted + 3  # one batch each
    assert three_classes.net.backwards[0] == backwards


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"population": 0}, "population must be a whole number and at least 2, got 0"),
        ({"population": 1}, "at least 2, got 1"),
        ({"population": 2.5}, "got 2.5"),
        ({"generations": 0}, "generations must be a whole number and at least 1, got 0"),
        ({"targets": ["class 0", "clas 1"]}, "no class is called 'clas 1': did you mean 'class 1'"),
        ({"targets": [0, "class 0"]}, "targets must be one or more different classes"),
        ({"targets": []}, "targets is empty: give at least one"),
    ],
)
def test_bad_input_is_named_at_the_call(three_classes, settings, message):
    with pytest.raises(ValueError, match=message):
        evolve(three_classes, SMALL, **settings)


def test_an_encoding_of_the_wrong_shape_is_named_at_the_call(three_classes):
    with pytest.raises(ValueError, match=r"a rendered genome has shape \(1, 1, 4, 4\)"):
        evolve(three_classes, direct((1, 4, 4)))


# -------------------------------------------------------------------------------------------- the direct encoding


@given(rate=st.floats(0.01, 1), strength=st.floats(0, 50), seed=st.integers(0, 1000))
def test_direct_children_are_legal_and_parents_stay(rate, strength, seed):
    encoding, generator = direct(SHAPE, rate=rate, strength=strength), torch.Generator().manual_seed(seed)
    parents = encoding.start(5, generator)
    kept = parents.clone()
    children = encoding.mutate(parents, generator)
    assert torch.equal(parents, kept)
    assert 0 <= children.min() <= children.max() <= 1
    assert children.isfinite().all()


def test_the_rate_is_the_largest_share_of_changed_genes():
    encoding, generator = direct((3, 100, 100), rate=0.2), torch.Generator().manual_seed(0)
    parents = encoding.start(200, generator)
    shares = (encoding.mutate(parents, generator) != parents).flatten(1).float().mean(1)
    assert shares.max() < 0.22
    assert shares.mean() == pytest.approx(0.1, abs=0.01)


def test_genes_grow_as_often_as_they_shrink():
    parents = torch.full((50, *SHAPE), 0.5)
    change = direct(SHAPE, rate=1).mutate(parents, torch.Generator().manual_seed(0)) - parents
    changed = change[change != 0]
    assert (changed > 0).float().mean() == pytest.approx(0.5, abs=0.05)
    assert changed.mean() == pytest.approx(0, abs=0.01)


def test_a_stronger_mutation_parameter_makes_smaller_changes():
    parents = torch.full((50, *SHAPE), 0.5)
    sizes = []
    for strength in (15, 60):
        children = direct(SHAPE, rate=1, strength=strength).mutate(parents, torch.Generator().manual_seed(0))
        sizes.append((children - parents).abs().mean().item())
    # the mean of |change| where a gene changes is 1 / (strength + 2), and half of the genes do on average
    assert sizes == pytest.approx([0.5 / 17, 0.5 / 62], rel=0.15)


@pytest.mark.parametrize(("name", "value"), [("rate", 0), ("rate", 2), ("strength", -1)])
def test_direct_names_a_bad_setting(name, value):
    with pytest.raises(ValueError, match=f"{name} must .*, got {value}"):
        direct(SHAPE, **{name: value})


# ---------------------------------------------------------------------------------------------- save, load, resume


@pytest.fixture
def saved(three_classes, tmp_path):
    """Five generations, and the file that holds them."""
    archive = last(evolve(three_classes, SMALL, population=4, generations=5, seed=3))
    archive.save(tmp_path / "archive.npz")
    return archive, tmp_path / "archive.npz"


def test_a_saved_archive_comes_back(saved):
    archive, path = saved
    loaded = load_archive(path)
    assert same_archive(archive, loaded)
    assert len({id(genome) for genome in loaded.genomes}) == len({id(genome) for genome in archive.genomes})
    assert [file.name for file in path.parent.iterdir()] == ["archive.npz"]


@pytest.mark.parametrize("encoding", [SMALL, cppn(4, hidden=5)], ids=lambda encoding: encoding.name)
def test_save_load_resume_is_an_uninterrupted_run(three_classes, tmp_path, encoding):
    path = tmp_path / "archive.npz"
    last(evolve(three_classes, encoding, population=4, generations=5, seed=3)).save(path)
    resumed = last(evolve(three_classes, encoding, population=4, generations=6, archive=load_archive(path), seed=99))
    assert same_archive(resumed, last(evolve(three_classes, encoding, population=4, generations=11, seed=3)))


def test_the_stop_button_keeps_everything_up_to_the_last_generation(three_classes):
    calls = 0

    def render(genomes):
        nonlocal calls
        calls += 1
        if calls == 5:  # the first is the check at the call
            raise KeyboardInterrupt
        return genomes

    stopped = SMALL._replace(render=render)
    with pytest.raises(KeyboardInterrupt):
        for archive in evolve(three_classes, stopped, population=4, generations=9, seed=3):  # noqa: B007
            pass
    assert archive.generations == 3
    rest = last(evolve(three_classes, SMALL, population=4, generations=6, archive=archive))
    assert same_archive(rest, last(evolve(three_classes, SMALL, population=4, generations=9, seed=3)))


def test_an_interrupted_save_leaves_the_old_file(saved, three_classes, monkeypatch):
    archive, path = saved

    def full_disk(file, **arrays):
        file.write(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(np, "savez_compressed", full_disk)
    with pytest.raises(OSError, match="no space left"):
        last(evolve(three_classes, SMALL, generations=1, archive=archive)).save(path)
    assert same_archive(load_archive(path), archive)


@pytest.mark.parametrize("share", [0, 0.01, 0.3, 0.7, 0.99])
def test_a_file_cut_short_is_named(saved, share):
    _, path = saved
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match=r"archive\.npz is not an archive, or was cut short"):
        load_archive(path)


def test_a_damaged_byte_is_named_or_does_not_matter(saved):
    archive, path = saved
    content = path.read_bytes()
    named = 0
    for place in range(0, len(content), 97):
        path.write_bytes(content[:place] + bytes([content[place] ^ 255]) + content[place + 1 :])
        try:
            loaded = load_archive(path)
        except ValueError as error:
            assert "archive.npz is" in str(error)
            named += 1
        else:
            assert same_archive(loaded, archive)
    assert named > 10


def test_other_files_are_no_archive(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_archive(tmp_path / "nothing.npz")
    (tmp_path / "text.npz").write_text("hello")
    np.save(tmp_path / "array.npy", np.zeros(3))
    np.savez(tmp_path / "pickle.npz", version=np.array([{"a": 1}], dtype=object))
    for name in ("text.npz", "array.npy", "pickle.npz"):
        with pytest.raises(ValueError, match=f"{name} is not an archive"):
            load_archive(tmp_path / name)


def test_a_file_that_would_run_code_is_not_run(tmp_path):
    np.savez(tmp_path / "evil.npz", version=np.array([Pickled(tmp_path / "trace")], dtype=object))
    with pytest.raises(ValueError, match="is not an archive"):
        load_archive(tmp_path / "evil.npz")
    assert not (tmp_path / "trace").exists()


def test_another_version_is_named(saved):
    _, path = saved
    with np.load(path) as file:
        stored = dict(file)
    np.savez(path, **stored | {"version": 7})
    with pytest.raises(ValueError, match="is an archive of version 7, but this course reads version 1"):
        load_archive(path)
    del stored["version"]
    np.savez(path, **stored)
    with pytest.raises(ValueError, match="is not an archive"):
        load_archive(path)
    np.savez(path, version=1)
    with pytest.raises(ValueError, match="is not an archive"):
        load_archive(path)


def test_an_archive_of_another_network_or_encoding_is_named(saved, three_classes):
    archive, _ = saved
    for other in (random_linear(3, seed=1), random_linear(4)):
        with pytest.raises(ValueError, match="belongs to another network"):
            evolve(other, SMALL, archive=archive)
    with pytest.raises(ValueError, match="encoding 'direct 3x4x4', but this is 'CPPN 4, 40 hidden'"):
        evolve(three_classes, cppn(4), archive=archive)
    with pytest.raises(TypeError, match=r"archive must be an Archive, got (Posix|Windows)Path\(.*\): use evolve"):
        evolve(three_classes, SMALL, archive=saved[1])


def test_two_runs_are_joined_by_the_better_champion_of_each_class(three_classes, tmp_path):
    runs = [last(evolve(three_classes, SMALL, population=4, generations=n, seed=n)) for n in (12, 9)]
    both = runs[0].joined(runs[1])
    assert torch.equal(both.confidence, torch.maximum(runs[0].confidence, runs[1].confidence))
    images = round_to_8bit(SMALL.render(both.champions(range(3))))
    torch.testing.assert_close(three_classes.probabilities(images).diagonal(), both.confidence)
    assert (both.generations, both.evaluations) == (21, 84)
    assert (both.born <= 21).all()
    again = both.joined(both)
    assert torch.equal(again.confidence, both.confidence) and again.evaluations == 168
    both.save(tmp_path / "both.npz")
    same_archive(load_archive(tmp_path / "both.npz"), both)
    later = last(evolve(three_classes, SMALL, population=4, generations=5, archive=both))
    assert (later.confidence >= both.confidence).all() and later.evaluations == 104


def test_archives_that_have_nothing_to_do_with_each_other_are_not_joined(three_classes):
    archive = next(evolve(three_classes, SMALL, generations=1))
    with pytest.raises(ValueError, match="the other 'CPPN 224, 40 hidden'"):
        archive.joined(replace(archive, encoding="CPPN 224, 40 hidden"))
    with pytest.raises(ValueError, match="different classes \\(3 and 2 of them\\): evolve both with the same targets"):
        archive.joined(next(evolve(three_classes, SMALL, targets=[0, 1], generations=1)))
    with pytest.raises(ValueError, match="belong to different networks"):
        archive.joined(next(evolve(random_linear(3, seed=5), SMALL, generations=1)))
    with pytest.raises(TypeError, match="other must be"):
        archive.joined("a.npz")


def test_an_encoding_of_ones_own_works(three_classes):
    """One gene: the brightness of a grey image."""
    encoding = Encoding(
        "brightness",
        start=lambda count, generator: torch.rand(count, generator=generator),
        mutate=lambda genomes, generator, reach: torch.rand(len(genomes), generator=generator),
        render=lambda genomes: genomes.view(-1, 1, 1, 1).expand(-1, *SHAPE),
    )
    archive = last(evolve(three_classes, encoding, generations=20))
    assert all(genome.shape == () for genome in archive.genomes)


PER_CLASS = ("labels", "indices", "which", "confidence", "born", "reach")
EDITS = {
    "a NaN": (lambda a: {"confidence": a["confidence"] * np.nan}, "confidence holds values that are NaN"),
    "a NaN in a genome": (lambda a: {"genomes": a["genomes"] * np.nan}, "genomes holds values that are NaN"),
    "a class twice": (lambda a: {"indices": np.zeros_like(a["indices"])}, "indices holds values that no evolution"),
    "a negative class": (lambda a: {"indices": a["indices"] - 1}, "indices holds values that no evolution"),
    "a class too many": (lambda a: {"indices": a["indices"] + 1}, "indices holds values that no evolution"),
    "a genome from the end": (lambda a: {"which": a["which"] - 1}, "which holds values that no evolution"),
    "no such genome": (lambda a: {"which": a["which"] + 1}, "which holds values that no evolution"),
    "certain and more": (lambda a: {"confidence": a["confidence"] + 1}, "confidence holds values that no evolution"),
    "born later": (lambda a: {"born": a["born"] + 99}, "born holds values that no evolution"),
    "half a generation": (lambda a: {"generations": 1.5}, r"generations is float64 of shape \(\)"),
    "half an evaluation": (lambda a: {"evaluations": 99.5}, r"evaluations is float64 of shape \(\)"),
    "a number for a name": (lambda a: {"encoding": 3}, r"encoding is int64 of shape \(\)"),
    "no reach": (lambda a: {"reach": 0 * a["reach"]}, "reach holds values that no evolution"),
    "few evaluations": (lambda a: {"evaluations": 0}, "evaluations holds values that no evolution"),
    "short": (lambda a: {"born": a["born"][:1]}, r"born is int64 of shape \(1,\), for 3 classes"),
    "text": (lambda a: {"born": a["born"].astype(str)}, r"born is <U.* of shape \(3,\), for 3 classes"),
    "no class": (
        lambda a: {name: a[name][:0] for name in PER_CLASS},
        "no class",
    ),
    "a short state": (lambda a: {"random_state": a["random_state"][:9]}, "not an archive, or was cut short or edited"),
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_archive_is_refused(edit, tmp_path, three_classes):
    change, message = EDITS[edit]
    encoding = direct((3, 4, 4))
    next(evolve(three_classes, encoding, generations=1)).save(tmp_path / "archive.npz")
    load_archive(tmp_path / "archive.npz")
    with np.load(tmp_path / "archive.npz") as file:
        arrays = dict(file)
    np.savez(tmp_path / "archive.npz", **arrays | change(arrays))
    with pytest.raises(ValueError, match=message):
        load_archive(tmp_path / "archive.npz")
