"""Rows for cold items: those that a trained model has no code for, from their titles and categories."""

from collections.abc import Sequence

import numpy as np
import torch
from sklearn.linear_model import RidgeCV

from train_utils.catalog import Catalog
from train_utils.models.code_quantizer import scaled

_ALPHAS = tuple(10.0**power for power in range(-2, 5))


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


def fill_rows(table: torch.Tensor, ids: Sequence[int], features: np.ndarray, known: np.ndarray, counts) -> None:
    """Write the predicted rows of the unknown items into a table of rows, in place.

    Args:
        table: float [tokens, d], the model's embedding or head.
        ids: the code token of each item.
        features: see `predicted_rows`.
        known: see `predicted_rows`.
        counts: see `predicted_rows`.
    """
    at = torch.tensor(ids)
    rows = table[at].float().numpy()
    predicted = predicted_rows(features, rows, known, np.asarray(counts))
    table[at[torch.from_numpy(~known)]] = torch.from_numpy(predicted).to(table.dtype)
