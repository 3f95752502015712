"""Flags that the preprocessing scripts share, and the values that follow from them."""

from __future__ import annotations

import argparse
import os
import re
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from readers.columns import ROLES
from readers.dates import DATE_ORDERS
from select_events import Cuts, Filters

from train_utils.command import number, path_of

# The recipe of arXiv 2505.03336. Its raw file is a 5-core already, after which no item was filtered again.
PUBLISHED = MappingProxyType(
    {
        "k_core": 5,
        "min_events_per_user": 17,
        "max_events_per_user": 17,
        "keep": "first",
        "users": 10_000,
        "need_category": True,
    }
)
FULL = MappingProxyType(
    {
        "k_core": 0,
        "min_events_per_user": 1,
        "max_events_per_user": 0,
        "keep": "last",
        "users": 0,
        "need_category": False,
    }
)
PROTOCOLS = {"full": FULL, "published": PUBLISHED}
# https://amazon-reviews-2023.github.io/data_processing/5core.html, split by absolute timestamps
NAMED_CUTS = {"amazon-2023": Cuts("amazon-2023", test=1_658_002_729_837, valid=1_628_643_414_042)}
_NAME = re.compile(r"[^/,.\-\s][^/,]*")  # as scripts/dataset_name.sh


def name_of(text: str) -> str:
    """Return the name of a dataset, which is a folder of data/dataset/, without a trailing slash.

    Raises:
        argparse.ArgumentTypeError: the text is a path, or no name of a folder.
    """
    name = text.removesuffix("/")
    if not _NAME.fullmatch(name) or not name.isprintable():
        raise argparse.ArgumentTypeError(f"the name {text[:80]!r} is not the name of a folder, such as movies")
    return name


def add_split(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--split",
        choices=("leave-one-out", "temporal"),
        default="leave-one-out",
        help="which events are targets: everybody's last one, or the first one of each user after a time that is the "
        "same for all; nothing later than that time is trained on",
    )
    parser.add_argument(
        "--test_share",
        type=number(float, above=0, most=1),
        default=0.1,
        help="share of all events that lie after the time of --split temporal",
    )
    parser.add_argument(
        "--split_at",
        type=cuts_of,
        help=f"the time of --split temporal instead of a share: {', '.join(NAMED_CUTS)} (official cuts), a date such "
        "as 2021-08-11, or two with a comma between: training events are before the first, targets after the second",
    )


def cuts_of(text: str) -> Cuts:
    """Return the moments of `--split_at`.

    Raises:
        argparse.ArgumentTypeError: the text is no name, date or two dates, or the second date is not later.
    """
    if text in NAMED_CUTS:
        return NAMED_CUTS[text]
    moments = [_milliseconds(part.strip()) for part in text.split(",")]
    if len(moments) > 2 or (len(moments) == 2 and moments[0] >= moments[1]):
        raise argparse.ArgumentTypeError(f"{text[:80]!r} is not one date, or two with the later one second")
    return Cuts(text, moments[-1], moments[0] if len(moments) == 2 else None)


def _milliseconds(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        names = " or ".join(NAMED_CUTS)
        raise argparse.ArgumentTypeError(f"{text[:80]!r} is no date such as 2021-08-11, nor {names}") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)


def add_max_title_tokens(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--max_title_tokens",
        type=number(least=0),
        default=64,
        help="a longer title is spelled up to a word before this many tokens, and an ellipsis; the whole one stays in "
        "the metadata as title; 0 cuts none",
    )


