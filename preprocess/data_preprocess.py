"""Raw data of any supported format -> dataset folder and UniRec files.

    python preprocess/data_preprocess.py FORMAT NAME [flags]

The files go to data/dataset/NAME/ and unirec/data/NAME/. The steps are: read, clean titles, filter, k-core, order,
split, write.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

from audit import summary_of
from build_catalog import build_catalog
from build_dataset import Dataset, build_dataset, write_dataset
from light_tokenizers import lighten_process, then_exit
from readers.chunks import can_start, use_threads
from readers.dump import meanwhile
from readers.progress import Progress, saving_in
from readers.records import Item, RawCatalog, RawDataset
from readers.registry import FORMATS
from readers.source import Source
from report import write_report
from shared_options import (
    add_files,
    add_filters,
    add_max_title_tokens,
    add_report,
    add_split,
    add_threads,
    add_tokenizer,
    columns_of,
    default_paths,
    filters_of,
    name_of,
    settle_protocol,
    split_of,
)
from titles import TitleRules, load_rules, settle_ahead

from train_utils.command import LineParser, path_of, print_error, run_cli
from train_utils.files.atomic import exclusively
from train_utils.unirec_folder import dataset_digests


def parser_of() -> LineParser:
    listed = "\n".join(f"  {name:12} {entry.about}" for name, entry in FORMATS.items())
    parser = LineParser(
        description=(__doc__ or "").splitlines()[0],
        epilog=f"formats:\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("format", metavar="FORMAT", choices=tuple(FORMATS), help="see below")
    parser.add_argument("name", metavar="NAME", type=name_of, help="name of the dataset")
    parser.add_argument("--raw_path", type=path_of, help="folder of the raw files, default data/raw/NAME/")
    parser.add_argument("--data_path", type=path_of, help="default data/dataset/NAME/")
    parser.add_argument("--unirec_data_path", type=path_of, help="default unirec/data/NAME/")
    parser.add_argument("--unirec_config_path", type=path_of, help="default unirec/config/dataset/NAME.yaml")
    parser.add_argument("--dataset_full_name", default="", help="category in the file names of Amazon's dumps")
    parser.add_argument(
        "--without_categories", default="", help="of a catalog without users, leave out items of these, with commas"
    )
    parser.add_argument("--raw_titles", action="store_true", help="keep uncleaned titles as title_raw")
    add_tokenizer(parser)
    add_max_title_tokens(parser)
    add_filters(parser, "full")
    add_split(parser)
    add_threads(parser)
    add_report(parser)
    add_files(parser)
    return parser


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    arguments = parser_of().parse_args(argv)
    arguments.raw_path = arguments.raw_path or Path("data/raw") / arguments.name
    default_paths(arguments, arguments.name)
    return arguments


def use(threads: int) -> None:
    """Let this process use a number of threads, before the libraries that have some are asked for work."""
    use_threads(threads)
    os.environ["RAYON_NUM_THREADS"] = os.environ["POLARS_MAX_THREADS"] = str(threads)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true" if threads > 1 else "false")


def rules_of(arguments: argparse.Namespace) -> TitleRules:
    """Return the title rules of a command, whose tokenizer uses threads where there is memory for them."""
    if not can_start(arguments.threads):
        os.environ["TOKENIZERS_PARALLELISM"] = "false"
    return load_rules(arguments.tokenizer_path, arguments.max_title_tokens, arguments.trust_remote_code)


def work_ahead(rules: Callable[[], TitleRules], items: Sequence[Item]) -> None:
    """Settle titles, load the tokenizer and import pandas, which takes long, while another process reads events."""
    import transform2unirec  # noqa: F401

    settle_ahead([item.title for item in items], rules())


def dataset_of(raw: RawDataset | RawCatalog, rules: TitleRules, arguments: argparse.Namespace) -> Dataset:
    """Return the dataset of a dump, under the options of a command."""
    if isinstance(raw, RawCatalog):
        without = [name.strip() for name in arguments.without_categories.split(",") if name.strip()]
        return build_catalog(raw, rules, FORMATS[arguments.format].popularity, without)
    return build_dataset(raw, rules, filters_of(arguments), arguments.need_category, **split_of(arguments))


def with_raw_titles(dataset: Dataset, raw: RawDataset | RawCatalog) -> Dataset:
    """Return the dataset with `title_raw` in the metadata of the items whose title was cleaned."""
    raw_titles = {item.id: item.title for item in raw.items}
    meta = {
        item: entry | ({} if raw_titles[item] == entry["title"] else {"title_raw": raw_titles[item]})
        for item, entry in dataset.meta.items()
    }
    return replace(dataset, meta=meta)


def write(dataset: Dataset, arguments: argparse.Namespace) -> None:
    """Write the dataset folder and, of a dataset with users, the UniRec files; print what was kept and dropped."""
    if not dataset.sequences:
        write_folder(dataset, arguments)
        print(f"{arguments.data_path}: {len(dataset.meta)} items, no users")
        return
    from transform2unirec import number_dataset, write_unirec, writing_unirec  # here: see `work_ahead`

    paths = arguments.unirec_data_path, arguments.unirec_config_path
    with writing_unirec(*paths):  # before the dataset, so that no kill leaves it with the UniRec files of another
        write_folder(dataset, arguments)
        parts = dataset.sequences, list(dataset.meta), dataset.test_users
        numbered = number_dataset(arguments.data_path, *parts)
        print(write_unirec(numbered, dataset.categories, dataset_digests(arguments.data_path), *paths))


def write_folder(dataset: Dataset, arguments: argparse.Namespace) -> None:
    """Write the dataset folder and its report; print what was kept and dropped."""
    write_dataset(dataset, arguments.data_path)
    print(summary_of(dataset.audit))
    if arguments.report:
        print(write_report(dataset.audit, arguments.data_path))


def read(arguments: argparse.Namespace) -> RawDataset | RawCatalog:
    """Read the dump; settle the options that depend on it.

    Raises:
        ValueError: the raw data are not usable, or the options contradict each other.
        OSError: a file is missing.
    """
    split_of(arguments)  # refuses a contradiction before anything is read
    use(arguments.threads)
    source = Source(
        arguments.raw_path, arguments.dataset_full_name, arguments.events, arguments.items, columns_of(arguments),
        arguments.date_order,
    )  # fmt: skip
    raw = FORMATS[arguments.format].read(source)
    # The reviews of X_5.json are a 5-core; the published recipe filters no item again.
    if arguments.protocol == "published" and arguments.k_core is None and "_5.json" in raw_name(raw):
        arguments.k_core = 0
    settle_protocol(arguments)
    return raw


def preprocess(arguments: argparse.Namespace) -> None:
    """Read, build and write a dataset. Files are written once all of them are computed.

    Raises:
        ValueError: the raw data are not usable, or the options contradict each other.
        OSError: a file is missing, or cannot be written.
    """
    rules = cache(partial(rules_of, arguments))
    with (
        exclusively(arguments.data_path, "data_path"),
        saving_in(progress_of(arguments)),
        meanwhile(partial(work_ahead, rules)),
    ):
        raw = read(arguments)
        dataset = dataset_of(raw, rules(), arguments)
        if arguments.raw_titles:
            dataset = with_raw_titles(dataset, raw)
        del raw  # frees the events and ids before files and plots are made
        write(dataset, arguments)


def progress_of(arguments: argparse.Namespace) -> Progress:
    """Return the progress of the readers, in a hidden folder next to the dataset folder."""
    names = ("format", "raw_path", "dataset_full_name", "events", "items", "date_order")
    options = {name: str(getattr(arguments, name)) for name in names} | columns_of(arguments)
    folder = Path(os.path.realpath(arguments.data_path))
    return Progress(folder.with_name(f".{folder.name}.reading"), options)


def raw_name(raw: RawDataset | RawCatalog) -> str:
    """Return the name of the file of events, or of a catalog."""
    return raw.file.name if isinstance(raw, RawCatalog) else raw.files[0].name


def run(arguments: argparse.Namespace) -> int:
    """Preprocess and return the exit status; an error is printed in one line."""
    try:
        preprocess(arguments)
    except (ValueError, OSError) as error:
        return print_error(error)
    return 0


def main(argv: list[str] | None = None) -> int:
    return run(parse_arguments(argv))


if __name__ == "__main__":
    lighten_process()
    run_cli(then_exit(main))
