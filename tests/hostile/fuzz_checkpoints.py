"""Readers of a teacher's checkpoint, of a run's state, and of the files of RecLM-ret."""

import io
import zipfile
from pathlib import Path

import torch
from damage import Reader
from fuzz_pickles import WORDS
from sasrec_model import build_model, checkpoint_content, default_config, load_checkpoint, save_torch

from train_utils.catalog import Item, make_catalog
from train_utils.files.torch_file import load_torch
from train_utils.models.retrieval_head import Retrieval, load_retrieval, save_retrieval
from train_utils.teacher.local import LocalTeacher

CATALOG = make_catalog("c", [Item(f"i{n}", f"Title {n}") for n in range(9)], {"u": [f"i{n}" for n in range(5)]})
IDS = ("[PAD]", *(item.id for item in CATALOG.items))
SMALL = {"embedding_size": 8, "hidden_size": 8, "inner_size": 8, "max_seq_len": 4, "n_layers": 1, "n_heads": 2}
CHECKPOINT_WORDS = (
    *WORDS, b"ctorch._utils\n_rebuild_tensor_v2\n", b"ctorch\nLongStorage\n", b"ctorch\nDoubleStorage\n", b"Q",
    b"M\xe8\x03", b"J\xff\xff\xff\x7f", b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f", b"X\x01\x00\x00\x000",
)  # fmt: skip


def checkpoint() -> dict:
    torch.manual_seed(0)
    sizes = {"n_users": 5, "n_items": len(IDS), "exp_name": "SASRec"}
    config = default_config() | SMALL | sizes
    popularity = torch.arange(len(IDS)).numpy()
    return checkpoint_content(config, build_model(config).state_dict(), 1, 0.5, IDS, popularity)


def write_checkpoint(folder: Path) -> None:
    save_torch(folder / "SASRec.pth", checkpoint())


def write_entries(folder: Path) -> None:
    """Write the entries of a checkpoint as files, so that damage goes past the archive's checksums."""
    buffer = io.BytesIO()
    torch.save(checkpoint(), buffer)
    with zipfile.ZipFile(buffer) as archive:
        archive.extractall(folder)


def read_checkpoint(folder: Path) -> None:
    path = folder / "SASRec.pth"
    for load in (load_checkpoint, lambda path: load_torch(path, mapped=True)):
        try:
            load(path)
        except ValueError as error:
            assert "\n" not in str(error)
    LocalTeacher(path).top_k([["i1", "i2"]], 3)


def read_entries(folder: Path) -> None:
    with zipfile.ZipFile(folder / "SASRec.pth", "w") as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.name != "SASRec.pth":
                archive.write(path, path.relative_to(folder))
    read_checkpoint(folder)


def write_head(folder: Path) -> None:
    save_retrieval(Retrieval(2, torch.ones(len(CATALOG.items), 2)).state_dict(), CATALOG, folder)


HEAD_WORDS = (b"99999999999999", b'"F16"', b'"I64"', b"[0,", b'"projection.0.weight"', b'"items"', b"{", b"]")

READERS = [
    Reader("checkpoints of a teacher", write_checkpoint, read_checkpoint, CHECKPOINT_WORDS),
    Reader("entries of a teacher's checkpoint", write_entries, read_entries, CHECKPOINT_WORDS),
    Reader("retrieval heads", write_head, lambda folder: load_retrieval(folder, CATALOG), HEAD_WORDS),
]
