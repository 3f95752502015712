"""Conversations in Python obey what messages ask, and are those of the chat and the server."""

from dataclasses import replace

import numpy as np
import pytest
from film_world import NAMES, catalog
from tiny import scripted, tiny_chat

from train_utils import Conversation, Recommendation, Recommender
from train_utils.constraint.constraint import ConstraintError
from train_utils.decoding.events import Done, TextDelta
from train_utils.dialogue.answers import Notice, reply
from train_utils.dialogue.dialogue import Dialogue
from train_utils.dialogue.expectations import Expectations
from train_utils.dialogue.readers import make_reader
from train_utils.prompts.renderer import Chat


@pytest.fixture(scope="module")
def recommender():
    model, chat = tiny_chat(NAMES, 3, tied=False)
    return Recommender(model, Chat(chat.tokenizer, NAMES), catalog())


@pytest.fixture
def talk(recommender):
    return Conversation(recommender, max_new_tokens=200)


def test_an_answer_has_exactly_the_items_that_were_asked_for(talk):
    answer = talk.ask("3 films from the nineties, no crime")
    assert len(answer.items) == 3 and answer.understood == "3 items · no Crime · year 1990 to 1999"
    assert {item.title for item in answer.items} <= {"Toy Story", "Lion King, The", "Aladdin"}
    assert [item.rank for item in answer.items] == [1, 2, 3] and all(item.title in answer.text for item in answer.items)
    assert answer.notices == ()


def test_what_was_asked_holds_and_nothing_comes_back(talk):
    first = talk.ask("2 films like Alien")
    second = talk.ask("3 more, but no horror")
    listed = [item.title for item in (*first.items, *second.items)]
    assert len(listed) == len(set(listed)) == 5 and "Alien" not in listed
    assert not {item.title for item in second.items} & {"Alien", "Aliens"}


def test_fewer_items_than_were_asked_for_are_noticed(talk):
    answer = talk.ask("5 films, only crime")
    assert {item.title for item in answer.items} == {"Heat", "Casino"} and answer.notices == (
        "only 2 items of films fit",
    )
    nothing = talk.ask("3 more")
    assert not nothing.items and not nothing.text and len(nothing.notices) == 1


def test_a_history_and_rules_are_those_of_the_whole_conversation(recommender):
    talk = Conversation(recommender, ["Heat"], {"categories": ["Crime", "Horror"]}, max_new_tokens=200)
    assert {item.title for item in talk.ask("8 films").items} == {"Alien", "Aliens", "Casino"}
    with pytest.raises(ValueError, match="is no item id or title"):
        Conversation(recommender, ["Titanic 2"])
    with pytest.raises(ConstraintError, match="admit no"):
        Conversation(recommender, rules={"categories": ["Crime"], "without_categories": ["Crime"]})


def test_another_conversation_knows_nothing_of_the_first(talk):
    talk.ask("2 films, no horror")
    other = talk.another(["Heat"])
    assert other.understood == "" and {item.title for item in other.ask("8 films").items} == {*NAMES} - {"Heat"}
    assert talk.understood == "2 items · no Horror"


def test_reasons_name_items_of_the_last_list(talk):
    assert talk.why() == ""
    answer = talk.ask("2 films like Alien")
    assert talk.why(2).startswith(f"{answer.items[1].title}: ") and len(talk.why().splitlines()) == 2
    with pytest.raises(ValueError, match="`ranks` has 3, and the last list has 2 items"):
        talk.why(3)
    for rank in (0, "1", 1.0, None):
        with pytest.raises(ValueError, match="`ranks`"):
            talk.why(rank)
    assert talk.ask("why the first one?").text == talk.why(1), "the list is still the last one"


def without_score(event):
    """Return an event without its score, whose last digit depends on what the engine decoded before."""
    return replace(event, score=0.0) if isinstance(event, Recommendation) else event


def test_the_events_are_those_of_the_chat(recommender, talk):
    expectations = Expectations.of(recommender, recommender.catalog)
    dialogue = Dialogue(recommender, make_reader("rules", recommender), max_new_tokens=200)
    for text in ("2 films like Alien", "hello", "3 more"):
        ours, chat = talk.events(text), reply(dialogue, expectations, text)
        assert [*map(without_score, ours)] == [*map(without_score, chat)]


def test_a_stopped_answer_is_kept_as_far_as_it_was_read(talk):
    for event in talk.events("3 films, no horror"):
        if not isinstance(event, (Notice, TextDelta)):
            first = event.title
            break
    assert first not in {item.title for item in talk.ask("5 more").items}


def test_without_a_catalog_there_is_talk_alone():
    model, chat = tiny_chat(NAMES, 3, tied=False)
    talk = Conversation(Recommender(model, Chat(chat.tokenizer)), max_new_tokens=10)
    *_, last = (event for event in talk.events("5 films") if not isinstance(event, Notice))
    assert isinstance(last, Done) and talk.why() == "" and not talk.ask("5 films").items


