"""Rows for cold items: those that a trained model has no code for, from their titles and categories."""

from collections.abc import Sequence

import numpy as np
import torch
from sklearn.linear_model import RidgeCV

from train_utils.catalog import Catalog
from train_utils.models.code_quantizer import scaled

_ALPHAS = tuple(10.0**power for power in range(-2, 5))
FOLDS = 5
_STRENGTH = 1e-4  # of the ridge, relative to the mean squared state


def item_features(catalog: Catalog, title_ids: Sequence[Sequence[int]], table: np.ndarray) -> np.ndarray:
    """Return what is known of items without any event: the mean row of a title's tokens, and the categories.

    Args:
        catalog: the items.
        title_ids: tokens of each item's title.
        table: float32 [tokens, d], rows of these tokens.

    Returns:
        float32 [items, d + categories]. Both parts are centered and have a mean squared length of 1.
    """
    titles = np.stack([table[list(ids)].mean(axis=0) for ids in title_ids])
    members = np.zeros((len(catalog.items), len(catalog.categories)), dtype=np.float32)
    for column, items in enumerate(catalog.categories.values()):
        members[list(items), column] = 1.0
    return np.concatenate([scaled(part) for part in (titles, members) if part.size], axis=1)


def predicted_rows(features: np.ndarray, rows: np.ndarray, known: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return rows for the items that have none, by ridge regression fitted on the items that have one.

    Rows of items that occurred often in training are learned better, so an item weighs log(1 + its count) in the fit.
    The strength of the ridge is chosen by leave-one-out error.

    Args:
        features: float [items, features].
        rows: float [items, d]; the rows of unknown items are not read.
        known: bool [items], whether an item has a row.
        counts: int [items], number of training events.

    Returns:
        float32 [unknown items, d], in item order.

    Raises:
        ValueError: fewer than two items have a row.
    """
    if known.sum() < 2:
        raise ValueError(f"{known.sum()} of the items have a trained row, wanted 2 or more to learn from")
    weights = np.log1p(counts[known]) + 1e-3
    fitted = RidgeCV(alphas=_ALPHAS).fit(features[known], rows[known], sample_weight=weights)
    predicted = fitted.predict(features[~known]).reshape(-1, rows.shape[1])  # scikit-learn drops an axis of length 1
    return predicted.astype(np.float32)


def rows_as_new(features: np.ndarray, rows: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the rows that trained items would get if they were new: predicted from the other items, in folds.

    Args:
        features: see `predicted_rows`; of trained items.
        rows: float [items, d], their trained rows.
        counts: int [items], number of training events.

    Returns:
        float32 [items, d].
    """
    as_new = np.empty(rows.shape, dtype=np.float32)
    folds = np.arange(len(rows)) % FOLDS
    np.random.default_rng(0).shuffle(folds)
    for fold in range(FOLDS):
        as_new[folds == fold] = predicted_rows(features, rows, folds != fold, counts)
    return as_new


def missing_logit(states: np.ndarray, rows: np.ndarray, as_new: np.ndarray) -> float:
    """Return what is added to the logits of predicted rows, so that such items are as probable as trained ones.

    A predicted row is a mean over the rows that an item may turn out to have. The mean of their probabilities is higher
    than the probability of the mean row (the exponential function is convex), so that without the addend hardly any new
    item is listed.

    Args:
        states: float [states, d], hidden states from which the next item is predicted.
        rows: float [items, d], trained output rows.
        as_new: what `rows_as_new` returned for them.
    """
    trained, predicted = states @ rows.T, states @ as_new.T
    highest = trained.max(axis=1, keepdims=True)
    share = 1.0 / np.exp(trained - highest).sum(axis=1, keepdims=True)
    return float(np.log(len(states) / (np.exp(predicted - highest) * share).sum()))


def constant_row(states: np.ndarray) -> np.ndarray:
    """Return the row, float [d], whose logit is as near to 1 as possible in all states, by ridge regression."""
    squares = states.T @ states
    ridge = _STRENGTH * np.trace(squares) / len(squares)
    return np.linalg.solve(squares + ridge * np.eye(len(squares)), states.sum(axis=0))


def fill_rows(
    table: torch.Tensor,
    ids: Sequence[int],
    features: np.ndarray,
    known: np.ndarray,
    counts: Sequence[int],
    states: np.ndarray | None = None,
) -> None:
    """Write the predicted rows of the unknown items into a table of rows, in place.

    Args:
        table: float [tokens, d], the model's embedding or head.
        ids: the code token of each item.
        features: see `predicted_rows`.
        known: see `predicted_rows`.
        counts: see `predicted_rows`.
        states: for the head, see `missing_logit`; None adds nothing to the logits.
    """
    at, events = torch.tensor(ids), np.asarray(counts)
    rows = table[at].float().numpy()
    predicted = predicted_rows(features, rows, known, events)
    if states is not None and len(states) and known.sum() >= FOLDS:
        as_new = rows_as_new(features[known], rows[known], events[known])
        predicted += (missing_logit(states, rows[known], as_new) * constant_row(states)).astype(np.float32)
    table[at[torch.from_numpy(~known)]] = torch.from_numpy(predicted).to(table.dtype)
