"""A message in another language is not guessed at: only its titles and digits are read."""

import pytest
from test_reader import read

from train_utils.conversation.words.language import is_english


@pytest.mark.parametrize(
    "text,filled",
    [
        ("Empfiehl mir drei lustige Filme", {"foreign": True}),
        ("Ich mag keine Horror Filme, bitte ohne Drama", {"foreign": True}),
        ("Gib mir 5 Filme wie Heat und Alien", {"asks": True, "count": 5, "liked": ["Heat", "Alien"], "foreign": True}),
        (
            "Hola, quiero 3 comedias como Toy Story por favor",
            {"asks": True, "count": 3, "liked": ["Toy Story"], "foreign": True},
        ),
        ("Geen horror alsjeblieft", {"foreign": True}),
        ("我喜欢 Toy Story,推荐3部", {"asks": True, "count": 3, "liked": ["Toy Story"], "foreign": True}),
    ],
)
def test_only_titles_and_digits_are_read_in_another_language(text, filled):
    assert read(text) == filled


@pytest.mark.parametrize(
    "text",
    """
    Quiero tres películas de acción | Recommande-moi trois comédies drôles | Je veux un film sans violence
    Vorrei vedere una commedia romantica | Quero três filmes engraçados | Ik wil graag drie grappige films
    Jag vill se en rolig film | Suosittele minulle kolme hauskaa elokuvaa | посоветуй фильм
    """.replace("\n", "|").split("|")[1:-1],
)
def test_other_languages_are_told_from_english(text):
    assert not is_english(text)


@pytest.mark.parametrize(
    "text",
    """
    slow burn psychological thriller | quirky indie coming-of-age flick | yo lemme get bangers | hola! comedies please
    a film by François Truffaut | mind-bending space epic | tearjerker, submarines | thx | Amélie? | 5
    la la land vibes | sad french drama w/ subtitles | car chases explosions gunfights | gimme sumthin gud 2nite
    """.replace("\n", "|").split("|")[1:-1],
)
def test_terse_english_stays_english(text):
    assert is_english(text)
