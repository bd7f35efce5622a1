"""Batches: every kind of training data in one form."""

import numpy as np
import pytest

from lamina.data import Dataset
from lamina.data.adapters import batches, train_validation_split

X, Y = np.arange(14.0).reshape(7, 2), np.arange(7)


def numbers(data):
    return [y.tolist() for _, y, _ in data]


def test_arrays_in_order_are_views():
    data = batches(X, Y, batch_size=3)
    assert (data.steps, data.num_samples, data.infinite) == (3, 7, False)
    got = list(data)
    assert [len(x) for x, _, _ in got] == [3, 3, 1]
    assert all(np.shares_memory(x, X) and not x.flags.writeable and w is None for x, _, w in got)
    assert numbers(data) == [[0, 1, 2], [3, 4, 5], [6]]


def test_shuffle_is_a_function_of_seed_and_epoch():
    x = np.arange(100)
    one, two = (batches(x, x * 2, batch_size=16, shuffle=True, seed=4) for _ in range(2))
    epochs = [numbers(one) for _ in range(3)]
    assert epochs[0] != epochs[1] and [numbers(two.iterate(e)) for e in (0, 1, 2)] == epochs
    assert numbers(batches(x, x * 2, batch_size=16, shuffle=True, seed=4, epoch=2)) == epochs[2]
    assert sorted(sum(epochs[0], [])) == (x * 2).tolist()
    assert all((x * 2 == y).all() for x, y, _ in one)


def test_default_batch_size_is_32():
    assert batches(np.zeros(65)).steps == 3


def test_what_counts_as_arrays():
    class Frame:  # like pandas: rows by position are not what len and [] give
        def __array__(self, dtype=None, copy=None):
            return X

        def __len__(self):
            return 7

        def __getitem__(self, key):
            raise KeyError(key)

    class Tensor:
        def numpy(self):
            return X

    for x in (X, X.tolist(), Frame(), Tensor()):
        ((got, _, _),) = batches(x)
        assert (got == X).all()
    ((got, _, weight),) = batches({"a": X, "b": (X, Y)}, sample_weight=Y.tolist())
    assert got["b"][1].tolist() == weight.tolist() == Y.tolist()
    ((got, _, _),) = batches([X, Y], Y)
    assert isinstance(got, tuple) and got[0].shape == (7, 2)


@pytest.mark.parametrize(
    "item", [X, (X,), (X, Y), (X, Y, None), [X, Y, Y.tolist()], {"a": X}, ((X, Y), Y), ([X, Y], Y)]
)
def test_ready_batches_of_every_form(item):
    ((x, y, weight),) = batches(iter([item]))
    parts = tuple(item) if isinstance(item, (tuple, list)) else (item,)
    assert (y is None) == (len(parts) < 2) and (weight is None) == (len(parts) < 3 or parts[2] is None)
    if isinstance(parts[0], (tuple, list)):
        assert isinstance(x, tuple) and x[1] is Y


def test_dataset():
    dataset = Dataset.from_tensor_slices((X, Y)).shuffle(7, seed=1).batch(3)
    data = batches(dataset)
    assert data.steps == 3 and numbers(data) != numbers(data)
    assert batches(dataset.repeat()).infinite and batches(dataset.repeat()).steps is None
    assert batches(dataset.filter(lambda x, y: True)).steps is None
    with pytest.raises(ValueError, match=r"\[data.batches\].*Is batch\(\) missing"):
        list(batches(Dataset.from_tensor_slices((Y, Y))))


def test_generator_goes_on_where_it_is():
    data = batches((X, np.full(7, i)) for i in range(3))
    assert data.steps is None
    assert next(iter(data))[1][0] == 0
    assert [y[0] for y in (y for _, y, _ in data)] == [1, 2]
    with pytest.raises(ValueError, match=r"\[fit\].*no batch.*type=list_iterator, epoch=1.*steps_per_epoch"):
        empty = batches(iter([X]), where="fit")
        list(empty)
        list(empty)


