"""The flags of the split, the same for every dump."""

from __future__ import annotations

import argparse


def add_split(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--split",
        choices=("leave-one-out", "temporal"),
        default="leave-one-out",
        help="which events are targets: everybody's last one, or the first one of each user after a time that is the "
        "same for all; nothing later than that time is trained on",
    )
    parser.add_argument(
        "--test_share", type=float, default=0.1, help="share of all events that lie after the time of --split temporal"
    )


def share_of(arguments: argparse.Namespace) -> float | None:
    """Share of the events after the temporal split; None for leave-one-out."""
    return arguments.test_share if arguments.split == "temporal" else None
