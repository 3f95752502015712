"""Requests are read in the many ways in which people word them."""

import pytest
from test_reader import CATALOG, READER, encode, read

from train_utils.catalog import Item, make_catalog
from train_utils.conversation.limits.category_words import CategoryReader
from train_utils.conversation.preferences import Preferences
from train_utils.conversation.reader import RequestReader
from train_utils.prompts.named_titles import NamedTitles


@pytest.mark.parametrize(
    "text,categories",
    [
        ("nothing too scary please", ("Horror",)),
        ("I'm not a big fan of musicals, got anything else?", ("Musical",)),
        ("westerns aren't really my thing", ("Western",)),
        ("musicals are not my cup of tea", ("Musical",)),
        ("anything except horror", ("Horror",)),
        ("skip the horror", ("Horror",)),
        ("hold the romance please", ("Romance",)),
        ("no more westerns", ("Western",)),
        ("less romance, more action", ("Romance",)),
        ("a comedy rather than a drama", ("Drama",)),
        ("I'd rather watch a comedy than a drama", ("Drama",)),
        ("comedy instead of drama", ("Drama",)),
        ("I prefer comedies to dramas", ("Drama",)),
        ("neither horror nor war", ("Horror", "War")),
        ("don't give me any horror", ("Horror",)),
        ("please don't recommend romance", ("Romance",)),
        ("children's movies are out", ("Children's",)),
        ("horror is a no-go", ("Horror",)),
        ("leave comedies out", ("Comedy",)),
        ("westerns? no thanks", ("Western",)),
        ("war movie? no way. comedy? yes", ("War",)),
        ("get rid of the westerns", ("Western",)),
        ("comedy sans romance", ("Romance",)),
        ("all genres but horror", ("Horror",)),
        ("non-animated children's films", ("Animation",)),
        ("a drama, though not a war drama", ("War",)),
        ("no horor please", ("Horror",)),
        ("no cowboys", ("Western",)),
        ("light on romance, heavy on action", ("Romance",)),
        ("I can't deal with musicals", ("Musical",)),
        ("I am afraid of horror", ("Horror",)),
        ("we've had enough dramas", ("Drama",)),
        ("comedies don't work for me", ("Comedy",)),
        ("no subtitles, no horror", ("Horror",)),
        ("a children's film that isn't on our shelf", ()),
        ("swap comedy for drama", ()),
        ("any musicals that my husband (who hates musicals) would like?", ()),
        ("scary, but not a horror film", ()),
        ("not too long, a comedy", ()),
        ("science fiction, but it doesn't have to be new", ()),
        ("I don't mind horror", ()),
        ("not necessarily a comedy", ()),
    ],
)
def test_what_is_rejected(text, categories):
    assert read(text).get("without", ()) == categories


@pytest.mark.parametrize(
    "text,categories,together",
    [
        ("a rom-com", ("Romance", "Comedy"), True),
        ("no, both funny and romantic", ("Comedy", "Romance"), True),
        ("a comedy with some romance", ("Comedy", "Romance"), True),
        ("a comedy or a drama", ("Comedy", "Drama"), False),
        ("replace action with drama", ("Drama",), False),
        ("change it from comedy to drama", ("Drama",), False),
        ("it has to be funny as well as romantic", ("Comedy", "Romance"), True),
        ("both at once, action and romance", ("Action", "Romance"), True),
        ("a mix of horror and comedy", ("Horror", "Comedy"), True),
        ("romance is ok, gimme 5 rom coms", ("Romance", "Comedy"), True),
        ("comedies, dramas", ("Comedy", "Drama"), False),
        ("I've laughed enough. Dramas next, please.", ("Drama",), False),
        ("he was thrilled. Now a comedy", ("Comedy",), False),
        ("Alien was horrible, which comedies can I watch?", ("Comedy",), False),
        ("I want to giggle", ("Comedy",), False),
        ("two detective stories", ("Mystery",), False),
        ("a commedy", ("Comedy",), False),
        ("I love horror movies. Give me three.", ("Horror",), False),
        ("I watched two westerns yesterday, give me three comedies", ("Comedy",), False),
        ("movies made in the eighties, no horror", (), False),
        ("dark comedy", ("Comedy",), False),
        ("I don't dislike westerns, but today I'd rather have a mystery.", ("Mystery",), False),
    ],
)
def test_what_is_asked_for(text, categories, together):
    change = read(text)
    assert change.get("only", ()) == categories and change.get("together", False) == together


