"""One set of promises for the chat templates of many model families, on byte-level and SentencePiece tokens."""

import dataclasses
import itertools
import subprocess
import sys
from datetime import date, datetime
from pathlib import Path
from string import ascii_letters

import pytest
from chat_templates import FAMILIES, KINDS, OTHER_FAMILIES, R1, Family, family_chat, family_tokenizer
from tiny import tiny_model
from tokenizers import normalizers
from transformers import AutoTokenizer

from train_utils.constraint.constraint import Constraint
from train_utils.constraint.matcher import Matcher
from train_utils.constraint.trie import build_trie
from train_utils.decoding.engine import Engine
from train_utils.decoding.reference import generate_reference
from train_utils.decoding.request import Request
from train_utils.decoding.title_search import prefill_to_item
from train_utils.files.atomic import PROMPT_DATE
from train_utils.manifest import manifest
from train_utils.processor import Trie_link
from train_utils.prompts.chat_template import turn_marks, with_fixed_date
from train_utils.prompts.control_tokens import add_control_tokens, split_completion
from train_utils.prompts.messages import ControlPart, ItemPart, TitlePart, message, numbered
from train_utils.prompts.renderer import Chat

TITLES = (
    "red moon",
    "the Red moon 2",
    "Éternel été",
    "夜のピクニック",
    "12 Monkeys (1995)",
    "iPod",
    "a",
    "100% blue: night, the",
    "naïve — ‘end’ 🎬",
    "Se7en",
)
pairs = pytest.mark.parametrize("kind", KINDS)
families = pytest.mark.parametrize("name", FAMILIES)
ROUNDS = (
    message("user", " the red moon, then", TitlePart(1), "\n"),
    message("assistant", "Take ", ItemPart(2), ". "),
    message("user", "more ", ItemPart(3), ControlPart("soi")),
    message("assistant", *numbered([4, 0], True)),
    message("user", "why?"),
    message("assistant", "a blue\n\nnight"),
)
SYSTEM = message("system", "be kind")


def chat_of(name: str, kind: str) -> Chat:
    return family_chat(name, kind, TITLES)


def conversations():
    for head, rounds in itertools.product(((), (SYSTEM,)), (1, 2, 3)):
        yield [*head, *ROUNDS[: 2 * rounds]]


@pairs
@families
def test_a_conversation_begins_with_every_prompt_cut_from_it_and_the_answers_alone_are_labeled(name, kind):
    chat = chat_of(name, kind)
    assert chat.tokenizer.convert_ids_to_tokens(chat.end_of_turn) == FAMILIES[name].end_of_turn
    for talk in conversations():
        whole = chat.render(talk, prompt=False)
        labeled = [False] * len(whole.ids)
        for i, entry in enumerate(talk):
            if entry.role == "assistant":
                prompt = chat.render(talk[:i], prompt=True)
                assert whole.ids[: len(prompt.ids)] == prompt.ids
                assert whole.labeled[: len(prompt.ids)] == prompt.labeled
                end = whole.ids.index(chat.end_of_turn, len(prompt.ids)) + 1
                labeled[len(prompt.ids) : end] = [True] * (end - len(prompt.ids))
        assert whole.labeled == labeled


@pairs
@families
def test_items_stand_between_control_tokens_where_the_rendering_says(name, kind):
    chat = chat_of(name, kind)
    rendered = chat.render([SYSTEM, *ROUNDS], prompt=False)
    assert [item for _, item in rendered.items] == [2, 3, 4, 0]
    for start, item in rendered.items:
        assert rendered.ids[start : start + len(chat.item_ids(item))] == chat.item_ids(item)
    assert rendered.ids.count(chat.soi) == 5 and rendered.ids.count(chat.eoi) == 4


@pairs
@families
def test_a_rendering_reads_as_the_templates_own_text(name, kind):
    chat = chat_of(name, kind)
    talk = [("user", " the red moon"), ("assistant", "a blue river"), ("user", "more, 2 "), ("assistant", "none")]
    # Older answers of a template that thinks are written as they were prompted for, so one round is compared.
    talk = talk[:2] if "<think>" in FAMILIES[name].markers else talk
    for length in (1, len(talk)):
        ids = chat.render([message(role, text) for role, text in talk[:length]], prompt=length == 1).ids
        own = chat.tokenizer.apply_chat_template(
            [{"role": r, "content": t} for r, t in talk[:length]],
            tokenize=False,
            add_generation_prompt=length == 1,
            enable_thinking=False,
        )
        read = chat.tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        if name == "always-thinks" and length == 1:
            own += "\n</think>\n\n"
        if not FAMILIES[name].closes:
            read = read.replace(FAMILIES[name].end_of_turn, "")
        if kind in ("bytes", "never"):
            assert read == (own.removesuffix(" ") if length == 1 else own)
        assert "".join(read.split()) == "".join(own.split())


