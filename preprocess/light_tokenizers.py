"""Tokenizers without torch, which they do not need, and without transformers where it adds nothing.

Importing transformers takes seconds; torch, which it imports where it is installed, takes 260 MB and more seconds.
"""

import gc
import importlib.util
import json
import os
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# Files that transformers reads next to `tokenizer.json`, whose contents change the tokenizer.
_OTHER_FILES = ("special_tokens_map.json", "added_tokens.json", "tokenizer.model", "tekken.json")
_SPECIAL_TOKENS = {f"{name}_token" for name in ("bos", "eos", "unk", "pad", "sep", "cls", "mask")}
_LISTS = {"additional_special_tokens", "extra_special_tokens"}
# Settings of a tokenizer that change neither its tokens nor its special tokens.
_NEUTRAL = {
    "backend", "clean_up_tokenization_spaces", "is_local", "local_files_only", "model_input_names", "model_max_length",
    "name_or_path", "padding_side", "tokenizer_class", "truncation_side",
}  # fmt: skip
# Models for which transformers uses the class that the folder names; for others it may have a class of its own.
_MODELS = (None, "gemma3", "llama")


def lighten_process() -> None:
    """Let transformers, which must not be imported yet, run without torch in this process, and search no cycles.

    The data of preprocessing have no cycles, and looking for some in millions of lists takes an eighth of the time.
    Only for a process that ends after preprocessing. Code that imports torch itself still gets it.
    """
    gc.disable()
    find_spec = importlib.util.find_spec

    def without_torch(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name == "torch" else find_spec(name, package)

    importlib.util.find_spec = without_torch
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")  # that torch is missing


def then_exit(main: Callable[[], int]) -> Callable[[], NoReturn]:
    """Return a function that ends the process with the status of `main`, and does not free its objects one by one.

    Millions of ids take seconds. An error of `main` is raised.
    """

    def run() -> NoReturn:
        status = main()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)

    return run


def plain_tokenizer(folder: Path) -> "Tokenizer | None":
    """Return the tokenizer of a folder if `tokenizer.json` is all of it; None where transformers has to read it.

    That is so for folders that transformers 5 wrote with its general class.

    Args:
        folder: folder of a model, checked by `check_model_folder`.
    """
    if not (folder / "tokenizer.json").is_file() or any((folder / name).exists() for name in _OTHER_FILES):
        return None
    settings, model = (_json_object(folder / name) for name in ("tokenizer_config.json", "config.json"))
    if settings.get("tokenizer_class") != "TokenizersBackend" or model.get("model_type") not in _MODELS:
        return None
    if not settings.keys() <= _NEUTRAL | _SPECIAL_TOKENS | _LISTS:
        return None
    from tokenizers import Tokenizer  # here, so that cleaning text needs no tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    special = {token.content for token in tokenizer.get_added_tokens_decoder().values() if token.special}
    named = [settings[name] for name in _SPECIAL_TOKENS & settings.keys() if settings[name] is not None]
    listed = [settings[name] for name in _LISTS & settings.keys()]
    if not all(isinstance(tokens, list) for tokens in listed):
        return None
    if not all(isinstance(token, str) and token in special for token in chain(named, *listed)):
        return None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _json_object(path: Path) -> dict[str, Any]:
    value = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return value if isinstance(value, dict) else {}
