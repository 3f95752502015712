"""Tiny chat model, built and never downloaded: byte-level BPE with a ChatML template, and a random Llama."""

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from train_utils.constraint.constraint import Constraint
from train_utils.item_codes import ItemCodes, one_token_each
from train_utils.models.control_rows import add_item_tokens
from train_utils.models.item_rows import add_item_rows
from train_utils.prompts.renderer import Chat

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
WORDS = "the a red blue green moon river night return of end start an item recommend titles list 1 2 3 4 5 6 7 8 9 0 ."


def tiny_tokenizer(template: str = CHATML) -> PreTrainedTokenizerFast:
    """Return a tokenizer of about 300 tokens: all bytes, and some of the words above."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=["<|im_start|>", "<|im_end|>"],
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator([WORDS] * 3, trainer)
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|im_end|>", bos_token="<|im_start|>"
    )
    wrapped.chat_template = template
    return wrapped


# Settings that most configurations of transformers share.
TINY_SIZES = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 1,
}


def tiny_model(vocabulary: int, seed: int = 0, tied: bool = True) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    config = LlamaConfig(
        **TINY_SIZES,
        vocab_size=vocabulary,
        max_position_embeddings=2048,
        tie_word_embeddings=tied,
        initializer_range=0.3,
    )
    return LlamaForCausalLM(config).eval()


def tiny_chat(titles: list[str], seed: int = 0, tied: bool = True) -> tuple[LlamaForCausalLM, Chat]:
    tokenizer = tiny_tokenizer()
    model = tiny_model(len(tokenizer), seed, tied)
    add_item_tokens(tokenizer, model)
    return model, Chat(tokenizer, titles)


def closed_by_caps(rules: Constraint, listed: list[int]) -> set[int]:
    """Return the items of every group that has reached its limit, computed from scratch.

    Args:
        rules: the constraint.
        listed: items that were listed.
    """
    return {item for items, limit in rules._caps if sum(one in items for one in listed) >= limit for item in items}


def scripted(model, script: dict[int, int]) -> None:
    """Make a model continue a text by a script.

    Args:
        model: the model; it gets a forward hook.
        script: position in the text -> token that the model predicts for it.
    """

    def speak(module, arguments, given, output):
        positions = given["position_ids"][0]
        kept = given.get("logits_to_keep", 0)
        if isinstance(kept, int):
            kept = torch.arange(len(positions))[-kept:] if kept else torch.arange(len(positions))
        for row, position in enumerate(positions[kept].tolist()):
            if position + 1 in script:
                output.logits[0, row] = -10.0
                output.logits[0, row, script[position + 1]] = 10.0
        return output

    model.register_forward_hook(speak, with_kwargs=True)


def codes_of_levels(n: int) -> ItemCodes:
    """Return codes of two and three tokens for `n` items: the first has two, others share their first two."""
    codes = [("<a_0>", "<b_9>")] + [(f"<a_{i % 3}>", f"<b_{i // 3 % 2}>", f"<c_{i // 6}>") for i in range(1, n)]
    return ItemCodes("rq_token_seq", tuple(map(str, range(n))), tuple(codes[:n]))


def coded_chat(titles: list[str], form: str = "token", seed: int = 0) -> tuple[LlamaForCausalLM, Chat]:
    """Return a tiny model and a renderer with item codes."""
    tokenizer = tiny_tokenizer()
    model = tiny_model(len(tokenizer), seed)
    add_item_tokens(tokenizer, model)
    codes = (
        codes_of_levels(len(titles))
        if form == "rq_token_seq"
        else one_token_each(map(str, range(len(titles))), tokenizer.get_vocab(), form)
    )
    add_item_rows(tokenizer, model, codes, titles, [[item] * item for item in range(len(titles))])
    return model, Chat(tokenizer, titles, codes=codes)
