"""RecLM-cgen: a chat LLM whose recommendations are always items of a catalog."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from train_utils.recommender import Recommendation, Recommender

__all__ = ["Recommendation", "Recommender"]


def __getattr__(name: str):
    """Load the public classes on first use, so that `import train_utils` does not import torch."""
    if name in __all__:
        from train_utils import recommender

        return getattr(recommender, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
