"""Tokenizers of transformers without torch, which they do not need; it takes 260 MB and seconds to import."""

import importlib.util
import os
from importlib.machinery import ModuleSpec


def hide_torch() -> None:
    """Let transformers, which must not be imported yet, run without torch in this process.

    Only for a process that ends after preprocessing. Code that imports torch itself still gets it.
    """
    find_spec = importlib.util.find_spec

    def without_torch(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name == "torch" else find_spec(name, package)

    importlib.util.find_spec = without_torch
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")  # that torch is missing
