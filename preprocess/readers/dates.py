"""Dates whose meaning the column decides: digits alone, and a day and a month in an order that one date may not show.

- Digits alone: 20240301 and 20240301123000 are dates where more than half of the whole numbers of a column are calendar
  dates of 1900 to 2100 in that form. They would be seconds and microseconds of 1970.
- 03/01/2024 and 03-01-2024: the order of day and month is that of the dates of the column that have only one.
- 2024/03/01, and 1.3.2024 with its day first, have one meaning.
"""

import re
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

import numpy as np

DATE_ORDERS = ("day-first", "month-first")
MOST = 2**62  # a time beyond it is no time of any event
LEAST = -2 * MOST  # of a date whose order is open, see `_pack`
_DAY = 86_400  # seconds
_MILLION = 10**6
_YEARS = (1900, 2100)  # of dates of digits alone
_DIGITS = (10**4, 10**10)  # by which the year of 20240301, and of 20240301123000, is multiplied
_WRITTEN = re.compile(
    r"(\d{1,4})([/.-])(\d\d?)\2(\d{1,4})"
    r"(?:(?:T|,? +)(\d\d?):(\d\d)(?::(\d\d)(?:\.(\d{1,6})\d*)?)?(?: ?([AaPp])\.?[Mm]\.?)?)?Z?"
)
_YEAR_BITS, _NUMBER_BITS, _MICROSECOND_BITS = 14, 5, 37


class UnclearDates(ValueError):
    """The dates of a column do not show whether the day or the month is first."""


class Dates(NamedTuple):
    """Times of a column with its dates as seconds since 1970.

    Attributes:
        time: int64 [n].
        fractions: row -> fraction of a second, of dates.
        is_date: bool [n].
        form: what the dates are, in words; "" where there are none.
    """

    time: np.ndarray
    fractions: dict[int, Decimal]
    is_date: np.ndarray
    form: str


def date_of(text: str, date_order: str = "") -> Decimal | None:
    """Return the second since 1970 of a date such as 2024/03/01, 03/01/2024 or 1.3.2024 8:26 PM; None for another text.

    A time is in UTC.

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
    both = [_seconds_of(match, year, month, day) for month, day in ((second, first), (first, second))]
    known = next((moment for moment in both if moment is not None), None)
    if known is None:
        return None
    clock = (known % _DAY + _DAY) % _DAY  # Decimal's remainder has the sign of the dividend
    return Decimal(_pack(first, second, year, int(clock * _MILLION)))


def _seconds_of(match: re.Match[str], year: int, month: int, day: int) -> Decimal | None:
    """Return the second since 1970 of a day, at the time of the day that was matched; None where there is none."""
    hour, minute, second = (int(text or 0) for text in match.group(5, 6, 7))
    microsecond, half = int((match[8] or "").ljust(6, "0")), (match[9] or "").lower()
    if half and not 1 <= hour <= 12:
        return None
    hour = hour % 12 + 12 * (half == "p") if half else hour
    try:
        moment = datetime(year, month, day, hour, minute, second) - datetime(1970, 1, 1)  # noqa: DTZ001, both in UTC
    except ValueError:
        return None
    return moment.days * _DAY + moment.seconds + Decimal(microsecond) / _MILLION


def _pack(first: int, second: int, year: int, microsecond: int) -> int:
    """Return the number of a date with two numbers before its year, at a microsecond of the day."""
    packed = (first << _NUMBER_BITS | second) << _YEAR_BITS | year
    return -MOST - 1 - (packed << _MICROSECOND_BITS | microsecond)


def settle_dates(time: np.ndarray) -> Dates:
    """Return the times of a column with its dates as seconds since 1970.

    Args:
        time: int64 [n], the whole times of the column, dates without an order as `date_of` returns them.

    Raises:
        UnclearDates: the order of day and month is not the same in all dates, or none shows it.
    """
    is_open = time < -MOST
    if is_open.any():
        return _ordered(time, is_open)
    for digits in _DIGITS:
        is_date = (_YEARS[0] * digits <= time) & (time < (_YEARS[1] + 1) * digits)
        if 2 * is_date.sum() > len(time):
            seconds = np.zeros_like(time)
            seconds[is_date], is_date[is_date] = _of_digits(time[is_date], digits)
            if 2 * is_date.sum() > len(time):
                return Dates(np.where(is_date, seconds, time), {}, is_date, "dates of digits")
    return Dates(time, {}, np.zeros(len(time), bool), "")


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
    seconds, fraction = np.divmod(microsecond, _MILLION)
    settled = time.copy()
    settled[is_open] = _midnights(year, month, day)[0] + seconds
    rows = np.flatnonzero(is_open)
    fractions = {int(rows[at]): Decimal(int(fraction[at])) / _MILLION for at in np.flatnonzero(fraction)}
    return Dates(settled, fractions, is_open, f"dates, {order}")
