"""Random order: the algorithm against its definition, and its bits."""

import numpy as np
import pytest

from lamina.data import order


def test_permutation_bits_are_fixed():
    assert order.Draws(0).permutation(8).tolist() == [0, 3, 7, 5, 1, 2, 6, 4]
    assert order.Draws(2**64 + 5, 1).permutation(5).tolist() == order.Draws(5, 1).permutation(5).tolist()


def test_draws_differ_by_seed_epoch_and_repetition():
    keys = [(0, 0, ()), (1, 0, ()), (0, 1, ()), (0, 0, (1,)), (0, 0, (0, 1)), (2**40, 0, ())]
    assert len({order.Draws(*key).uniform(4).tobytes() for key in keys}) == len(keys)


@pytest.mark.parametrize("size", [1, 2, 7, 30])
@pytest.mark.parametrize("cuts", [[], [1, 2, 3], [10], [5, 6, 29]])
def test_rows_in_any_chunks_are_shuffled_alike(size, cuts):
    bounds = [0, *cuts, 30]
    chunks = [range(a, b) for a, b in zip(bounds, bounds[1:])]
    got = np.concatenate(list(order.shuffle_rows(chunks, size, order.Draws(3)))).tolist()
    assert got == list(order.shuffle_elements(range(30), size, order.Draws(3)))
    if size == 1:
        assert got == list(range(30))


def test_join_keeps_ranges():
    assert order.join([range(2, 4), range(4, 9)]) == range(2, 9)
    assert order.join([range(2, 4), range(5, 6)]).tolist() == [2, 3, 5]
    assert order.join([range(2), np.array([7])]).tolist() == [0, 1, 7]