@pytest.mark.parametrize(
    "text,count",
    [
        ("top five thrillers", 5),
        ("top-5 comedies", 5),
        ("the 5 best comedies", 5),
        ("give me half a dozen comedies", 6),
        ("half dozen westerns", 6),
        ("two or three comedies", 3),
        ("2-3 comedies", 3),
        ("one good film", 1),
        ("5 or so", 5),
        ("I'd like three", 3),
        ("five of your best", 5),
        ("twenty-five movies", 25),
        ("a trio of comedies", 3),
        ("one comedy and one drama", 2),
        ("two comedies and 3 dramas", 5),
        ("Instead of five, give me ten", 10),
        ("I want to watch 1 movie with my 2 kids aged 5 and 8", 1),
        ("Change that to 6", 6),
        ("big fan of Heat here. 3 sugestions pls", 3),
        ("a movie", None),
        ("my 10 year old wants an adventure", None),
        ("a 90 minute comedy", None),
        ("a 5 star movie", None),
        ("Heat, Alien & Emma are my top 3", None),
        ("movies from 1995", None),
        ("get 5 bangers like Heat", 5),
        ("a couple of sad but beautiful dramas", 2),
        ("comedies, x3", 3),
        ("2x comedy", 2),
        ("10 from the sixties", 10),
        ("and now 7 from the eighties", 7),
        ("2 for tonight", 2),
        ("4 with a happy end", 4),
        ("a handful is plenty", 5),
        ("a list of twelve", 12),
        ("sorry, I meant 4", 4),
        ("ten please, five comedies and five dramas", 10),
        ("Give me 5, please. There'll be 22 of them, all aged 7.", 5),
        ("I liked the other two, what should I see?", None),
        ("2 who love dramas", None),
        ("It's 8 pm, what now?", None),
        ("2 in the morning and I can't sleep", None),
        ("0 movies", None),
        ("1000 films", None),
        ("0 films", None),
        ("find her two she doesn't know", 2),
        ("2 of whatever", 2),
        ("a trio of those if possible", 3),
        ("4, one per night", 4),
        ("June is far, shoot me seven comedies", 7),
        ("eleven more days till June, three comedies", 3),
    ],
)
def test_how_many_are_asked_for(text, count):
    assert read(text).get("count") == count


@pytest.mark.parametrize(
    "text,kind",
    [
        ("Heat did nothing for me", "disliked"),
        ("Heat was a bit boring", "disliked"),
        ("Heat was not bad", "liked"),
        ("We saw Heat. Great movie!", "liked"),
        ("We saw Heat. Terrible movie.", "disliked"),
        ("I saw Heat and it was boring", "disliked"),
        ("Everyone loves Heat but I don't", "disliked"),
        ("not Heat, I've seen it", "known"),
        ("don't recommend Heat, I've seen it", "known"),
        ("I hated Heat, I've seen it twice", "disliked"),
        ("Heat? Seen it.", "known"),
        ("thumbs down for Heat", "disliked"),
        ("don't give me anything like Heat", "disliked"),
        ("- Heat\n+ Alien", "disliked"),
        ("Disliked: Heat", "disliked"),
        ("fell asleep during Heat", "disliked"),
        ("couldn't get through Heat", "disliked"),
        ("Heat is the most overrated film ever made", "disliked"),
        ("we ended up with Heat, which we both found unbearable", "disliked"),
        ("saw Heat yesterday and was disappointed", "disliked"),
        ("I watched Heat. We were bored.", "disliked"),
        ("Worst film ever: Heat", "disliked"),
        ("Heat: 2/10", "disliked"),
        ("I watched Heat with my son, he was thrilled", "liked"),
        ("watched Heat with my dad and we were blown away", "liked"),
        ("a cross between Heat and Alien, do you have such a thing?", "liked"),
        ("Heat: 9/10", "liked"),
        ("Skip Heat, I've got the tape", "known"),
        ("Not Heat, we watched that yesterday", "known"),
        ("comedies like Heat", "liked"),
        ("saw Heat yesterday, what a load of rubbish", "disliked"),
        ("Heat: seen, hated.", "disliked"),
        ("Heat makes me want to run away", "disliked"),
        ("not Heat either, seen that as well", "known"),
    ],
)
def test_what_is_said_of_a_title(text, kind):
    assert read(text)[kind][0] == "Heat"


