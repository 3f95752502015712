"""Conditions of a request on attributes of items: `{"year": {">=": 1980}}`, checked and compared with values."""

import math
import operator
import reprlib
from collections.abc import Callable, Collection, Mapping
from numbers import Integral, Real
from typing import Any, TypeGuard, cast

# `check_condition` passes only numbers and texts to these operators.
_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
OPERATORS = ("==", "!=", *_ORDER, "in", "not in", "contains", "outside")


def check_condition(attribute: object, condition: object) -> None:
    """Check a condition as a request states it.

    Args:
        attribute: name of the attribute.
        condition: a value that it must equal, or operator -> value.

    Raises:
        ValueError: the condition has another form; in one line.
    """
    require(isinstance(attribute, str), "an attribute in where", attribute, "a text")
    where = f"where {shown(attribute)}"
    require(
        isinstance(condition, Mapping) or _is_plain(condition),
        where,
        condition,
        "a text, a finite number, true or false, or {operator: value}",
    )
    operations = operations_of(condition)
    require(bool(operations), where, operations, f"one of the operators {', '.join(OPERATORS)}")
    for name, value in operations.items():
        require(name in OPERATORS, f"an operator of {where}", name, f"one of {', '.join(OPERATORS)}")
        if name in ("in", "not in"):
            require(
                isinstance(value, (tuple, list)) and all(map(_is_plain, value)),
                f"{where} {name}",
                value,
                "a list of texts, finite numbers, true or false",
            )
        elif name == "outside":
            require(
                isinstance(value, (tuple, list)) and all(map(_is_range, value)),
                f"{where} {name}",
                value,
                "a list of [least, greatest], which are finite numbers",
            )
        elif name in _ORDER:
            require(
                _is_plain(value) and not isinstance(value, bool), f"{where} {name}", value, "a text or a finite number"
            )
        else:
            require(_is_plain(value), f"{where} {name}", value, "a text, a finite number, true or false")


def operations_of(condition: object) -> Mapping[str, object]:
    """Return operator -> value of a checked condition."""
    return condition if isinstance(condition, Mapping) else {"==": condition}


def predicate(name: str, operand: object) -> Callable[[object], bool]:
    """Return a function that compares a catalog value with `operand` by operator `name`.

    Values of different types are unequal.
    """
    if name in _ORDER:
        compare = _ORDER[name]
        if isinstance(operand, str):
            return lambda held: isinstance(held, str) and compare(held, operand)
        return lambda held: (number := _number(held)) is not None and compare(number, operand)
    if name == "outside":
        ranges = cast("Collection[tuple[float, float]]", operand)
        return lambda held: (
            (number := _number(held)) is not None and not any(low <= number <= high for low, high in ranges)
        )
    # `check_condition` accepts only a list for these two operators.
    is_one_of = _membership(cast("Collection[object]", operand) if name in ("in", "not in") else (operand,))
    if name in ("!=", "not in"):
        return lambda held: not is_one_of(held)
    if name == "contains":
        return lambda held: (
            isinstance(operand, str) and operand in held
            if isinstance(held, str)
            else isinstance(held, (list, tuple, set, frozenset)) and any(map(is_one_of, held))
        )
    return is_one_of


def _membership(values: Collection[object]) -> Callable[[object], bool]:
    # True == 1 in Python, but not in a request.
    texts = frozenset(value for value in values if isinstance(value, str))
    flags = frozenset(value for value in values if isinstance(value, bool))
    numbers = frozenset(value for value in values if is_number(value))

    def is_one_of(held: object) -> bool:
        if isinstance(held, bool):
            return held in flags
        return isinstance(held, str) and held in texts or bool(numbers) and _number(held) in numbers

    return is_one_of


def _number(held: object) -> int | float | None:
    """Return a catalog value as a finite number, also if it is written as text; None if it is no finite number."""
    number: int | float
    if isinstance(held, str):
        try:
            number = float(held)
        except ValueError:
            return None
    elif is_number(held):
        number = int(held) if isinstance(held, Integral) else float(held)
    else:
        return None
    return number if _is_finite(number) else None


def _is_finite(number: float) -> bool:
    """Return whether the number is finite as a float."""
    try:
        return math.isfinite(number)
    except OverflowError:
        return False


def is_number(value: object) -> TypeGuard[float]:
    """Return whether a value is a number; true and false are none."""
    return isinstance(value, Real) and not isinstance(value, bool)


def _is_plain(value: object) -> bool:
    return isinstance(value, (str, bool)) or is_number(value) and _is_finite(value)


def _is_range(value: object) -> bool:
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        return False
    return all(is_number(bound) and _is_finite(bound) for bound in value)


def require(holds: bool, what: str, got: object, wanted: str) -> None:
    """Raise the one-line ValueError of a wrong rule, unless `holds`."""
    if not holds:
        raise ValueError(f"rules: {what} is {shown(got)}, wanted {wanted}")


def shown(value: object) -> str:
    """Return the value on one line, shortened, because a request may contain a value of any length."""
    text = reprlib.repr(value)
    return text if len(text) <= 120 else text[:117] + "..."
