"""What pydantic finds wrong with a body, a file or an argument, in the words of this project's other errors."""

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, model_validator

_WORDS = {"Field required": "it is missing", "Input should be": "wanted", "Value error, ": ""}


class OnlyKnown(BaseModel):
    """Body without unknown fields, whose refusal lists the fields that there are."""

    model_config: ClassVar = {"extra": "forbid"}

    @model_validator(mode="before")
    @classmethod
    def _only_known(cls, body: object) -> object:
        unknown = [] if not isinstance(body, Mapping) else [name for name in body if name not in cls.model_fields]
        if unknown:
            raise ValueError(f"{str(unknown[0])[:80]!r} is unknown, wanted one of {', '.join(cls.model_fields)}")
        return body


def field_error(error: Mapping[str, Any], whole: str = "") -> str:
    """Return an error of `ValidationError.errors()` as `field: what is wrong`.

    Args:
        error: the error.
        whole: name of what was read, for an error of the whole.
    """
    text = str(error["msg"])
    for pydantic, ours in _WORDS.items():
        if text.startswith(pydantic):
            text = ours + text.removeprefix(pydantic)
    where = ".".join(str(part)[:80] for part in error["loc"]) or whole
    return f"{where}: {text}" if where else text
