"""Finders of titles after changes equal those that are made of all titles, whatever changed before."""

import random

import pytest

from train_utils.prompts.named_titles import NamedTitles
from train_utils.prompts.near_titles import NearTitles

WORDS = str.split("Red Moon River Night Return Heat Alien Doctor Mister Twelve Seven Rocky Empire Story List O'Brien")
ENDINGS = (
    "",
    "",
    "",
    ", The",
    ", A",
    " (1995)",
    ", The (1980)",
    " II",
    " 3",
    " (Other Name)",
    ": The Return",
    " - Part 2",
)
WHOLE = ("7", "Seven", "E.T. the Extra-Terrestrial", "M", "", "Éden", "1984: Second Part", "The Moon", "Moon, The")


def random_title(rng: random.Random) -> str:
    if rng.random() < 0.2:
        return rng.choice(WHOLE)
    return " ".join(rng.choices(WORDS, k=rng.randint(1, 4))) + rng.choice(ENDINGS)


def changes(rng: random.Random, n: int) -> list[tuple[list[str], list[int]]]:
    """Return n versions of titles, each with the items whose titles are new."""
    titles, versions = [random_title(rng) for _ in range(40)], []
    for number in range(n):
        # A change of most titles makes the finder again.
        k = len(titles) - 2 if number == n // 2 else rng.randint(1, 4)
        items = rng.sample(range(len(titles)), k)
        titles = [random_title(rng) if i in items else title for i, title in enumerate(titles)]
        added = [random_title(rng) for _ in range(rng.randint(0, 2))]
        items += range(len(titles), len(titles) + len(added))
        titles = [*titles, *added]
        versions.append((titles, items))
    return versions


@pytest.mark.parametrize("seed", range(3))
def test_named_titles_after_changes_are_those_of_all_titles(seed):
    rng = random.Random(seed)
    (titles, _), *versions = changes(rng, 40)
    finder, seen = NamedTitles(titles), set[str]()
    _ = finder.find("Red Moon")
    for titles, items in versions:
        finder, again = finder.changed(titles, items), NamedTitles(titles)
        seen.update(again._forms)
        assert all(finder._form(key) == again._form(key) for key in seen)
        for text in rng.sample(titles, 5):
            asked = f"I liked {text} and the {text.lower()}, so what is like {rng.choice(titles)}?"
            assert finder.locate(asked) == again.locate(asked)


@pytest.mark.parametrize("seed", range(3))
def test_loosely_written_titles_after_changes_are_those_of_all_titles(seed):
    rng = random.Random(seed)
    (titles, _), *versions = changes(rng, 40)
    finder, seen = NearTitles(titles), set[str]()
    _ = finder.nearest("moonriver")
    for number, (titles, items) in enumerate(versions):
        finder, again = finder.changed(titles, items), NearTitles(titles)
        if number % 6:
            continue
        seen.update(key for index in again._indexes.values() for key in index)
        for key in sorted(seen):
            for method in ("items", "is_whole", "numbered", "initials", "shortened", "begun", "may_begin", "nearest"):
                assert getattr(finder, method)(key) == getattr(again, method)(key), (method, key)
            assert finder.of_series(key, "red moon of rocky") == again.of_series(key, "red moon of rocky")
        for key in rng.sample(sorted(seen), 20):
            wrong = key[:3] + rng.choice("xyz") + key[4:]
            assert finder.nearest(wrong) == again.nearest(wrong)


def test_a_version_before_finds_what_it_found():
    finder = NamedTitles(["Red Moon", "Alien"])
    assert finder.find("like Red Moon") == [0]
    after = finder.changed(["Blue River", "Alien", "Red Moon 2"], [0, 2])
    assert (finder.find("like Red Moon"), after.find("like Red Moon"), after.find("like Red Moon 2")) == ([0], [], [2])
