"""Dates whose meaning the column decides: digits alone, and a day and a month in an order that one date may not show.

- Digits alone: 20240301 and 20240301123000 would be seconds and microseconds of 1970. They are dates where more than
  half of a column are calendar dates of 1900 to 2100 in these forms, without the times whose meaning is clear: dates
  with slashes, and times that a unit puts between 1973 and 2100.
- 03/01/2024 and 03-01-2024: the order of day and month is that of the dates of the column that have only one.
- 2024/03/01, and 1.3.2024 with its day first, have one meaning.
"""

import re
from datetime import date
from decimal import Decimal
from typing import NamedTuple

import numpy as np

DATE_ORDERS = ("day-first", "month-first")
MOST = 2**62  # a time beyond it is no time of any event
LEAST = -2 * MOST  # of a date whose order is open, see `_pack`
_DAY = 86_400  # seconds
_MILLION = 10**6
_TICKS = (1, 10**3, 10**6, 10**9)  # per second, of the units of times
_YEARS = (1900, 2100)  # of dates of digits alone
_DIGITS = (10**4, 10**10)  # by which the year of 20240301, and of 20240301123000, is multiplied
_WRITTEN = re.compile(
    r"(\d{1,4})([/.-])(\d\d?)\2(\d{1,4})"
    r"(?:(?:T|,? +)(\d\d?):(\d\d)(?::(\d\d)(?:\.(\d{1,6})\d*)?)?(?: ?([AaPp])\.?[Mm]\.?)?)?"
    r"(?: ?(?:Z|UTC|GMT|([+-])(\d\d):?(\d\d)))?"
)
_YEAR_BITS, _NUMBER_BITS, _MICROSECOND_BITS = 14, 5, 38  # microseconds of three days: a zone may move one into the next


class UnclearDates(ValueError):
    """The dates of a column do not show whether the day or the month is first."""


class Dates(NamedTuple):
    """Times of a column with its dates as seconds since 1970.

    Attributes:
        time: int64 [n].
        fractions: row -> fraction of a second, of dates.
        forms: form of dates, in words -> bool [n], which times are dates of that form.
    """

    time: np.ndarray
    fractions: dict[int, Decimal]
    forms: dict[str, np.ndarray]


def date_of(text: str, date_order: str = "") -> Decimal | None:
    """Return the second since 1970 of a date such as 2024/03/01, 03/01/2024 or 1.3.2024 8:26 PM; None for another text.

    A time without a zone is in UTC.

    Args:
        text: the date.
        date_order: one of `DATE_ORDERS`; "" for that of the column. A date of either order is then a number below
            `-MOST`, which `settle_dates` reads.
    """
    match = _WRITTEN.fullmatch(text)
    if match is None:
        return None
    first, separator, second, last = match.group(1, 2, 3, 4)
    if len(first) == 4 and len(last) < 3:
        year, month, day = map(int, (first, second, last))
    elif len(last) == 4 and len(first) < 3:
        year, month, day = map(int, (last, second, first))
        if separator != "." and date_order == "month-first":
            month, day = day, month
        elif separator != "." and not date_order:
            return _open_date(match, day, month, year)
    else:
        return None
    return _seconds_of(match, year, month, day)


def _open_date(match: re.Match[str], first: int, second: int, year: int) -> Decimal | None:
    """Return the number of a date whose order is open; None where it is a date in neither."""
    is_date = any(_midnight(year, month, day) is not None for month, day in ((second, first), (first, second)))
    clock = _clock_of(match)
    return Decimal(_pack(first, second, year, int(clock * _MILLION))) if is_date and clock is not None else None


def _seconds_of(match: re.Match[str], year: int, month: int, day: int) -> Decimal | None:
    """Return the second since 1970 of a day, at the time of the day that was matched; None where there is none."""
    midnight, clock = _midnight(year, month, day), _clock_of(match)
    return None if midnight is None or clock is None else midnight + clock


def _midnight(year: int, month: int, day: int) -> int | None:
    """Return the second since 1970 at which a day begins; None where there is no such day."""
    try:
        return (date(year, month, day) - date(1970, 1, 1)).days * _DAY
    except ValueError:
        return None


def _clock_of(match: re.Match[str]) -> Decimal | None:
    """Return the second in UTC since the day began, below 0 or beyond a day by its zone; None where there is none."""
    hour, minute, second, zone_hour, zone_minute = (int(text or 0) for text in match.group(5, 6, 7, 11, 12))
    microsecond, half = int((match[8] or "").ljust(6, "0")), (match[9] or "").lower()
    if half and not 1 <= hour <= 12:
        return None
    hour = hour % 12 + 12 * (half == "p") if half else hour
    if hour > 23 or minute > 59 or second > 59 or zone_hour > 23 or zone_minute > 59:
        return None
    zone = (3600 * zone_hour + 60 * zone_minute) * (-1 if match[10] == "-" else 1)
    return 3600 * hour + 60 * minute + second - zone + Decimal(microsecond) / _MILLION