@pairs
@families
def test_text_forges_no_token_of_the_template_and_no_control_token(name, kind):
    chat, family = chat_of(name, kind), FAMILIES[name]
    forged = "".join((*family.special, *family.markers, "<SOI>red<EOI>", *family.markers))
    forbidden = {chat.soi, chat.eoi, *chat.tokenizer.convert_tokens_to_ids([*family.special, *family.markers])}
    assert not forbidden & set(chat.encode(forged))
    for talk in ([("user", forged)], [("system", forged), ("user", "x"), ("assistant", forged), ("user", forged)]):
        ids = chat.render([message(role, text) for role, text in talk], prompt=True).ids
        clean = chat.render([message(role, "x") for role, _ in talk], prompt=True).ids
        assert [i for i in ids if i in forbidden] == [i for i in clean if i in forbidden]


@pairs
@families
def test_a_title_that_spells_a_token_of_the_template_is_refused(name, kind):
    chat, family = chat_of(name, kind), FAMILIES[name]
    for token in (*family.special, "<EOI>", *family.markers):
        with pytest.raises(ValueError, match="holds the special token"):
            Chat(chat.tokenizer, [f"red {token}"])


def test_titles_that_the_tokenizer_makes_one_of_are_refused_by_both_names():
    tokenizer = family_tokenizer(FAMILIES["Qwen2.5"])
    tokenizer.backend_tokenizer.normalizer = normalizers.NFC()
    add_control_tokens(tokenizer)
    with pytest.raises(ValueError, match="titles 0 and 2, 'été' and .*, are the same tokens"):
        Chat(tokenizer, ["\u00e9t\u00e9", "red", "e\u0301te\u0301"])
    assert Chat(tokenizer, ["red", "red"]).trie.n_leaves == 1


def test_a_kept_trie_is_not_used_where_its_titles_would_be_refused(tmp_path):
    """The chat template decides which tokens no title may hold, and it is no part of the tokenizer's own file."""

    def tokenizer(template):
        made = family_tokenizer(dataclasses.replace(FAMILIES["Qwen3"], template=template))
        add_control_tokens(made)
        return made

    titles = ["red", "red <think>"]
    kept = Chat(tokenizer(FAMILIES["Qwen2.5"].template), titles, tmp_path)
    assert kept.trie.n_items == 2 and len(list(tmp_path.iterdir())) == 1
    with pytest.raises(ValueError, match="title 1, 'red <think>', holds the special token"):
        Chat(tokenizer(FAMILIES["Qwen3"].template), titles, tmp_path)


@pairs
@families
def test_titles_survive_and_are_told_apart(name, kind):
    chat = chat_of(name, kind)
    assert [chat.decode(ids).removeprefix(" ") for ids in chat.title_ids] == list(TITLES)
    # At most one space precedes a title, whoever writes it.
    assert not any(chat.decode([*chat.encode("a"), *ids]).startswith("a  ") for ids in chat.title_ids)
    assert build_trie(chat.title_ids, chat.soi, chat.eoi).n_items == len(TITLES)


@pairs
@families
def test_titles_in_running_text_are_encoded_with_it(name, kind):
    chat = chat_of(name, kind)
    parts = chat.render([message("user", "I saw", TitlePart(0), ", and", TitlePart(5), ".")], prompt=True).ids
    assert parts == chat.render([message("user", "I saw red moon, and iPod.")], prompt=True).ids


@pairs
@families
def test_a_system_message_is_read_before_the_first_question(name, kind):
    chat = chat_of(name, kind)
    assert chat.system_allowed == FAMILIES[name].system
    text = chat.decode(chat.render([SYSTEM, *ROUNDS], prompt=False).ids)
    assert text.count("be kind") == 1 and text.index("be kind") < text.index("the red moon")


@pytest.mark.parametrize("name", ["Llama-3", "Llama-2", "Gemma"])
def test_what_a_template_trims_is_trimmed(name):
    chat = chat_of(name, "bytes")
    loose = [message("user", " \nred ", TitlePart(0), "  "), message("assistant", " ", ItemPart(1), " so \n")]
    tight = [message("user", "red ", TitlePart(0)), message("assistant", ItemPart(1), " so")]
    assert chat.render(loose, prompt=False).ids == chat.render(tight, prompt=False).ids


