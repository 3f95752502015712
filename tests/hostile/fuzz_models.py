"""Readers of a model's folder: weights, configuration, tokenizer, chat template, adapter, GGUF, item vectors."""

import atexit
import json
import random
import shutil
import tempfile
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import torch
from damage import EXTREMES, Reader
from gguf_files import write_gguf
from tiny import tiny_model, tiny_tokenizer
from tiny_samples import small_catalog
from trained_models import CPU, TITLES, backbone_at, trained

from train_utils.models.adapters import save_adapter
from train_utils.models.backbone import load_backbone
from train_utils.models.control_rows import add_item_tokens
from train_utils.models.retrieval_head import Retrieval, load_retrieval, save_retrieval
from train_utils.models.trained import load_trained
from train_utils.prompts.messages import ItemPart, message
from train_utils.prompts.renderer import Chat

VALUES = (*EXTREMES, None, True, [], {}, "", "x", 0.5, 1e300, float("nan"), float("inf"), [[]], {"a": {}}, 10**30)
WORDS = [json.dumps(value).encode() for value in VALUES] + [b"{%", b"%}", b"{{", b"}}", b"range(99999)", b"*", b"**"]


@cache
def valid_models() -> Path:
    """Return a folder with a backbone, an adapter and a GGUF file, removed at exit."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    backbone = backbone_at(folder / "backbone")
    model, chat = trained(backbone, "lora")
    save_adapter(model, chat.tokenizer, folder / "adapter", {})
    return folder


def write_backbone(folder: Path) -> None:
    shutil.copytree(valid_models() / "backbone", folder / "backbone")


def write_adapter(folder: Path) -> None:
    shutil.copytree(valid_models() / "adapter", folder / "adapter")


def write_gguf_file(folder: Path) -> None:
    tokenizer = tiny_tokenizer()
    write_gguf(folder / "model.gguf", tiny_model(len(tokenizer)), tokenizer)


def write_retrieval(folder: Path) -> None:
    catalog = small_catalog()
    retrieval = Retrieval(8, torch.ones(len(catalog.items), 4))
    save_retrieval(retrieval.state_dict(), catalog, folder)


def read_backbone(folder: Path, name: str = "backbone") -> None:
    use(*load_backbone(str(folder / name), CPU, "float32"))


def read_adapter(folder: Path) -> None:
    use(*load_trained(str(folder / "adapter"), CPU, "float32", backbone=str(valid_models() / "backbone")))


def use(tokenizer, model) -> None:
    """Render a conversation for a loaded model, as every command does."""
    add_item_tokens(tokenizer, model)
    chat = Chat(tokenizer, TITLES)
    chat.render([message("user", "the red ", ItemPart(1)), message("assistant", "look: ", ItemPart(3))], prompt=False)


def write_dice(folder: Path) -> None:
    (folder / "dice").write_bytes(bytes(range(64)))


def read_with_values(write: Callable[[Path], None], read: Callable[[Path], None], folder: Path) -> None:
    """Read a valid model in whose JSON files some values are replaced, drawn by the bytes of the file `dice`."""
    rng = random.Random((folder / "dice").read_bytes())
    write(folder)
    files = sorted(folder.glob("*/*.json"))
    for path in rng.choices(files, k=rng.randint(1, 2)):
        content = json.loads(path.read_text())
        for _ in range(rng.randint(1, 3)):
            replace_value(content, rng)
        path.write_text(json.dumps(content))
    read(folder)


def replace_value(content: object, rng: random.Random) -> None:
    """Replace a value of a JSON object, inside it or at its top, or repeat it under another key."""
    while isinstance(content, (dict, list)) and content:
        keys = list(content) if isinstance(content, dict) else range(len(content))
        key = rng.choice(keys)
        inner = content[key]  # type: ignore[call-overload]
        if not (isinstance(inner, (dict, list)) and inner) or rng.random() < 0.3:
            content[key] = rng.choice((*VALUES, content[rng.choice(keys)]))  # type: ignore[call-overload, index]
            return
        content = inner


READERS = [
    Reader("model folder, bytes", write_backbone, read_backbone, WORDS),
    Reader("model folder, values", write_dice, partial(read_with_values, write_backbone, read_backbone)),
    Reader("adapter, bytes", write_adapter, read_adapter, WORDS),
    Reader("adapter, values", write_dice, partial(read_with_values, write_adapter, read_adapter)),
    Reader("GGUF", write_gguf_file, partial(read_backbone, name="model.gguf"), WORDS),
    Reader("item vectors of RecLM-ret", write_retrieval, lambda folder: load_retrieval(folder, small_catalog()), WORDS),
]
