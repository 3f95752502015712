"""Anime titles -> dataset folder: a catalog without users. The number of members is the popularity of a title.

python preprocess/data_preprocess_anime.py
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from audit import summary_of
from build_catalog import build_catalog
from build_dataset import write_dataset
from light_tokenizers import lighten_process
from readers.anime import read_anime
from shared_options import add_max_title_tokens, add_tokenizer
from titles import load_rules

from train_utils.command import LineParser, path_of, run_cli


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = LineParser(description=__doc__.splitlines()[0])
    parser.add_argument("--raw_path", type=path_of, default=Path("data/raw/anime/"))
    parser.add_argument("--data_path", type=path_of, default=Path("data/dataset/anime/"))
    parser.add_argument(
        "--without_genres",
        default="Hentai",
        help="titles of these genres are left out, with commas between; by default pornography; '' leaves none out",
    )
    add_tokenizer(parser)
    add_max_title_tokens(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    arguments = parse_arguments(argv)
    without = [name.strip() for name in arguments.without_genres.split(",") if name.strip()]
    try:
        raw = read_anime(arguments.raw_path)
        rules = load_rules(arguments.tokenizer_path, arguments.max_title_tokens, arguments.trust_remote_code)
        dataset = build_catalog(raw, rules, "members", without)
        write_dataset(dataset, arguments.data_path)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(summary_of(dataset.audit))
    return 0


if __name__ == "__main__":
    lighten_process()
    run_cli(main)
