"""What the engine cannot read is found by trying, told in one line, and decoded by `generate` all the same."""

import copy
import dataclasses
import itertools
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from tiny import TINY_SIZES, tiny_model, tiny_tokenizer
from transformers import (
    BartConfig,
    BartForCausalLM,
    BloomConfig,
    BloomForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    GenerationConfig,
    GraniteMoeHybridConfig,
    GraniteMoeHybridForCausalLM,
    Lfm2Config,
    Lfm2ForCausalLM,
    Lfm3Config,
    Lfm3ForCausalLM,
    Llama4ForCausalLM,
    Llama4TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    OPTConfig,
    OPTForCausalLM,
    Phi3Config,
    Phi3ForCausalLM,
    PhimoeConfig,
    PhimoeForCausalLM,
    Qwen2MoeConfig,
    Qwen2MoeForCausalLM,
    RecurrentGemmaConfig,
    RecurrentGemmaForCausalLM,
    WatermarkingConfig,
)

from train_utils.catalog import Item, make_catalog
from train_utils.constraint.constraint import Constraint, ConstraintError, Prior
from train_utils.decoding.engine import Engine, make_engine
from train_utils.decoding.events import Done, ItemEvent, TextDelta
from train_utils.decoding.reference import PlainEngine, generate_reference
from train_utils.decoding.request import Request, SamplingParams
from train_utils.decoding.retriever import Retriever
from train_utils.decoding.support import Support, decoding_support, readable_length
from train_utils.decoding.title_search import prefill_to_item
from train_utils.evaluation.llm import side_by_side
from train_utils.models.adapters import add_lora
from train_utils.models.control_rows import add_item_tokens
from train_utils.models.retrieval_head import Retrieval
from train_utils.param.chat import ChatOptions
from train_utils.prompts.messages import ItemPart, message
from train_utils.prompts.renderer import Chat
from train_utils.recommender import Recommender
from train_utils.serving.chat_session import ChatSession
from train_utils.serving.domains import Domain, Domains