def add_tokenizer(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tokenizer_path", default="snap/base/SmolLM2-135M-Instruct", help="folder or hub")
    parser.add_argument(
        "--trust_remote_code",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="run the code in the tokenizer's folder, which can do what you can do; without it such a tokenizer is "
        "refused",
    )


def add_threads(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--threads",
        type=number(least=1, most=64),
        default=min(2, os.cpu_count() or 1),
        help="threads; the files are the same for any number (default: %(default)s)",
    )


def add_report(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--report", action=argparse.BooleanOptionalAction, default=True, help="write report.html next to audit.json"
    )


def add_filters(parser: argparse.ArgumentParser, protocol: str) -> None:
    """Add the flags of `Filters`. Those that are not given have the value of the protocol."""
    parser.add_argument(
        "--protocol",
        choices=tuple(PROTOCOLS),
        default=protocol,
        help="full keeps everything; published is the recipe of arXiv 2505.03336: items with a category, 5-core, users "
        "with 17 events or more, the first 17 of each, 10,000 users (default: %(default)s)",
    )
    parser.add_argument("--min_rating", type=number(float), help="drop events with a lower rating, or none")
    parser.add_argument("--keep_duplicates", action="store_true", help="keep all events of a user and an item")
    parser.add_argument(
        "--ties",
        choices=("file order", "hashed"),
        default="file order",
        help="order of a user's events of one time; hashed: by a hash of the ids (default: %(default)s)",
    )
    parser.add_argument("--k_core", type=number(least=0), help="least events of a user and of an item; 0: any")
    parser.add_argument("--min_events_per_user", type=number(least=1), help="drop users with fewer events")
    parser.add_argument("--max_events_per_user", type=number(least=0), help="events kept per user; 0 keeps all")
    parser.add_argument("--keep", choices=("first", "last"), help="which events, when cut")
    parser.add_argument("--users", type=number(least=0), help="users to draw; 0 keeps all")
    parser.add_argument(
        "--with_replacement",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="draw users with replacement, as the published script does, which leaves fewer than --users",
    )
    parser.add_argument("--seed", type=number(least=0), default=0)
    parser.add_argument(
        "--need_category", action=argparse.BooleanOptionalAction, default=None, help="drop items without category"
    )


def settle_protocol(arguments: argparse.Namespace) -> None:
    """Set the flags that were not given to the values of the protocol."""
    for name, value in PROTOCOLS[arguments.protocol].items():
        if getattr(arguments, name) is None:
            setattr(arguments, name, value)


def filters_of(arguments: argparse.Namespace) -> Filters:
    """Return the filters; `settle_protocol` was called before."""
    return Filters(
        min_rating=arguments.min_rating,
        keep_duplicates=arguments.keep_duplicates,
        ties=arguments.ties,
        k_core=arguments.k_core,
        min_events_per_user=arguments.min_events_per_user,
        max_events_per_user=arguments.max_events_per_user,
        keep=arguments.keep,
        users=arguments.users,
        with_replacement=arguments.with_replacement,
        seed=arguments.seed,
    )


def add_files(parser: argparse.ArgumentParser) -> None:
    """Add the flags of files whose format does not name them, and of their columns."""
    group = parser.add_argument_group("files and columns of the formats own and feed")
    group.add_argument("--events", type=path_of, help="file of events")
    group.add_argument("--items", type=path_of, help="file of items, or the feed")
    for role in ROLES:
        group.add_argument(
            f"--{role}", metavar="COLUMN", help=f"column of the {role}; by default guessed from its name"
        )
    group.add_argument(
        "--date_order", choices=DATE_ORDERS, default="", help="order of day and month in dates such as 03/01/2024"
    )


def columns_of(arguments: argparse.Namespace) -> dict[str, str]:
    """Return role -> column, of the roles that were given."""
    return {role: name for role in ROLES if (name := getattr(arguments, role, None))}


def split_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments `test_share` and `cuts` of `build_dataset`.

    Raises:
        ValueError: moments are given without a temporal split.
    """
    if arguments.split != "temporal":
        if arguments.split_at:
            raise ValueError("--split_at is given without --split temporal; add it")
        return {}
    return {"cuts": arguments.split_at} if arguments.split_at else {"test_share": arguments.test_share}


def default_paths(arguments: argparse.Namespace, name: str) -> None:
    """Set the paths that were not given."""
    arguments.data_path = arguments.data_path or Path("data/dataset") / name
    arguments.unirec_data_path = arguments.unirec_data_path or Path("unirec/data") / name
    config_path = Path("unirec/config/dataset") / f"{name}.yaml"
    arguments.unirec_config_path = arguments.unirec_config_path or config_path
