"""Sets of tokens as packed bits, the form in which inference engines take masks. NumPy only.

Token t is bit t % 32 of word t // 32; a row is uint32 [ceil(vocabulary / 32)].
"""

import numpy as np


def packed(tokens: np.ndarray, vocabulary: int, excluded: bool = False) -> np.ndarray:
    """Return tokens as a packed row.

    Args:
        tokens: ids, int64 [n].
        vocabulary: number of tokens; bits from there on are 0.
        excluded: whether all other tokens are set instead.
    """
    bits = np.full(words_of(vocabulary) * 32, excluded)
    bits[vocabulary:] = False
    bits[tokens] = not excluded
    return np.packbits(bits, bitorder="little").view("<u4").astype(np.uint32, copy=False)


def words_of(vocabulary: int) -> int:
    """Return the number of words of a row."""
    return -(-vocabulary // 32)


def set_tokens(row: np.ndarray, tokens: np.ndarray) -> None:
    """Set the bits of tokens in place.

    Args:
        row: uint32 [words].
        tokens: distinct ids, int64 [n].
    """
    np.bitwise_or.at(row, tokens >> 5, np.left_shift(1, tokens & 31).astype(np.uint32))


def set_token(row: np.ndarray, token: int) -> None:
    """Set the bit of a token in place."""
    row[token >> 5] |= np.uint32(1 << (token & 31))


def clear_token(row: np.ndarray, token: int) -> None:
    """Clear the bit of a token in place."""
    row[token >> 5] &= np.uint32(0xFFFFFFFF ^ (1 << (token & 31)))
