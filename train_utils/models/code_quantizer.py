"""Residual k-means: codes of several levels for the items of a catalog, from their vectors."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_lowercase

import numpy as np
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from train_utils.item_codes import ItemCodes

MOST_LEVELS = len(ascii_lowercase) - 1  # each level has a letter, and one is left for the last level


@dataclass(frozen=True)
class LevelUse:
    """Use of the tokens of one level.

    Attributes:
        letter: letter of the level.
        tokens: number of tokens that exist: the centers asked for, or the numbers of the last level.
        used: share of them that some item has, within 0..1.
        entropy: entropy of a random item's token, in bits, among the items that have one.
    """

    letter: str
    tokens: int
    used: float
    entropy: float


@dataclass(frozen=True)
class CodeReport:
    """Report on item codes.

    Attributes:
        items: number of items.
        collisions: share of the items that share their code before the last level, within 0..1.
        depth: mean number of tokens of a code.
        longest: tokens of the longest code.
        levels: use of each level, the last one only where codes needed it.
    """

    items: int
    collisions: float
    depth: float
    longest: int
    levels: tuple[LevelUse, ...]


def residual_codes(vectors: np.ndarray, levels: int, size: int, seed: int) -> np.ndarray:
    """Return the center of each vector at each level of a residual k-means.

    The first level clusters the vectors, every other level what the centers before it leave.

    Args:
        vectors: float [items, d].
        levels: number of levels, 1..MOST_LEVELS.
        size: centers of a level at most; fewer where there are fewer distinct vectors.
        seed: seed of the initial centers.

    Returns:
        int64 [items, levels].

    Raises:
        ValueError: `vectors` is no table of finite numbers, or a number is out of its bounds.
    """
    if vectors.ndim != 2 or not vectors.size or not np.isfinite(vectors).all():
        raise ValueError(f"item vectors have the shape {list(vectors.shape)}, wanted [items, d] of finite numbers")
    if not 1 <= levels <= MOST_LEVELS or size < 1:
        raise ValueError(f"there are {levels} levels of {size} centers, wanted 1..{MOST_LEVELS} levels of 1 or more")
    residual = np.asarray(vectors, dtype=np.float64)
    scale = np.abs(residual).max() or 1.0
    codes = np.zeros((len(residual), levels), dtype=np.int64)
    for level in range(levels):
        distinct = len(np.unique((residual / scale).round(6), axis=0))
        if distinct == 1:
            break  # every vector is its center
        means = KMeans(min(size, distinct), n_init=1, random_state=seed + level)
        with threadpool_limits(1):  # threads would add in an order that changes from run to run
            codes[:, level] = means.fit_predict(residual)
        residual = residual - means.cluster_centers_[codes[:, level]]
    return codes


def code_tokens(codes: np.ndarray, ids: Sequence[str]) -> ItemCodes:
    """Return codes as tokens, `<a_137><b_180><c_11>`. Items of one code are numbered by one more level, `<d_0>`.

    An item that has its code alone gets no number: no other code can begin with it.

    Args:
        codes: int [items, levels].
        ids: item ids, in the same order.
    """
    shared = Counter(map(tuple, codes.tolist()))
    numbered: Counter[tuple[int, ...]] = Counter()
    tokens = []
    for code in map(tuple, codes.tolist()):
        of_item = [f"<{letter}_{center}>" for letter, center in zip(ascii_lowercase, code, strict=False)]
        if shared[code] > 1:
            of_item.append(f"<{ascii_lowercase[len(code)]}_{numbered[code]}>")
            numbered[code] += 1
        tokens.append(tuple(of_item))
    return ItemCodes("rq_token_seq", tuple(ids), tuple(tokens))


def scaled(vectors: np.ndarray) -> np.ndarray:
    """Return vectors (float32 [items, d]) around 0 with a mean squared length of 1, so that kinds can be joined."""
    centered = vectors - vectors.mean(0, keepdims=True)
    length = np.sqrt((centered**2).sum(1).mean())
    return (centered / length if length > 0 else centered).astype(np.float32)


def report_on(codes: np.ndarray, size: int) -> CodeReport:
    """Report on the codes of `residual_codes`.

    Args:
        codes: int [items, levels].
        size: centers that were asked for at each level.
    """
    shared = Counter(map(tuple, codes.tolist()))
    colliding = sum(n for n in shared.values() if n > 1)
    levels = [_use(letter, size, np.bincount(column)) for letter, column in zip(ascii_lowercase, codes.T, strict=False)]
    if colliding:
        largest = max(shared.values())
        numbers = np.array([sum(n > number for n in shared.values() if n > 1) for number in range(largest)])
        levels.append(_use(ascii_lowercase[codes.shape[1]], largest, numbers))
    share = colliding / len(codes)
    return CodeReport(len(codes), share, codes.shape[1] + share, codes.shape[1] + (colliding > 0), tuple(levels))


def _use(letter: str, tokens: int, counts: np.ndarray) -> LevelUse:
    shares = counts[counts > 0] / counts.sum()
    return LevelUse(letter, tokens, len(shares) / tokens, float(-(shares * np.log2(shares)).sum()) + 0.0)
