"""Small models of several chat families: templates, control tokens, tokenization."""

import json
from dataclasses import dataclass
from functools import cache

from tiny import WORDS
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from train_utils.prompts.control_tokens import add_control_tokens
from train_utils.prompts.renderer import Chat

_PROMPT = "{% if add_generation_prompt %}"
_ALTERNATE = (
    "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate: user, assistant') }}{% endif %}{% endfor %}"
)
LLAMA_3 = (
    "<|begin_of_text|>{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n"
    "{{ m.content | trim }}<|eot_id|>{% endfor %}"
    + _PROMPT + "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)  # fmt: skip
LLAMA_2 = (
    "{% set told = namespace(system='') %}{% for m in messages %}{% if m.role == 'system' %}"
    "{% set told.system = '<<SYS>>\n' + m.content + '\n<</SYS>>\n\n' %}{% elif m.role == 'user' %}"
    "{{ '<s>[INST] ' + told.system + m.content | trim + ' [/INST]' }}{% set told.system = '' %}"
    "{% else %}{{ ' ' + m.content | trim + ' </s>' }}{% endif %}{% endfor %}"
)
QWEN_2 = (
    "{% if messages[0].role != 'system' %}{{ '<|im_start|>system\nYou help.<|im_end|>\n' }}{% endif %}"
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"
    + _PROMPT + "{{ '<|im_start|>assistant\n' }}{% endif %}"
)  # fmt: skip
# The answer to the last question opens with a thought, which may be empty; older answers have none.
QWEN_3 = (
    "{% set seen = namespace(last=0) %}"
    "{% for m in messages %}{% if m.role == 'user' %}{% set seen.last = loop.index0 %}{% endif %}{% endfor %}"
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}"
    "{% if m.role == 'assistant' and loop.index0 > seen.last %}{{ '<think>\n\n</think>\n\n' }}{% endif %}"
    "{{ m.content + '<|im_end|>\n' }}{% endfor %}"
    + _PROMPT + "{{ '<|im_start|>assistant\n' }}"
    "{% if enable_thinking is defined and not enable_thinking %}{{ '<think>\n\n</think>\n\n' }}{% endif %}{% endif %}"
)  # fmt: skip
# The prompt always opens a thought, whatever the options.
ALWAYS_THINKS = QWEN_3.partition("{% if add_generation_prompt")[0] + (
    _PROMPT + "{{ '<|im_start|>assistant\n<think>\n' }}{% endif %}"
)
GEMMA = (
    "<bos>" + _ALTERNATE + "{% for m in messages %}<start_of_turn>"
    "{{ 'model' if m.role == 'assistant' else m.role }}{{ '\n' + m.content | trim + '<end_of_turn>\n' }}{% endfor %}"
    + _PROMPT + "{{ '<start_of_turn>model\n' }}{% endif %}"
)  # fmt: skip
MISTRAL = (
    "<s>" + _ALTERNATE + "{% for m in messages %}{% if m.role == 'user' %}{{ '[INST] ' + m.content + '[/INST]' }}"
    "{% else %}{{ ' ' + m.content | trim + '</s>' }}{% endif %}{% endfor %}"
)
# The system text precedes the newest question, so it moves as the conversation continues.
MISTRAL_SYSTEM = (
    "<s>{% if messages[0].role == 'system' %}{% set system = messages[0].content + '\n\n' %}"
    "{% set messages = messages[1:] %}{% endif %}{% for m in messages %}{% if m.role == 'user' %}"
    "{{ '[INST] ' + (system if loop.last and system is defined else '') + m.content + '[/INST]' }}"
    "{% else %}{{ ' ' + m.content | trim + '</s>' }}{% endif %}{% endfor %}"
)
PHI = (
    "{% for m in messages %}{{ '<|' + m.role + '|>\n' + m.content + '<|end|>\n' }}{% endfor %}"
    + _PROMPT + "{{ '<|assistant|>\n' }}{% else %}{{ '<|endoftext|>' }}{% endif %}"
)  # fmt: skip
# Three templates that close no turn: an answer ends at the next question, or at the end of the text.
GLM = (
    "[gMASK]<sop>{% for m in messages %}{{ '<|' + m.role + '|>\n' + m.content }}{% endfor %}"
    + _PROMPT + "{{ '<|assistant|>\n' }}{% endif %}"
)  # fmt: skip
SOLAR = (
    "{% for m in messages %}{{ '### ' + m.role | capitalize + ':\n' + m.content + '\n\n' }}{% endfor %}"
    + _PROMPT + "{{ '### Assistant:\n' }}{% endif %}"
)  # fmt: skip
FALCON = (
    "{% for m in messages %}{% if m.role == 'system' %}{{ m.content }}{% else %}"
    "{{ '\n\n' + m.role | capitalize + ': ' + m.content }}{% endif %}{% endfor %}"
    + _PROMPT + "{{ '\n\nAssistant:' }}{% endif %}"
)  # fmt: skip
# After R1: the prompt opens a thought, but answers in a conversation have none.
R1 = (
    "{% for m in messages %}{{ '<|' + m.role + '|>' + m.content }}"
    "{% if m.role == 'assistant' %}{{ '<|end|>' }}{% endif %}{% endfor %}"
    + _PROMPT + "{{ '<|assistant|><think>\n' }}{% endif %}"
)  # fmt: skip