def test_a_template_that_thinks_is_prompted_for_an_answer_without_a_thought():
    chat = chat_of("Qwen3", "bytes")
    thought = chat.tokenizer.encode("<think>\n\n</think>\n\n", add_special_tokens=False)
    prompt = chat.render(list(ROUNDS[:3]), prompt=True).ids
    assert prompt[-len(thought) :] == thought
    assert prompt.count(thought[0]) == 2, "the older answer keeps the words that it was prompted with"


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        (R1, "otherwise than it prompts"),
        ("{% for m in messages %}{% if m.role == 'user' %}{{ m.content }}{% endif %}{% endfor %}", "drops or moves"),
        ("{{ raise_exception('no talk') }}", "refuses messages of the roles user, assistant: no talk"),
        ("{{ 1 / 0 }}", "refuses messages"),
        ("{{ messages[0].content + 1 }}", "refuses messages"),
        ("{{ now().year }}", "'now' is undefined"),
        ("{{ datetime.now() }}", "'datetime' is undefined"),
        ({"a": "x", "b": "y"}, "multiple chat templates"),
    ],
)
def test_a_template_that_cannot_keep_the_promises_is_refused_in_one_line(template, reason):
    tokenizer = family_tokenizer(dataclasses.replace(FAMILIES["Phi"], template=template, markers=("<think>",)))
    add_control_tokens(tokenizer)
    with pytest.raises(ValueError, match=reason) as error:
        Chat(tokenizer)
    assert "\n" not in str(error.value)
    assert turn_marks(tokenizer).end_of_turn is not None, "it may prompt a model all the same"


@pytest.mark.parametrize("name", ["Gemma", "Mistral"])
def test_roles_that_a_template_refuses_are_named(name):
    with pytest.raises(ValueError, match="refuses messages of the roles user, user"):
        chat_of(name, "bytes").render([message("user", "a"), message("user", "b")], prompt=False)


@pairs
@pytest.mark.parametrize("name", ["GLM", "Solar", "Falcon"])
def test_an_answer_that_the_template_leaves_open_is_closed_and_its_end_is_learned(name, kind):
    chat = chat_of(name, kind)
    assert not chat.template.closes_turn
    for talk in (ROUNDS[:2], ROUNDS[2:4], ROUNDS):
        rendered = chat.render(talk, prompt=False)
        ends = [position for position, token in enumerate(rendered.ids) if token == chat.end_of_turn]
        assert len(ends) == len(talk) // 2 and all(rendered.labeled[position] for position in ends)
        assert all(rendered.labeled[position - 1] for position in ends)


@pytest.mark.parametrize("kind", ["bytes", "first", "never"])
@pytest.mark.parametrize("name", [name for name in OTHER_FAMILIES if name != "DeepSeek-R1"])
def test_families_that_others_serve_are_trained_as_they_are_served(name, kind):
    family = OTHER_FAMILIES[name]
    tokenizer = family_tokenizer(family, kind)
    add_control_tokens(tokenizer)
    chat = Chat(tokenizer, TITLES)
    assert tokenizer.convert_ids_to_tokens(chat.end_of_turn) == family.end_of_turn
    assert chat.template.closes_turn == family.closes
    for talk in (ROUNDS[:2], ROUNDS[:4], ROUNDS):
        whole = chat.render(talk, prompt=False)
        for i in range(1, len(talk), 2):
            prompt = chat.render(talk[:i], prompt=True)
            assert whole.ids[: len(prompt.ids)] == prompt.ids
            end = whole.ids.index(chat.end_of_turn, len(prompt.ids))
            assert whole.labeled[len(prompt.ids) - 1 : end + 1] == [False] + [True] * (end + 1 - len(prompt.ids))
            assert chat.answer_start(whole.ids[:end]) <= len(prompt.ids)
            assert not chat.tokenizer.decode(whole.ids[chat.answer_start(prompt.ids) : len(prompt.ids)]).count("more")


