"""Titles are read as people type them where the text makes them titles, and unknown ones are named, not guessed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_reader import catalog_of

from train_utils.conversation.preferences import Preferences
from train_utils.conversation.reader import RequestReader
from train_utils.conversation.words.message_words import SHOWN
from train_utils.prompts.named_titles import NamedTitles
from train_utils.prompts.near_titles import NearTitles, key_of, words_of

TITLES = [
    "Pulp Fiction",
    "Blade Runner",
    "Shawshank Redemption, The",
    "Star Trek: First Contact",
    "Star Trek VI: The Undiscovered Country",
    "Star Wars",
    "Empire Strikes Back, The",
    "Dr. Strangelove or: How I Learned to Stop Worrying and Love the Bomb",
    "Godfather, The",
    "Godfather: Part II, The",
    "Beauty and the Beast",
    "Twelve Monkeys",
    "Sunset Blvd.",
    "E.T. the Extra-Terrestrial",
    "Amélie",
    "Schindler's List",
    "Willy Wonka and the Chocolate Factory",
    "Adventures of Priscilla, Queen of the Desert, The",
    "Casablanca",
    "Vertigo",
    "Batman",
    "Toy Story",
    "Heat",
    "Kids",
    "Jack",
    "Four Rooms",
    "Rocky III",
    "Spider-Man",
    "Third Man, The",
    "???",
]
CATALOG = catalog_of({title: (["Drama", "Comedy", "Children's"], 1980 + i) for i, title in enumerate(TITLES)})
READER = RequestReader(CATALOG, NamedTitles(CATALOG.titles))


def titles(text):
    change = READER.read(text)
    return [TITLES[items[0]] for kind in (change.liked, change.disliked, change.known) for items in kind]


@pytest.mark.parametrize(
    "text,named",
    [
        ("movies like Blade Runer", ["Blade Runner"]),
        ("I loved Pulp Ficton and Shawshenk Redemption", ["Pulp Fiction", "Shawshank Redemption, The"]),
        ("something like pulp ficton please", ["Pulp Fiction"]),
        ('similar to "Shawshank Redempton"', ["Shawshank Redemption, The"]),
        ("- Pulp Ficton\n- Blade Runer\nWhat fits?", ["Pulp Fiction", "Blade Runner"]),
        ("Pulp Ficton -> Blade Runer -> ?", ["Pulp Fiction", "Blade Runner"]),
        ("people tell me Cassablanca is great", ["Casablanca"]),
        ("casablanca and vertigo are classics", ["Casablanca", "Vertigo"]),
        ("GIVE ME FILMS LIKE BLADE RUNER", ["Blade Runner"]),
    ],
)
def test_a_title_with_a_typing_error_is_read_where_the_text_names_one(text, named):
    assert titles(text) == named


@pytest.mark.parametrize(
    "text,named",
    [
        ("Star Trek First Contact and Dr. Strangelove were great", ["Star Trek: First Contact", TITLES[7]]),
        ("empire strikes back is my favorite", ["Empire Strikes Back, The"]),
        ("Star Wars: The Empire Strikes Back was good", ["Empire Strikes Back, The"]),
        ("godfather 2 was great", ["Godfather: Part II, The"]),
        ("loved The Godfather II", ["Godfather: Part II, The"]),
        ("loved the godfather part two", ["Godfather: Part II, The"]),
        ("Beauty & the Beast, 12 monkeys", ["Beauty and the Beast", "Twelve Monkeys"]),
        ("loved Sunset Boulevard", ["Sunset Blvd."]),
        ("something like E.T.", ["E.T. the Extra-Terrestrial"]),
        ("we liked Amelie", ["Amélie"]),
        ("loved Schindlers List", ["Schindler's List"]),
        ("Spiderman was great", ["Spider-Man"]),
        ("liked Willy Wonka", ["Willy Wonka and the Chocolate Factory"]),
        ("I watched Priscilla Queen of the Desert", ["Adventures of Priscilla, Queen of the Desert, The"]),
        ("loved The Undiscovered Country", ["Star Trek VI: The Undiscovered Country"]),
        ("- The Third Man\n- Heat", ["Third Man, The", "Heat"]),
    ],
)
def test_a_title_is_read_in_other_spellings_and_in_part(text, named):
    assert titles(text) == named


@pytest.mark.parametrize(
    "text,named",
    [
        ("Heat, Batman and Pulp Fiction - loved them.", ["Heat", "Batman", "Pulp Fiction"]),
        ("heat and blade runner were great", ["Heat", "Blade Runner"]),
        ("Great! Jack, Heat, Batman.", ["Jack", "Heat", "Batman"]),
        ("What if M and The Third Man are my favorites?", ["M", "Third Man, The"]),
    ],
)
def test_a_word_that_a_list_joins_to_a_title_is_a_title(text, named):
    catalog = catalog_of({title: (["Drama"], 1980) for title in [*TITLES, "M"]})
    liked = RequestReader(catalog, NamedTitles(catalog.titles)).read(text).liked
    assert [catalog.items[items[0]].title for items in liked] == named


def test_a_title_that_is_a_word_for_a_category_is_a_title_in_a_list():
    catalog = catalog_of({title: (["Sci-Fi"], 1980) for title in ["Aliens", "Blade Runner"]})
    reader = RequestReader(catalog, NamedTitles(catalog.titles))
    assert len(reader.read("Aliens, Blade Runner and others - loved them.").liked) == 2


@pytest.mark.parametrize(
    "text",
    [
        "Heat me some soup, I have to run",
        "Jack, my dog, is asleep. A quiet drama, then?",
        "Jack and I want a drama",
        "in the heat of the day we need a good movie",
        "my friend Jack likes the kids at school",
        "the kids are at home, what can we watch?",
        "Kids are asleep. Something good!",
        "our house has four rooms, recommend something",
        "I got a blade for my runner, what should I watch?",
        "rocky road ice cream and a good movie please",
        "I want films from Paris with actors like Hugh Grant",
    ],
)
def test_ordinary_words_are_no_titles(text):
    assert titles(text) == []


@pytest.mark.parametrize(
    "text,unknown",
    [
        ("movies like Foobar Returns", ("Foobar Returns",)),
        ("movies like Inception and Heat, please", ("Inception",)),
        ('I loved "The Matrix Reloaded" and hated Heat', ("The Matrix Reloaded",)),
        ("I loved Batman Begins.", ("Batman Begins",)),
        ("I really liked Toy Story 3", ("Toy Story 3",)),
        ("I liked Rocky 2", ("Rocky 2",)),
        ("such as Lord of the Rings or Harry Potter", ("Lord of the Rings", "Harry Potter")),
        ("Something like Knives Out", ("Knives Out",)),
        ("My favourite film ever is The Great Lemon Robbery.", ("The Great Lemon Robbery",)),
        ("I thought Gladiator was excellent.", ("Gladiator",)),
        ("something like inception but older?", ("inception",)),
        ("seven samurai is my fav movie", ("seven samurai",)),
        ("Fight Club, Heat, Memento - and then?", ("Fight Club", "Memento")),
        ("Memento > Interstelar > Tenet", ("Memento", "Interstelar", "Tenet")),
        ("Interstellar type of movie", ("Interstellar",)),
        ("I don't mean Blade Runner 2049.", ("Blade Runner 2049",)),
        ("Heat is great. Avatar and Interstellar too.", ("Avatar", "Interstellar")),
        ('like "' + "Foo Bar " * 9 + 'Baz"', (("Foo Bar " * 9 + "Baz")[:SHOWN],)),
    ],
)
def test_a_title_that_the_catalog_lacks_is_named_and_not_guessed(text, unknown):
    change = READER.read(text)
    assert change.unknown == unknown and not change.is_empty
    assert Preferences().after(change).rules(CATALOG).deny == tuple(
        CATALOG.ids(sorted(item for kind in (change.liked, change.disliked) for items in kind for item in items))
    )


@pytest.mark.parametrize(
    "text",
    [
        "I'd like Something New",
        "I like Drama and Comedy",
        "I love Hitchcock's movies",
        "in the style of Hitchcock's Vertigo",
        "I like Marvel movies",
        "movies like that one",
        'any "feel good" movies?',
        "I watched it with John on Friday",
        "something like my last one",
        "something like rain",
        "tom hanks is my favorite actor",
        "Thanks Bob, Heat was great",
        "I really like Tom Hanks in Pulp Fiction",
    ],
)
def test_what_is_not_clearly_a_title_is_not_called_unknown(text):
    assert READER.read(text).unknown == ()


def test_numbers_of_parts_must_agree():
    near = NearTitles(["Rocky III", "Rocky IV"])
    assert near.items(key_of(words_of("rocky 3"))) == (0,)
    assert near.nearest(key_of(words_of("rokcy 4"))) == (1, (1,))
    assert near.nearest(key_of(words_of("rocky 5"))) is None


@given(st.sampled_from(TITLES[:4]), st.data())
def test_a_title_in_quotation_marks_is_read_with_any_letter_missing(title, data):
    typed = title.split(", ")[0]
    at = data.draw(st.integers(0, len(typed) - 1).filter(lambda i: typed[i].isalpha()))
    assert titles(f'films like "{typed[:at]}{typed[at + 1 :]}" please') == [title]


@pytest.mark.parametrize(
    "text", ["Aa ", "- Aa\n", '"A a" ', "like A ", "'a ", "-> Aa ", "loved The ", "Heat 2 ", "Heat and "]
)
def test_a_long_message_of_candidates_is_read(text):
    change = READER.read(text * 2000)
    assert all(len(name) <= SHOWN for name in change.unknown)


@pytest.mark.parametrize(
    ("text", "kind", "titles"),
    [
        ("casablanca was brilliant, something like that", "liked", ["Casablanca"]),
        ("heat and vertigo are my favourites", "liked", ["Heat", "Vertigo"]),
        ("no casablanca please", "disliked", ["Casablanca"]),
        ("she hates casablanca", "disliked", ["Casablanca"]),
        ("Vertigo on the other hand I couldn't stand", "disliked", ["Vertigo"]),
        ("We sat through Vertigo, three hours, I have never been so bored", "disliked", ["Vertigo"]),
        ("my ex made me watch casablanca ten times", "known", ["Casablanca"]),
        ("ive got the godfather on tape so not that one", "known", ["Godfather, The"]),
        ("a friend lent me casablanca, mind blown", "liked", ["Casablanca"]),
    ],
)
def test_a_title_in_lower_case_is_judged_by_the_words_around_it(text: str, kind: str, titles: list[str]) -> None:
    catalog = catalog_of({title: ([], 1990) for title in TITLES})
    change = RequestReader(catalog, NamedTitles(catalog.titles)).read(text)
    assert [catalog.titles[items[0]] for items in getattr(change, kind)] == titles


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        ("loved memento and gladiator", ("memento", "gladiator")),
        ("i've seen double indemnity and toy story", ("double indemnity",)),
        ("i loved the ending", ()),
        ("we saw grandma yesterday", ()),
        ("i enjoyed growing up", ()),
    ],
)
def test_an_unknown_title_in_lower_case_is_named_after_words_such_as_loved(text: str, unknown: tuple[str, ...]) -> None:
    catalog = catalog_of({title: ([], 1990) for title in TITLES})
    assert RequestReader(catalog, NamedTitles(catalog.titles)).read(text).unknown == unknown


@pytest.mark.parametrize(
    ("text", "kind", "titles"),
    [
        ("movies similar to shawshank", "liked", ["Shawshank Redemption, The"]),
        ("priscilla queen of the desert was hilarious", "liked", ["Adventures of Priscilla, Queen of the Desert, The"]),
        ("the undiscovered country is the best one", "liked", [TITLES[4]]),
        ("what should i watch after casablanca and heat?", "liked", ["Casablanca", "Heat"]),
        ("after vertigo and blade runner? both were amazing", "liked", ["Vertigo", "Blade Runner"]),
        ("my faves are casablanca and vertigo", "liked", ["Casablanca", "Vertigo"]),
        ("heat (1995) was so gripping", "liked", ["Heat"]),
        ("vertigo is so underrated", "liked", ["Vertigo"]),
        ("had to watch vertigo for class", "known", ["Vertigo"]),
        ("Casablanca, I saw last week. What a lovely film!", "liked", ["Casablanca"]),
    ],
)
def test_a_title_in_lower_case_is_read_in_part_with_its_year_and_in_questions(
    text: str, kind: str, titles: list[str]
) -> None:
    change = READER.read(text)
    assert [TITLES[items[0]] for items in getattr(change, kind)] == titles
    assert change.ranges == () and change.unknown == ()


@pytest.mark.parametrize(
    ("text", "liked", "unknown"),
    [
        ("heat, fight club, the matrix... love all of those", ["Heat"], ("fight club", "the matrix")),
        ("favs: memento, casablanca, inception", ["Casablanca"], ("memento", "inception")),
        ("i'm obsessed with interstellar and casablanca", ["Casablanca"], ("interstellar",)),
        ("i loved fight club (1999) and heat (1995)", ["Heat"], ("fight club",)),
        ("Inception (2010) was great", [], ("Inception",)),
        ("do you have the matrix?", [], ("the matrix",)),
        ("i love casablanca, heat, gladiator and troy", ["Casablanca", "Heat"], ("gladiator", "troy")),
        ("i like casablanca, heat and surprise me", ["Casablanca", "Heat"], ()),
        ("loved shawshank and casablanca", ["Shawshank Redemption, The", "Casablanca"], ()),
        ("pizza, wine, sleep... love all of those", [], ()),
        ("do you have subtitles?", [], ()),
        ("another one", [], ()),
    ],
)
def test_a_title_in_lower_case_that_the_catalog_lacks_is_named_in_a_list_and_with_its_year(
    text: str, liked: list[str], unknown: tuple[str, ...]
) -> None:
    change = READER.read(text)
    assert [TITLES[items[0]] for items in change.liked] == liked
    assert change.unknown == unknown and change.ranges == ()


def test_a_number_after_alternatives_counts_items() -> None:
    change = READER.read("like casablanca or batman 3")
    assert [TITLES[items[0]] for items in change.liked] == ["Casablanca", "Batman"] and change.count == 3


def test_a_greeting_is_no_title() -> None:
    catalog = catalog_of({"Good Morning": ([], 1990)})
    reader = RequestReader(catalog, NamedTitles(catalog.titles))
    assert reader.read("hello, good morning. What should I watch?").liked == ()
    assert reader.read("i loved good morning").liked == ((0,),)


@pytest.mark.parametrize("text", ["which one won more oscars?", "had to watch casablanca for class"])
def test_a_question_about_titles_and_a_duty_ask_for_no_list(text: str) -> None:
    assert not READER.read(text).asks
