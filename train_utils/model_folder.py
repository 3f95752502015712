"""Files of a model's folder, checked before a library reads them. Standard library only.

A folder may come from anywhere. Libraries parse its files with little checking, so what is not of the expected kind is
refused here, by name; whatever a library still raises becomes one line.
"""

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from train_utils.command import is_out_of_memory
from train_utils.files.text_files import read_text
from train_utils.files.tokenizer_file import check_tokenizer

LARGEST_JSON = 1 << 28  # bytes; the tokenizer files of a million added tokens have about half of it
LARGEST_CONFIG = 1 << 20  # bytes; those of released models have up to 100 kB, and transformers takes 1 s for 100 kB
LARGEST_HEADER = 100_000_000  # bytes; the limit of the safetensors library
# Configuration classes loop over these numbers when they are constructed. The deepest models have some hundred layers.
MOST_LAYERS = 10_000
_COUNTED = re.compile("layer|expert|depth|stage|attention_types|indices|kernel|codebook|^num_labels$")
_LAYERS = ("num_hidden_layers", "num_layers", "n_layer", "n_layers")
_JSON_OBJECTS = {
    **dict.fromkeys(("config.json", "generation_config.json", "adapter_config.json"), LARGEST_CONFIG),
    **dict.fromkeys(("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"), LARGEST_JSON),
}  # name -> most bytes
_READ = re.compile(r".*\.(json|jinja|txt|model|safetensors|gguf|bin|tiktoken)")
_FOLDERS = ("additional_chat_templates", "retrieval")
_FLOATS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
_PACKED = 8  # weights that a byte of another type holds at most

_NAME = re.compile(r"[\w.]+")
# Texts of a quantization, which libraries match as regular expressions: with two stars and no group that is fast.
_SIMPLE_PATTERN = re.compile(r"[\w.:/\\^$ -]*(?:\*[\w.:/\\^$ -]+){0,2}\*?")
_LONGEST_PATTERN = 200  # characters
# The pattern that `add_lora` writes: the head, or linear layers by their last names, in all layers or some.
_OWN_PATTERN = re.compile(r"(?:[\w.]+\|)?\.\*\\\.\(\?:(?:\[0-9\]\+|\d+(?:\|\d+)*)\)\\\.\.\*\\\.\(\?:\w+(?:\|\w+)*\)")
# Fields of an adapter that choose modules by name, that are numbers, and that change nothing when it is loaded.
_ADAPTER_NAMES = ("target_modules", "exclude_modules", "modules_to_save", "layers_pattern", "target_parameters")
_ADAPTER_NUMBERS = ("r", "lora_alpha", "lora_dropout")
_ADAPTER_OTHERS = {
    "auto_mapping", "base_model_name_or_path", "bias", "ensure_weight_tying", "fan_in_fan_out", "inference_mode",
    "init_lora_weights", "layers_to_transform", "lora_bias", "megatron_core", "peft_type", "peft_version",
    "qalora_group_size", "revision", "task_type", "trainable_token_indices", "use_dora", "use_rslora",
}  # fmt: skip
_STARTS = (True, False, None, "gaussian", "orthogonal", "olora", "pissa")  # values of init_lora_weights


@dataclass(frozen=True)
class Weights:
    """Size of the weights in files.

    Attributes:
        tensors: number of tensors.
        elements: number of weights at most; packed formats hold several in a byte.
    """

    tensors: int
    elements: int


@contextmanager
def as_value_error(failure: str) -> Iterator[None]:
    """Turn whatever a library raises over the files of a model into a ValueError of one line.

    Exhausted memory and interrupts pass. An error that asks for `trust_remote_code` names that flag.

    Args:
        failure: start of the error, such as "model 'm' cannot be loaded".
    """
    try:
        yield
    # A panic of the Rust code in tokenizers is no Exception.
    except BaseException as error:
        if is_out_of_memory(error) or not (isinstance(error, Exception) or type(error).__name__ == "PanicException"):
            raise
        raise ValueError(f"{failure}: {_reason(error)}") from None


def _reason(error: BaseException) -> str:
    text = " ".join(str(error).split())
    if "trust_remote_code" in text or "requires you to execute" in text:
        return (
            "it needs code in its own folder, which is not run; take a model of an architecture that transformers has, "
            "or read that code and give `trust_remote_code`"
        )
    first = (str(error).strip().splitlines() or [""])[0][:300]
    plain = first and isinstance(error, (ValueError, OSError, ImportError))
    return first if plain else f"{type(error).__name__}: {first}".removesuffix(": ")


