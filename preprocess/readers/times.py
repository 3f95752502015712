"""Times of a dump: numbers in any unit, or dates; all of a dump in one unit that keeps every order."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from types import MappingProxyType

import numpy as np

from readers.dates import MOST, date_of, is_modern, settle_dates

# Name, ticks per second, and the smallest median of a file in this unit (10**11 seconds would be the year 5138).
TIME_UNITS = (("seconds", 1, 0), ("milliseconds", 10**3, 10**11), ("microseconds", 10**6, 10**14),
              ("nanoseconds", 10**9, 10**17))  # fmt: skip
NO_MOMENT = "time missing, or neither a number nor a date"


@dataclass(frozen=True)
class Times:
    """Times in one unit.

    Attributes:
        values: int64 [n], in ticks.
        unit: unit of most times in the dump.
        ticks: ticks per second.
        by_unit: unit -> number of times in it.
    """

    values: np.ndarray
    unit: str
    ticks: int
    by_unit: Mapping[str, int]


def settle_times(time: np.ndarray, fractions: Mapping[int, Decimal] = MappingProxyType({})) -> Times:
    """Convert times to one unit that keeps every order.

    Dates are in seconds; see `readers.dates` for those that the column decides. The unit of the file is that of its
    median. A time that this unit puts outside 1973 to 2100, and another unit inside, has the other unit. In that case,
    and where there are fractions, all times are kept in the finest unit that is needed.

    Args:
        time: int64 [n], whole times since 1970 as read, or dates as `settle_dates` reads them.
        fractions: row -> fraction of its time.

    Raises:
        UnclearDates: dates do not show whether day or month is first.
    """
    time, of_dates, forms = settle_dates(time)
    fractions = {**fractions, **of_dates} if of_dates else fractions
    typical = float(np.median(np.abs(time.astype(np.float64)))) if len(time) else 0.0
    own = max(number for number, (_, _, least) in enumerate(TIME_UNITS) if typical >= least)
    unit = np.full(len(time), own)
    in_own = is_modern(time, TIME_UNITS[own][1])
    for number, (_, ticks, _) in enumerate(TIME_UNITS):
        unit[~in_own & is_modern(time, ticks)] = number
    finest = max(unit.max(initial=own), own)
    if fractions:
        # int64 nanoseconds reach the year 2262; times beyond that lose their fractions.
        seconds = np.abs(time.astype(np.float64)) / np.array([ticks for _, ticks, _ in TIME_UNITS])[unit]
        finest = len(TIME_UNITS) - 1 if seconds.max() < 9e9 else finest
    scale = np.array([TIME_UNITS[finest][1] // ticks if ticks <= TIME_UNITS[finest][1] else 1 for _, ticks, _ in
                      TIME_UNITS], dtype=np.int64)[unit]  # fmt: skip
    most = np.iinfo(np.int64).max // scale  # a time beyond it is no time of any event
    values = np.clip(time, -most, most) * scale
    for row, fraction in fractions.items():
        values[row] += int(fraction * int(scale[row]))
    is_date = np.any(list(forms.values()), axis=0) if forms else np.zeros(len(time), bool)
    by_unit = {TIME_UNITS[number][0]: int(n) for number, n in enumerate(np.bincount(unit[~is_date])) if n}
    by_unit |= {form: int(of_form.sum()) for form, of_form in forms.items()}
    name = next((form for form in forms if by_unit[form] * 2 > len(time)), TIME_UNITS[own][0])
    return Times(values, name, TIME_UNITS[finest][1], by_unit)


def parse_time(value: object) -> Decimal:
    """Return a time since 1970, in any unit, with all its digits.

    Args:
        value: a number, or its text.

    Raises:
        ValueError: the value is no number, or is out of range of int64.
    """
    try:
        is_number = isinstance(value, int | float | str | Decimal) and not isinstance(value, bool)
        time = Decimal(value.strip() if isinstance(value, str) else value) if is_number else None
    except ArithmeticError:
        time = None
    if time is None or not time.is_finite() or not -MOST < time < MOST:
        raise ValueError("time missing or not a number")
    return time


def parse_moment(value: object, date_order: str = "") -> Decimal:
    """Return a time as `parse_time` does, or the second of a date such as "2018-03-01" or "2018-03-01 12:30:00".

    A date without a time zone is in UTC. Other forms are those of `date_of`.

    Args:
        value: a number, its text, or a date.
        date_order: see `date_of`.

    Raises:
        ValueError: the value is none of these.
    """
    if isinstance(value, str):
        text = value.strip()
        moment = _of_iso(text) if "-" in text[1:] or "T" in text else None
        moment = date_of(text, date_order) if moment is None else moment
        if moment is not None:
            return moment
    try:
        return parse_time(value)
    except ValueError:
        raise ValueError(NO_MOMENT) from None


@lru_cache(maxsize=1 << 16)  # of days there are few
def whole_seconds(time_of: Callable[[object], Decimal], text: str) -> int:
    """Return the time of a text by a parser, without its repetitions.

    Raises:
        ValueError: it is none, or has a fraction.
    """
    time = time_of(text)
    if time != int(time):
        raise ValueError("a fraction")
    return int(time)


def _of_iso(text: str) -> Decimal | None:
    """Return the second of a date in a form of ISO 8601; None for another text."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    microseconds = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    return Decimal(microseconds) / 10**6