TITLES = ["red moon", "the end", "a", "blue river of the red moon", "red moon 2"]
SIZES = TINY_SIZES | {"vocab_size": 330}
UNREADABLE = {
    "convolutions": lambda: Lfm2ForCausalLM(Lfm2Config(**SIZES, layer_types=["conv", "full_attention"])),
    "state space": lambda: GraniteMoeHybridForCausalLM(
        GraniteMoeHybridConfig(
            **SIZES,
            layer_types=["mamba", "attention"],
            num_local_experts=0,
            num_experts_per_tok=0,
            mamba_n_heads=4,
            shared_intermediate_size=64,
            mamba_d_head=16,
            mamba_expand=2,
            mamba_d_state=8,
            mamba_n_groups=1,
        )
    ),
    "recurrence": lambda: RecurrentGemmaForCausalLM(
        RecurrentGemmaConfig(
            **(SIZES | {"num_hidden_layers": 3}),
            lru_width=32,
            attention_window_size=64,
            head_dim=8,
            block_types=("recurrent", "recurrent", "attention"),
        )
    ),
    "capped attention": lambda: Gemma2ForCausalLM(Gemma2Config(**SIZES, head_dim=8)),
    "ALiBi": lambda: BloomForCausalLM(BloomConfig(vocab_size=330, hidden_size=32, n_layer=2, n_head=4)),
}
LENGTH_DEPENDENT = {
    "longrope": lambda: Phi3ForCausalLM(
        Phi3Config(
            **SIZES,
            max_position_embeddings=256,
            original_max_position_embeddings=32,
            rope_parameters={
                "rope_type": "longrope",
                "rope_theta": 10000.0,
                "short_factor": [1.0] * 4,
                "long_factor": [4.0] * 4,
                "original_max_position_embeddings": 32,
            },
        )
    ),
    "dynamic": lambda: LlamaForCausalLM(
        LlamaConfig(
            **SIZES,
            max_position_embeddings=32,
            rope_parameters={"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 4.0},
        )
    ),
}
_MOE = {"num_experts": 4, "num_local_experts": 4, "num_experts_per_tok": 2, "max_position_embeddings": 256}
WINDOWED = {  # read alike up to 40 tokens, and otherwise from there on
    "chunks": lambda: Llama4ForCausalLM(
        Llama4TextConfig(**SIZES | _MOE, head_dim=8, intermediate_size_mlp=64, attention_chunk_size=40)
    ),
    "window of PhiMoE": lambda: PhimoeForCausalLM(PhimoeConfig(**SIZES | _MOE, sliding_window=40)),
    "window of some layers": lambda: Qwen2MoeForCausalLM(
        Qwen2MoeConfig(
            **SIZES | _MOE,
            use_sliding_window=True,
            sliding_window=40,
            max_window_layers=1,
            moe_intermediate_size=32,
            shared_expert_intermediate_size=32,
        )
    ),
}
READABLE = {
    "yarn": lambda: LlamaForCausalLM(
        LlamaConfig(
            **SIZES,
            max_position_embeddings=256,
            rope_parameters={
                "rope_type": "yarn",
                "rope_theta": 10000.0,
                "factor": 4.0,
                "original_max_position_embeddings": 64,
            },
        )
    ),
    "learned places": lambda: OPTForCausalLM(
        OPTConfig(
            vocab_size=330,
            hidden_size=32,
            ffn_dim=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=256,
            word_embed_proj_dim=32,
        )
    ),
    "plain": lambda: tiny_model(330),
}


def made(build):
    """A model with weights that tell tokens apart, and its chat."""
    torch.manual_seed(0)
    model, tokenizer = build().eval(), tiny_tokenizer()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                torch.nn.init.normal_(parameter, std=0.3)
    add_item_tokens(tokenizer, model)
    return model, Chat(tokenizer, TITLES)


def requests_of(chat, lengths=(1, 4, 8, 2), **how) -> list[Request]:
    prompts = [chat.render([message("user", "recommend" + " the red moon" * n)], prompt=True).ids for n in lengths]
    return [
        Request(prompt, Constraint(chat.trie), answer_at=len(prompt), max_new_tokens=25, **how) for prompt in prompts
    ]


@pytest.mark.parametrize("build", READABLE.values(), ids=READABLE)
def test_what_the_engine_reads_it_reads_at_any_length(build):
    model, _ = made(build)
    before = model.config._attn_implementation
    assert decoding_support(model) == Support()
    assert model.config._attn_implementation == before


@pytest.mark.parametrize("build", UNREADABLE.values(), ids=UNREADABLE)
def test_a_model_that_the_engine_cannot_read_is_refused_in_one_line_and_decoded_by_generate(build):
    model, chat = made(build)
    with pytest.raises(ValueError, match=f"{type(model).__name__} cannot be read .*`engine` hf") as error:
        Engine(model, chat)
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="cannot be read"):
        prefill_to_item(model, chat, [[5, 6]])
    engine = make_engine(model, chat)
    assert isinstance(engine, PlainEngine) and not engine.searches
    requests = requests_of(chat)
    assert [one.ids for one in engine.generate(requests)] == [
        generate_reference(model, chat, [request])[0].ids for request in requests
    ]
    with pytest.raises(ConstraintError, match="whole titles"):
        engine.generate(requests_of(chat, best_titles=3))


@pytest.mark.parametrize("build", LENGTH_DEPENDENT.values(), ids=LENGTH_DEPENDENT)
def test_texts_beyond_the_length_that_the_engine_reads_alike_are_decoded_as_generate_does(build):
    model, chat = made(build)
    longest = decoding_support(model).max_length
    assert 28 <= longest <= 32
    engine, requests = Engine(model, chat), requests_of(chat)
    assert min(len(request.prompt) for request in requests) < longest < max(len(r.prompt) for r in requests)
    expected = [generate_reference(model, chat, [request])[0].ids for request in requests]
    assert [one.ids for one in engine.generate(requests)] == expected
    for request, ids in zip(requests, expected, strict=True):
        events = list(engine.stream(request))
        assert "".join(e.text for e in events if isinstance(e, TextDelta)) == "".join(
            part for part in chat.parts_of(ids, chat.title_ids.index) if isinstance(part, str)
        )
        assert [e.item for e in events if isinstance(e, ItemEvent)] == [
            part.item for part in chat.parts_of(ids, chat.title_ids.index) if isinstance(part, ItemPart)
        ]
    with pytest.raises(ValueError, match=f"from {longest} on the positions .* depend"):
        prefill_to_item(model, chat, [requests[2].prompt])


