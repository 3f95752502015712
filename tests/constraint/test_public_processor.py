"""The published names in `model.generate`, on the chat templates of many families: what README's own code does."""

import numpy as np
import pytest
import torch
from chat_templates import FAMILIES, OTHER_FAMILIES, Family, family_tokenizer
from tiny import coded_chat, scripted, tiny_model, tiny_tokenizer
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import GenerationConfig, PreTrainedTokenizerFast

from train_utils.constraint.constraint import ConstraintError
from train_utils.processor import FastPrefixConstrainedLogitsProcessor, Trie_link
from train_utils.prompts.control_tokens import add_control_tokens, split_completion
from train_utils.prompts.messages import message
from train_utils.prompts.renderer import Chat

TITLES = ["red moon", "blue river", "the end"]
families = pytest.mark.parametrize("name", FAMILIES)
# Gemma's: the eos token is another than the one that ends a turn.
GEMMA_IT = Family(FAMILIES["Gemma"].template, ("<eos>", *FAMILIES["Gemma"].special), "<end_of_turn>")


def made(family: Family, titles=TITLES, kind: str = "bytes"):
    """Tokenizer, model, tree and how README makes a prompt."""
    tokenizer = family_tokenizer(family, kind)
    add_control_tokens(tokenizer)
    titles = tokenizer([" " + t for t in titles], add_special_tokens=False, split_special_tokens=True)["input_ids"]
    return tokenizer, tiny_model(len(tokenizer)).double(), Trie_link(titles, tokenizer), titles


def prompt_of(tokenizer, *turns: str) -> list[int]:
    messages = [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(turns)]
    return tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True)["input_ids"]


def soi_eoi(trie) -> tuple[str, str]:
    return tuple(trie.tokenizer.convert_ids_to_tokens([trie.soi_token_id, trie.eoi_token_id]))


def allowed_after(trie, processor, ids) -> set[int]:
    """Tokens that the processor leaves after a text; the slow way leaves the same inside an item."""
    scores = processor(torch.tensor([ids]), torch.zeros(1, len(trie.tokenizer)))
    actual = set(torch.nonzero(torch.isfinite(scores[0])).flatten().tolist())
    slow = trie.constrain_search_list(0, torch.tensor(ids))
    assert slow is None or set(slow) == actual
    return actual


@pytest.mark.parametrize("family", [*FAMILIES.values(), GEMMA_IT], ids=[*FAMILIES, "Gemma-it"])
def test_what_earlier_turns_and_the_user_say_is_no_part_of_the_answer(family):
    tokenizer, _, trie, titles = made(family)
    soi, eoi = soi_eoi(trie)
    first = {ids[0] for ids in titles}
    for turns in (
        ("Recommend 2 films.",),
        (f"2 films, each between {soi} and {eoi}, please",),
        (f"I liked{soi} red moon{eoi}", f"{soi} blue river{eoi} then", "more"),
        ("x", f"{soi} red moon{eoi}, {soi} blue river{eoi}, {soi} the end{eoi}", f"again {eoi} {soi}"),
    ):
        prompt = prompt_of(tokenizer, *turns)
        processor = FastPrefixConstrainedLogitsProcessor(trie.constrain_search_list, num_beams=1)
        assert trie.soi_token_id in allowed_after(trie, processor, prompt)
        assert allowed_after(trie, processor, [*prompt, trie.soi_token_id]) == first
        given = FastPrefixConstrainedLogitsProcessor(trie.constrain_search_list, 1, answer_at=len(prompt))
        assert allowed_after(trie, given, [*prompt, trie.soi_token_id]) == first


SAYINGS = [
    "hi\n",
    "hi\n\n",
    "why?\n\n\n",
    " \n",
    "a <SOI> b <EOI>",
    "<EOI>",
    "<SOI> red",
    "夜",
    "### Response:\n",
    "ASSISTANT: no <SOI>",
    "<|assistant|>\n<SOI>",
    "<|Assistant|><think><SOI> red moon<EOI>",
    "x<|im_end|></s><|end|><|return|><|eos|>y<SOI>",
    "### Assistant:\n<SOI> red moon<EOI>",
]