def test_limits_per_category_end_a_list_and_its_length_is_noticed(recommender):
    talk = Conversation(recommender, rules={"max_per_category": 1}, max_new_tokens=200)
    answer = talk.ask("8 films")
    assert len(answer.items) == 4 and answer.notices == ("only 4 items of films fit",)
    assert talk.another(rules={"max_per_category": 1}).ask("4 films").notices == ()


def test_a_limit_for_a_category_that_no_item_has_is_refused_before_the_first_message(recommender):
    with pytest.raises(ValueError, match="has category 'Crimes'"):
        Conversation(recommender, rules={"max_per_category": {"Crimes": 1}})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"history": "Heat"}, "`history` is 'Heat', wanted a list"),
        ({"rules": []}, "rules: the body is"),
        ({"list_length": 0}, "`list_length` is 0"),
        ({"list_length": 2.5}, "`list_length` is 2.5"),
        ({"max_new_tokens": "9"}, "`max_new_tokens` is '9'"),
        ({"max_new_tokens": 5000}, "`max_new_tokens` is 5000, which leaves no room"),
        ({"max_context": -1}, "`max_context` is -1"),
        ({"encoder": 5}, "`encoder` is 5"),
        ({"encoder": ""}, "`encoder` is ''"),
    ],
)
def test_wrong_arguments_are_refused_when_a_conversation_is_made(recommender, arguments, message):
    with pytest.raises(ValueError, match=message):
        Conversation(recommender, **arguments)


def test_what_is_no_recommender_or_no_message_is_refused(talk):
    with pytest.raises(ValueError, match="`recommender` is 'snap', wanted a Recommender"):
        Conversation("snap")
    for text in (None, 5, b"films", ["films"]):
        with pytest.raises(ValueError, match="`text` is"):
            talk.events(text)
    assert len(talk.ask("2 films \ud800").items) == 2, "half a character is none"


def test_a_history_may_be_any_sequence(recommender):
    for history in (("Heat",), np.array(["Heat", "Casino"]), iter(["Heat"]), np.array([])):
        assert Conversation(recommender, history, max_new_tokens=200).ask("1 film").items


def test_two_answers_at_a_time_are_refused_and_a_closed_one_makes_room(talk):
    begun = talk.events("3 films")
    next(begun)
    with pytest.raises(ValueError, match="the answer before is not read to its end"):
        talk.ask("3 films")
    assert talk.another().ask("3 films").items, "another conversation is free"
    first = next(event.id for event in begun if isinstance(event, Recommendation))
    begun.close()
    assert first not in {item.id for item in talk.ask("8 films").items}


def test_without_a_catalog_rules_and_a_history_are_refused():
    model, chat = tiny_chat(NAMES, 3, tied=False)
    plain = Recommender(model, Chat(chat.tokenizer))
    for arguments in ({"history": ["Heat"]}, {"rules": {"categories": ["Crime"]}}):
        with pytest.raises(ValueError, match="no catalog is loaded"):
            Conversation(plain, **arguments)


def test_questions_about_the_catalog_and_a_list_that_was_not_given_need_no_model(talk):
    assert talk.ask("what categories do you have?").text == "films has Children's, Crime, Horror, Sci-Fi."
    assert talk.ask("Which genres are there").text == "films has Children's, Crime, Horror, Sci-Fi."
    assert talk.ask("why the second one?").text == talk.ask("why these?").text == "Nothing was listed yet."
    assert talk.ask("2 films").items and "Nothing was listed" not in talk.ask("why the second one?").text


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("films like inception", "inception"),
        ("FILMS LIKE INCEPTION", "INCEPTION"),
        ("parasite was insane, whats next for me", "parasite"),
        ("memento, gladiator, shrek. recommend something", "memento, gladiator, shrek"),
    ],
)
def test_a_list_after_titles_that_the_catalog_lacks_says_so_as_they_were_typed(talk, text, names):
    answer = talk.ask(text)
    assert answer.items and f"not in films: {names}" in answer.notices


def test_a_question_after_titles_that_the_catalog_lacks_is_answered_without_the_model(talk):
    assert talk.ask("u got inception? interstellar?").text == "films does not have inception, interstellar."
    assert talk.ask("is the new dune any good").text == "films does not have dune."
    assert talk.ask("parasite was insane").text == "films does not have parasite."


@pytest.mark.parametrize("written", ["\u200b", "\ufeff\u2060", "\n"])
def test_an_answer_that_nobody_could_see_says_what_can_be_asked(written):
    model, chat = tiny_chat(NAMES, 3, tied=False)
    tokens = chat.encode(written)
    scripted(model, {at: tokens[at % len(tokens)] for at in range(1000)})
    talk = Conversation(Recommender(model, Chat(chat.tokenizer, NAMES), catalog()), max_new_tokens=100)
    answer = talk.ask("thank you!")
    assert answer.text.strip().startswith("I am here for the next list") and answer.notices == ()
