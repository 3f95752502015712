"""Whether a message asks for items: questions in any words, refusals, and remarks that ask for nothing."""

import pytest
from test_reader import READER, read


@pytest.mark.parametrize(
    "text",
    [
        "right, so which movie would keep him awake",
        "so what shall it be",
        "what animal movie is next",
        "you got films with the same mood?",
        "newest movies u got?",
        "what is there from the 80s then",
        "where do we go from here",
        "could you suggest what to put on next Friday?",
        "stuff like that pls",
        "war films i wanted to say",
        "one decent western, that's all I ask",
        "she needs 6",
        "choose one for us, would you",
        "westerns made after 1980",
        "westerns, made in 1995, eight of them",
        "4 like it",
        "7 recs pls",
        "we're now after something equally gripping",
        "I would be grateful for a film that my sister and I can both appreciate",
        "films close to Heat",
        "older than that",
        "and something newer",
        "no, older than that one",
        "and newer?",
        "much newer than those please",
    ],
)
def test_questions_and_demands_in_any_words_ask(text):
    assert READER.read(text).asks


@pytest.mark.parametrize(
    "text",
    [
        "not Heat, we own it",
        "no cartoons, my head hurts",
        "comedy is good, but no cartoons",
        "Heat was torture for me so not that sort",
        "not Heat or Alien, I've seen those",
    ],
)
def test_what_is_refused_is_a_condition_of_a_request(text):
    assert READER.read(text).asks


@pytest.mark.parametrize(
    "text",
    [
        "Casablanca she found ridiculous",
        "omg heat was soooo good",
        "Heat, loved it, Alien, hated it",
        "blade runner ive seen. Alien too and thats a classic",
        "Alien with Sigourney Weaver... bawled my eyes out",
        "so the night before we saw Casablanca, a snooze",
    ],
)
def test_judgments_of_titles_ask_for_nothing(text):
    change = READER.read(text)
    assert not change.asks and (change.liked or change.disliked or change.known)


@pytest.mark.parametrize(
    "text",
    [
        "which is better, Alien or Blade Runner",
        "could you tell me whether Casablanca is suitable for a child?",
        "on a scale from 1 to 10 how sad is Casablanca",
        "is heat violent?",
        "did the critics like Casablanca?",
    ],
)
def test_questions_about_a_title_ask_for_nothing_and_name_no_example(text):
    change = READER.read(text)
    assert not change.asks and not change.liked and change.about


@pytest.mark.parametrize(
    ("text", "count"),
    [("my class needs 8", 8), ("she said 4", 4), ("pick one for me", 1)],
)
def test_numbers_are_read_after_what_somebody_wants(text, count):
    assert READER.read(text).count == count


def test_genres_rolled_into_one_are_no_number():
    assert READER.read("crime and comedy rolled into one please").count is None


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("my kids refuse anything made before 1985", 1985, None),
        ("she won't watch films after 1970", None, 1970),
        ("85 only", 1985, 1985),
        ("he was born in 84, films from that year", 1984, 1984),
        ("recent stuff, like 94 or 95", 1994, 1995),
    ],
)
def test_years_are_read_in_two_digits_and_after_a_refusal(text, low, high):
    assert read(text)["ranges"] == [("year", low, high)]


@pytest.mark.parametrize(
    ("text", "together"),
    [
        ("a movie that's romantic and funny", True),
        ("western and romance in the same movie", True),
        ("a comedy or a horror film, not in the same movie though", False),
    ],
)
def test_two_genres_of_one_movie_hold_together(text, together):
    assert READER.read(text).together is together


@pytest.mark.parametrize(
    ("text", "without"),
    [
        ("my husband vetoed westerns", ("Western",)),
        ("westerns bore the pants off me", ("Western",)),
        ("musicals make my skin crawl", ("Musical",)),
        ("I'd rather do the dishes than watch a musical", ("Musical",)),
    ],
)
def test_aversions_reject_a_category(text, without):
    change = READER.read(text)
    assert change.without == without and not change.only


@pytest.mark.parametrize(
    "text",
    ["That last suggestion made our evening, cheers", "I can recommend Heat to you", "We attended a screening of Heat"],
)
def test_thanks_and_reports_ask_for_nothing(text):
    assert not READER.read(text).asks


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("do you have anything comparable, perhaps five?", 5),
        ("similar ones please, three would be sufficient", 3),
        ("Seven additional ones, if I may", 7),
        ("7 recs pls", 7),
    ],
)
def test_numbers_are_read_after_hedges_and_before_any_name_of_items(text, count):
    change = READER.read(text)
    assert (change.count, change.liked) == (count, ())


def test_a_refusal_reaches_over_the_words_that_introduce_a_category():
    assert READER.read("dont show me anything with the tag westerns or horror").without == ("Western", "Horror")


def test_titles_are_judged_by_what_people_have_not_liked_and_vibe_with():
    assert [items[0] for items in READER.read("Heat I have not liked.").disliked] == [4]
    assert [items[0] for items in READER.read("what are 4 films if I really vibe with Heat").liked] == [4]


@pytest.mark.parametrize(
    "refusal", ["skip the", "skip", "pass on the", "hard pass on", "not a fan of", "avoid", "I hate"]
)
@pytest.mark.parametrize(
    ("request_", "liked", "only"), [("4 westerns like Heat", [4], ("Western",)), ("five comedies", [], ("Comedy",))]
)
def test_a_refusal_with_an_object_is_not_about_what_is_before_it(refusal, request_, liked, only):
    change = READER.read(f"{request_}, {refusal} musicals")
    assert ([items[0] for items in change.liked], change.disliked) == (liked, ())
    assert (change.only, change.without) == (only, ("Musical",))


def test_what_is_wanted_now_is_not_covered_by_the_refusal_before_it():
    change = READER.read("I'm done with westerns, comedies now")
    assert (change.only, change.without) == (("Comedy",), ("Western",))


@pytest.mark.parametrize(
    "text",
    [
        "everyone told me to watch Casablanca and I'm glad I did",
        "thought I'd love Heat, I didn't",
        "wanted to like Heat. couldn't.",
        "not one of my favorites, Casablanca",
    ],
)
def test_what_a_message_reports_is_no_request(text):
    assert not READER.read(text).asks
