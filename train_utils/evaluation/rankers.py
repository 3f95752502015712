"""Lists without a language model: of baselines, the teacher, and run files of external systems."""

from collections.abc import Iterator, Sequence

from train_utils.catalog import Catalog
from train_utils.evaluation.baseline_search import tuned
from train_utils.evaluation.baselines import baseline
from train_utils.evaluation.cases import EvalCase, Prediction
from train_utils.evaluation.run_file import read_run
from train_utils.evaluation.specs import SplitSpec
from train_utils.teacher.open import open_teacher
from train_utils.teacher.protocol import Teacher

Told = dict[str, object]


def rank_users(
    ranker: str, catalog: Catalog, users: Sequence[EvalCase], split: SplitSpec, teacher: str, tune: bool
) -> tuple[list[Prediction], Told]:
    """Return the lists of a baseline or of the teacher, which choose among the same candidates as a model.

    Args:
        ranker: name of a baseline, or "teacher".
        catalog: the catalog to recommend from.
        users: the evaluation cases.
        split: the users under test; the teacher cannot list items of its history, so it needs some of them hidden.
        teacher: the teacher to open.
        tune: whether the settings of a baseline are chosen on the validation split.

    Returns:
        The predictions, and notes for the result file: the settings tried on the validation split.
    """
    if ranker == "teacher":
        return list(map(Prediction, _of_teacher(open_teacher(teacher), catalog, users, split))), {}
    # For validation users there is no other split to choose settings on.
    if tune and split.split == "test":
        fitted, tried = tuned(ranker, catalog, split)
    else:
        training = [list(sequence) for sequence in catalog.training_sequences()]
        fitted, tried = baseline(ranker, split.seed).fit(training, len(catalog.items)), []
    hidden = [_closed(row, catalog, split) for row in users]
    lists = fitted.rank([list(row.shown) for row in users], hidden, split.topk)
    answers = [
        Prediction(catalog.ids(int(i) for i in ranked[: row.spec.k] if i >= 0))
        for row, ranked in zip(users, lists, strict=True)
    ]
    return answers, {"tuning": tried} if tried else {}


def file_lists(run_file: str, catalog: Catalog, users: Sequence[EvalCase]) -> tuple[list[Prediction], Told]:
    """Return the lists of a run file, unchanged.

    Returns:
        The predictions, and notes for the result file: the numbers of users without a list and of unused lists.

    Raises:
        ValueError: the file is not a run file.
    """
    run = read_run(run_file, [row.user for row in users])
    answers = [
        Prediction([i if i in catalog.index else None for i in run.lists[row.user][: row.spec.k]]) for row in users
    ]
    return answers, {"run": {"users_without_a_list": len(run.missing), "lists_not_asked_for": len(run.unknown_users)}}


def _closed(row: EvalCase, catalog: Catalog, split: SplitSpec) -> set[int]:
    """Return the items that a baseline may not list: hidden ones, and inadmissible ones of an enforced request."""
    closed = set(row.hidden(split.hide_seen))
    admitted = row.spec.admitted(catalog) if split.enforce_request else None
    return closed if admitted is None else closed | (set(range(len(catalog.items))) - admitted)


def _of_teacher(teacher: Teacher, catalog: Catalog, users: Sequence[EvalCase], split: SplitSpec) -> Iterator[list[str]]:
    """Yield lists of item ids. The teacher hides its history; an enforced request filters its ranking."""
    histories = [catalog.ids(row.hidden(split.hide_seen)) for row in users]
    depth = min(split.topk, max(1, len(catalog.items) - 1))
    if split.enforce_request:
        left = len(catalog.items) - max(len(set(history)) for history in histories)
        # As for a prior: a user who consumed nearly all items must not shorten the rankings of other users.
        depth = max(1, left if left > split.topk else len(catalog.items) - 1)
    for row, ranked in zip(users, teacher.top_k(histories, depth), strict=True):
        admitted = row.spec.admitted(catalog) if split.enforce_request else None
        kept = ranked if admitted is None else [i for i in ranked if catalog.index[i] in admitted]
        yield list(kept[: row.spec.k])
