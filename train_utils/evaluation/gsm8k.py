"""GSM8K (arXiv 2110.14168): questions from a file, and the number that an answer gives."""

import importlib.util
import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from train_utils.text_files import read_json_lines, whole_characters

# A number: an optional sign, digits with or without thousands separators, decimals. What stands around it, a currency,
# a unit, the full stop of its sentence, is no part of it.
_NUMBER = re.compile(r"(?<![\w.])[-−]?\s?\$?\s?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:(?<=\d)\.\d+|(?<!\d)\.\d+)?")
_FINAL = re.compile(r"####\s*([^\n]*)")


@dataclass(frozen=True, slots=True)
class Question:
    """One question; `gold` is the number of its reference answer."""

    text: str
    gold: Decimal


def numbers(text: str) -> list[Decimal]:
    """All numbers of a text, in order: "1,234.50" is one, "$-3" and "-$3" are -3, "12%" is 12."""
    found = []
    for match in _NUMBER.finditer(text):
        digits = re.sub(r"[\s,$]", "", match.group()).replace("−", "-")
        try:
            found.append(Decimal(digits))
        except InvalidOperation:
            continue
    return found


def read_answer(text: str) -> Decimal | None:
    """The number that an answer gives: the first one behind its last "####", else its last number; None without one."""
    final = _FINAL.findall(text)
    if final and (told := numbers(final[-1])):
        return told[0]
    told = numbers(text)
    return told[-1] if told else None


def load_questions(path: str | Path) -> list[Question]:
    """Questions from JSON lines {"question", "answer"}, or from a folder that `datasets` saved (its split "test").

    Raises:
        ValueError: nothing there, a line that is none, or a reference answer without a number.
    """
    path = Path(path)
    if not path.exists():
        raise ValueError(f"--GSM8K_data_path {str(path)!r} does not exist; give GSM8K's test.jsonl, or a saved dataset")
    # Of any shape: a record of another one is caught below.
    records: list[Any] = _saved(path) if path.is_dir() else [record for _, record in read_json_lines(path)]
    found = []
    for number, record in enumerate(records, 1):
        try:
            text, gold = record["question"], read_answer(record["answer"])
        except (KeyError, TypeError):
            raise ValueError(f"{path}, record {number}, has no question and answer") from None
        if gold is None:
            raise ValueError(f"{path}, record {number}: the reference answer has no number")
        found.append(Question(whole_characters(str(text)).strip(), gold))
    if not found:
        raise ValueError(f"{path} holds no question")
    return found


def _saved(folder: Path) -> list[dict]:
    if importlib.util.find_spec("datasets") is None:
        raise ValueError(
            f"{folder} is a saved dataset, which needs the package datasets (pip install datasets); or "
            "give GSM8K's test.jsonl"
        )
    from datasets import DatasetDict, load_from_disk

    try:
        found = load_from_disk(str(folder))
    except (OSError, ValueError) as error:
        raise ValueError(f"{folder} is no saved dataset ({error}); give GSM8K's test.jsonl") from None
    return list(found["test"] if isinstance(found, DatasetDict) else found)