@dataclass(frozen=True)
class Family:
    """Template of a chat family, and its tokens.

    Attributes:
        template: the chat template.
        special: its special tokens.
        end_of_turn: the token that closes a turn.
        markers: added tokens that are not special in the vocabulary.
        system: whether the template takes a system message and leaves it in its position.
        closes: whether the template writes `end_of_turn` after an answer.
    """

    template: str
    special: tuple[str, ...]
    end_of_turn: str
    markers: tuple[str, ...] = ()
    system: bool = True
    closes: bool = True


_RESERVED = tuple(f"<|reserved_special_token_{i}|>" for i in range(4))
FAMILIES = {
    "Llama-3": Family(
        LLAMA_3,
        ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", *_RESERVED),
        "<|eot_id|>",
    ),
    "Llama-2": Family(LLAMA_2, ("<s>", "</s>"), "</s>"),
    "Qwen2.5": Family(QWEN_2, ("<|im_start|>", "<|im_end|>"), "<|im_end|>"),
    "Qwen3": Family(QWEN_3, ("<|im_start|>", "<|im_end|>"), "<|im_end|>", ("<think>", "</think>")),
    "always-thinks": Family(ALWAYS_THINKS, ("<|im_start|>", "<|im_end|>"), "<|im_end|>", ("<think>", "</think>")),
    "Gemma": Family(GEMMA, ("<bos>", "<start_of_turn>", "<end_of_turn>"), "<end_of_turn>", system=False),
    "Mistral": Family(MISTRAL, ("<s>", "</s>", "[INST]", "[/INST]"), "</s>", system=False),
    "Mistral-system": Family(MISTRAL_SYSTEM, ("<s>", "</s>", "[INST]", "[/INST]"), "</s>", system=False),
    "Phi": Family(PHI, ("<|endoftext|>", "<|user|>", "<|assistant|>", "<|system|>", "<|end|>"), "<|end|>"),
    "Phi-unmarked": Family(PHI, ("<|endoftext|>",), "<|end|>", ("<|user|>", "<|assistant|>", "<|system|>", "<|end|>")),
}
FAMILIES |= {
    "GLM": Family(
        GLM,
        ("<|endoftext|>", "[gMASK]", "<sop>", "<|user|>", "<|assistant|>", "<|system|>"),
        "<|endoftext|>",
        closes=False,
    ),
    "Solar": Family(SOLAR, ("</s>",), "</s>", closes=False),
    "Falcon": Family(FALCON, ("<|endoftext|>",), "<|endoftext|>", closes=False),
}
# Families of other servers: some cannot be used in training (R1), some open an answer differently than they write it.
_SYSTEM = "{% else %}{{ m.content }}{% endif %}{% endfor %}"


def _roles(user: str, assistant: str, prompt: str, head: str = "") -> str:
    return (
        f"{head}{{% for m in messages %}}{{% if m.role == 'user' %}}{{{{ {user} }}}}"
        f"{{% elif m.role == 'assistant' %}}{{{{ {assistant} }}}}{_SYSTEM}{_PROMPT}{{{{ {prompt} }}}}{{% endif %}}"
    )


