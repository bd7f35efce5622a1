"""Nested structures."""

import numpy as np
import pytest

from lamina.data import nested


def test_map_and_leaves():
    structure = {"a": (1, {"b": 2}), "c": [3, 4]}
    assert nested.leaves(structure) == [1, 2, [3, 4]]
    assert nested.map_structure(lambda v: v * 2, structure) == {"a": (2, {"b": 4}), "c": [3, 4, 3, 4]}


def test_as_array_does_not_copy():
    x = np.arange(3)
    assert nested.as_array(x, "t") is x


def test_stack_by_key_whatever_the_order_of_the_keys():
    got = nested.stack([{"a": 1, "b": 2}, {"b": 20, "a": 10}], "t")
    assert got["a"].tolist() == [1, 10] and got["b"].tolist() == [2, 20]


@pytest.mark.parametrize("items", [[{"a": 1}, {"b": 1}], [(1, 2), (1,)], [1, (1,)], [(1,), {"a": 1}]])
def test_stack_refuses_other_structures(items):
    with pytest.raises(ValueError, match=r"^\[t\] elements of different structure.*Received: .* and "):
        nested.stack(items, "t")
