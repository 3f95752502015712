"""Test tasks, parsed from their published names."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["next_items", "ranking", "category", "item_count", "embedding"]
Exchange = Literal["", "per_user", "shared"]
_KINDS: dict[str, Kind] = {
    "SFTTestSeqRec": "next_items",
    "SFTTestSeqRanking": "ranking",
    "SFTTestCategory": "category",
    "SFTTestItemCount": "item_count",
    "SFTTestEmbedding": "embedding",
}


@dataclass(frozen=True, slots=True)
class EvalTask:
    """Test task.

    Attributes:
        name: the published name, such as "SFTTestSeqRec-CS-MR".
        kind: kind of request.
        exchange: the chat exchange before the request: none (""), one drawn per user, or one shared by all users.
        names_symbols: whether the request names the control tokens.
    """

    name: str
    kind: Kind
    exchange: Exchange = ""
    names_symbols: bool = False

    @classmethod
    def parse(cls, name: str) -> "EvalTask":
        """Parse a published name, KIND[-CS][-MR[-same]].

        Raises:
            ValueError: the name has another form.
        """
        kind, *marks = name.split("-")
        if kind not in _KINDS or marks not in ([], ["CS"], ["MR"], ["MR", "same"], ["CS", "MR"], ["CS", "MR", "same"]):
            raise ValueError(
                f"the test task is {name!r}, wanted one of {', '.join(_KINDS)}, with -CS and -MR[-same] behind it"
            )
        exchange: Exchange = "shared" if "same" in marks else "per_user" if "MR" in marks else ""
        return cls(name, _KINDS[kind], exchange, "CS" in marks)
