"""Promises of reading lists that nothing constrained: which titles are meant, and how far off they are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from train_utils.evaluation.title_matching import NEAR, Named, TitleReader

TITLES = [
    "Heat (1995)",
    "Toy Story (1995)",
    "Mission: Impossible (1996)",
    "Big",
    "M",
    "Se7en - The Movie",
    "Heat (1995)",
    "12 Angry Men (1957)",
    '"Great" Day in Harlem, A (1994)',
]
READER = TitleReader(TITLES)
WORD = st.text("abcdefgé夜 '&(", min_size=1, max_size=12).map(str.strip).filter(bool)


def read(text: str) -> list[int | None]:
    return [one.item for one in READER.read_list(text)]


@pytest.mark.parametrize(
    "text",
    [
        "1. Heat (1995)\n2. Big\n3. Toy Story (1995)",
        "Sure! Here are some:\n\n1) Heat (1995)\n2) Big\n3) Toy Story (1995)\n\nEnjoy 2 of them!",
        "1. Heat (1995), 2. Big, 3. Toy Story (1995)",
        '1. **Heat (1995)** - a heist: two men\n2. **Big**: a boy grows\n3. "Toy Story (1995)" is for all',
        "**1. Heat (1995)**\n**2. Big**\n**3. Toy Story (1995)**",
        "1. Heat (1995) \u2013 a heist\n   It is long.\n2. Big - a boy\n3. Toy Story (1995)",
        "- Heat (1995)\n- Big\n- Toy Story (1995)",
        "You might like\n* Heat (1995)\n* *Big*\n\u2022 Toy Story (1995) - toys",
    ],
)
def test_the_usual_forms_of_a_list_are_read(text):
    assert read(text) == [0, 3, 1]


@pytest.mark.parametrize(
    "text",
    ["", "I'm here to help.", "In 1995. I saw Heat (1995)", "Heat (1995)", "2. Big", "1.", "1. \n", "-Big", "1.Big"],
)
def test_what_is_no_list_names_nothing(text):
    assert read(text) == []


def test_titles_with_numbers_dashes_colons_and_quotes_stay_whole():
    assert read(
        "1. 12 Angry Men (1957)\n2. Mission: Impossible (1996)\n3. Se7en - The Movie - a remark\n"
        '4. "Great" Day in Harlem, A (1994)'
    ) == [7, 2, 5, 8]
    assert read("1. Mission: Improbable (1999)\n2. Heat: The Return (2005)") == [None, None]


def test_a_wrong_title_keeps_its_place():
    assert read("1. Big\n2. Nothing of That Name\n3. Toy Story (1995)") == [3, None, 1]


def test_near_titles_are_told_apart_from_those_to_the_letter():
    assert READER.read("Toy Story (1995)") == Named("Toy Story (1995)", 1, 1, 0)
    assert READER.read("toy story (1995)") == Named("toy story (1995)", None, 1, 0)
    assert READER.read("Toy Story (1996)") == Named("Toy Story (1996)", None, 1, 1)
    assert READER.read("Toy Story 2 (1999)") == Named("Toy Story 2 (1999)", None, 1, 3)
    assert READER.read("Bag") == Named("Bag", None, 3, 1)
    assert [READER.read(short) for short in ("", "N", "B.g", "4.")] == [
        Named(""),
        Named("N"),
        Named("B.g", None, 3, 1),
        Named("4."),
    ]
    assert READER.read(" Big\n2.") == Named("Big", 3, 3, 0)
    assert READER.read("Toy Story 22 (1999)") == Named("Toy Story 22 (1999)")


def edits(a: str, b: str) -> int:
    """Levenshtein 1966, the obvious table."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        row, above = [i], row
        for j, y in enumerate(b, 1):
            row.append(min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (x != y)))
    return row[-1]


@given(st.lists(WORD, min_size=1, max_size=8), WORD)
def test_the_nearest_title_is_that_of_comparing_with_all(titles, text):
    found = TitleReader(titles).read(text)
    distances = [edits(text.casefold(), title.casefold()) for title in titles]
    assert found.item == (titles.index(text) if text in titles else None)
    if found.item is not None:
        assert (found.near, found.edits) == (found.item, 0)
    elif min(distances) <= NEAR and (2 * min(distances) < len(text) or not min(distances)):
        assert (found.near, found.edits) == (distances.index(min(distances)), min(distances))
    else:
        assert (found.near, found.edits) == (None, None)


@given(
    st.lists(WORD, min_size=1, max_size=8), st.sampled_from(["{n}. {t}\n", "{n}) **{t}**\n", "- {t}\n", "{n}. {t}, "])
)
def test_a_list_of_titles_is_read_back(titles, form):
    text = "Here:\n" + "".join(form.format(n=n, t=title) for n, title in enumerate(titles, 1))
    assert [one.item for one in TitleReader(titles).read_list(text)] == [titles.index(title) for title in titles]
