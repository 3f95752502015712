"""RecLM-cgen: a chat LLM whose recommendations are always items of a catalog."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from train_utils.dialogue.conversation import Answer, Conversation
    from train_utils.recommender import Recommendation, Recommender

__all__ = ["Answer", "Conversation", "Recommendation", "Recommender"]

_MODULES = {"Answer": "dialogue.conversation", "Conversation": "dialogue.conversation"}


def __getattr__(name: str):
    """Load the public classes on first use, so that `import train_utils` does not import torch."""
    if name in __all__:
        return getattr(import_module(f"{__name__}.{_MODULES.get(name, 'recommender')}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
