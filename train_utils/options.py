"""Options of the scripts: frozen dataclasses whose fields are flags, checked on the command line and in code alike."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar, get_origin, get_type_hints

from train_utils.command import LineParser, bounds_of
from train_utils.teacher_address import local_paths

C = TypeVar("C", bound="Options")


def option(
    default: object = MISSING,
    help: str = "",
    choices: Sequence[object] | None = None,
    *,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    empty: bool = False,
    needs: str | tuple[str, ...] = (),
    exists: bool = False,
    bare: str = "",
    unused: str = "",
):
    """Return a dataclass field that is a flag of the same name.

    Args:
        default: default value; without one the flag is required.
        help: help text of the flag.
        choices: allowed values; None allows all.
        least: inclusive lower bound of a number.
        above: exclusive lower bound of a number.
        most: inclusive upper bound of a number.
        empty: whether the command line may give an empty text; always true where the default is empty.
        needs: another flag that this one requires to have an effect, when its value is not the default; of several any.
        exists: whether a value from the command line must name an existing file or folder.
        bare: value of the flag where the command line gives it without one; "" requires a value.
        unused: why the flag has no effect. Such a flag is accepted, with a note, so that published command lines run.
    """
    return field(
        default=default,
        metadata={
            "help": help,
            "choices": choices,
            "least": least,
            "above": above,
            "most": most,
            "empty": empty or default == "",
            "needs": (needs,) if isinstance(needs, str) else needs,
            "exists": exists,
            "bare": bare,
            "unused": unused,
        },
    )


@dataclass(frozen=True)
class Options:
    """Options whose values are checked on construction, by a command or by code."""

    _given: ClassVar[frozenset[str]] = frozenset()  # flags on the command line; `parse` sets it per object
    # Field -> title of the `--help` group that starts at this field.
    _groups: ClassVar[Mapping[str, str]] = {}

    def __post_init__(self):
        for f in fields(self):
            value = getattr(self, f.name)
            _check(f.name, value, f.metadata)
            needed = f.metadata["needs"]
            if needed and value != f.default and not any(getattr(self, name) for name in needed):
                names = " or ".join(f"`{name}`" for name in needed)
                raise ValueError(
                    f"`{f.name}` is {value}, which has no effect without {names}; give that too, or leave "
                    f"`{f.name}` out"
                )

    def names(self, flag: str) -> bool:
        """Return whether a flag was given on the command line, or its value is not the default."""
        default = next(f.default for f in fields(self) if f.name == flag)
        return flag in self._given or getattr(self, flag) != default


def _check(name: str, value: object, rule: Mapping[str, Any]) -> None:
    choices, least, above, most = (rule[key] for key in ("choices", "least", "above", "most"))
    if choices and value not in choices:
        raise ValueError(f"`{name}` is {value!r}, wanted one of {', '.join(map(repr, choices))}")
    if isinstance(value, (int, float)) and (wanted := bounds_of(value, least, above, most)):
        raise ValueError(f"`{name}` is {value}, wanted {wanted}")


def parse(options: type[C], argv: Sequence[str] | None = None) -> C:
    """Parse the command line into options. Flags carry the names of the fields.

    A wrong flag ends the program with one line and status 2.

    Args:
        options: the class of options.
        argv: the arguments; None for the arguments of the process.
    """
    parser = LineParser(
        usage="%(prog)s [options]",
        description=(options.__doc__ or "").strip(),
        argument_default=argparse.SUPPRESS,
    )
    kinds = get_type_hints(options)
    group: argparse._ActionsContainer = parser
    groups: Mapping[str, str] = getattr(options, "_groups", {})
    for f in fields(options):
        if f.name in groups:
            group = parser.add_argument_group(groups[f.name])
        kind = kinds[f.name]
        kind = str if get_origin(kind) is Literal else kind
        help = f"{f.metadata['help']} (default: {_shown(f.default)})".replace("%", "%%")
        if kind is bool:
            group.add_argument(f"--{f.name}", dest=f.name, help=help, action=argparse.BooleanOptionalAction)
        else:
            bare = f.metadata["bare"]
            group.add_argument(
                f"--{f.name}",
                dest=f.name,
                help=help,
                type=kind,
                choices=f.metadata["choices"],
                required=f.default is MISSING,
                nargs="?" if bare else None,
                const=bare or None,
            )
    try:
        given = vars(parser.parse_args(argv))
        _check_texts(options, given)
        made = options(**given)
    except ValueError as error:
        parser.error(str(error))
    object.__setattr__(made, "_given", frozenset(given))  # safe: the frozen object is not shared yet
    for f in fields(options):
        if f.metadata["unused"] and made.names(f.name):
            print(f"note: --{f.name} has no effect: {f.metadata['unused']}", file=sys.stderr)
    return made


def _check_texts(options: type, given: Mapping[str, object]) -> None:
    """Check the texts of the command line.

    Raises:
        ValueError: a text is empty (an empty path would be the working directory), or a path to read does not exist.
    """
    for f in fields(options):
        text = given.get(f.name)
        if isinstance(text, str) and not text.strip() and (text or not f.metadata["empty"]):
            raise ValueError(f"--{f.name} is {text!r}, wanted a text that is not empty")
        if not isinstance(text, str):
            continue
        if text and f.metadata["exists"] and not Path(text).exists():
            raise ValueError(f"--{f.name} {text!r} does not exist; correct the path, or leave the flag out")
        for path in local_paths(text) if f.name == "teacher" else ():
            if not Path(path).exists():
                raise ValueError(
                    f"--{f.name} {text!r}: {path!r} does not exist; correct the path, or leave the flag out"
                )


def _shown(default: object) -> object:
    return "required" if default is MISSING else repr(default)
