"""Training tasks and their wordings."""

from collections.abc import Mapping
from dataclasses import dataclass

from train_utils.prompts.templates import ITEM_COUNT, ONLY_CATEGORY, RANKING, SEQREC, WITHOUT_CATEGORY, Template

WORDINGS: Mapping[str, tuple[Template, ...]] = {
    "SFTSeqRec": SEQREC,
    "SFTSeqRanking": RANKING,
    "SFTCategory": ONLY_CATEGORY + WITHOUT_CATEGORY,
    "SFTItemCount": ITEM_COUNT,
    "SFTAlignment": (),
    "SFTConversation": (),
    "SFTReading": (),
    "ShareChatGPT": (),
}
# Tasks without a history: the teacher is not asked.
NO_LIST = ("SFTAlignment", "SFTReading", "ShareChatGPT")
# Their names have no suffixes. A conversation has turns of its own, and a user who types names no control tokens.
NO_SUFFIX = (*NO_LIST, "SFTConversation")


@dataclass(frozen=True, slots=True)
class Task:
    """Entry of `--SFT_train_tasks`.

    Attributes:
        name: task name as in the flag.
        kind: key of `WORDINGS`.
        weight: share of the samples, before normalizing.
        names_symbols: whether the request names the control tokens (-CS).
        multi_round: whether a chat exchange may precede or follow the request (-MR).
    """

    name: str
    kind: str
    weight: float = 1.0
    names_symbols: bool = False
    multi_round: bool = False


def parse_tasks(text: str) -> tuple[Task, ...]:
    """Parse tasks from `KIND[-CS][-MR][:WEIGHT],...`.

    Raises:
        ValueError: a task is unknown or listed twice, or a weight is not a positive number.
    """
    tasks = tuple(_task(entry.strip()) for entry in text.split(","))
    names = [task.name for task in tasks]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"`SFT_train_tasks` names {twice} twice; give it one weight")
    return tasks


def _task(entry: str) -> Task:
    name, _, weight = entry.partition(":")
    kind, *suffixes = name.split("-")
    extra = ("CS", "MR") if kind not in NO_SUFFIX else ()
    if kind not in WORDINGS or any(s not in extra for s in suffixes) or sorted(set(suffixes)) != suffixes:
        with_suffixes = ", ".join(task for task in WORDINGS if task not in NO_SUFFIX)
        raise ValueError(
            f"`SFT_train_tasks` has {entry!r}, wanted {with_suffixes} (each with -CS, -MR or "
            f"-CS-MR behind it, if wanted) or {' or '.join(NO_SUFFIX)}, and :WEIGHT behind any of them"
        )
    try:
        number = float(weight or 1)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise ValueError(f"`SFT_train_tasks` has {entry!r}, wanted a number above 0 behind the colon")
    return Task(name, kind, number, "CS" in suffixes, "MR" in suffixes)
