"""What is streamed is what the whole answer decodes to, whatever the tokenizer does to spaces and bytes."""

import pytest
from chat_templates import KINDS, family_chat
from hypothesis import given
from hypothesis import strategies as st
from tiny import scripted, tiny_chat, tiny_model

from train_utils.constraint.constraint import Constraint
from train_utils.decoding.engine import Engine
from train_utils.decoding.events import Done, ItemEvent, TextDelta
from train_utils.decoding.reference import PlainEngine
from train_utils.decoding.request import Request
from train_utils.prompts.messages import ItemPart, Message, message

TITLES = ("red moon", "the end", "Éternel été", "夜のピクニック", "a")
SENTENCE = "Sure, the red moon and the end are titles of an item."
ANSWERS = {
    "text": (SENTENCE,),
    "bytes": ("naïve — ‘end’ 🎬\n\n夜 2.",),
    "items": ("I say ", ItemPart(0), " and the ", ItemPart(3), "\n2. ", ItemPart(2), "."),
    "only items": (ItemPart(1), ItemPart(4)),
}
kinds = pytest.mark.parametrize("kind", KINDS)


def joined(parts, titles=TITLES) -> str:
    return "".join(part if isinstance(part, str) else f"[{titles[part.item]}]" for part in parts)


def streamed(engine, chat, prompt, answer) -> tuple[list, list[int]]:
    """Events of an engine whose model writes the rendered answer, and the tokens of that."""
    request = Request(prompt, Constraint(chat.trie), answer_at=len(prompt), max_new_tokens=400)
    return list(engine.stream(request)), answer


@kinds
@pytest.mark.parametrize("name", ["Llama-2", "Phi", "Gemma", "Qwen2.5"])
@pytest.mark.parametrize("parts", ANSWERS.values(), ids=ANSWERS)
def test_a_stream_joined_is_the_whole_answer_and_the_next_prompt_holds_its_tokens(name, kind, parts):
    chat = family_chat(name, kind, TITLES)
    user, spoken = message("user", "recommend"), message("assistant", *parts)
    prompt = chat.render([user], prompt=True).ids
    whole = chat.render([user, spoken], prompt=False).ids
    answer = whole[len(prompt) : whole.index(chat.end_of_turn, len(prompt))]
    for make in (Engine, PlainEngine):
        model = tiny_model(len(chat.tokenizer))
        scripted(model, dict(enumerate([*answer, chat.end_of_turn], len(prompt))))
        events, _ = streamed(make(model, chat), chat, prompt, answer)
        shown = [e.text if isinstance(e, TextDelta) else ItemPart(e.item) for e in events if not isinstance(e, Done)]
        assert joined(shown) == joined(chat.parts_of(answer, chat.title_ids.index))
        assert joined(shown).strip() == joined(parts)
        if not any(isinstance(part, ItemPart) for part in parts):
            assert joined(shown) == chat.decode(answer)
        # What is kept of the answer is read by the model as it was written.
        kept = Message("assistant", chat.parts_of(answer, chat.title_ids.index))
        assert chat.render([user, kept], prompt=False).ids == whole


@kinds
@given(data=st.data())
def test_no_token_that_follows_changes_what_was_shown(kind, data):
    chat = family_chat("Phi", kind, TITLES)
    ids = data.draw(
        st.lists(
            st.integers(0, len(chat.tokenizer) - 1).filter(lambda token: token not in (chat.soi, chat.eoi)), max_size=30
        )
    )
    for first in (True, False):
        shown = ""
        for end in range(len(ids) + 1):
            settled = chat.settled_part(ids[:end], first)
            if len(settled) > len(shown):
                shown = settled
            assert chat.decode_part(ids, first).startswith(shown)


def test_bytes_that_make_no_character_are_shown_while_they_are_written():
    chat = family_chat("Phi", "bytes", TITLES)
    ids = chat.encode("夜")[:1] * 50
    assert len(chat.settled_part(ids, first=True)) >= 47, "only the last three may still become a character"


@kinds
@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_text_in_the_middle_of_an_answer_is_encoded_without_a_space_of_the_tokenizers_own(kind, text):
    chat = family_chat("Phi", kind, TITLES)
    assert (
        chat.decode_part(chat.encode(text, continues=True), first=False)
        == chat.decode([*chat.encode("a"), *chat.encode(text, continues=True)])[1:]
    )
    if kind in ("bytes", "never"):
        assert chat.encode(text, continues=True) == chat.encode(text)
    elif "▁" not in text:
        assert chat.decode_part(chat.encode(text, continues=True), first=False) == text


def test_a_free_model_is_streamed_to_the_letter():
    """Nothing constrains it: what is between its control symbols is text like any other."""
    model, chat = tiny_chat(list(TITLES))
    prompt = chat.render([message("user", "recommend")], prompt=True).ids
    answer = [*chat.encode("see "), chat.soi, *chat.encode(" nothing like it"), chat.eoi, *chat.encode(" or so")]
    scripted(model, dict(enumerate([*answer, chat.end_of_turn], len(prompt))))
    events = list(Engine(model, chat).stream(Request(prompt, Constraint(chat.trie), constrained=False)))
    assert not any(isinstance(event, ItemEvent) for event in events)
    assert "".join(e.text for e in events if isinstance(e, TextDelta)) == chat.decode(answer)