@pytest.mark.parametrize("text", ["I haven't seen Heat", "Heat? Haven't seen it yet.", "Heat? Not seen."])
def test_a_title_that_was_not_seen_is_not_known(text):
    assert read(text) == {}


@pytest.mark.parametrize("text", ["I loved Alien from 1979", "Heat (1995)", "loved the first Alien from 1979 though"])
def test_the_year_of_a_title_is_no_range(text):
    assert "ranges" not in read(text)


@pytest.mark.parametrize(
    "text,low,high",
    [
        ("a film that's not older than me, I was made in 1982", 1982, None),
        ("films older than me, I was born in 1960", None, 1959),
        ("films my age, I was born in 1980", 1980, 1980),
        ("From the years 60, please", 1960, 1969),
        ("mum says it was 68, so 68 please", 1968, 1968),
    ],
)
def test_the_years_of_films_are_told_from_those_of_people(text, low, high):
    change = read(text)
    assert change["ranges"] == [("year", low, high)] and "count" not in change
    assert "ranges" not in read("I've been a nurse since 1971, a musical please")


@pytest.mark.parametrize("text", ["I am funny", "my funny aunt needs a western", "I am a funny person"])
def test_a_meaning_counts_only_where_it_describes_what_is_wanted(text):
    assert CategoryReader(["Comedy", "Western"], encode).find_meanings(text) == []


def test_a_correction_is_no_new_start():
    assert "forget" not in read("scratch that, a drama") and read("Scratch that. Comedies")["forget"]


@pytest.mark.parametrize("text", ["a movie please", "older movies", "comedies like Heat", "what's good?", "even more!"])
def test_a_noun_alone_asks(text):
    assert read(text)["asks"]


@pytest.mark.parametrize(
    "text",
    """
    something for a rainy evening | anything good? | surprise me | next? | and now? | Now what? | for the kids this time
    with a happy end | Ideas? | any tips? | what do I put on? | What's actually worth watching? | Which one do I take?
    which would you choose? | What should be next? | what's your advice? | got anything along those lines
    Suggest something sad. | Today we'd like something decent. | we can't decide on a film | you choose | hit me
    We're looking for a film all four of us will enjoy. | show me what you have | what would suit him? | not too violent
    no blood, no guns | more recent please | a bit lighter | try again | none of those | same again but newer
    yes please | whats for me | tell me what comes close | smth along those lines?? | with jackie chan
    The party is off, two films then. | my teacher wants a film | you know what, start over: westerns
    must have: horror
    """.replace("\n", "|").split("|")[1:-1],
)
def test_a_request_without_a_verb_or_a_wish_asks(text):
    assert read(text.strip())["asks"]


@pytest.mark.parametrize(
    "text",
    """
    I'm not into horror | Great movie! | westerns bore me | Heat I've seen already | I'm a horror fan | I take Heat back
    musicals are awful, never show me one | not a request, just wanted to say that Heat is perfect | tell me a joke
    who won the oscar in 1994? | When did Heat come out? | How does this work? | what is film noir? | what is a western?
    no thanks | no problem | thanks, no more for today | please stop | Can you explain that please?
    that was a nice list | Alien and Heat she has at home already. | Alien, Heat, all great | eleven more days till June
    which film won best picture in 1994 | I own comedies, dramas
    """.replace("\n", "|").split("|")[1:-1],
)
def test_a_statement_does_not_ask(text):
    assert not read(text.strip()).get("asks")