_BOX = "{{ '<|im_start|>system\n' + %s + '<|im_end|>\n' }}"
DATES = {
    "Llama-3.2": "{% if not date_string is defined %}{% if strftime_now is defined %}{% set date_string = "
    "strftime_now('%d %b %Y') %}{% else %}{% set date_string = '26 Jul 2024' %}{% endif %}{% endif %}"
    + _BOX
    % "date_string",
    "gpt-oss": "{% macro head() %}" + _BOX % "strftime_now('%Y-%m-%d')" + "{% endmacro %}{{ head() }}",
    "SmolLM3": "{%- set today = strftime_now('%d %B %Y') -%}" + _BOX % "today",
    "Granite": "\n{%- set day = strftime_now('%B %d, %Y') %}" + _BOX % "day",
    "date_string": _BOX % "date_string",
    "by an alias": "{% set now = strftime_now %}" + _BOX % "now(format='%Y-%m-%d')",
    "in a loop": "{% for form in ['%A', '%d %b %Y', '%X %x %c'] %}" + _BOX % "strftime_now(form)" + "{% endfor %}",
    "in a filter": _BOX % "(strftime_now('%-d %B %Y') | upper).title()",
}


@pytest.mark.parametrize("head", DATES.values(), ids=DATES)
def test_a_template_that_writes_the_date_writes_the_same_one_every_day(head):
    tokenizer = family_tokenizer(FAMILIES["Qwen2.5"])
    tokenizer.chat_template = head + FAMILIES["Qwen2.5"].template
    add_control_tokens(tokenizer)
    chat = Chat(tokenizer)
    ids = chat.render([SYSTEM, message("user", "hi")], prompt=True).ids
    text = tokenizer.decode(ids)
    written = [PROMPT_DATE.strftime(form) for form in ("%d %b %Y", "%Y-%m-%d", "%d %B %Y", "%B %d, %Y")]
    assert sum(date in text for date in written) >= 1
    assert str(date.today().year) not in text or date.today().year == PROMPT_DATE.year
    assert manifest({}, [])["prompt_date"] == PROMPT_DATE.isoformat()


def test_every_directive_of_a_date_is_written_as_python_writes_it():
    moment = datetime.combine(PROMPT_DATE, datetime.min.time())
    forms = [f"<%{flag}{letter}>" for flag in ("", "-", "_", "0") for letter in ascii_letters if letter != "s"]
    forms += [
        "%^a",
        "%^b",
        "%^B",
        "%#Z",
        "%%",
        "%%d",
        "%%%d",
        "100%",
        "%",
        "%d%m",
        "%-d.%-m.%y",
        "",
        "no date",
        "%Y年%m月%d日",
        "'%d' \"%m\"",
    ]
    template = with_fixed_date("{{ strftime_now(form) }}{# strftime_now #}")
    render = family_tokenizer(FAMILIES["Qwen2.5"]).apply_chat_template
    for form in forms:
        written = render([{"role": "user", "content": "x"}], chat_template=template, tokenize=False, form=form)
        assert written == moment.strftime(form)
    assert with_fixed_date(template) == template


TWO_DAYS = """
import datetime, sys
class Later(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(int(sys.argv[1]), 3, 4, 5, 6, 7)
datetime.datetime = Later
sys.path[:0] = [sys.argv[2], sys.argv[2] + "/prompts"]
from chat_templates import FAMILIES, family_tokenizer
from test_chat_models import DATES
from train_utils.prompts.control_tokens import add_control_tokens
from train_utils.prompts.messages import message
from train_utils.prompts.renderer import Chat
assert datetime.datetime.now().year == int(sys.argv[1])
for name, head in DATES.items():
    tokenizer = family_tokenizer(FAMILIES["Qwen2.5"])
    tokenizer.chat_template = head + FAMILIES["Qwen2.5"].template
    add_control_tokens(tokenizer)
    print(name, Chat(tokenizer).render([message("user", "hi")], prompt=True).ids)
"""


def test_prompts_are_the_same_on_two_days():
    tests = Path(__file__).resolve().parents[1]
    outputs = [
        subprocess.run(
            [sys.executable, "-c", TWO_DAYS, year, str(tests)],
            text=True,
            check=True,
            capture_output=True,
            cwd=tests.parent,
        ).stdout
        for year in ("2031", "2037")
    ]
    assert outputs[0] == outputs[1] and outputs[0].count("\n") == len(DATES)


# -- control tokens --------------------------------------------------------------------------------------------------


def test_control_tokens_are_added_where_the_vocabulary_has_no_reserve():
    tokenizer = family_tokenizer(FAMILIES["Qwen2.5"])
    before = len(tokenizer)
    assert (add_control_tokens(tokenizer), add_control_tokens(tokenizer)) == (2, 0)
    chat = Chat(tokenizer)
    assert {chat.soi, chat.eoi} == {before, before + 1}


