"""A model's folder is data: no code in it runs, and nothing is asked on stdin."""

import io
import json
import sys
from pathlib import Path

import pytest
import torch
from trained_models import backbone_at

from preprocess.titles import load_rules
from train_utils.models.backbone import load_backbone, load_tokenizer, own_dtype

CPU = torch.device("cpu")
# Runs when it is imported.
CODE = """
import pathlib
pathlib.Path({marker!r}).write_text("ran")
from transformers import LlamaConfig as Config, LlamaForCausalLM as Model, PreTrainedTokenizerFast as Tokenizer
def generate(*a, **k): pass
"""


def hostile(folder: Path, model_type: str, tokenizer_class: str | None) -> Path:
    """Write a model whose configuration names code in its folder; return the file that the code writes."""
    backbone_at(folder)
    marker = folder.parent / "ran"
    (folder / "custom_generate").mkdir()
    for name in ("evil.py", "custom_generate/generate.py"):
        (folder / name).write_text(CODE.format(marker=str(marker)))
    config = json.loads((folder / "config.json").read_text())
    config |= {
        "model_type": model_type,
        "auto_map": {"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"},
    }
    (folder / "config.json").write_text(json.dumps(config))
    entry = json.loads((folder / "tokenizer_config.json").read_text())
    entry |= {"auto_map": {"AutoTokenizer": ["evil.Tokenizer", "evil.Tokenizer"]}, "tokenizer_class": tokenizer_class}
    (folder / "tokenizer_config.json").write_text(json.dumps(entry))
    return marker


@pytest.mark.parametrize("model_type", ["llama", "evil"])
@pytest.mark.parametrize("tokenizer_class", ["PreTrainedTokenizerFast", "Evil", None])
@pytest.mark.parametrize(
    "load",
    [
        lambda folder: load_tokenizer(folder),
        lambda folder: load_backbone(folder, CPU, "float32"),
        own_dtype,
        load_rules,
    ],
    ids=["tokenizer", "model", "dtype", "preprocessing"],
)
def test_code_of_a_hostile_model_folder_never_runs(tmp_path, monkeypatch, model_type, tokenizer_class, load):
    marker = hostile(tmp_path / "model", model_type, tokenizer_class)
    lines = "y\n" * 20
    monkeypatch.setattr(sys, "stdin", io.StringIO(lines))
    try:
        load(str(tmp_path / "model"))
    except ValueError as error:
        assert "\n" not in str(error) and "not run" in str(error)
    assert not marker.exists() and sys.stdin.read() == lines