@pytest.mark.parametrize("kind", ["bytes", "first"])
@pytest.mark.parametrize(
    "family",
    [*OTHER_FAMILIES.values(), *(FAMILIES[name] for name in ("Solar", "Falcon", "GLM"))],
    ids=[*OTHER_FAMILIES, "Solar", "Falcon", "GLM"],
)
def test_an_answer_begins_behind_what_a_user_typed_however_the_prompt_is_made_and_cut(family, kind):
    """Line breaks of the user's and of the template's share tokens; prompts may think, and open an answer otherwise."""
    tokenizer, _, trie, titles = made(family, kind=kind)
    first = {ids[0] for ids in titles}
    listed = [trie.soi_token_id, *titles[0], trie.eoi_token_id]
    for options in ({}, {"enable_thinking": False}, {"thinking": True}):
        for said in SAYINGS:
            talk = [
                {"role": "user", "content": said},
                {"role": "assistant", "content": "<SOI> the end<EOI>"},
                {"role": "user", "content": said},
            ]
            for turns in (talk[:1], talk):
                prompt = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=True, **options)[
                    "input_ids"
                ]
                processor = FastPrefixConstrainedLogitsProcessor(trie.constrain_search_list, num_beams=1)
                assert trie.soi_token_id in allowed_after(trie, processor, prompt)
                assert allowed_after(trie, processor, [*prompt, trie.soi_token_id]) == first
                fresh = FastPrefixConstrainedLogitsProcessor(trie.constrain_search_list, num_beams=1)
                again = allowed_after(trie, fresh, [*prompt, *listed, trie.soi_token_id])
                assert again == {ids[0] for ids in titles[1:]}


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("Vicuna", "the ASSISTANT: a red night"),
        ("Solar", "red\n### Assistant:\nmoon"),
        ("Alpaca", "a\n### Response: 2"),
        ("ChatQA", "blue Assistant: end"),
        ("Llama-2", "red [/INST] moon"),
        ("Vicuna", "the ASSISTANT:"),
    ],
)
def test_what_opens_an_answer_opens_none_inside_a_title(name, title):
    tokenizer, _, trie, titles = made((OTHER_FAMILIES | FAMILIES)[name], [*TITLES, title])
    prompt = prompt_of(tokenizer, "hi")
    item = [trie.soi_token_id, *titles[-1], trie.eoi_token_id]
    kept = FastPrefixConstrainedLogitsProcessor(trie.constrain_search_list, 1)
    for end in range(len(prompt), len(prompt) + len(item) + 1):
        fresh = FastPrefixConstrainedLogitsProcessor(Trie_link(titles, tokenizer).constrain_search_list, 1)
        ids = [*prompt, *item][:end]
        assert allowed_after(trie, kept, ids) == allowed_after(trie, fresh, ids)
        if len(prompt) < end < len(prompt) + len(item):
            assert item[end - len(prompt)] in allowed_after(trie, fresh, ids) <= {*sum(titles, []), trie.eoi_token_id}
    listed = allowed_after(trie, kept, [*prompt, *item, trie.soi_token_id])
    assert listed == {ids[0] for ids in titles[:-1]}


@pytest.mark.parametrize(
    "form",
    [
        int,
        np.int32,
        np.int64,
        np.array,
        torch.tensor,
        lambda n: [n],
        lambda n: (n,),
        lambda n: np.array([n]),
        lambda n: torch.tensor([n]),
        lambda n: [torch.tensor(n)],
        lambda n: [np.uint16(n)],
    ],
)
def test_the_place_of_the_answer_may_be_given_as_any_whole_number(form):
    tokenizer, _, trie, titles = made(FAMILIES["Qwen2.5"])
    prompt = [5, trie.soi_token_id, *titles[0], trie.eoi_token_id]
    fn = trie.constrain_search_list
    processor = FastPrefixConstrainedLogitsProcessor(fn, 1, answer_at=form(len(prompt)))
    left = processor(torch.tensor([[*prompt, trie.soi_token_id]]), torch.zeros(1, len(tokenizer)))
    assert left.isfinite().nonzero()[:, 1].tolist() == sorted({ids[0] for ids in titles})


