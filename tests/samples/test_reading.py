"""A reading sample says in its line what its message says, and no more."""

import dataclasses
import re

import pytest
from tiny import coded_chat, tiny_chat
from tiny_samples import CONFIG, EXCHANGE

from train_utils.catalog import Item, make_catalog
from train_utils.decoding.guided_line import LineGrammar, grammar_tokenizer
from train_utils.prompts.messages import ItemPart
from train_utils.prompts.reading_line import ReadingLine, line_grammar, line_parts, parsed_line
from train_utils.prompts.templates import READING
from train_utils.prompts.title_forms import spoken_title
from train_utils.samples.plan import MOST_TOLD
from train_utils.samples.sources import DrawnSamples
from train_utils.samples.tasks import parse_tasks

TITLES = [
    f"{color} {thing}" for color in ("Amber", "Silver", "Emerald") for thing in ("Harbor", "Voyage", "Sparrow, The")
]
KINDS = (("Comedy",), ("Drama", "War"), (), ("Comedy", "Romance"))
WANTED = dataclasses.replace(CONFIG, tasks=parse_tasks("SFTReading"), max_history=8, max_token_length=2000)
N = 300


def films():
    items = [
        Item(str(n), title, KINDS[n % 4], attributes={"year": 1950 + 5 * n, "score": n / 2})
        for n, title in enumerate(TITLES)
    ]
    return make_catalog(
        "films", items, {f"u{user}": [str((user + step) % 9) for step in range(7)] for user in range(9)}
    )


CATALOG = films()
CHAT = tiny_chat(TITLES)[1]


def drawn(chat=CHAT, exchanges=(EXCHANGE,), **changed):
    return DrawnSamples(CATALOG, chat, None, exchanges, dataclasses.replace(WANTED, **changed))


def read(talk):
    """(the message, its slots) of a sample."""
    _, user, answer = talk.messages
    return user.parts[0].removeprefix(READING), parsed_line(answer.parts)


def test_all_that_a_line_says_is_in_the_message():
    seen = set()
    for talk in drawn().talks(range(N)):
        text, line = read(talk)
        assert line_parts(line) == talk.messages[2].parts
        named = [*line.liked, *line.disliked, *line.known]
        assert len(set(named)) == len(named) <= MOST_TOLD
        words = [spoken_title(TITLES[item]) for item in named] + [*line.only, *line.without]
        assert all(word.lower() in text.lower() for word in words), (text, line)
        # A message names no title that is not in its line.
        assert sum(spoken_title(title).lower() in text.lower() for title in TITLES) == len(named)
        assert line.count is None or re.search(rf"\b{line.count}\b|[a-z]", text)
        assert line.asks or not (line.count or line.only or line.without or line.ranges or line.more)
        slots = ReadingLine.__dataclass_fields__
        seen.update(name for name in slots if getattr(line, name) != getattr(ReadingLine(), name))
        seen.update(["chat"] if text == EXCHANGE[0].parts[0] else [])
    assert seen == {*ReadingLine.__dataclass_fields__, "chat"}


@pytest.mark.parametrize("form", ["title_t", "token"])
def test_every_line_is_one_of_the_grammar(form):
    chat = CHAT if form == "title_t" else coded_chat(TITLES, form)[1]
    grammar = LineGrammar(
        chat, grammar_tokenizer(chat), line_grammar(CATALOG.categories, CATALOG.numeric_attributes, chat.soi, chat.eoi)
    )
    for talk in drawn(chat).talks(range(0, N, 4)):
        state, rendered = grammar.begin(), talk.rendered
        for token, labeled in zip(rendered.ids, rendered.labeled, strict=True):
            if labeled:
                assert token in state.allowed()
                if token == chat.end_of_turn:
                    break
                state.accept_token(token)
        else:
            pytest.fail("the line does not end")


def test_a_chat_message_asks_for_nothing_and_none_is_needed():
    chats = [talk for talk in drawn().talks(range(N)) if read(talk)[0] == EXCHANGE[0].parts[0]]
    assert N / 10 < len(chats) < N / 3 and {read(talk)[1] for talk in chats} == {ReadingLine()}
    assert all(read(talk)[0] != EXCHANGE[0].parts[0] for talk in drawn(exchanges=()).talks(range(50)))


def test_a_sample_is_shortened_to_fit_and_a_limit_below_the_shortest_is_refused():
    whole = drawn().talks(range(N))
    longest = max(len(talk.rendered.ids) for talk in whole)
    shorter = drawn(max_token_length=longest - 40)
    shorter.check(1)
    talks = shorter.talks(range(N))
    assert max(len(talk.rendered.ids) for talk in talks) <= longest - 40
    for before, after in zip(whole, talks, strict=True):
        items = [sum(isinstance(part, ItemPart) for part in talk.messages[2].parts) for talk in (before, after)]
        assert items[1] <= items[0] and (items[1] < items[0] or before.messages == after.messages)
    with pytest.raises(ValueError, match="too short for samples"):
        drawn(max_token_length=60).check(1)


def test_a_line_is_trained_whole_whatever_the_limit_of_answers():
    for one, other in zip(drawn().talks(range(40)), drawn(max_answer=2).talks(range(40)), strict=True):
        assert one.rendered == other.rendered