def check_model_folder(folder: str | Path) -> None:
    """Check the small files of a model's or an adapter's folder.

    Links are followed, since the cache of the hub consists of them.

    Raises:
        ValueError: a file is no regular file (a pipe would block), is not the JSON object that it should be, has a
            number of layers that no model has, or names files outside the folder; the tokenizer makes texts far
            longer, see `check_tokenizer`; or the adapter in the folder is not one that can be loaded safely, see
            `check_adapter`.
    """
    folder = Path(folder)
    for part in (folder, *(folder / name for name in _FOLDERS)):
        for path in sorted(part.iterdir()) if part.is_dir() else ():
            if _READ.fullmatch(path.name) and not path.is_file() and not path.is_dir():
                raise ValueError(f"{path} is no regular file; replace it by one, or by a link to one")
    for name, most in _JSON_OBJECTS.items():
        if (folder / name).is_file():
            json_object(folder / name, most)
    if (folder / "config.json").is_file():
        config = json_object(folder / "config.json", LARGEST_CONFIG)
        _check_counts(config, folder / "config.json")
        _check_quantization(config, folder / "config.json")
    # A tokenizer's configuration may choose tokenizer.VERSION.json.
    for path in sorted({*folder.glob("tokenizer.json"), *folder.glob("tokenizer.*.json")}):
        try:
            check_tokenizer(json_object(path))
        except ValueError as error:
            reason = str(error) if str(path) in str(error) else f"{path}: {error}; take another tokenizer"
            raise ValueError(reason) from None
    for path in sorted(folder.glob("*.safetensors.index.json")):
        _check_index(path)
    if (folder / "adapter_config.json").is_file():
        check_adapter(folder)


def json_object(path: Path, most: int = LARGEST_JSON) -> dict[str, Any]:
    """Return the JSON object of a file.

    Args:
        path: the file.
        most: limit of its bytes.

    Raises:
        ValueError: the file is too large, or no JSON object.
    """
    if path.stat().st_size > most:
        raise ValueError(f"{path} has {path.stat().st_size:,} bytes, wanted at most {most:,}; download it again")
    try:
        content = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise ValueError(f"{path} is not JSON ({reason}); download it again") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds {str(content)[:80]!r}, wanted a JSON object; download it again")
    return content


def _check_counts(value: object, path: Path, key: str = "") -> None:
    """Check the numbers of layers in a configuration, however deep they are."""
    if isinstance(value, dict):
        for name, inner in value.items():
            _check_counts(inner, path, name)
    elif isinstance(value, list):
        for inner in value:
            _check_counts(inner, path, key)
    elif isinstance(value, (int, float)) and _COUNTED.search(key) and not value <= MOST_LAYERS:
        raise ValueError(f"{path}: {key!r} is {str(value)[:80]}, wanted at most {MOST_LAYERS:,}; no model has as many")
    elif isinstance(value, (int, float)) and key in _LAYERS and value < 1:
        raise ValueError(f"{path}: {key!r} is {str(value)[:80]}, wanted 1 or more; download it again")


def _check_quantization(config: Mapping[str, Any], path: Path) -> None:
    """Check the texts of quantizations, at any depth: many are regular expressions, and matching one can take forever.

    Multimodal configurations have a quantization in each part.
    """
    inside = [config]
    while inside:
        value = inside.pop()
        for name, inner in value.items():
            if name in ("quantization_config", "compression_config"):
                _check_patterns(inner, path, name)
            elif isinstance(inner, dict):
                inside.append(inner)


def _check_patterns(value: object, path: Path, field: str) -> None:
    if isinstance(value, dict):
        for name, inner in value.items():
            _check_patterns(name, path, field)
            _check_patterns(inner, path, field)
    elif isinstance(value, list):
        for inner in value:
            _check_patterns(inner, path, field)
    elif isinstance(value, str) and (len(value) > _LONGEST_PATTERN or not _SIMPLE_PATTERN.fullmatch(value)):
        raise ValueError(
            f"{path}: {field!r} holds {_shown(value)}, wanted names of modules, or patterns of at most two "
            "stars and no group, since matching others can take forever"
        )


def _check_index(path: Path) -> None:
    weights = json_object(path).get("weight_map")
    if not isinstance(weights, dict) or not all(isinstance(name, str) for name in weights.values()):
        raise ValueError(f'{path} is no index of weights, wanted {{"weight_map": {{tensor: file}}}}; download it again')
    for name in sorted(set(weights.values())):
        if os.path.basename(name) != name or not name.endswith(".safetensors"):
            raise ValueError(f"{path} names the file {name[:80]!r}, wanted a .safetensors file in the same folder")


