"""Ranges of years and of other numbers that a message names: "nineties", "before 1980", "price under $20"."""

from collections.abc import Mapping

from train_utils.catalog import year_attribute
from train_utils.conversation.limits.number_ranges import number_patterns
from train_utils.conversation.limits.ranges import Range
from train_utils.conversation.limits.year_ranges import YearReader
from train_utils.conversation.words.annotations import Annotation, masked


class RangeReader:
    """Reader of ranges for the numeric attributes of a catalog.

    Args:
        bounds: attribute -> (least, greatest) value; see `Catalog.numeric_attributes`.
    """

    def __init__(self, bounds: Mapping[str, tuple[float, float]]):
        year = year_attribute(bounds)
        self._years = YearReader(year, latest=int(bounds[year][1])) if year else None
        names = frozenset(name.lower() for name in bounds)
        self._numbers = [
            (number_patterns(name, names), all(isinstance(bound, int) for bound in ends))
            for name, ends in bounds.items()
            if name != year
        ]

    def find(self, text: str) -> list[Annotation]:
        """Return the ranges of a message; one per attribute, the last one that it names.

        The bounds of a range of years may be apart ("nothing after 1980, nothing before 1970"); both are annotated with
        the whole range.

        Args:
            text: the message, in which titles are masked.
        """
        years = self._years.find(text) if self._years else []
        text = masked(text, years)
        last: dict[str, Annotation] = {}
        for patterns, whole in self._numbers:
            for annotation in patterns.find(text, whole):
                assert isinstance(annotation.value, Range)
                last[annotation.value.attribute] = annotation
        return [*years, *last.values()]
