"""Flags that all preprocessing scripts share."""

from __future__ import annotations

import argparse

from train_utils.command import number


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


def share_of(arguments: argparse.Namespace) -> float | None:
    """Return the share of the events after the temporal split; None for leave-one-out."""
    return arguments.test_share if arguments.split == "temporal" else None
