"""`--dtype auto` never makes a CPU emulate bfloat16, and what is made names the format it was made in."""

import json

import pytest
import torch
from tiny import tiny_chat

from train_utils.evaluation.run import run_test
from train_utils.models.backbone import pick_dtype, with_dtype
from train_utils.models.trained import load_trained
from train_utils.param.chat import ChatOptions
from train_utils.param.evaluation import EvalOptions

CPU = torch.device("cpu")
TITLES = ["red moon", "red night", "blue river", "the return", "moon river", "green night", "end of night"]


@pytest.mark.parametrize(
    "able, dtype",
    [
        ({"avx512_bf16": True}, "bfloat16"),
        ({"amx_bf16": True, "avx512_bf16": False}, "bfloat16"),
        ({"avx512_bf16": False, "avx2": True}, "float32"),
        ({}, "float32"),
    ],
)
def test_auto_is_bfloat16_only_where_the_processor_computes_in_it(monkeypatch, able, dtype):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    assert pick_dtype("auto", CPU) == dtype
    assert with_dtype(ChatOptions(model_name="any", gpu="cpu")).dtype == dtype


@pytest.mark.parametrize("dtype", ["bf16", "", "Tensor"])
def test_an_unknown_format_is_refused(dtype):
    with pytest.raises(ValueError, match="`dtype` is .*, wanted auto, bfloat16 or float32"):
        pick_dtype(dtype, CPU)


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_a_named_format_is_taken_as_it_is(monkeypatch, dtype):
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    assert pick_dtype(dtype, CPU) == dtype


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    model, chat = tiny_chat(TITLES)
    model.save_pretrained(folder / "model")
    chat.tokenizer.save_pretrained(folder / "model")
    data = folder / "data"
    data.mkdir()
    items = [str(i) for i in range(len(TITLES))]
    (data / "metas.jsonl").write_text(json.dumps({i: {"title_t": t} for i, t in zip(items, TITLES, strict=True)}))
    (data / "category.jsonl").write_text(json.dumps({"all": items}))
    (data / "sequential.jsonl").write_text(json.dumps({"u": items[:4], "v": items[-4:]}))
    return folder


@pytest.mark.parametrize("able, dtype", [({"avx512_bf16": True}, torch.bfloat16), ({}, torch.float32)])
def test_models_are_loaded_in_the_format_of_the_device(world, monkeypatch, able, dtype):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    assert load_trained(str(world / "model"), CPU)[1].dtype == dtype


def test_a_result_depends_on_the_format_and_not_on_how_it_was_named(world, monkeypatch):
    common = {
        "data_path": str(world / "data"),
        "model_name": str(world / "model"),
        "gpu": "cpu",
        "use_CBS": True,
        "topk": 2,
        "max_history": 2,
        "SFT_test_task": "SFTTestSeqRec",
        "hide_seen": "none",
    }
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    output, by_default = run_test(EvalOptions(**common))
    assert "dtype" not in output.name
    named = run_test(EvalOptions(**common, dtype="float32", output=str(world / "named.json")))[1]
    assert by_default["manifest"]["config"] == named["manifest"]["config"]
    assert by_default["manifest"]["config"]["dtype"] == "float32"
