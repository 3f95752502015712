"""MovieLens -> dataset folder, by default of the release 100K.

    python preprocess/data_preprocess_movielens.py

`title_t` is the title without the year, which is an attribute.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from audit import summary_of
from build_dataset import build_dataset, write_dataset
from light_tokenizers import lighten_process
from readers.movielens import LAYOUTS, read_movielens
from select_events import Filters
from shared_options import add_max_title_tokens, add_split, add_tokenizer, split_of
from titles import load_rules

from train_utils.command import LineParser, path_of, print_error, run_cli


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = LineParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--release",
        choices=tuple(LAYOUTS),
        default="100k",
        help="release of MovieLens whose files --raw_path holds (default: %(default)s)",
    )
    parser.add_argument("--raw_path", type=path_of, default=Path("data/raw/ml-100k/"))
    parser.add_argument("--data_path", type=path_of, default=Path("data/dataset/ml-100k/"))
    add_tokenizer(parser)
    add_max_title_tokens(parser)
    add_split(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    arguments = parse_arguments(argv)
    try:
        raw = read_movielens(arguments.raw_path, arguments.release)
        rules = load_rules(arguments.tokenizer_path, arguments.max_title_tokens, arguments.trust_remote_code)
        dataset = build_dataset(raw, rules, Filters(), **split_of(arguments))
        write_dataset(dataset, arguments.data_path)
    except (ValueError, OSError) as error:
        return print_error(error)
    print(summary_of(dataset.audit))
    return 0


if __name__ == "__main__":
    lighten_process()
    run_cli(main)