@pytest.mark.parametrize("build", WINDOWED.values(), ids=WINDOWED)
def test_a_length_in_the_configuration_is_tried_when_a_text_first_passes_it(build):
    model, chat = made(build)
    engine, requests = Engine(model, chat), requests_of(chat, lengths=(1, 6, 8, 2))
    short = dataclasses.replace(requests[0], max_new_tokens=40 - len(requests[0].prompt))
    engine.generate([short])
    assert decoding_support(model) == Support()
    expected = [generate_reference(model, chat, [request])[0].ids for request in requests]
    assert [one.ids for one in engine.generate(requests)] == expected
    assert decoding_support(model) == Support(max_length=40)
    prompt = requests[2].prompt
    with pytest.raises(ValueError, match="from 40 on the positions or the attention of .* depend"):
        prefill_to_item(model, chat, [prompt])
    _, row = engine.generate([short, dataclasses.replace(requests[2], best_titles=2)])
    assert row.finish == "error" and "whole titles" in str(row.error)


@pytest.mark.parametrize(
    "build",
    [READABLE["plain"], UNREADABLE["recurrence"], *LENGTH_DEPENDENT.values()],
    ids=["plain", "recurrence", *LENGTH_DEPENDENT],
)
def test_the_logits_after_a_text_do_not_depend_on_texts_beside_or_before_it(build):
    model, chat = made(build)
    engine = make_engine(model, chat)
    short, long = ([5 + n % 7 for n in range(length)] for length in (6, 60))
    alone = engine.last_logits([short])[0]
    together = engine.last_logits([long, short])
    assert together.shape == (2, model.config.vocab_size)
    for again in (together[1], engine.last_logits([short])[0], PlainEngine(model, chat).last_logits([short])[0]):
        assert torch.allclose(again, alone, atol=1e-4)
    assert torch.allclose(engine.last_logits([long])[0], together[0], atol=1e-4)


def test_items_of_a_long_text_are_not_spelled_where_they_are_retrieved():
    model, chat = made(LENGTH_DEPENDENT["longrope"])
    engine = Engine(model, chat, Retriever(Retrieval(32, torch.randn(len(TITLES), 8)).eval()))
    short, long = requests_of(chat, lengths=(1, 12))
    short = dataclasses.replace(short, max_new_tokens=4)
    assert engine.finds_titles(len(short.prompt) + 4) and not engine.finds_titles(len(long.prompt))
    one, other = engine.generate([short, long])
    assert one.error is None and (other.ids, other.finish) == ([], "error")


def test_a_chat_that_ranks_titles_spells_them_once_the_conversation_is_long():
    model, chat = made(LENGTH_DEPENDENT["longrope"])
    domains = Domains(Recommender(model, Chat(chat.tokenizer)), {})
    session = ChatSession(domains, ChatOptions(model_name="", max_new_tokens=4, decoding="rank"))
    catalog = make_catalog("films", [Item(title, title) for title in chat.titles])
    session.domain = Domain("films", Recommender(model, chat, catalog))
    for text in ("hi", "the red moon " * 9):
        *_, done, notice = session.reply(text)
        assert done == Done("length") and "`max_new_tokens`" in notice.text


def test_a_window_that_the_engine_reads_is_no_limit():
    model, chat = made(lambda: MistralForCausalLM(MistralConfig(**SIZES, sliding_window=24)))
    requests = requests_of(chat)
    expected = [generate_reference(model, chat, [request])[0].ids for request in requests]
    assert [one.ids for one in Engine(model, chat).generate(requests)] == expected
    assert decoding_support(model) == Support()


@pytest.mark.parametrize("build", LENGTH_DEPENDENT.values(), ids=LENGTH_DEPENDENT)
def test_an_answer_does_not_depend_on_longer_texts_read_before(build):
    """Dynamic RoPE keeps the frequencies of the longest text so far."""
    used, chat = made(build)
    requests = requests_of(chat, lengths=(6, 12))
    alone = [generate_reference(made(build)[0], chat, [request])[0].ids for request in requests]
    assert [one.ids for one in Engine(used, chat).generate(requests[::-1])] == alone[::-1]
    assert [one.ids for one in generate_reference(made(build)[0], chat, requests[::-1])] == alone[::-1]


