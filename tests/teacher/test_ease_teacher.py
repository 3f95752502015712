"""Promises of teachers from co-occurrence: EASE of a dataset, alone and added to a trained teacher."""

import math
import random
from pathlib import Path

import numpy as np
import pytest
from teacher_running import ALL, HISTORIES, running, trained

from train_utils.catalog import Item, load_catalog, make_catalog
from train_utils.dialogue.expectations import similarity_of
from train_utils.evaluation.results import teacher_files
from train_utils.files.atomic import write_json
from train_utils.teacher import ease_teacher, interactions
from train_utils.teacher.ease import EASE
from train_utils.teacher.ease_teacher import ADDED, STRENGTH, BlendedTeacher, EaseTeacher
from train_utils.teacher.open import checkpoint_of, open_teacher
from train_utils.teacher.protocol import Teacher, TeacherError, TeacherRefusal
from train_utils.teacher_address import address_parts, local_paths


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    """A folder with a trained teacher and a dataset of its items, in which users consume blocks of neighbors."""
    folder = trained(tmp_path_factory.mktemp("world"))
    rng = random.Random(0)
    starts = [rng.randrange(24) for _ in range(40)]
    sequences = {f"u{user}": rng.sample(ALL[start : start + 6], 6) for user, start in enumerate(starts)}
    write_dataset(folder / "dataset", ALL, sequences)
    return folder


def write_dataset(folder: Path, items, sequences) -> None:
    folder.mkdir()
    write_json(folder / "metas.jsonl", {item: {"title_t": f"film {item}", "title": f"film {item}"} for item in items})
    write_json(folder / "sequential.jsonl", sequences)
    write_json(folder / "category.jsonl", {"all": items})


@pytest.fixture(scope="module")
def ease(world) -> EaseTeacher:
    return open_teacher(f"ease:{world / 'dataset'}")


@pytest.fixture(scope="module")
def blend(world) -> BlendedTeacher:
    return open_teacher(f"local:{world / 'output'}+ease:{world / 'dataset'}")


def standard(scores) -> list[float]:
    """Mean 0 and deviation 1, in plain Python."""
    mean = math.fsum(scores) / len(scores)
    deviation = math.sqrt(math.fsum((score - mean) ** 2 for score in scores) / len(scores))
    return [(score - mean) / deviation if deviation else 0.0 for score in scores]


def ease_scores(world, history) -> dict[str, float]:
    """The standard scores of EASE, from the definition of a prediction: sums of weights of the history."""
    catalog = load_catalog(world / "dataset")
    weights = EASE().fit(catalog.training_sequences(), len(ALL)).weights
    total = [0.0] * len(ALL)
    for age, item in enumerate(list(dict.fromkeys(reversed(history)))):
        for other in range(len(ALL)):
            total[other] += 0.5**age * weights[catalog.index[item], other]
    return dict(zip(catalog.ids(range(len(ALL))), standard(total), strict=True))


def normalized(strengths: dict[str, float]) -> dict[str, float]:
    total = math.fsum(map(math.exp, strengths.values()))
    return {item: math.exp(value) / total for item, value in strengths.items()}


@pytest.mark.parametrize("history", [h for h in HISTORIES if len(set(h)) == len(h)], ids=len)
def test_ease_alone_gives_shares_in_proportion_to_its_exponentials(world, ease, history):
    scores = ease_scores(world, history)
    wanted = normalized({item: STRENGTH * scores[item] for item in ALL if item not in history})
    (items,), (shares,) = ease.top_k([history], len(ALL), scores=True)
    assert set(items) == wanted.keys()
    assert shares == pytest.approx([wanted[item] for item in items])
    assert shares == sorted(shares, reverse=True)