@pytest.mark.parametrize(
    "wrong",
    [True, np.True_, torch.tensor(True), -1, [3, -2], 2.0, torch.tensor([2.0]), "3", [[2]], torch.tensor([[2]])],
)
def test_the_place_of_the_answer_is_refused_in_one_line_when_it_is_none(wrong):
    trie = made(FAMILIES["Qwen2.5"])[2]
    with pytest.raises(ValueError, match="answer_at holds .*, wanted") as error:
        FastPrefixConstrainedLogitsProcessor(trie.constrain_search_list, 1, answer_at=wrong)
    assert "\n" not in str(error.value)


def test_places_of_answers_that_do_not_fit_the_batch_are_refused():
    tokenizer, _, trie, _ = made(FAMILIES["Qwen2.5"])
    fn, scores = trie.constrain_search_list, torch.zeros(3, len(tokenizer))
    ids = torch.full((3, 4), 5)
    for beams, positions, reason in (
        (1, 5, "answer_at is 5 for row 0, which has 4 tokens"),
        (1, [1, 9, 1], "answer_at is 9 for row 1"),
        (1, [1, 2], "answer_at has 2 entries.*3 rows"),
        (2, None, "3 rows are no whole number of prompts of num_beams=2"),
    ):
        with pytest.raises(ConstraintError, match=reason):
            FastPrefixConstrainedLogitsProcessor(fn, beams, answer_at=positions)(ids, scores)
    # Embeddings have no ids; sampling may give several rows a prompt.
    for positions in (7, [7], [0, 1, 2]):
        FastPrefixConstrainedLogitsProcessor(fn, 1, answer_at=positions)(ids[:, :0], scores)
    FastPrefixConstrainedLogitsProcessor(fn, 1, answer_at=[2])(ids, scores)


@pytest.mark.parametrize("beams", [1, 3])
def test_prompts_of_unlike_lengths_begin_their_answers_where_their_rows_say(beams):
    tokenizer, model, trie, titles = made(FAMILIES["Llama-2"])
    prompts = [prompt_of(tokenizer, text) for text in ("x", "each in <SOI> and <EOI>, please", "<SOI> red moon<EOI>")]
    width = max(map(len, prompts))
    rows = torch.tensor([[tokenizer.eos_token_id] * (width - len(ids)) + ids for ids in prompts])
    mask = torch.tensor([[0] * (width - len(ids)) + [1] * len(ids) for ids in prompts])
    config = GenerationConfig(
        do_sample=False,
        num_beams=beams,
        max_new_tokens=12,
        eos_token_id=trie.end_of_turn,
        pad_token_id=trie.end_of_turn,
    )
    outputs = []
    for positions in (None, width, [width] * 3, torch.tensor([width, width, width])):
        processor = FastPrefixConstrainedLogitsProcessor(trie.constrain_search_list, beams, answer_at=positions)
        outputs.append(
            model.generate(rows, attention_mask=mask, generation_config=config, logits_processor=[processor]).tolist()
        )
    assert all(output == outputs[0] for output in outputs)


def test_refused_drafts_leave_the_answer_where_it_began():
    """Assisted decoding shows a row with drafts, then without the refused ones."""
    tokenizer, _, trie, titles = made(FAMILIES["Solar"])
    prompt = prompt_of(tokenizer, "x")
    opener = tokenizer.encode("\n### Assistant:\n", add_special_tokens=False)
    answer = [trie.soi_token_id, *titles[0], trie.eoi_token_id, *opener, 5, 5]
    kept = FastPrefixConstrainedLogitsProcessor(trie.constrain_search_list, 1)
    for end in range(len(prompt), len(prompt) + len(answer) + 1):
        allowed_after(trie, kept, [*prompt, *answer][:end])
    actual = allowed_after(trie, kept, [*prompt, *answer[:-1], trie.soi_token_id])
    assert actual == {ids[0] for ids in titles[1:]}


@families
def test_an_answer_that_the_prompt_has_begun_goes_on_with_what_it_lists(name):
    tokenizer, _, trie, titles = made(FAMILIES[name])
    listed = [trie.soi_token_id, *titles[0], trie.eoi_token_id]
    prompt = [*prompt_of(tokenizer, "Recommend 2 films."), *listed]
    processor = FastPrefixConstrainedLogitsProcessor(trie.constrain_search_list, num_beams=1)
    assert allowed_after(trie, processor, [*prompt, trie.soi_token_id]) == {ids[0] for ids in titles[1:]}


