"""Tables and the picture of the result rows."""

import pytest

from train_utils.report import markdown_table, plot_rows, text_table

ROWS = [
    {
        "model": "RecLM-cgen",
        "hr@10": 0.1234,
        "hr@10_ci": [0.1, 0.15],
        "ndcg@10": 0.06,
        "ndcg@10_ci": [0.05, 0.07],
        "ood@10": 0.0,
        "repeat@10": 0.0,
        "short": 0.0,
    },
    {"model": "pop|ularity", "hr@10": 1.0, "ndcg@10": 0.5, "ood@10": 0.0, "repeat@10": 0.0},
]


def test_markdown_table_shows_intervals_and_bolds_our_model():
    head, rule, ours, other = markdown_table(ROWS).splitlines()
    assert head == "| Model | HR@10 | NDCG@10 | OOD@10 | Repeat@10 | Short lists |"
    assert rule.count("|") == head.count("|")
    assert ours.startswith("| **RecLM-cgen** | **.123 [.100, .150]** | **.060 [.050, .070]** | **.000** |")
    assert other == "| pop\\|ularity | 1.000 | .500 | .000 | .000 | - |"


def test_text_table_is_aligned():
    lines = text_table(ROWS).splitlines()
    assert len(lines) == 4
    assert len({len(line) for line in lines}) == 1
    assert lines[2].split()[0] == "RecLM-cgen"


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