def test_reserved_tokens_become_the_control_tokens_and_stay_so_in_the_folder(tmp_path):
    tokenizer = family_tokenizer(FAMILIES["Llama-3"])
    tokenizer.pad_token = "<|reserved_special_token_0|>"
    before = len(tokenizer)
    assert (add_control_tokens(tokenizer), add_control_tokens(tokenizer)) == (2, 0)
    assert len(tokenizer) == before
    chat = Chat(tokenizer, TITLES)
    named = ["<|reserved_special_token_1|>", "<|reserved_special_token_2|>"]
    assert tokenizer.convert_ids_to_tokens([chat.soi, chat.eoi]) == named
    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert add_control_tokens(loaded) == 0
    again = Chat(loaded, TITLES)
    assert (again.soi, again.eoi, again.title_ids) == (chat.soi, chat.eoi, chat.title_ids)
    talk = [SYSTEM, *ROUNDS]
    assert again.render(talk, prompt=False) == chat.render(talk, prompt=False)
    assert again.decode(again.item_ids(0)).strip() == TITLES[0]


def test_a_tokenizer_with_the_added_control_tokens_keeps_them_beside_a_reserve():
    tokenizer = family_tokenizer(FAMILIES["Llama-3"])
    tokenizer.add_special_tokens({"extra_special_tokens": ["<SOI>", "<EOI>"]})
    assert add_control_tokens(tokenizer) == 0
    assert tokenizer.convert_ids_to_tokens(Chat(tokenizer).soi) == "<SOI>"


def test_a_reserve_of_one_is_too_small():
    family = FAMILIES["Llama-3"]
    small = Family(family.template, family.special[:5], family.end_of_turn)
    tokenizer = family_tokenizer(small)
    before = len(tokenizer)
    assert add_control_tokens(tokenizer) == 2 and len(tokenizer) == before + 2


@families
def test_trees_decoding_and_reading_go_by_the_ids_of_the_control_tokens(name):
    chat = chat_of(name, "bytes")
    answer = [*chat.encode("see "), *chat.item_ids(3), *chat.encode(" or "), *chat.item_ids(6)]
    items, texts = split_completion(answer, chat.soi, chat.eoi)
    assert items == [chat.title_ids[3], chat.title_ids[6]]
    assert [chat.decode(ids) for ids in texts] == ["see ", " or ", ""]
    trie = Trie_link(chat.title_ids, chat.tokenizer).title_trie
    assert (trie.soi, trie.eoi) == (chat.soi, chat.eoi) == (chat.trie.soi, chat.trie.eoi)
    prompt = chat.render(list(ROUNDS[:1]), prompt=True).ids
    inside = Matcher.from_tokens(
        Constraint(chat.trie), [*prompt, *answer, chat.soi, *chat.title_ids[1]], chat.end_of_turn
    )
    assert chat.eoi in inside.allowed().tolist()


@families
def test_what_a_user_shows_is_not_what_the_answer_has_listed(name):
    """Not every template closes a user's turn: all decoders begin the answer where the prompt ends."""
    chat = chat_of(name, "bytes")
    model = tiny_model(len(chat.tokenizer))
    words = [*map(ItemPart, range(8)), " more between ", ControlPart("soi"), " and ", ControlPart("eoi")]
    prompt = chat.render([message("user", *words)], prompt=True).ids
    ask = Request(prompt, Constraint(chat.trie), answer_at=len(prompt), max_new_tokens=12)
    (listed,) = Engine(model, chat).generate(
        [dataclasses.replace(ask, max_items=10, force_items=True, max_new_tokens=999)]
    )
    assert sorted(listed.items) == list(range(10))
    assert generate_reference(model, chat, [ask])[0].ids == Engine(model, chat).generate([ask])[0].ids
    (ranked,) = prefill_to_item(model, chat, [prompt], answer_at=[len(prompt)]).most_probable([ask.rules], 10)
    assert sorted(one.item for one in ranked) == list(range(10))


@families
def test_a_conversation_reads_the_same_whatever_was_rendered_before(name):
    """What a template writes is kept by the roles; contents and the end of a prompt do not mix with it."""
    used = chat_of(name, "bytes")
    for conversation in conversations():
        for prompt in (False, True):
            shown = conversation[:-1] if prompt else conversation
            assert used.render(shown, prompt=prompt) == chat_of(name, "bytes").render(shown, prompt=prompt)