@families
def test_an_answer_by_generate_is_of_the_catalog_and_distinct(name):
    tokenizer, model, trie, titles = made(FAMILIES[name])
    ids = torch.tensor([prompt_of(tokenizer, f"each in {soi_eoi(trie)[0]}")])
    with torch.no_grad():  # it opens an item wherever it may
        model.lm_head.register_forward_hook(
            lambda module, given, logits: logits + 50 * torch.eye(len(tokenizer), dtype=logits.dtype)[trie.soi_token_id]
        )
    processor = FastPrefixConstrainedLogitsProcessor(trie.constrain_search_list, num_beams=1)
    config = GenerationConfig(do_sample=False, max_new_tokens=40, eos_token_id=trie.end_of_turn, pad_token_id=1)
    out = model.generate(
        ids, attention_mask=torch.ones_like(ids), generation_config=config, logits_processor=[processor]
    )
    items, _ = split_completion(out[0, ids.shape[1] :].tolist(), trie.soi_token_id, trie.eoi_token_id)
    assert sorted(items) == sorted(titles)


def test_a_prompt_may_be_given_as_embeddings():
    tokenizer, model, trie, titles = made(FAMILIES["Qwen2.5"])
    prompt = prompt_of(tokenizer, "x")
    config = GenerationConfig(do_sample=False, max_new_tokens=30, eos_token_id=trie.end_of_turn, pad_token_id=1)
    for beams in (1, 3):
        config.num_beams = beams
        answers = []
        for how in (
            {"input_ids": torch.tensor([prompt, prompt])},
            {"inputs_embeds": model.get_input_embeddings()(torch.tensor([prompt, prompt]))},
        ):
            processor = FastPrefixConstrainedLogitsProcessor(trie.constrain_search_list, num_beams=beams)
            out = model.generate(
                **how, attention_mask=torch.ones(2, len(prompt)), logits_processor=[processor], generation_config=config
            )
            answers.append(out[:, -30:].tolist() if "input_ids" in how else out.tolist())
        assert answers[0] == answers[1]


PLACES = {
    "int": lambda n: n,
    "int64": np.int64,
    "uint16": np.uint16,
    "array of none": np.array,
    "tensor of none": torch.tensor,
    "list": lambda n: [n, n],
    "tuple": lambda n: (np.int32(n), torch.tensor(n)),
    "array": lambda n: np.array([n, n]),
    "tensor": lambda n: torch.tensor([n, n], dtype=torch.int32),
    "one for all": lambda n: [n],
    "half": lambda n: [n, None],
    "none": lambda n: None,
}


