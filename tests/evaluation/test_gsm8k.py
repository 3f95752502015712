"""The number of an answer, however it is written; questions from files, broken ones refused by line."""

import json
import os
from decimal import Decimal
from pathlib import Path

import pytest

from train_utils.evaluation.gsm8k import load_questions, numbers, read_answer


@pytest.mark.parametrize(
    "text,wanted",
    [
        ("#### 18", "18"),
        ("so 5.\n#### 1,234", "1234"),
        ("#### 1,050", "1050"),
        ("#### $12.50", "12.50"),
        ("#### -7", "-7"),
        ("The answer is 1,234.", "1234"),
        ("It costs $12.50.", "12.5"),
        ("That is 3.5 hours", "3.5"),
        ("50%", "50"),
        ("1,000,000 dollars", "1000000"),
        ("We get 9,234, not 1,234", "1234"),
        ("= $-3", "-3"),
        ("-$3", "-3"),
        ("−4 °C", "-4"),
        (".5 of it", "0.5"),
        ("7 apples\n#### seven", "7"),
        ("#### 12 apples (of 30)", "12"),
        ("#### 5\nsure? #### 6", "6"),
        ("6/2=3", "3"),
        ("x2 = 8", "8"),
        ("10-4", "4"),
        ("3,4 and 5", "5"),
        ("00012", "12"),
        ("2. ", "2"),
        ("**42**", "42"),
        ("\\boxed{36}", "36"),
    ],
)
def test_the_number_of_an_answer(text, wanted):
    assert read_answer(text) == Decimal(wanted)


@pytest.mark.parametrize("text", ["", "no number", "#### none", "$", "-", ",", "abc123def", "..."])
def test_an_answer_without_a_number_has_none(text):
    assert read_answer(text) is None


def test_numbers_are_not_torn():
    assert numbers("1,234 and 12.75, or 1,23") == [Decimal(1234), Decimal("12.75"), Decimal(1), Decimal(23)]


def test_questions_come_from_lines(tmp_path):
    path = tmp_path / "test.jsonl"
    path.write_text(json.dumps({"question": "How many? ", "answer": "2+2=4\n#### 4"}) + "\n\n")
    assert [(q.text, q.gold) for q in load_questions(path)] == [("How many?", Decimal(4))]


@pytest.mark.parametrize(
    "content,match",
    [
        ("", "holds no question"),
        ("{", "line 1, is not JSON"),
        ('{"question": "a"}', "record 1, has no question"),
        ('{"question": "a", "answer": "none"}', "has no number"),
        ("[1]", "record 1, has no question"),
    ],
)
def test_a_broken_file_is_refused(tmp_path, content, match):
    path = tmp_path / "test.jsonl"
    path.write_text(content)
    with pytest.raises(ValueError, match=match):
        load_questions(path)
    with pytest.raises(ValueError, match="does not exist"):
        load_questions(tmp_path / "none")


@pytest.mark.skipif("GSM8K" not in os.environ, reason="GSM8K is not ours to ship; GSM8K=test.jsonl runs this")
def test_every_reference_answer_is_read_as_its_authors_wrote_it():
    path = Path(os.environ["GSM8K"])
    golds = [json.loads(line)["answer"].rsplit("####", 1)[1].strip() for line in path.read_text().splitlines()]
    assert len(golds) == 1319
    for question, gold in zip(load_questions(path), golds, strict=True):
        plain = gold.replace(",", "")
        assert question.gold == Decimal(plain)
        for said in (f"So it is {gold}.", f"${gold}", f"#### {gold}", f"The total is {gold} dollars.", f"{gold}%"):
            assert read_answer(said) == Decimal(plain)