@pytest.mark.parametrize("text", ["I should laugh more. Help me.", "less romance, more fun please", "no more westerns"])
def test_more_of_something_else_is_not_more_items(text):
    assert "more" not in read(text)


@pytest.mark.parametrize("text", ["2 extra ones please", "other ones?", "next ones please", "keep 'em coming"])
def test_more_items_are_asked_for(text):
    assert read(text)["more"]


@pytest.mark.parametrize(
    "text",
    ["the year doesn't matter", "from any year", "never mind the year", "no matter what decade", "old or new"],
)
def test_a_range_is_taken_back(text):
    preferences = Preferences().after(READER.read("comedies from 1995"))
    assert preferences.ranges and not preferences.after(READER.read(text)).ranges


ITEMS = [
    Item(str(i), f"Lamp {i} X", ("Lamps",), attributes={"price": 5.0 * i, "rating": i / 2, "page_count": 100 * i})
    for i in range(1, 20)
]
SHOP = make_catalog("shop", ITEMS, {"u": ["1", "2", "3"]})
SHOP_READER = RequestReader(SHOP, NamedTitles(SHOP.titles))


@pytest.mark.parametrize(
    "text,attribute,low,high",
    [
        ("lamps under 20 dollars", "price", None, 20),
        ("not over 30 bucks", "price", None, 30),
        ("$20 max", "price", None, 20),
        ("price between 5 and 20", "price", 5, 20),
        ("rated above 8", "rating", 8, None),
        ("a rating of at least 7.5", "rating", 7.5, None),
        ("rating 8 or higher", "rating", 8, None),
        ("8+ rating", "rating", 8, None),
        ("at least 300 pages", "page_count", 300, None),
        ("300 pages or less", "page_count", None, 300),
        ("no more than 300 pages", "page_count", None, 300),
        ("from 100 to 300 pages", "page_count", 100, 300),
        ("100 to 300 pages", "page_count", 100, 300),
        ("under 300 pages", "page_count", None, 299),
        ("score over 8", "rating", 8, None),
        ("more than 7 stars", "rating", 7, None),
        ("at least 8 out of 10", "rating", 8, None),
        ("rated at least eight", "rating", 8, None),
    ],
)
def test_bounds_of_other_attributes_are_read(text, attribute, low, high):
    (entry,) = SHOP_READER.read(text).ranges
    assert (entry.attribute, entry.low, entry.high) == (attribute, low, high)


def test_a_number_of_items_is_no_bound():
    change = SHOP_READER.read("5 lamps, at most 200 pages")
    assert change.count == 5 and len(change.ranges) == 1
    assert SHOP_READER.read("more than 5 lamps").ranges == ()


@pytest.mark.parametrize(
    "texts,liked,disliked",
    [
        (["I've seen Heat.", "It was amazing, by the way."], ["Heat"], []),
        (["I've seen Heat.", "didn't like it"], [], ["Heat"]),
        (["films like Heat", "I love it"], ["Heat"], []),  # the answer's list, and no example of the user's
        (["films like Heat", "I hated it"], ["Heat"], []),
        (["It was great!"], [], []),
    ],
)
def test_a_message_judges_the_titles_of_the_one_before(texts, liked, disliked):
    preferences = Preferences()
    for text in texts:
        preferences = preferences.after(READER.read(text))
    titles = [[CATALOG.items[items[0]].title for items in kind] for kind in (preferences.liked, preferences.disliked)]
    assert titles == [liked, disliked]


ANIME = make_catalog(
    "anime",
    [Item(str(i), f"Show {i} X", attributes={"score": i / 2, "episodes": 10 * i, "rank": i}) for i in range(1, 20)],
    {"u": ["1", "2", "3"]},
)


@pytest.mark.parametrize(
    "text,attribute,low,high",
    [
        ("rated above 8", "score", 8, None),
        ("with a rating of at least 7.5", "score", 7.5, None),
        ("8 stars or more", "score", 8, None),
        ("at most 12 episodes", "episodes", None, 12),
        ("under 13 episodes", "episodes", None, 12),
    ],
)
def test_a_rating_is_the_attribute_that_the_catalog_has_for_it(text, attribute, low, high):
    change = RequestReader(ANIME, NamedTitles(ANIME.titles)).read(text)
    assert [(entry.attribute, entry.low, entry.high) for entry in change.ranges] == [(attribute, low, high)]
    assert change.count is None