@pytest.mark.parametrize("position", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("beams,samples", [(1, 1), (2, 1), (1, 3)])
@pytest.mark.parametrize("name", ["Qwen2.5", "Solar"])
def test_the_place_of_an_answer_is_a_whole_number_of_any_kind_and_the_prompt_ids_or_embeddings(
    name, position, beams, samples
):
    tokenizer, model, trie, _ = made(FAMILIES[name])
    prompt, answers = prompt_of(tokenizer, "x"), []
    model.lm_head.register_forward_hook(  # items, and what a template that closes no turn opens an answer with
        lambda module, given, logits: (
            logits
            + 4
            * torch.eye(len(tokenizer), dtype=logits.dtype)[
                [trie.soi_token_id, *(prompt[-2:] if name == "Solar" else [])]
            ].sum(0)
        )
    )
    config = GenerationConfig(
        do_sample=samples > 1,
        num_beams=beams,
        num_return_sequences=samples,
        max_new_tokens=30,
        pad_token_id=1,
        eos_token_id=trie.end_of_turn,
    )
    rows = torch.tensor([prompt, prompt])
    for at in (len(prompt), position(len(prompt))):
        for how in ({"input_ids": rows}, {"inputs_embeds": model.get_input_embeddings()(rows)}):
            processor = FastPrefixConstrainedLogitsProcessor(trie.constrain_search_list, beams, answer_at=at)
            torch.manual_seed(0)
            out = model.generate(
                **how, attention_mask=torch.ones_like(rows), logits_processor=[processor], generation_config=config
            )
            answers.append(out[:, len(prompt) * ("input_ids" in how) :].tolist())
    assert answers[0] == answers[1] == answers[2] == answers[3]
    for row in answers[0]:
        items, _ = split_completion(row, trie.soi_token_id, trie.eoi_token_id)
        assert len(set(map(tuple, items))) == len(items)


@pytest.mark.parametrize(
    "position,error,reason",
    [
        (1.5, ValueError, "holds 1.5"),
        ([3, "4"], ValueError, "holds '4'"),
        (-1, ValueError, "holds -1, wanted"),
        (99, ConstraintError, "99 for row 0, which has 3 tokens"),
        ([1, 2, 3], ConstraintError, "3 entries.* 2 rows"),
    ],
)
def test_a_place_that_is_none_is_told_in_one_line(position, error, reason):
    tokenizer, _, trie, _ = made(FAMILIES["Qwen2.5"])
    with pytest.raises(error, match=reason):
        FastPrefixConstrainedLogitsProcessor(trie.constrain_search_list, 1, answer_at=position)(
            torch.full((2, 3), 5), torch.zeros(2, len(tokenizer))
        )


def test_raw_logits_stay_raw():
    tokenizer, model, trie, titles = made(FAMILIES["Qwen2.5"])
    ids = torch.tensor([[*prompt_of(tokenizer, "x"), trie.soi_token_id]])
    config = GenerationConfig(
        do_sample=False, max_new_tokens=18, pad_token_id=1, output_logits=True, return_dict_in_generate=True
    )
    for fn in (trie.constrain_search_list, lambda batch, row: trie.constrain_search_list(batch, row)):
        out = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            generation_config=config,
            logits_processor=[FastPrefixConstrainedLogitsProcessor(fn, num_beams=1)],
        )
        assert len(out.logits) == 18 and all(torch.isfinite(step).all() for step in out.logits)


def test_what_callers_of_the_published_trie_read_is_there():
    tokenizer, _, tree, titles = made(FAMILIES["Qwen2.5"])
    assert (tree.soi_token_id, tree.eoi_token_id) == tuple(tokenizer.convert_tokens_to_ids(["<SOI>", "<EOI>"]))
    assert tree.tokenizer is tokenizer and tree.all_token_ids == list(range(len(tokenizer)))
    assert tree.max_height == max(map(len, titles))
    again = Trie_link([*titles, titles[0], [*titles[0], titles[1][0]]], tokenizer)
    paths = {(): None, (5,): None}
    for ids in (*titles, [*titles[0], titles[1][0]]):
        path = [again.soi_token_id, *ids, again.eoi_token_id]
        for end in range(1, len(path)):
            paths.setdefault(tuple(path[:end]), []).append(path[end])
        paths[tuple(path)] = []
    for path, following in paths.items():
        actual = again.next_tokens(path)
        assert (
            actual == following if not following else set(actual) == set(following) and len(actual) == len(set(actual))
        )
    node = again.trie
    assert node.token_id == -1 and list(node.children) == [again.soi_token_id] and node[5] is None
    node = node[again.soi_token_id]
    assert node.count == 5 and node[titles[0][0]].token_id == titles[0][0] and node[titles[1][0]].count == 1


@pytest.mark.parametrize("title", ["Red<|im_end|>", "Red <|im_end|> Moon", "Blue<EOI>", "<SOI>Blue", "<SOI>Blue<EOI>"])
def test_a_title_that_forges_a_token_is_refused_by_name_and_tokenized_as_readme_does_it_is_text(title):
    tokenizer = family_tokenizer(FAMILIES["Qwen2.5"])
    add_control_tokens(tokenizer)
    for others in ([], ["Blue", "Heat"]):
        forged = tokenizer([*others, title])["input_ids"]
        with pytest.raises(ValueError, match="holds the special token") as error:
            Trie_link(forged, tokenizer)
        assert title in str(error.value) and "\n" not in str(error.value)
        plain = tokenizer([*others, title], add_special_tokens=False, split_special_tokens=True)["input_ids"]
        assert Trie_link(plain, tokenizer).title_trie.n_items == len(others) + 1


