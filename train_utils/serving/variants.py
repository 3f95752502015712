"""Variants of an A/B test: settings that a share of the users gets, chosen by the hash of the user."""

import itertools
import json
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, RootModel, ValidationError

from train_utils.files.json_files import read_bounded_json
from train_utils.serving.field_errors import OnlyKnown, field_error

# A temperature above this is uniform for any model, and only hides a typing error.
MOST_EXPLORE = 100.0
_FILE_BYTES = 1 << 20  # a variant takes some 100 bytes
_SUM_TOLERANCE = 1e-6  # of shares such as 1/3, written with digits

Explore = Annotated[float, Field(ge=0, le=MOST_EXPLORE, allow_inf_nan=False)]


class Variant(OnlyKnown):
    """Settings of a share of the users; None leaves a setting to the server, and what a request says comes first.

    Attributes:
        share: share of the users, above 0.
        prior_weight: weight of the teacher's scores in `/v1/recommend`.
        max_history: number of newest items that the model sees in `/v1/recommend`.
        explore: temperature at which lists of `/v1/recommend` are drawn; 0 lists the most probable items.
        decoding: how conversations find titles: "rank", "best" or "greedy".
    """

    model_config = ConfigDict(strict=True, frozen=True)

    share: Annotated[float, Field(gt=0, le=1)]
    prior_weight: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    max_history: Annotated[int, Field(ge=1, le=1000)] | None = None
    explore: Explore | None = None
    decoding: Literal["rank", "best", "greedy"] | None = None


@dataclass(frozen=True)
class Assignment:
    """What is known of the user of a request.

    Attributes:
        user: pseudonym; None for a request without a user, or where none is kept.
        name: name of the variant; None without variants.
        variant: its settings.
    """

    user: str | None
    name: str | None
    variant: Variant


class _VariantFile(RootModel[dict[Annotated[str, Field(min_length=1, max_length=80)], Variant]]):
    pass


class Variants:
    """Variants by name.

    Args:
        by_name: variants whose shares sum to 1; requests without a user get the first one.

    Raises:
        ValueError: there is none, or their shares sum to another number.
    """

    def __init__(self, by_name: Mapping[str, Variant]):
        self.by_name = dict(by_name)
        self._names = list(self.by_name)
        self._bounds = list(itertools.accumulate(variant.share for variant in self.by_name.values()))
        if not self._bounds or abs(self._bounds[-1] - 1) > _SUM_TOLERANCE:
            total = self._bounds[-1] if self._bounds else 0
            raise ValueError(f"the shares of {len(self._names)} variants sum to {total:g}, wanted 1; change a share")

    @classmethod
    def read(cls, path: str | Path) -> "Variants":
        """Read a file: a JSON object, name -> {"share": ..., ...}.

        Raises:
            ValueError: it is of another form.
            OSError: it cannot be read.
        """
        try:
            return cls(_VariantFile.model_validate(read_bounded_json(path, _FILE_BYTES)).root)
        except ValidationError as error:
            problem = field_error(error.errors()[0], whole="the file")
            raise ValueError(f"variants {path}: {problem}; see docs/feedback.md") from None
        except ValueError as error:
            raise ValueError(f"variants {path}: {error}") from None

    def assign(self, user: str | None) -> Assignment:
        """Return a user's variant, which depends on the user and on the names and shares of the variants.

        The names are part of the hash, so that a new test does not divide the users as the test before it did.

        Args:
            user: the user's pseudonym; None for a request without a user, which gets the first variant.
        """
        if user is None:
            return Assignment(None, self._names[0], self.by_name[self._names[0]])
        hashed = sha256(json.dumps([user, self._names]).encode()).digest()
        position = int.from_bytes(hashed[:6], "big") / 2**48
        name = self._names[min(bisect_right(self._bounds, position), len(self._names) - 1)]
        return Assignment(user, name, self.by_name[name])