# -- weights -----------------------------------------------------------------------------------------------------------
def weights_in(path: str | Path) -> Weights:
    """Return the size of the weights of a GGUF file, or of the safetensors files of a folder.

    Raises:
        ValueError: the folder has none, or a file is damaged.
    """
    path = Path(path)
    if path.is_file():
        size = path.stat().st_size
        with path.open("rb") as file:
            tensors = int.from_bytes(file.read(16)[8:], "little")  # after the magic number and the version
        return Weights(min(tensors, size // 32), _PACKED * size)  # a tensor's entry has more than 32 bytes
    files = sorted(path.glob("*.safetensors"))
    if not files:
        raise ValueError(
            f"{path} holds no weights in safetensors files; other formats are not read, since unpacking a pickle can "
            "run code: convert them (model.save_pretrained of transformers writes safetensors)"
        )
    entries = [entry for file in files for entry in tensors_in(file).values()]
    return Weights(len(entries), sum(_elements(entry) for entry in entries))


def tensors_in(path: Path) -> Mapping[str, Mapping[str, Any]]:
    """Return the tensors in the header of a safetensors file: name -> {"dtype", "shape", "data_offsets"}.

    Raises:
        ValueError: the file is damaged.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(size - 8, LARGEST_HEADER):
            raise ValueError(f"{path} is no safetensors file, or cut; download it again")
        text = file.read(length)
    try:
        header = json.loads(text)
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict):
        raise ValueError(f"{path} has no header of a safetensors file; download it again")
    header.pop("__metadata__", None)
    for name, entry in header.items():
        if not _is_tensor(entry, size - 8 - length):
            raise ValueError(f"{path}: the header has no type, shape and place within the file for {name[:80]!r}")
    return header


def _is_tensor(entry: object, size: int) -> bool:
    if not isinstance(entry, dict) or not isinstance(entry.get("dtype"), str):
        return False
    numbers = entry.get("shape"), entry.get("data_offsets")
    if not all(isinstance(part, list) and all(type(n) is int and n >= 0 for n in part) for part in numbers):
        return False
    ends = entry["data_offsets"]
    return len(ends) == 2 and ends[0] <= ends[1] <= size


def _elements(entry: Mapping[str, Any]) -> int:
    start, end = entry["data_offsets"]
    width = _FLOATS.get(entry["dtype"])
    return (end - start) // width if width else (end - start) * _PACKED


# -- adapters ----------------------------------------------------------------------------------------------------------
def check_adapter(folder: Path) -> None:
    """Check an adapter: LoRA in a safetensors file, which names its modules plainly.

    peft matches a text in `target_modules` as a regular expression, which can take forever, and imports, downloads or
    computes what some fields name.

    Raises:
        ValueError: it is of another kind, or damaged.
    """
    path, weights = folder / "adapter_config.json", folder / "adapter_model.safetensors"
    config = json_object(path)
    if config.get("peft_type") != "LORA":
        raise ValueError(
            f"{path}: 'peft_type' is {_shown(config.get('peft_type'))}, wanted 'LORA', the kind that is read"
        )
    if not weights.is_file():
        raise ValueError(
            f"{weights} does not exist; an adapter in another format is not read, since unpacking a pickle can run "
            "code: save it again by save_pretrained of peft"
        )
    for field in _ADAPTER_NAMES:
        _check_names(path, field, config.get(field))
    for field in ("rank_pattern", "alpha_pattern"):
        patterns = config.get(field) or {}
        if not isinstance(patterns, dict):
            raise ValueError(f"{path}: {field!r} is {_shown(patterns)}, wanted an object")
        _check_names(path, field, list(patterns))
        for value in patterns.values():
            _check_number(path, field, value)
    for field in _ADAPTER_NUMBERS:
        _check_number(path, field, config.get(field, 1))
    if (start := config.get("init_lora_weights", True)) not in _STARTS:
        raise ValueError(f"{path}: 'init_lora_weights' is {_shown(start)}, wanted true")
    known = {*_ADAPTER_NAMES, *_ADAPTER_NUMBERS, *_ADAPTER_OTHERS, "rank_pattern", "alpha_pattern"}
    if other := next((field for field in sorted(config.keys() - known) if config[field]), None):
        raise ValueError(
            f"{path}: {other[:80]!r} is {_shown(config[other])}, a kind of adapter that is not read; merge it into its "
            "base model by the program that trained it"
        )
    rows = [entry["shape"][0] for entry in tensors_in(weights).values() if len(entry["shape"]) == 2]
    ranks = [config.get("r", 1), *(config.get("rank_pattern") or {}).values()]
    if max(ranks) > max(rows, default=0):
        raise ValueError(f"{path}: a rank is {_shown(max(ranks))}, and no matrix in {weights.name} has as many rows")


def _check_names(path: Path, field: str, names: object) -> None:
    """Check names of modules: a list of plain names, one of them, or the pattern of this project."""
    listed: Iterable[object] = names if isinstance(names, list) else [] if names is None else [names]
    for name in listed:
        if not isinstance(name, str) or not (_NAME.fullmatch(name) or names is name and _is_own(field, name)):
            raise ValueError(
                f"{path}: {field!r} names {_shown(name)}, wanted names of modules such as ['q_proj', 'v_proj']; "
                "regular expressions are not read, since matching one can take forever: list what it matches"
            )


def _is_own(field: str, name: str) -> bool:
    return field == "target_modules" and (name == "all-linear" or bool(_OWN_PATTERN.fullmatch(name)))


def _check_number(path: Path, field: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e9:
        raise ValueError(f"{path}: {field!r} holds {_shown(value)}, wanted a number of 0 or more")


def _shown(value: object) -> str:
    return repr(value)[:80]