@pytest.mark.parametrize("history", [h for h in HISTORIES if len(set(h)) == len(h)], ids=len)
def test_a_blend_multiplies_the_teacher_by_the_exponential_of_ease(world, blend, history):
    (first,), (probabilities,) = blend.first.top_k([history], len(ALL), scores=True)
    scores = ease_scores(world, history)
    wanted = normalized({i: math.log(p) + ADDED * scores[i] for i, p in zip(first, probabilities, strict=True)})
    (items,), (shares,) = blend.top_k([history], len(ALL), scores=True)
    assert dict(zip(items, shares, strict=True)) == pytest.approx(wanted)
    assert shares == sorted(shares, reverse=True)


def test_a_blend_that_adds_nothing_is_the_teacher(blend):
    alone = BlendedTeacher(blend.first, blend.ease, added=0.0)
    lists, shares = alone.top_k(HISTORIES, 7, scores=True)
    first, probabilities = blend.first.top_k(HISTORIES, 7, scores=True)
    assert lists == first
    # Probabilities of a teacher are sent as float32.
    assert [value for row in shares for value in row] == pytest.approx(
        [p for row in probabilities for p in row], rel=1e-5
    )


@pytest.mark.parametrize("kind", ["ease", "blend"])
def test_a_shorter_list_begins_a_longer_one_and_nothing_of_the_history_is_listed(request, kind):
    teacher: Teacher = request.getfixturevalue(kind)
    longest = teacher.top_k(HISTORIES, len(ALL))
    assert teacher.top_k([ALL, HISTORIES[0]], 3, scores=True)[0] == [[], longest[0][:3]], (
        "nothing is left for who had all"
    )
    for history, items in zip(HISTORIES, longest, strict=True):
        assert sorted(items) == sorted({*ALL} - {*history})
    for k in (1, 3, 29):
        assert teacher.top_k(HISTORIES, k) == [items[:k] for items in longest]


@pytest.mark.parametrize("kind", ["ease", "blend"])
def test_small_blocks_give_the_same_answer(request, monkeypatch, kind):
    teacher: Teacher = request.getfixturevalue(kind)
    whole = teacher.top_k([*HISTORIES, []], 5, scores=True)
    monkeypatch.setattr(interactions, "BLOCK", 2 * len(ALL))
    assert teacher.top_k([*HISTORIES, []], 5, scores=True) == whole
    assert teacher.top_k([], 5, scores=True) == ([], [])


def test_without_a_history_the_popular_items_come_first_and_a_blend_is_the_teacher(world, ease, blend):
    catalog = load_catalog(world / "dataset")
    events = [item for sequence in catalog.training_sequences() for item in sequence]
    (items,) = ease.top_k([[]], len(ALL))
    counts = [events.count(catalog.index[item]) for item in items]
    assert counts == sorted(counts, reverse=True)
    assert blend.top_k([[]], 9) == blend.first.top_k([[]], 9)


def test_a_blend_with_a_teacher_at_a_server_equals_that_with_its_checkpoint(world, blend):
    with running([world]) as url:
        at_server = open_teacher(f"{url}+ease:{world / 'dataset'}")
        assert at_server.top_k(HISTORIES, 8, scores=True) == blend.top_k(HISTORIES, 8, scores=True)
        at_server.close()


def test_a_blend_has_the_item_vectors_of_its_teacher(ease, blend):
    assert np.array_equal(blend.item_vectors(ALL[:3]), blend.first.item_vectors(ALL[:3]))
    catalog = make_catalog("films", [Item(item, f"film {item}") for item in ALL])
    assert similarity_of(catalog, blend).shares([0]) == pytest.approx(similarity_of(catalog, blend.first).shares([0]))
    assert BlendedTeacher(ease, ease).item_vectors is None
    assert similarity_of(catalog, BlendedTeacher(ease, ease)).shares([0]).sum() == pytest.approx(1)