_THOUGHTS = ("<think>", "</think>")
_COHERE = ("<BOS>", "<|START|>", "<|END|>", "<|USER|>", "<|BOT|>", "<|START_RESPONSE|>", "<|END_RESPONSE|>")
_DEEPSEEK = ("<bos>", "<|User|>", "<|Assistant|>", "<|eos|>")
_HARMONY = ("<|start|>", "<|end|>", "<|message|>", "<|channel|>", "<|return|>")
OTHER_FAMILIES = {
    "Vicuna": Family(
        _roles("'USER: ' + m.content + ' '", "'ASSISTANT: ' + m.content + '</s>'", "'ASSISTANT:'"),
        ("<s>", "</s>"),
        "</s>",
    ),
    "Alpaca": Family(
        _roles(
            "'### Instruction:\\n' + m.content + '\\n\\n'",
            "'### Response:\\n' + m.content + '\\n\\n'",
            "'### Response:\\n'",
        ),
        ("</s>",),
        "</s>",
        closes=False,
    ),
    "ChatQA": Family(
        _roles("'User: ' + m.content + '\\n\\n'", "'Assistant: ' + m.content + '\\n\\n'", "'Assistant:'"),
        ("<|end_of_text|>",),
        "<|end_of_text|>",
        closes=False,
    ),
    "Zephyr": Family(
        "{% for m in messages %}{{ '<|' + m.role + '|>\n' + m.content + '</s>\n' }}{% endfor %}"
        + _PROMPT
        + "{{ '<|assistant|>\n' }}{% endif %}",
        ("<s>", "</s>"),
        "</s>",
    ),
    "gpt-oss": Family(
        _roles(
            "'<|start|>user<|message|>' + m.content + '<|end|>'",
            "'<|start|>assistant<|channel|>final<|message|>' + m.content + ('<|return|>' if loop.last else '<|end|>')",
            "'<|start|>assistant'",
        ),
        _HARMONY,
        "<|return|>",
    ),
    "DeepSeek-R1": Family(
        _roles(
            "'<|User|>' + m.content", "'<|Assistant|>' + m.content + '<|eos|>'", "'<|Assistant|><think>\\n'", "<bos>"
        ),
        _DEEPSEEK,
        "<|eos|>",
        _THOUGHTS,
    ),
    "DeepSeek-V3.1": Family(
        _roles(
            "'<|User|>' + m.content",
            "'<|Assistant|></think>' + m.content + '<|eos|>'",
            "'<|Assistant|>' + ('<think>' if thinking is defined and thinking else '</think>')",
            "<bos>",
        ),
        _DEEPSEEK,
        "<|eos|>",
        _THOUGHTS,
    ),
    "GLM-4.5": Family(
        _roles(
            "'<|user|>\\n' + m.content + ('/nothink' if enable_thinking is defined and not enable_thinking else '')",
            "'<|assistant|>\\n<think></think>\\n' + m.content | trim",
            "'<|assistant|>' + ('\\n<think></think>' if enable_thinking is defined and not enable_thinking else '')",
            "[gMASK]<sop>",
        ),
        ("<|endoftext|>", "[gMASK]", "<sop>", "<|user|>", "<|assistant|>"),
        "<|endoftext|>",
        _THOUGHTS,
        closes=False,
    ),
    "Command-R7B": Family(
        _roles(
            "'<|START|><|USER|>' + m.content + '<|END|>'",
            "'<|START|><|BOT|><|START_RESPONSE|>' + m.content + '<|END_RESPONSE|><|END|>'",
            "'<|START|><|BOT|>'",
            "<BOS>",
        ),
        _COHERE,
        "<|END_RESPONSE|>",
    ),
    "ChatML-as-text": Family(QWEN_2, ("<|endoftext|>",), "<|endoftext|>", closes=False),
}

# Tokenization: by bytes (Llama 3, Qwen), or as SentencePiece does, which puts a space before a text (first, always:
# Llama 2, Mistral, Phi; legacy: the same as a normalizer) or does not (never: Gemma).
KINDS = ("bytes", "first", "always", "legacy", "never")


def _byte_level() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        [WORDS] * 3, trainers.BpeTrainer(vocab_size=320, show_progress=False, initial_alphabet=alphabet)
    )
    return tokenizer


def _sentencepiece(kind: str) -> Tokenizer:
    """Return a BPE tokenizer with `▁` for a space, and bytes for unknown characters."""
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=True)
    trained.train_from_iterator([WORDS] * 3, trainers.BpeTrainer(vocab_size=200, show_progress=False))
    learned = json.loads(trained.to_str())["model"]
    vocabulary = {
        name: i
        for i, name in enumerate(
            dict.fromkeys(["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), *learned["vocab"]])
        )
    }
    merges = [tuple(pair) for pair in learned["merges"]]
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    if kind == "legacy":
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=kind, split=False)
    strip = [] if kind == "never" else [decoders.Strip(" ", 1, 0)]
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), *strip]
    )
    return tokenizer


def family_tokenizer(family: Family, kind: str = "bytes") -> PreTrainedTokenizerFast:
    """Return the family's tokenizer without the project's control tokens."""
    tokenizer = _byte_level() if kind == "bytes" else _sentencepiece(kind)
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in family.special])
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in family.markers])
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=family.special[0], eos_token=family.special[0]
    )
    wrapped.chat_template = family.template
    return wrapped


@cache
def family_chat(name: str, kind: str, titles: tuple[str, ...] = ()) -> Chat:
    tokenizer = family_tokenizer(FAMILIES[name], kind)
    add_control_tokens(tokenizer)
    return Chat(tokenizer, titles)