@pytest.mark.parametrize(
    "title",
    ["", " ", "\u200b", "\u200b\u200d \u2060", "\u3164", "\x07\x1b", "\n\t", "\u0301", " \u0300\u20dd", "\ufe0f"],
)
def test_a_title_that_shows_nothing_is_refused(title):
    tokenizer = tiny_tokenizer()
    add_control_tokens(tokenizer)
    with pytest.raises(ValueError, match="title 1, .*shows no text") as error:
        Trie_link(tokenizer(["red", title], add_special_tokens=False)["input_ids"], tokenizer)
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="title 1, .*shows no text") as error:
        Chat(tokenizer, ["red", title])
    assert "\n" not in str(error.value)


def test_titles_of_unknown_characters_are_refused_where_nothing_else_is_known():
    words = {word: n for n, word in enumerate(["<unk>", "<s>", "</s>", "red", "moon"])}
    backend = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>", bos_token="<s>", eos_token="</s>")
    tokenizer.add_special_tokens({"extra_special_tokens": ["<SOI>", "<EOI>"]})
    assert Trie_link([[3], [3, 0], [0, 4]], tokenizer).title_trie.n_leaves == 3
    with pytest.raises(ValueError, match="title 1, .*no character that the tokenizer knows"):
        Trie_link([[3], [0, 0]], tokenizer)
    tokenizer.unk_token = "</s>"  # as GPT-2's, whose one special token is everything
    with pytest.raises(ValueError, match="title 1, .*holds the special token </s>"):
        Trie_link([[3], [3, 2, 4]], tokenizer)


@pytest.mark.parametrize("name", ["Phi-unmarked", "Qwen3"])
def test_what_the_template_writes_is_in_no_title_though_the_vocabulary_calls_it_plain(name):
    tokenizer = family_tokenizer(FAMILIES[name])
    add_control_tokens(tokenizer)
    for marker in FAMILIES[name].markers:
        ids = tokenizer(["red", f"red{marker}"], add_special_tokens=False, split_special_tokens=True)["input_ids"]
        with pytest.raises(ValueError, match="title 1, .*holds the special token") as error:
            Trie_link(ids, tokenizer)
        assert marker in str(error.value)


def test_what_a_tokenizer_puts_before_every_text_is_taken_off_though_it_is_no_begin_of_text():
    tokenizer = family_tokenizer(FAMILIES["GLM"])
    add_control_tokens(tokenizer)
    around = [(token, tokenizer.convert_tokens_to_ids(token)) for token in ("[gMASK]", "<sop>", "<|endoftext|>")]
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="[gMASK] <sop> $A <|endoftext|>", special_tokens=around
    )
    plain = tokenizer(["red moon", "a"], add_special_tokens=False)["input_ids"]
    trie = Trie_link(tokenizer(["red moon", "a"])["input_ids"], tokenizer).title_trie
    assert sorted(trie.title(leaf)[:-1] for leaf in range(2)) == sorted(plain)


@pytest.mark.parametrize(
    ("titles", "reason"),
    [
        (["Red"], "title 0 is 'Red', wanted token ids"),
        ([[3], [-1]], r"title 1 is '\[-1\]'"),
        ([["a"]], "title 0 is"),
        ([[3], []], "title 1, .*shows no text"),
        ([], "at least one title"),
    ],
)
def test_titles_that_are_no_token_ids_are_refused_in_one_line(titles, reason):
    tokenizer = tiny_tokenizer()
    add_control_tokens(tokenizer)
    with pytest.raises(ValueError, match=reason) as error:
        Trie_link(titles, tokenizer)
    assert "\n" not in str(error.value)


def test_titles_may_be_tensors_and_arrays():
    tokenizer, _, trie, titles = made(FAMILIES["Qwen2.5"])
    for form in (torch.tensor, np.array, tuple):
        again = Trie_link([form(ids) for ids in titles], tokenizer)
        assert all(
            (a == b).all()
            for a, b in zip(again.title_trie.arrays().values(), trie.title_trie.arrays().values(), strict=True)
        )


