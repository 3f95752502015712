"""Tables and the picture of the result rows."""

import pytest

from train_utils.report.charts import plot_rows, spread
from train_utils.report.significance import Comparison
from train_utils.report.tables import comparison_table, headings, markdown_table, number, text_table

ROWS = [
    {
        "model": "RecLM-cgen",
        "hr@10": 0.1234,
        "hr@10_ci": [0.1, 0.15],
        "hr@10_mark": "‡",
        "ndcg@10": 0.06,
        "ndcg@10_ci": [0.05, 0.07],
        "ood@10": 0.0,
        "repeat@10": 0.0,
        "short": 0.0,
    },
    {"model": "pop|ularity", "hr@10": 1.0, "ndcg@10": 0.5, "ood@10": 0.0, "repeat@10": 0.0},
]


def test_markdown_table_shows_intervals_and_marks_and_bolds_our_model():
    head, rule, ours, other = markdown_table(ROWS).splitlines()
    assert head == "| Model | HR@10 | NDCG@10 | OOD@10 | Repeat@10 | Short lists |"
    assert rule.count("|") == head.count("|")
    assert ours.startswith("| **RecLM-cgen** | **.123‡ [.100, .150]** | **.060 [.050, .070]** | **.000** |")
    assert other == "| pop\\|ularity | 1.000 | .500 | .000 | .000 | - |"


def test_text_table_is_aligned():
    lines = text_table(ROWS).splitlines()
    assert len(lines) == 4
    assert len({len(line) for line in lines}) == 1
    assert lines[2].split()[0] == "RecLM-cgen"


def test_the_long_table_has_the_columns_that_some_row_has():
    assert "Novelty" not in headings(ROWS).values()
    assert list(headings([*ROWS, {"model": "x", "novelty@10": 9.5}]).values())[-1] == "Novelty"


@pytest.mark.parametrize("value, text", [(0.1234, ".123"), (1.0, "1.000"), (-0.05, "−.050"), (9.5, "9.500")])
def test_numbers_have_three_decimals_and_no_leading_zero(value, text):
    assert number(value) == text


def test_the_comparison_tells_difference_interval_p_and_mark():
    one = Comparison("ndcg@10", 0.1, 0.15, -0.05, (-0.08, -0.02), 0.0002, 0.0301)
    line = comparison_table({"mine": [one]}).splitlines()[-1]
    assert line.split() == ["mine", "NDCG@10", "−.050", "[−.080,", "−.020]", "<.001", ".030†"]


def test_labels_are_spread_and_stay_within_the_axes():
    heights = spread([0.0, 0.01, 0.98, 0.99, 1.0], gap=0.1, low=0.0, high=1.0)
    assert all(b - a >= 0.1 - 1e-9 for a, b in zip(heights, heights[1:], strict=False))
    assert heights[0] >= 0 and heights[-1] <= 1
    assert spread([0.2, 0.5], gap=0.1, low=0.0, high=1.0) == [0.2, 0.5]


def test_picture_is_a_png_and_nothing_else_is_left(tmp_path):
    path = tmp_path / "new" / "rows.png"
    plot_rows(ROWS, path, "Title")
    assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert list(path.parent.iterdir()) == [path]


def test_no_rows_is_refused_and_writes_nothing(tmp_path):
    with pytest.raises(ValueError, match="0 rows"):
        plot_rows([], tmp_path / "rows.png", "Title")
    assert not list(tmp_path.iterdir())


def test_a_failed_write_leaves_the_old_picture(tmp_path):
    (tmp_path / "rows.png").mkdir()  # a folder under the final name: the move must fail
    with pytest.raises(OSError):
        plot_rows(ROWS, tmp_path / "rows.png", "Title")
    assert [path.name for path in tmp_path.iterdir()] == ["rows.png"]
