"""GSM8K (arXiv 2110.14168): questions of a file, and the number in an answer."""

import importlib.util
import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from train_utils.characters import shown, whole_characters
from train_utils.files.json_files import read_json_lines

# A number: an optional sign, digits with or without thousands separators, decimals. Currency, unit and the full stop of
# the sentence are not part of it.
_NUMBER = re.compile(r"(?<![\w.])[-−]?\s?\$?\s?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:(?<=\d)\.\d+|(?<!\d)\.\d+)?")
_FINAL = re.compile(r"####\s*([^\n]*)")


@dataclass(frozen=True, slots=True)
class Question:
    """Question of GSM8K.

    Attributes:
        text: the question.
        gold: the number of the reference answer.
    """

    text: str
    gold: Decimal


def numbers(text: str) -> list[Decimal]:
    """Return all numbers of a text in order: "1,234.50" is one number, "$-3" and "-$3" are -3, "12%" is 12."""
    values = []
    for match in _NUMBER.finditer(text):
        digits = re.sub(r"[\s,$]", "", match.group()).replace("−", "-")
        try:
            values.append(Decimal(digits))
        except InvalidOperation:
            continue
    return values


def read_answer(text: str) -> Decimal | None:
    """Return the first number after the last "####" of an answer, else its last number, None without a number."""
    final = _FINAL.findall(text)
    if final and (values := numbers(final[-1])):
        return values[0]
    values = numbers(text)
    return values[-1] if values else None


def load_questions(path: str | Path) -> list[Question]:
    """Load questions from JSON lines {"question", "answer"}, or the split "test" of a folder saved by `datasets`.

    Raises:
        ValueError: the path does not exist or holds no question, a record is malformed, or a reference answer has no
            number.
    """
    path = Path(path)
    if not path.exists():
        raise ValueError(f"`GSM8K_data_path` {str(path)!r} does not exist; give GSM8K's test.jsonl, or a saved dataset")
    # Records may have any shape; malformed ones are rejected below.
    records: list[Any] = _saved(path) if path.is_dir() else [record for _, record in read_json_lines(path)]
    questions = []
    for number, record in enumerate(records, 1):
        try:
            text, answer = record["question"], record["answer"]
        except (KeyError, TypeError):
            text = answer = None
        if not isinstance(text, str) or not isinstance(answer, str):
            raise ValueError(f"{path}, record {number}, has no question and answer")
        gold = read_answer(answer)
        if gold is None:
            raise ValueError(f"{path}, record {number}: the reference answer has no number")
        questions.append(Question(whole_characters(text).strip(), gold))
    if not questions:
        raise ValueError(f"{path} holds no question")
    return questions


def _saved(folder: Path) -> list[dict]:
    if importlib.util.find_spec("datasets") is None:
        raise ValueError(
            f"{folder} is a saved dataset, which needs the package datasets (pip install datasets); or "
            "give GSM8K's test.jsonl"
        )
    from datasets import DatasetDict, load_from_disk

    try:
        saved = load_from_disk(str(folder))
    except (OSError, ValueError) as error:
        raise ValueError(f"{folder} is no saved dataset ({error}); give GSM8K's test.jsonl") from None
    if isinstance(saved, DatasetDict) and "test" not in saved:
        raise ValueError(f"{folder} has no split 'test', but {shown(list(saved))}; give GSM8K's test.jsonl")
    return list(saved["test"] if isinstance(saved, DatasetDict) else saved)