LEARNED_PLACES = BartConfig(
    vocab_size=330,
    d_model=32,
    decoder_layers=2,
    decoder_attention_heads=4,
    decoder_ffn_dim=64,
    max_position_embeddings=256,
)


@pytest.mark.parametrize(
    "build",
    [UNREADABLE["ALiBi"], UNREADABLE["recurrence"], lambda: BartForCausalLM(LEARNED_PLACES)],
    ids=["ALiBi", "recurrence", "learned places"],
)
def test_the_oracle_writes_for_a_batch_what_it_writes_for_each_request_alone(build):
    model, chat = made(build)
    requests = requests_of(chat)
    alone = [generate_reference(model, chat, [request])[0].ids for request in requests]
    assert [one.ids for one in generate_reference(model, chat, requests)] == alone


def test_a_model_that_nothing_decodes_is_refused_in_one_line():
    """transformers counts the tokens of a text in a layer of attention, and this model has none."""
    model, chat = made(lambda: Lfm3ForCausalLM(Lfm3Config(**SIZES)))
    with pytest.raises(ValueError, match="neither by the engine .* nor by transformers' generate .*take an") as error:
        make_engine(model, chat)
    assert "\n" not in str(error.value)


def test_rows_of_a_model_that_keeps_a_state_in_its_layers_are_not_read_at_the_same_time():
    for build, parts in ((READABLE["plain"], 2), (UNREADABLE["recurrence"], 1), (LENGTH_DEPENDENT["longrope"], 1)):
        assert len(side_by_side(list, [1, 2, 3], made(build)[0])) == parts


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"force_items": True, "max_items": 3, "idx": True},
        {"min_items": 2},
        {"max_items": 1},
        {"sampling": SamplingParams(1.0), "seed": 3},
        {"sampling": SamplingParams(0.7, top_k=5, top_p=0.9), "seed": 5, "min_items": 1},
    ],
)
def test_generate_driven_by_the_state_writes_what_the_engine_writes(how):
    model, chat = made(READABLE["plain"])
    model = model.double()
    requests = requests_of(chat, **how)
    prior = Prior([0.1, 0.5, 0.0, 1.0, 2.0], 2.0)
    requests += [dataclasses.replace(request, rules=Constraint(chat.trie, prior=prior)) for request in requests]
    requests.append(dataclasses.replace(requests[0], rules=None, force_items=False, min_items=0))
    for one, other in zip(
        PlainEngine(model, chat).generate(requests), Engine(model, chat).generate(requests), strict=True
    ):
        assert (one.ids, one.items, one.finish) == (other.ids, other.items, other.finish)
        assert one.scores == pytest.approx(other.scores, abs=1e-5)  # `generate` takes logits in float32


def test_a_stream_of_the_plain_engine_ends_when_it_is_stopped_or_left():
    import threading

    model, chat = made(READABLE["plain"])
    (request,) = requests_of(chat, lengths=(1,))
    request = dataclasses.replace(request, max_new_tokens=1000)
    stop = threading.Event()
    seen = []
    for event in PlainEngine(model, chat).stream(request, stop):
        seen.append(event)
        stop.set()
    assert seen[-1] == Done("stopped")
    left = PlainEngine(model, chat).stream(request)
    next(left)
    left.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "plain engine"]


def test_the_oracle_obeys_no_configuration_of_the_base_model():
    model, chat = made(READABLE["plain"])
    model = model.double()
    requests = [request for seed in range(3) for request in requests_of(chat, lengths=(1, 2, 3))]
    expected = [one.ids for one in Engine(model, chat).generate(requests)]
    model.generation_config = GenerationConfig(
        repetition_penalty=1.7,
        no_repeat_ngram_size=2,
        suppress_tokens=[5, 6, 7, 8],
        do_sample=True,
        temperature=2.0,
        top_k=3,
        bad_words_ids=[[9]],
        min_new_tokens=20,
        forced_eos_token_id=1,
        eos_token_id=[1, 2, 3],
        bos_token_id=0,
    )
    kept = model.generation_config.to_dict()
    assert [generate_reference(model, chat, [request])[0].ids for request in requests] == expected
    assert model.generation_config.to_dict() == kept


