"""Lists without a language model: of baselines, the teacher, and run files of external systems."""

from collections.abc import Iterator, Sequence

from train_utils.catalog import Catalog
from train_utils.evaluation.baseline_search import tuned
from train_utils.evaluation.baselines import baseline
from train_utils.evaluation.cases import EvalCase, Prediction
from train_utils.evaluation.run_file import read_run
from train_utils.param import EvalOptions
from train_utils.teacher.open import open_teacher
from train_utils.teacher.protocol import Teacher

Told = dict[str, object]


def rank_users(catalog: Catalog, users: Sequence[EvalCase], options: EvalOptions) -> tuple[list[Prediction], Told]:
    """Return the lists of `--ranker` or `--run_file`.

    Rankers choose among the same candidates as a model; lists of a file are taken unchanged.

    Returns:
        The predictions, and notes for the result file: the settings tried on the validation split, or the numbers of
        users without a list and of unused lists of the file.

    Raises:
        ValueError: the file is not a run file, or the teacher would have to list items of its history.
    """
    if options.run_file:
        return _of_file(catalog, users, options)
    if options.ranker == "teacher":
        if options.hide_seen == "none":
            raise ValueError("--ranker teacher hides what it is shown; use --hide_seen visible or all")
        return list(map(Prediction, _of_teacher(open_teacher(options.teacher), catalog, users, options))), {}
    # For validation users there is no other split to choose settings on.
    if options.tune and options.split == "test":
        fitted, tried = tuned(options.ranker, catalog, options)
    else:
        training = [list(sequence) for sequence in catalog.training_sequences()]
        fitted, tried = baseline(options.ranker, options.seed).fit(training, len(catalog.items)), []
    hidden = [_closed(row, catalog, options) for row in users]
    lists = fitted.rank([list(row.shown) for row in users], hidden, options.topk)
    answers = [
        Prediction(catalog.ids(int(i) for i in ranked[: row.spec.k] if i >= 0))
        for row, ranked in zip(users, lists, strict=True)
    ]
    return answers, {"tuning": tried} if tried else {}


def _of_file(catalog: Catalog, users: Sequence[EvalCase], options: EvalOptions) -> tuple[list[Prediction], Told]:
    run = read_run(options.run_file, [row.user for row in users])
    answers = [
        Prediction([i if i in catalog.index else None for i in run.lists[row.user][: row.spec.k]]) for row in users
    ]
    return answers, {"run": {"users_without_a_list": len(run.missing), "lists_not_asked_for": len(run.unknown_users)}}


def _closed(row: EvalCase, catalog: Catalog, options: EvalOptions) -> set[int]:
    """Return the items that a baseline may not list: hidden items and, with `--enforce_request`, inadmissible items."""
    closed = set(row.hidden(options.hide_seen))
    admitted = row.spec.admitted(catalog) if options.enforce_request else None
    return closed if admitted is None else closed | (set(range(len(catalog.items))) - admitted)


def _of_teacher(
    teacher: Teacher, catalog: Catalog, users: Sequence[EvalCase], options: EvalOptions
) -> Iterator[list[str]]:
    """Yield lists of item ids. The teacher hides its history; `--enforce_request` filters its ranking."""
    histories = [catalog.ids(row.hidden(options.hide_seen)) for row in users]
    depth = min(options.topk, max(1, len(catalog.items) - 1))
    if options.enforce_request:
        left = len(catalog.items) - max(len(set(history)) for history in histories)
        # As for a prior: a user who consumed nearly all items must not shorten the rankings of other users.
        depth = max(1, left if left > options.topk else len(catalog.items) - 1)
    for row, ranked in zip(users, teacher.top_k(histories, depth), strict=True):
        admitted = row.spec.admitted(catalog) if options.enforce_request else None
        kept = ranked if admitted is None else [i for i in ranked if catalog.index[i] in admitted]
        yield list(kept[: row.spec.k])
