"""A chat template is a program of a stranger: it ends within limits, or is refused in one line."""

import os
import signal

import pytest
from chat_templates import FAMILIES, family_tokenizer
from tiny import CHATML, tiny_model, tiny_tokenizer

from train_utils.models.control_rows import add_item_tokens
from train_utils.prompts.chat_template import ChatTemplate
from train_utils.prompts.messages import message
from train_utils.prompts.renderer import Chat
from train_utils.prompts.template_process import _RENDERER, RENDER_SECONDS, render, start_renderer

LOOP = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
DOUBLE = "{% set n = namespace(x='aaaaaaaaaaaaaaaa') %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}"
HOSTILE = {
    "nested loops": LOOP,
    "long text": "{{ 'a' * 10**10 }}",
    "grown text": DOUBLE,
    "list of a huge number": "{{ ([0] * 10**10)|length }}",
    "huge power": "{{ 10**(10**10) }}",
    "wide format": "{{ '%99999999999d' % 1 }}",
    "wide filter": "{{ 'a'|center(10**10) }}",
    "much text": "{{ 'a' * 10**7 }}",
    "huge range": "{{ range(10**9)|list }}",
    "division by zero": "{{ 1 // 0 }}",
    "type": "{{ 1 + 'a' }}",
    "undefined": "{{ nothing.of.this }}",
    "recursion": "{% macro f(n) %}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}",
    "recursive data": "{% set x = [] %}{{ x.append(x) }}{{ x|tojson }}",
    "syntax": "{% if %}",
    "code": "{{ ''.__class__.__mro__[1].__subclasses__() }}{{ 1 / 0 }}",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_template_is_refused_in_one_line(name):
    with pytest.raises(ValueError, match="chat template") as error:
        ChatTemplate(tiny_tokenizer(HOSTILE[name] + CHATML))
    assert "\n" not in str(error.value) and len(str(error.value)) < 600


@pytest.mark.parametrize("template", [5, ["a"], "x" * 2_000_000], ids=["number", "list", "long"])
def test_what_is_no_template_is_refused(template):
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = template
    with pytest.raises(ValueError, match="chat template") as error:
        ChatTemplate(tokenizer)
    assert "\n" not in str(error.value)


def test_a_template_that_is_hostile_to_long_conversations_alone_leaves_short_ones_alone():
    tokenizer = tiny_tokenizer("{% if messages|length > 6 %}" + LOOP + "{% endif %}" + CHATML)
    add_item_tokens(tokenizer, tiny_model(len(tokenizer)))
    chat = Chat(tokenizer)
    turns = [message("user" if i % 2 == 0 else "assistant", "red") for i in range(9)]
    assert chat.render(turns[:3], prompt=True).ids
    with pytest.raises(ValueError, match=f"more than {RENDER_SECONDS} s"):
        chat.render(turns, prompt=True)
    assert chat.render(turns[:5], prompt=True).ids == Chat(tokenizer).render(turns[:5], prompt=True).ids


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
@pytest.mark.parametrize("prompt", [True, False])
def test_the_process_renders_as_transformers_does(family, prompt):
    tokenizer = family_tokenizer(family)
    messages = [{"role": "user", "content": "夜 <b>"}, {"role": "assistant", "content": "an answer\n"}]
    messages = messages[:1] if prompt else messages
    expected = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=prompt, thinking=True)
    variables = tokenizer.special_tokens_map | {"thinking": True}
    assert render(tokenizer.get_chat_template(), messages, prompt, variables) == expected


def test_a_process_that_was_killed_is_replaced():
    ask = lambda: render(CHATML, [{"role": "user", "content": "a"}], False, {})  # noqa: E731
    expected = ask()
    os.kill(_RENDERER.start().pid, signal.SIGKILL)
    _RENDERER.start().wait()
    assert ask() == expected


def test_a_forked_process_renders_by_a_process_of_its_own():
    start_renderer()
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.write(writer, render(CHATML, [{"role": "user", "content": "child"}], False, {}).encode())
        _RENDERER.close()
        os._exit(0)
    assert "parent" in render(CHATML, [{"role": "user", "content": "parent"}], False, {})
    assert "child" in os.read(reader, 1000).decode()
    os.waitpid(child, 0)