@pytest.mark.parametrize("text", ['I haven\'t seen any of "Alien" and "Heat"', 'I have seen none of "Alien" or "Heat"'])
def test_titles_that_the_user_has_not_seen_are_not_known(text):
    assert read(text) == {}


@pytest.mark.parametrize(
    "text,only,without",
    [
        ("I wouldn't say no to a western", ("Western",), ()),
        ("I can't say I don't like horror, so show me some horror", ("Horror",), ()),
        ("I don't want no horror", (), ("Horror",)),
        ("I don't like anything except comedies, please", ("Comedy",), ()),
        ("no dramas except romantic ones", (), ("Drama",)),
        ("a comedy, no wait, a western", ("Western",), ()),
        ("comedies. Actually, dramas", ("Drama",), ()),
        ("instead of comedies, westerns", ("Western",), ("Comedy",)),
        ("comedies, or if there are none, dramas", ("Comedy", "Drama"), ()),
        ("I'd take a western over a drama any day", ("Western",), ("Drama",)),
        ("how about swapping the comedies for dramas", ("Drama",), ()),
        ("less talky, more action", ("Action",), ()),
        ("that's not what I meant: a mystery", ("Mystery",), ()),
        ("you gave me westerns, I asked for war films", ("War",), ()),
        ("not a horror guy, but my friends are: give us two horror films", ("Horror",), ()),
        ("keep the war stuff out", (), ("War",)),
        ("musicals give me a headache, so what else", (), ("Musical",)),
        ("westerns? hell no. Something else", (), ("Western",)),
        ("I've had my fill of comedies, what else", (), ("Comedy",)),
        ("a film for my 3 kids", ("Children's",), ()),
        ("something to watch with my kids", ("Children's",), ()),
        ("a film that I can enjoy with the little kids", ("Children's",), ()),
        ("I watched it with my kids. Something else?", (), ()),
    ],
)
def test_the_reach_of_a_rejection_is_read(text, only, without):
    change = READER.read(text)
    assert (change.only, change.without) == (only, without)


@pytest.mark.parametrize(
    "text,count",
    [
        ("no fewer than 6 comedies", 6),
        ("no more than 3 please", 3),
        ("five of em", 5),
        ("not a funny one please", None),
        ("name me one.", 1),
        ("movie tips for a long flight? 5 maybe", 5),
        ("I disliked all three of them. What next?", None),
        ("a dozen would be better", 12),
        ("a quartet of war films", 4),
        ("I don't need another drama", None),
    ],
)
def test_the_number_of_items_is_read(text, count):
    assert READER.read(text).count == count


@pytest.mark.parametrize(
    "text,kind",
    [
        ("everyone hated Heat, I loved it", "liked"),
        ("Heat was anything but good", "disliked"),
        ("Emma was lovely, not so much Heat", "disliked"),
        ("wasn't impressed by Heat", "disliked"),
        ("Heat is on our shelf", "known"),
        ("I have a soft spot for Heat", "liked"),
        ("a crime film like Heat, but no Heat please", "liked"),
    ],
)
def test_judgments_of_titles_are_read(text, kind):
    assert "Heat" in [CATALOG.items[items[0]].title for items in getattr(READER.read(text), kind)]


@pytest.mark.parametrize("text", ["what shoud i watch", "recomend a film", "somthing good", "a movei plese"])
def test_typing_errors_in_words_of_a_request_are_read_over(text):
    assert READER.read(text).asks


def test_a_title_that_was_asked_about_may_be_referred_to():
    state = Preferences().after(READER.read("Who directed Heat?")).after(READER.read("recommend four films like it"))
    assert state.liked == ((4,),)


def test_a_long_message_about_watching_is_read():
    text = "something watch " * 120
    assert READER.read(f"{text}my kids, {text}my kids").only == ()