SETTINGS = {
    "begin_suppress_tokens": list(range(300)),
    "forced_bos_token_id": 7,
    "min_length": 100,
    "max_length": 20,
    "num_beams": 3,
    "num_return_sequences": 2,
    "pad_token_id": 9,
    "watermarking_config": WatermarkingConfig(),
    "guidance_scale": 3.0,
    "sequence_bias": [[[5], 10.0]],
    "exponential_decay_length_penalty": (1, 5.0),
    "stop_strings": ["a", "e"],
    "prompt_lookup_num_tokens": 3,
    "cache_implementation": "static",
    "max_time": 1e-9,
    "encoder_repetition_penalty": 2.0,
    "penalty_alpha": 0.6,
    "return_dict_in_generate": True,
    "a_setting_of_somebody": 3,
}


@pytest.mark.parametrize("wrapped", [False, True], ids=["model", "adapter"])
def test_no_single_setting_of_the_base_model_changes_what_generate_writes(wrapped):
    model, chat = made(READABLE["plain"])
    requests = requests_of(chat, lengths=(1, 3))
    outer = add_lora(model, [chat.soi, chat.eoi], 4, 8, 0.0).eval() if wrapped else model
    expected = [one.ids for one in generate_reference(outer, chat, requests)]
    for name, value in SETTINGS.items():
        model.generation_config = inherited = GenerationConfig()
        setattr(inherited, name, value)
        assert [one.ids for one in generate_reference(outer, chat, requests)] == expected, name
        assert PlainEngine(outer, chat).generate(requests[:1])[0].ids == expected[0], name
        assert model.generation_config is inherited and getattr(inherited, name) == value


@pytest.mark.parametrize("build", UNREADABLE.values(), ids=UNREADABLE)
def test_a_model_that_the_engine_cannot_read_is_known_in_bfloat16_too(build):
    """Where every difference is small, as in a recurrence that has just been initialized, its layers tell."""
    torch.manual_seed(3)
    for model in (build().eval(), build().eval().bfloat16()):
        assert decoding_support(model).problem


@pytest.mark.parametrize("build", [*LENGTH_DEPENDENT.values(), *WINDOWED.values()], ids=[*LENGTH_DEPENDENT, *WINDOWED])
def test_a_length_is_found_in_bfloat16_too(build):
    """Rounding hides small differences, so it is measured next to the length."""
    model, _ = made(build)
    lengths = [readable_length(model, tokens) for tokens in (20, 45, 60)]
    assert [readable_length(copy.deepcopy(made(build)[0]).bfloat16(), tokens) for tokens in (20, 45, 60)] == lengths
    assert any(lengths)


def test_threads_that_meet_a_length_at_once_find_it_once():
    model, _ = made(WINDOWED["chunks"] if "chunks" in WINDOWED else next(iter(WINDOWED.values())))
    with ThreadPoolExecutor(4) as pool:
        actual = set(pool.map(lambda _: readable_length(model, 60), range(16)))
    assert len(actual) == 1


@pytest.mark.parametrize(
    "build", [UNREADABLE["recurrence"], LENGTH_DEPENDENT["longrope"]], ids=["recurrence", "longrope"]
)
def test_a_model_with_a_state_answers_threads_as_it_answers_one(build):
    """Its layers keep what they read last: streams and batches of one model take turns."""
    model, chat = made(build)
    engine, requests = PlainEngine(model, chat), requests_of(chat, lengths=(1, 6, 12, 3))
    alone = [engine.complete(request).ids for request in requests]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            assert [one.ids for one in pool.map(engine.complete, requests)] == alone
    streams = [engine.stream(request) for request in requests]
    texts: list[list[str]] = [[] for _ in streams]
    for event_of_each in itertools.zip_longest(*streams):  # read in turn by one caller
        for text, event in zip(texts, event_of_each, strict=True):
            text += [event.text] if isinstance(event, TextDelta) else []
    whole = [[event.text for event in engine.stream(request) if isinstance(event, TextDelta)] for request in requests]
    assert ["".join(text) for text in texts] == ["".join(text) for text in whole]
