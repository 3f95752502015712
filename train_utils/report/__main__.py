"""Result files of task_test.py -> tables, pictures and a page that compare them.

    python -m train_utils.report RESULT.json [RESULT.json ...] [--output snap/report] [--base NAME] [--data_path DIR]
    python -m train_utils.report RESULT.json RESULT.json [...] --seeds

A row is named after its file. RESULT.timing.json next to a result contains its time.
"""

import sys
from pathlib import Path

from train_utils.command import LineParser, path_of, run_cli
from train_utils.files.atomic import write_text
from train_utils.printable import markdown
from train_utils.report.comparison import COMPARED, ResultSet, load_result_set, read_results, report_rows
from train_utils.report.significance import over_seeds
from train_utils.report.tables import comparison_table, headings, markdown_table, spread_table, text_table

try:
    from train_utils.drawing.figures import save_png
    from train_utils.report.charts import plot_rows
    from train_utils.report.page import conditions_of, draw_pictures, note_of, render_page, title_of
except ModuleNotFoundError as error:
    if __name__ != "__main__":
        raise
    sys.exit(f"error: package {error.name} is missing; pip install '.[report]' in the project's folder")

__all__ = ["comparison_table", "markdown_table", "plot_rows", "text_table", "write_report"]


def write_report(result_set: ResultSet, folder: str | Path) -> Path:
    """Write index.html, table.md and the charts (.png) into a folder, and return the path of the page."""
    folder = Path(folder)
    rows, pictures = report_rows(result_set), draw_pictures(result_set)
    for picture in pictures:
        save_png(picture.figure, folder / f"{picture.name}.png")
    plot_rows(rows, folder / "result.png", title_of(result_set), result_set.ours)
    table = markdown_table(rows, result_set.ours, headings(rows))
    write_text(
        folder / "table.md", f"{table}\n\n{markdown(conditions_of(result_set))} {markdown(note_of(result_set))}\n"
    )
    write_text(folder / "index.html", render_page(result_set, pictures))
    return folder / "index.html"


def main() -> None:
    parser = LineParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", nargs="+", metavar="RESULT.json", help="result files of task_test.py")
    parser.add_argument(
        "--output", type=path_of, default="snap/report", help="folder of the report (default: %(default)s)"
    )
    parser.add_argument(
        "--base", default="", help="row that the others are tested against (default: the baseline of the best NDCG@10)"
    )
    parser.add_argument(
        "--primary",
        nargs="+",
        default=(),
        metavar="NAME",
        help="rows whose NDCG@10 was to be compared with the base before the measurement: corrected by themselves",
    )
    parser.add_argument("--data_path", default="", help="dataset folder (default: that of the results)")
    parser.add_argument(
        "--seeds",
        action="store_true",
        help="the results are runs of one system that differ in their "
        "seed: print mean and deviation over them, and write nothing",
    )
    options = parser.parse_args()
    if options.seeds:
        runs = [result for path in options.results for result in read_results([path]).values()]
        print(spread_table(over_seeds(runs, COMPARED)))
        return
    result_set = load_result_set(options.results, options.base, options.data_path, options.primary)
    page = write_report(result_set, options.output)
    rows = report_rows(result_set)
    print(text_table(rows, headings(rows)))
    if result_set.comparisons:
        print(f"\nagainst {result_set.base}:\n{comparison_table(result_set.comparisons)}")
    print(f"\n{conditions_of(result_set)}\n{note_of(result_set)}\n{page}")


if __name__ == "__main__":
    run_cli(main)