def test_what_is_asked_wrongly_is_refused_in_one_line(ease, blend):
    for teacher in (ease, blend):
        with pytest.raises(TeacherRefusal, match="'unknown'"):
            teacher.top_k([[ALL[0], "unknown"]], 3)
        for k in (0, len(ALL) + 1):
            with pytest.raises(TeacherRefusal, match="k must lie in 1..30"):
                teacher.top_k([ALL[:2]], k)


def test_a_dataset_of_other_items_and_one_without_events_are_refused(world, tmp_path):
    write_dataset(tmp_path / "fewer", ALL[:20], {"u": ALL[:6]})
    fewer = open_teacher(f"local:{world / 'output'}+ease:{tmp_path / 'fewer'}")
    with pytest.raises(TeacherError, match="the teacher has items that the dataset after `ease:` lacks"):
        fewer.top_k([ALL[:2]], 3)
    write_dataset(tmp_path / "more", [*ALL, "m999"], {"u": ALL[:6]})
    more = open_teacher(f"local:{world / 'output'}+ease:{tmp_path / 'more'}")
    with pytest.raises(TeacherError, match="k must lie in 1..30"):
        more.top_k([ALL[:2]], 3)
    write_dataset(tmp_path / "cold", ALL, {})
    with pytest.raises(TeacherError, match="'cold' has no training event"):
        open_teacher(f"ease:{tmp_path / 'cold'}")


def test_a_dataset_too_large_for_ease_is_refused_before_it_is_fitted(world, monkeypatch):
    monkeypatch.setattr(ease_teacher, "EASE_MAX_ITEMS", len(ALL) - 1)
    with pytest.raises(TeacherError, match="'dataset' has 30 items, too many for EASE: wanted at most 29; leave"):
        open_teacher(f"local:{world / 'output'}+ease:{world / 'dataset'}")


def test_addresses_with_and_without_co_occurrence():
    assert address_parts("local:runs/a+b") == ("local:runs/a+b", "")
    assert address_parts("local:runs/a+b+ease:data/c+d") == ("local:runs/a+b", "data/c+d")
    assert address_parts("ease:data/films") == ("", "data/films")
    assert address_parts("http://127.0.0.1:2068+ease:data/films") == ("http://127.0.0.1:2068", "data/films")
    assert local_paths("http://127.0.0.1:2068+ease:data/films") == ["data/films"]
    assert local_paths("local:runs+ease:data/films") == ["runs", "data/films"]
    with pytest.raises(ValueError, match="a recording has the best items of each list alone"):
        open_teacher("file:answers.sqlite+ease:data/films")
    for broken in ("+ease:data/films", "ease:", "local:x+ease:"):
        with pytest.raises(ValueError, match="a teacher is|does not exist"):
            open_teacher(broken)


def test_a_result_depends_on_the_checkpoint_and_on_the_dataset(world, blend):
    checkpoints = list(world.glob("output/*/*.pth"))
    files = teacher_files(f"local:{world / 'output'}+ease:{world / 'dataset'}")
    assert {*checkpoints, world / "dataset" / "sequential.jsonl"} <= set(files)
    assert teacher_files(f"ease:{world / 'dataset'}")


def test_a_recording_belongs_to_the_checkpoint_and_to_the_events_of_its_teacher(world, ease, blend, tmp_path):
    write_dataset(tmp_path / "other", ALL, {"u": ALL[:6]})
    other = open_teacher(f"ease:{tmp_path / 'other'}")
    whose = [
        checkpoint_of(teacher) for teacher in (ease, other, blend, blend.first, BlendedTeacher(blend.first, other))
    ]
    assert len({*whose, ""}) == 6, "no two are the same, and none is unknown"
    assert checkpoint_of(open_teacher(f"ease:{world / 'dataset'}")) == checkpoint_of(ease)


def test_a_blend_closes_its_teacher(world):
    closed = []
    blend = open_teacher(f"local:{world / 'output'}+ease:{world / 'dataset'}")
    blend.first.close = lambda: closed.append(True)
    blend.close()
    assert closed
