"""Amazon Reviews 2018 -> dataset folder and UniRec files, by default with the published recipe.

    python preprocess/data_preprocess_amazon.py --tokenizer_path snap/base/SmolLM2-135M-Instruct

Reads `<dataset_full_name>_5.json.gz` and `meta_<dataset_full_name>.json.gz` in `--raw_path`. The recipe
(arXiv 2505.03336) keeps items with title and category, users with 17 events or more, the first 17 events of each, and
10,000 users. Users are drawn without replacement here, so that 10,000 distinct users are kept.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from audit import summary_of
from build_dataset import build_dataset, write_dataset
from light_tokenizers import hide_torch
from readers.amazon import read_amazon
from select_events import Filters
from shared_options import add_max_title_tokens, add_split, add_tokenizer, share_of
from titles import load_rules
from transform2unirec import transform

from train_utils.command import LineParser, number, path_of, print_error, run_cli


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = LineParser(description=__doc__.splitlines()[0])
    add_tokenizer(parser)
    parser.add_argument("--dataset_full_name", default="Movies_and_TV", help="name in the dump's file names")
    parser.add_argument("--dataset_name", default="movies", help="short name, used in the paths not given")
    parser.add_argument("--data_path", type=path_of, help="default data/dataset/<dataset_name>/")
    parser.add_argument("--raw_path", type=path_of, help="folder of the dump, default the --data_path")
    parser.add_argument("--unirec_data_path", type=path_of, help="default unirec/data/<dataset_name>/")
    parser.add_argument("--unirec_config_path", type=path_of, help="default unirec/config/dataset/<dataset_name>.yaml")
    parser.add_argument(
        "--k_core", type=number(least=0), default=0, help="least events of a user and of an item; 0: any"
    )
    parser.add_argument("--min_events_per_user", type=number(least=1), default=17)
    parser.add_argument("--max_events_per_user", type=number(least=0), default=17, help="0 keeps all")
    parser.add_argument("--keep", choices=("first", "last"), default="first", help="which events, when cut")
    parser.add_argument("--users", type=number(least=0), default=10_000, help="drawn without replacement; 0 keeps all")
    parser.add_argument("--seed", type=number(least=0), default=0)
    parser.add_argument(
        "--need_category",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="drop items without category",
    )
    add_max_title_tokens(parser)
    add_split(parser)
    arguments = parser.parse_args(argv)
    name = arguments.dataset_name
    arguments.data_path = arguments.data_path or Path("data/dataset") / name
    arguments.raw_path = arguments.raw_path or arguments.data_path
    arguments.unirec_data_path = arguments.unirec_data_path or Path("unirec/data") / name
    config_path = Path("unirec/config/dataset") / f"{name}.yaml"
    arguments.unirec_config_path = arguments.unirec_config_path or config_path
    return arguments


def main(argv: list[str] | None = None) -> int:
    arguments = parse_arguments(argv)
    try:
        filters = Filters(
            k_core=arguments.k_core,
            min_events_per_user=arguments.min_events_per_user,
            max_events_per_user=arguments.max_events_per_user,
            keep=arguments.keep,
            users=arguments.users,
            seed=arguments.seed,
        )
        rules = load_rules(arguments.tokenizer_path, arguments.max_title_tokens, arguments.trust_remote_code)
        raw = read_amazon(arguments.raw_path, arguments.dataset_full_name)
        dataset = build_dataset(raw, rules, filters, arguments.need_category, share_of(arguments))
        write_dataset(dataset, arguments.data_path)
        print(summary_of(dataset.audit))
        print(transform(arguments.data_path, arguments.unirec_data_path, arguments.unirec_config_path))
    except (ValueError, OSError) as error:
        return print_error(error)
    return 0


if __name__ == "__main__":
    hide_torch()
    run_cli(main)