def scores_in_every_layout():
    for dtype in (torch.float32, torch.float64, torch.float16, torch.bfloat16):
        plain = torch.randn(4, 400).to(dtype)
        yield plain
        yield torch.randn(400, 4).to(dtype).T
        yield torch.randn(4, 2, 400).to(dtype)[:, -1]
        yield torch.randn(1, 400).to(dtype).expand(4, 400)
        yield torch.randn(8, 400).to(dtype)[::2]
        yield plain.clone().requires_grad_()


@pytest.mark.parametrize("how", ["fast", "custom", "beams"])
def test_scores_are_never_written_into_whatever_their_layout(how):
    tokenizer, _, trie, titles = made(FAMILIES["Qwen2.5"])
    fn = trie.constrain_search_list if how != "custom" else lambda batch, ids: trie.constrain_search_list(batch, ids)
    inside, free = [5, trie.soi_token_id], [5, 5]
    for rows in ([free] * 4, [inside] * 4, [free, inside, inside, free]):
        expected = None
        for scores in scores_in_every_layout():
            before, ids = scores.detach().clone(), torch.tensor(rows)
            processor = FastPrefixConstrainedLogitsProcessor(fn, num_beams=2 if how == "beams" else 1)
            actual = processor(ids, scores)
            assert torch.equal(scores.detach(), before) and ids.tolist() == rows
            assert actual.dtype == scores.dtype and actual.data_ptr() != scores.data_ptr()
            kept = actual.detach().isfinite()
            assert torch.equal(actual.detach()[kept], before[kept])
            expected = kept if expected is None else expected
            assert torch.equal(kept, expected)


@pytest.mark.parametrize("mode", [{"num_beams": 3}, {"do_sample": True, "num_return_sequences": 2}])
def test_raw_logits_stay_raw_in_beams_and_samples(mode):
    tokenizer, model, trie, _ = made(FAMILIES["Qwen2.5"])
    ids = torch.tensor([[*prompt_of(tokenizer, "x"), trie.soi_token_id]])
    config = GenerationConfig(
        max_new_tokens=8, pad_token_id=1, output_logits=True, output_scores=True, return_dict_in_generate=True, **mode
    )
    torch.manual_seed(0)
    processor = FastPrefixConstrainedLogitsProcessor(trie.constrain_search_list, num_beams=mode.get("num_beams", 1))
    out = model.generate(
        ids, attention_mask=torch.ones_like(ids), generation_config=config, logits_processor=[processor]
    )
    assert all(torch.isfinite(step).all() for step in out.logits)
    assert not any(torch.isfinite(step).all() for step in out.scores)


def test_what_a_tokenizer_puts_around_every_title_is_taken_off_and_what_stands_around_one_is_not():
    tokenizer = family_tokenizer(FAMILIES["Llama-2"])
    add_control_tokens(tokenizer)
    plain = tokenizer(["red moon", "a"], add_special_tokens=False)["input_ids"]
    bos = tokenizer.bos_token_id
    assert Trie_link([[bos, *ids] for ids in plain], tokenizer).title_trie.title(0)[:-1] in plain
    with pytest.raises(ValueError, match="'<s>a'|'<s> a'"):
        Trie_link([plain[0], [bos, *plain[1]]], tokenizer)


def test_a_function_of_the_callers_own_may_allow_everything_but_not_nothing():
    scores = torch.randn(2, 8)
    processor = FastPrefixConstrainedLogitsProcessor(lambda batch, ids: None if batch else [3, 4], num_beams=1)
    actual = processor(torch.zeros(2, 3, dtype=torch.long), scores)
    assert torch.isfinite(actual).sum(1).tolist() == [2, 8] and torch.isfinite(scores).all()
    with pytest.raises(ConstraintError, match="allows no token for row 0"):
        FastPrefixConstrainedLogitsProcessor(lambda batch, ids: [], 1)(torch.zeros(1, 1, dtype=torch.long), scores[:1])
    with pytest.raises(ValueError, match="answer_at is for Trie_link"):
        FastPrefixConstrainedLogitsProcessor(lambda batch, ids: [], 1, answer_at=3)