def _pack(first: int, second: int, year: int, microsecond: int) -> int:
    """Return the number of a date with two numbers before its year, at a microsecond since the day began."""
    packed = (first << _NUMBER_BITS | second) << _YEAR_BITS | year
    return -MOST - 1 - (packed << _MICROSECOND_BITS | microsecond + _DAY * _MILLION)


def settle_dates(time: np.ndarray) -> Dates:
    """Return the times of a column with its dates as seconds since 1970.

    Args:
        time: int64 [n], the whole times of the column, dates without an order as `date_of` returns them.

    Raises:
        UnclearDates: the order of day and month is not the same in all dates, or none shows it.
    """
    is_open = time < -MOST
    settled, fractions, forms = _ordered(time, is_open) if is_open.any() else Dates(time, {}, {})
    seconds, is_date = _with_digits(settled)
    if is_date.any():
        is_clear = is_open | np.any([is_modern(time, ticks) for ticks in _TICKS], axis=0)
        if 2 * is_date.sum() > (~is_clear).sum():
            settled, forms = seconds, forms | {"dates of digits": is_date}
    return Dates(settled, fractions, forms)


def is_modern(time: np.ndarray, ticks: int) -> np.ndarray:
    """Return which times are between 1973 and 2100, at `ticks` per second; no time is in two units."""
    return (time >= 10**8 * ticks) & (time <= 4_102_444_800 * ticks)


def _with_digits(time: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the times with dates of digits alone as seconds since 1970, and which of them are such dates."""
    settled, is_date = time, np.zeros(len(time), bool)
    for digits in _DIGITS:
        (rows,) = np.nonzero((_YEARS[0] * digits <= time) & (time < (_YEARS[1] + 1) * digits))
        if len(rows):
            seconds, are_dates = _of_digits(time[rows], digits)
            settled = time.copy() if settled is time else settled
            settled[rows[are_dates]], is_date[rows[are_dates]] = seconds[are_dates], True
    return settled, is_date


def _of_digits(time: np.ndarray, digits: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the second of each date of digits alone, and which times are one."""
    day, clock = np.divmod(time, digits // _DIGITS[0])
    hour, minute, second = clock // 10_000, clock // 100 % 100, clock % 100
    year, month = day // 10_000, day // 100 % 100
    midnight, is_date = _midnights(year, month, day % 100)
    is_date &= (hour < 24) & (minute < 60) & (second < 60)
    return midnight + 3600 * hour + 60 * minute + second, is_date


def _midnights(year: np.ndarray, month: np.ndarray, day: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the second since 1970 at which each day begins, and which of the days there are."""
    months = (year - 1970) * 12 + month - 1
    days = months.astype("datetime64[M]").astype("datetime64[D]") + (day - 1)
    is_day = (month >= 1) & (month <= 12) & (day >= 1) & (days.astype("datetime64[M]").astype(np.int64) == months)
    return days.astype(np.int64) * _DAY, is_day


def _ordered(time: np.ndarray, is_open: np.ndarray) -> Dates:
    """Return the times with the dates of either order in that of the column; see `settle_dates`."""
    packed, microsecond = np.divmod(-MOST - 1 - time[is_open], 1 << _MICROSECOND_BITS)
    numbers, year = np.divmod(packed, 1 << _YEAR_BITS)
    first, second = np.divmod(numbers, 1 << _NUMBER_BITS)

    def shown(row: np.intp) -> str:
        return f"{first[row]:02}/{second[row]:02}/{year[row]:04}"

    days_first, months_first, differ = first > 12, second > 12, first != second
    if differ.any() and not days_first.any() and not months_first.any():
        raise UnclearDates(
            f"{shown(differ.argmax())} may have its day or its month first, and no date of the column decides; give "
            f"`date_order` {' or '.join(DATE_ORDERS)}"
        )
    if days_first.any() and months_first.any():
        raise UnclearDates(
            f"{shown(days_first.argmax())} has its day first, and {shown(months_first.argmax())} its month; give "
            f"`date_order` {' or '.join(DATE_ORDERS)}, so that dates of the other order are counted as unusable"
        )
    order = DATE_ORDERS[int(months_first.any())]
    day, month = (first, second) if order == "day-first" else (second, first)
    seconds, fraction = np.divmod(microsecond - _DAY * _MILLION, _MILLION)
    settled = time.copy()
    settled[is_open] = _midnights(year, month, day)[0] + seconds
    rows = np.flatnonzero(is_open)
    fractions = {int(rows[at]): Decimal(int(fraction[at])) / _MILLION for at in np.flatnonzero(fraction)}
    return Dates(settled, fractions, {f"dates, {order}": is_open})
