"""Amazon Reviews 2018 -> dataset folder and UniRec files, by default with the published recipe.

    python preprocess/data_preprocess_amazon.py --tokenizer_path snap/base/SmolLM2-135M-Instruct

Reads `<dataset_full_name>_5.json.gz` and `meta_<dataset_full_name>.json.gz` in `--raw_path`. The recipe
(arXiv 2505.03336) keeps items with title and category, users with 17 events or more, the first 17 events of each, and
10,000 users. Users are drawn without replacement here, so that 10,000 distinct users are kept.
`preprocess/data_preprocess.py amazon-2018 NAME` takes every user instead.
"""

from __future__ import annotations

import argparse

import data_preprocess
from light_tokenizers import lighten_process, then_exit
from shared_options import (
    add_filters,
    add_max_title_tokens,
    add_report,
    add_split,
    add_threads,
    add_tokenizer,
    default_paths,
    settle_protocol,
)

from train_utils.command import LineParser, path_of, run_cli


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = LineParser(description=(__doc__ or "").splitlines()[0])
    add_tokenizer(parser)
    parser.add_argument("--dataset_full_name", default="Movies_and_TV", help="name in the dump's file names")
    parser.add_argument("--dataset_name", default="movies", help="short name, used in the paths not given")
    parser.add_argument("--data_path", type=path_of, help="default data/dataset/<dataset_name>/")
    parser.add_argument("--raw_path", type=path_of, help="folder of the dump, default the --data_path")
    parser.add_argument("--unirec_data_path", type=path_of, help="default unirec/data/<dataset_name>/")
    parser.add_argument("--unirec_config_path", type=path_of, help="default unirec/config/dataset/<dataset_name>.yaml")
    add_filters(parser, "published")
    add_max_title_tokens(parser)
    add_split(parser)
    add_threads(parser)
    add_report(parser)
    arguments = parser.parse_args(argv)
    default_paths(arguments, arguments.dataset_name)
    arguments.raw_path = arguments.raw_path or arguments.data_path
    arguments.k_core = arguments.k_core or 0  # the file is a 5-core
    settle_protocol(arguments)
    vars(arguments).update(format="amazon-2018", events=None, items=None, date_order="")
    vars(arguments).update(without_categories="", raw_titles=False)
    return arguments


def main(argv: list[str] | None = None) -> int:
    return data_preprocess.run(parse_arguments(argv))


if __name__ == "__main__":
    lighten_process()
    run_cli(then_exit(main))