@pytest.mark.parametrize("name", ["Solar", "Falcon", "Llama-2"])
def test_what_the_model_itself_writes_opens_no_other_answer(name):
    """It may write what opens one, alone or with a question before it; the list stays one list."""
    tokenizer, _, trie, titles = made(FAMILIES[name])
    for question in ("x", f"I liked{soi_eoi(trie)[0]} red moon{soi_eoi(trie)[1]}"):
        prompt = prompt_of(tokenizer, question)
        opener = tokenizer.encode(tokenizer.decode(prompt).rpartition("x")[2], add_special_tokens=False)
        listed = [trie.soi_token_id, *titles[0], trie.eoi_token_id]
        answer = [*listed, *(opener if question == "x" else prompt_of(tokenizer, "y")), trie.soi_token_id]
        if trie.end_of_turn in answer:
            continue
        kept = FastPrefixConstrainedLogitsProcessor(trie.constrain_search_list, 1)
        for end in range(len(prompt), len(prompt) + len(answer) + 1):
            actual = allowed_after(trie, kept, [*prompt, *answer][:end])
        assert actual == {ids[0] for ids in titles[1:]}
        # An end of turn is one, whoever writes it.
        again = [*prompt, *listed, trie.end_of_turn, trie.soi_token_id]
        for end in range(len(prompt), len(again) + 1):
            actual = allowed_after(trie, kept, again[:end])
        assert actual == {ids[0] for ids in titles}


def test_a_scripted_answer_that_leaves_the_tree_is_led_back_into_it():
    tokenizer, model, trie, titles = made(FAMILIES["Qwen2.5"])
    ids = prompt_of(tokenizer, "x")
    scripted(model, dict(enumerate([trie.soi_token_id, *[5] * 20], len(ids))))
    processor = FastPrefixConstrainedLogitsProcessor(trie.constrain_search_list, num_beams=1)
    config = GenerationConfig(do_sample=False, max_new_tokens=12, eos_token_id=trie.end_of_turn, pad_token_id=1)
    out = model.generate(
        torch.tensor([ids]),
        logits_processor=[processor],
        generation_config=config,
        attention_mask=torch.ones(1, len(ids)),
    )
    items, _ = split_completion(out[0, len(ids) :].tolist(), trie.soi_token_id, trie.eoi_token_id)
    assert items and items[0] in titles


@families
def test_the_tree_of_a_renderer_is_that_of_its_titles(name):
    tokenizer, _, trie, _ = made(FAMILIES[name])
    of_renderer = Trie_link.of_renderer(Chat(tokenizer, TITLES))
    one, other = (FastPrefixConstrainedLogitsProcessor(t.constrain_search_list, 1) for t in (trie, of_renderer))
    prompt = prompt_of(tokenizer, "x")
    for tokens in ([], [trie.soi_token_id], [trie.soi_token_id, *of_renderer.next_tokens([trie.soi_token_id])[:1]]):
        assert allowed_after(trie, one, prompt + tokens) == allowed_after(of_renderer, other, prompt + tokens)
    with pytest.raises(ValueError, match="no titles"):
        Trie_link.of_renderer(Chat(tokenizer))


@pytest.mark.parametrize("form", ["token", "rq_token_seq", "token_title"])
def test_items_with_codes_are_generated_from_the_tree_of_their_renderer(form):
    model, chat = coded_chat(TITLES, form)
    trie = Trie_link.of_renderer(chat)
    processor = FastPrefixConstrainedLogitsProcessor(trie.constrain_search_list, num_beams=1)
    prompt = chat.render([message("user", "x")], prompt=True).ids
    start = torch.tensor([[*prompt, chat.soi]])
    output = model.generate(start, logits_processor=[processor], max_new_tokens=12, do_sample=False)[0].tolist()
    written = output[len(prompt) + 1 :]
    assert written[: written.index(chat.eoi)] in chat.title_ids
    first = allowed_after(trie, processor, [*prompt, chat.soi])
    assert first == {ids[0] for ids in chat.title_ids}
    assert not allowed_after(trie, processor, prompt) & set(chat.item_tokens)
    listed = [*prompt, *chat.item_ids(1), *chat.item_ids(0), chat.soi, *chat.title_ids[2][:-1]]
    assert allowed_after(trie, processor, listed) == {chat.title_ids[2][-1]}
