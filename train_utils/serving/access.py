"""Keys of an HTTP API: who may read, give feedback, or change catalogs."""

import hmac
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from train_utils.files.text_files import text_lines

RIGHTS = ("read", "feedback", "catalogue")
_LEAST_CHARACTERS = 16


class Keys:
    """Keys with their rights; without any, everybody may read and give feedback.

    Args:
        rights_of: key -> its rights.
    """

    def __init__(self, rights_of: Mapping[str, frozenset[str]] | None = None):
        self._rights = {_digest(key): rights for key, rights in (rights_of or {}).items()}

    @classmethod
    def read(cls, path: str | Path) -> "Keys":
        """Read keys from a file: on each line a key, white space, and its rights with commas between.

        Raises:
            ValueError: a line is of another form; the key is not shown.
            OSError: the file cannot be read.
        """
        keys: dict[str, frozenset[str]] = {}
        for number, line in enumerate(text_lines(path), 1):
            if not line.strip() or line.startswith("#"):
                continue
            key, *rest = line.split()
            rights = frozenset(rest[0].split(",")) if len(rest) == 1 else frozenset()
            if not rights or not rights <= {*RIGHTS} or len(key) < _LEAST_CHARACTERS:
                raise ValueError(
                    f"{path} line {number}: wanted a key of {_LEAST_CHARACTERS} or more characters, white space, and "
                    f"rights among {','.join(RIGHTS)} with commas between"
                )
            keys[key] = rights
        if not keys:
            raise ValueError(f"{path} holds no key; add a line such as: KEY read,feedback")
        return cls(keys)

    @property
    def needed(self) -> bool:
        """Whether a request needs a key."""
        return bool(self._rights)

    def rights(self, authorization: str) -> frozenset[str] | None:
        """Return the rights of a request by its `Authorization` header; None for an unknown key.

        The time taken does not tell how much of a key was right: digests are compared, and all of them.
        """
        if not self.needed:
            return frozenset(("read", "feedback"))
        scheme, _, key = authorization.partition(" ")
        given = _digest(key.strip()) if scheme.lower() == "bearer" else b""
        found: frozenset[str] | None = None
        for known, rights in self._rights.items():
            if hmac.compare_digest(known, given):
                found = rights
        return found


def _digest(key: str) -> bytes:
    return sha256(key.encode("utf-8", "surrogateescape")).digest()
