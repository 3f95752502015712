"""What a user names is found as people write it, and a common word is no title."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from train_utils.prompts.named_titles import NamedTitles
from train_utils.prompts.plain_text import is_one_word, word_beginnings

FILMS = [
    "Toy Story",
    "Halo",
    "Halo 2",
    "Matrix, The",
    "Toy Story 2 (1999)",
    "It",
    "Heat",
    "M",
    "Schindler’s List",
    "Wall-E",
    "红月亮",
    "Amélie",
    "Solaris (1972)",
    "Solaris (2002)",
    "Akira (1988)",
    "Akira",
    "リング",
    "L'appartement",
    "Éden",
    "1984",
    "???",
]


@pytest.mark.parametrize(
    "text,named",
    [
        ("I have enjoyed Toy Story -> Heat -> It. What next?", ["Toy Story", "Heat", "It"]),
        ("i have enjoyed toy story and TOY STORY", ["Toy Story"]),
        ("“Toy  Story”, 'Halo' and *Heat*", ["Toy Story", "Halo", "Heat"]),
        ("Toy Story (1995) was fine", ["Toy Story"]),
        ("Toy Story 2 was better", ["Toy Story 2 (1999)"]),
        ("Halo 2", ["Halo 2"]),
        ("Halo 2, then Halo", ["Halo 2", "Halo"]),
        ("The Matrix; matrix, the", ["Matrix, The"]),
        ("I saw it in the heat of the day", []),
        ("heat, it, m", ["Heat", "It", "M"]),
        ("heat\nit", ["Heat", "It"]),
        ("HEAT is a film", ["Heat"]),
        ("M is a letter", []),
        ("<SOI>M<EOI><SOI> heat <EOI> <SOI>Halo 2<EOI>", ["M", "Heat", "Halo 2"]),
        ("Schindler's List and Schindler\u2018s list", ["Schindler’s List"]),
        ("Wall\u2011E", ["Wall-E"]),
        ("我喜欢红月亮和别的", ["红月亮"]),
        ("リングを見た。リングネーム", ["リング"]),
        ("Ame\u0301lie", ["Amélie"]),
        ("E\u0301den", ["Éden"]),
        ("Solaris", ["Solaris (1972)", "Solaris (2002)"]),
        ("Solaris (1972)", ["Solaris (1972)"]),
        ("Akira", ["Akira"]),
        ("Haloes, Toy Storybook, unhalo", []),
        ("İ ﬁ Halo", ["Halo"]),
        ("it was 1984", ["1984"]),
        ("??? is a title", ["???"]),
        ("", []),
    ],
)
def test_a_title_is_found_as_people_write_it(text, named):
    assert [FILMS[item] for item in NamedTitles(FILMS).find(text)] == named


@given(st.lists(st.sampled_from([*FILMS, " ", ", ", "x", "->", "<SOI>", "<EOI>", "\n", "\u200b", "2"]), max_size=8))
def test_what_is_found_is_written_there(pieces):
    text = "".join(pieces)
    actual = NamedTitles(FILMS).find(text)
    assert len(actual) == len(set(actual))
    for item in actual:
        stem = FILMS[item].split(" (")[0].split(",")[0].replace("’", "'").lower()
        assert stem in text.replace("\u200b", "").replace("’", "'").lower()


@given(
    st.sampled_from([title for title in FILMS if len(title) > 1]), st.sampled_from(["I know {}.", "{}", '"{}"!', "{},"])
)
def test_every_title_is_found_to_the_letter(title, sentence):
    assert FILMS.index(title) in NamedTitles(FILMS).find(sentence.format(title))


def test_titles_that_are_shared_or_empty_do_no_harm():
    assert NamedTitles(["Up", "Up", "", " "]).find("Up, up and away") == [0, 1]
    assert NamedTitles(()).find("Up") == []


@given(st.text(alphabet="ab1 .,'-é漢カ", max_size=30))
def test_words_begin_where_a_scan_of_each_character_says(line: str) -> None:
    scanned = [at for at, c in enumerate(line) if c != " " and not (at and is_one_word(line[at - 1], c))]
    assert word_beginnings(line) == scanned