class Pages:
    def __init__(self):
        self.events = []

    def __len__(self):
        return 5

    def __getitem__(self, i):
        return X, np.full(7, i)

    def on_epoch_end(self):
        self.events.append("end")


def test_sequence():
    pages = Pages()
    assert [y[0] for y in numbers(batches(pages))] == [0, 1, 2, 3, 4]
    assert pages.events == ["end"]
    data = batches(pages, shuffle=True, seed=0)
    orders = [[y[0] for y in numbers(data)] for _ in range(2)]
    assert data.steps == 5 and orders[0] != orders[1] and sorted(orders[0]) == [0, 1, 2, 3, 4]


def test_iterable_with_length():
    class Loader:
        def __len__(self):
            return 2

        def __iter__(self):
            return iter([(X, Y)] * 2)

    data = batches(Loader())
    assert data.steps == 2 and len(list(data)) == len(list(data)) == 2


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: batches(X, Y[:3], where="fit"), ValueError, r"\[fit\].*shapes=\[\(7, 2\), \(3,\)\]"),
        (lambda: batches(X[:0], Y[:0]), ValueError, r"empty.*shapes=\[\(0, 2\), \(0,\)\]"),
        (lambda: batches([]), ValueError, r"empty.*shapes=\[\(0,\)\]"),
        (lambda: batches(3), ValueError, "scalar"),
        (lambda: batches(X, batch_size=0), ValueError, "batch_size=0"),
        (lambda: batches(X, epoch=-1), ValueError, "epoch=-1"),
        (lambda: batches(X, shuffle=True, seed=0.5), TypeError, "seed=0.5"),
        (lambda: batches(None), TypeError, "x of type NoneType"),
        (lambda: batches("file.csv"), TypeError, "x of type str"),
        (lambda: batches(lambda: iter([X])), TypeError, "x of type function. Call it"),
        (lambda: batches(np.array(["a", None])), TypeError, "dtype=object"),
        (
            lambda: batches(Dataset.range(3), Y),
            ValueError,
            "y is given twice.*x of type Dataset, y of type ndarray",
        ),
        (lambda: batches(iter([X]), sample_weight=Y), ValueError, "sample_weight is given twice"),
        (lambda: list(batches(iter([(X, Y, Y, Y)]))), ValueError, "Received: 4 parts"),
        (lambda: list(batches(iter([(None, Y)]))), ValueError, "no x"),
        (lambda: list(batches(iter([(X, Y[:2])]))), ValueError, r"shapes=\[\(7, 2\), \(2,\)\]"),
        (lambda: list(batches(iter([X[:0]]))), ValueError, r"shapes=\[\(0, 2\)\]"),
        (lambda: train_validation_split((X, Y), 1.0), ValueError, r"\[fit\].*validation_split=1.0"),
        (lambda: train_validation_split((X, Y), "a"), ValueError, "validation_split='a'"),
        (lambda: train_validation_split((X, Y), 0.99), ValueError, "samples=7, validation_split=0.99"),
        (
            lambda: train_validation_split(Dataset.range(3), 0.5),
            ValueError,
            "in memory.*Dataset.*validation_data",
        ),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_empty_sequence():
    class Nothing(Pages):
        def __len__(self):
            return 0

    with pytest.raises(ValueError, match=r"empty.*type=Nothing, length=0"):
        batches(Nothing())


def test_validation_split_takes_the_last_rows():
    (x, y, w), (vx, vy, vw) = train_validation_split((X, Y, None), 0.3)
    assert y.tolist() == [0, 1, 2, 3] and vy.tolist() == [4, 5, 6] and w is vw is None
    assert np.shares_memory(vx, X) and len(x) == 4
    train, held_out = train_validation_split({"a": X}, 0.5)
    assert len(train["a"]) == 3 and len(held_out["a"]) == 4
