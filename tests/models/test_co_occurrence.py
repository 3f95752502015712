"""Co-occurrence vectors: the same at every call, near for what is consumed together, defined for every item."""

import numpy as np

from train_utils.models.co_occurrence import _pairs, co_occurrence_vectors


def test_items_consumed_together_are_nearer_than_others():
    rng = np.random.default_rng(0)
    sequences = [rng.permutation(np.arange(10) + 10 * (user % 2)).tolist() for user in range(40)]
    vectors = co_occurrence_vectors(sequences, 20, 4)
    near = vectors @ vectors.T
    assert near[:10, :10].min() > near[:10, 10:].max()
    assert np.array_equal(vectors, co_occurrence_vectors(sequences, 20, 4))
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_pairs_count_by_distance_within_a_user():
    counts = _pairs([[0, 1, 2], [2, 0]], 4).toarray()
    expected = np.zeros((4, 4))
    for a, b, weight in ((0, 1, 1.0), (1, 2, 1.0), (0, 2, 0.5), (2, 0, 1.0)):
        expected[a, b] += weight
        expected[b, a] += weight
    assert np.allclose(counts, expected)


def test_items_without_a_neighbor_get_zeros():
    vectors = co_occurrence_vectors([[0, 1], [3]], 5)
    assert vectors.shape[0] == 5 and not vectors[[2, 3, 4]].any() and np.isfinite(vectors).all()
    assert not co_occurrence_vectors([[0], [0, 0]], 3).any()
    assert co_occurrence_vectors([[0, 1]], 2).shape[0] == 2
