"""Dataset: values, order, cardinality, errors."""

import collections
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lamina import seeding
from lamina.data import AUTOTUNE, INFINITE_CARDINALITY, UNKNOWN_CARDINALITY, Dataset


def values(dataset):
    return [item.tolist() for item in dataset]


def streamed(dataset):
    """The same elements, no longer rows of arrays: takes the general path of every stage."""
    return dataset.map(lambda *item: item[0] if len(item) == 1 else item)


def test_slices_keep_structure_dtype_and_share_memory():
    x, y = np.arange(12.0).reshape(4, 3), np.arange(4, dtype=np.uint8)
    (batch,) = Dataset.from_tensor_slices({"a": (x, y)}).batch(4)
    assert np.shares_memory(batch["a"][0], x) and not batch["a"][0].flags.writeable
    assert batch["a"][1].dtype == np.uint8
    first = next(iter(Dataset.from_tensor_slices((x, y))))
    assert first[0].tolist() == [0, 1, 2] and first[1] == 0


def test_named_tuples_lists_and_numpy_method():
    class Holder:
        def numpy(self):
            return np.arange(3)

    Pair = collections.namedtuple("Pair", "left right")
    (batch,) = Dataset.from_tensor_slices(Pair([1, 2, 3], Holder())).batch(3)
    assert isinstance(batch, Pair) and batch.left.tolist() == [1, 2, 3] and batch.right.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    "array",
    [np.arange(20)[::-2], np.asfortranarray(np.ones((6, 4))), np.arange(5, dtype=">i4"), np.zeros((0, 3))],
)
def test_any_layout(array):
    array.flags.writeable = False
    for dataset in (Dataset.from_tensor_slices(array), Dataset.from_tensor_slices(array).shuffle(10, seed=3)):
        got = [row for batch in dataset.batch(3) for row in batch.tolist()]
        assert sorted(got) == sorted(array.tolist())


@pytest.mark.parametrize("through", [lambda d: d, streamed])
def test_batch(through):
    source = through(Dataset.range(7))
    assert values(source.batch(3)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert values(source.batch(3, drop_remainder=True)) == [[0, 1, 2], [3, 4, 5]]
    assert values(source.batch(100)) == [[0, 1, 2, 3, 4, 5, 6]]
    assert values(source.batch(2, True).batch(2, True)) == [[[0, 1], [2, 3]]]


@pytest.mark.parametrize("through", [lambda d: d, streamed])
def test_take_skip_repeat(through):
    source = through(Dataset.range(5))
    assert (
        values(source.take(2)) == [0, 1] and values(source.take(-1)) == [0, 1, 2, 3, 4] and values(source.take(0)) == []
    )
    assert values(source.skip(3)) == [3, 4] and values(source.skip(-1)) == [] and values(source.skip(9)) == []
    assert values(source.skip(1).take(2).repeat(2)) == [1, 2, 1, 2]
    assert values(source.repeat().skip(4).take(3)) == [4, 0, 1]
    assert values(source.repeat(2).batch(4)) == [[0, 1, 2, 3], [4, 0, 1, 2], [3, 4]]
    assert values(source.take(0).repeat()) == [] and values(source.repeat(0)) == []


def test_take_asks_its_source_for_no_more():
    asked = []

    def numbers():
        for i in range(100):
            asked.append(i)
            yield i

    assert values(Dataset.from_generator(numbers).take(3)) == [0, 1, 2]
    assert asked == [0, 1, 2]


@given(
    n=st.integers(0, 40),
    size=st.integers(1, 50),
    seed=st.integers(-(2**70), 2**70),
    repeats=st.integers(1, 3),
)
@settings(max_examples=60, deadline=None)
def test_shuffle_same_for_rows_and_elements(n, size, seed, repeats):
    rows = Dataset.range(n).repeat(repeats).shuffle(size, seed=seed)
    elements = streamed(Dataset.range(n).repeat(repeats)).shuffle(size, seed=seed)
    for _ in range(2):
        got = values(rows)
        assert got == values(elements)
        assert sorted(got) == sorted(list(range(n)) * repeats)
        if repeats == 1:  # an element leaves at the earliest when the buffer has filled up to it
            assert all(value < position + size for position, value in enumerate(got))


def test_shuffle_is_uniform():
    counts = np.zeros((4, 4))
    dataset = Dataset.range(4).shuffle(4, seed=5)
    for _ in range(2000):
        counts[np.arange(4), values(dataset)] += 1
    assert abs(counts - 500).max() < 100  # 5 standard deviations of binomial(2000, 1/4)


def test_shuffle_order_is_a_function_of_seed_and_epoch():
    def make(**options):
        return Dataset.range(50).shuffle(50, **options)

    first, second = make(seed=1), make(seed=1)
    epochs = [values(first) for _ in range(3)]
    assert epochs[0] != epochs[1] != epochs[2]
    assert [values(second) for _ in range(3)] == epochs
    second.set_epoch(1)
    assert values(second) == epochs[1]
    assert values(make(seed=2)) != epochs[0]
    fixed = make(seed=1, reshuffle_each_iteration=False)
    assert values(fixed) == values(fixed)
    assert values(fixed.repeat(2)) == values(fixed) * 2


def test_shuffle_each_repetition_anew():
    both = values(Dataset.range(50).shuffle(50, seed=1).repeat(2))
    once, again = both[:50], both[50:]
    assert once != again and sorted(once) == sorted(again)


def test_shuffle_without_seed_follows_the_default_seed():
    def draw():
        seeding.set_default_seed(11)
        return values(Dataset.range(30).shuffle(30)), values(Dataset.range(30).shuffle(30))

    one, two = draw()
    assert one != two
    assert draw() == (one, two)


def test_an_epoch_left_early_counts_as_one():
    whole, broken = (Dataset.range(40).shuffle(40, seed=9).repeat().batch(8).prefetch(4) for _ in range(2))
    for dataset, steps in ((whole, 23), (broken, 2)):
        list(itertools.islice(dataset, steps))
    assert values(whole.take(12)) == values(broken.take(12))


def test_map_filter_enumerate():
    pairs = Dataset.from_tensor_slices((np.arange(4), np.arange(4) * 10))
    assert values(pairs.map(lambda a, b: a + b, num_parallel_calls=AUTOTUNE)) == [0, 11, 22, 33]
    assert values(pairs.batch(2).map(lambda a, b: (a + b).sum())) == [11, 55]
    assert values(Dataset.range(6).filter(lambda v: v % 2 == 0)) == [0, 2, 4]
    assert [(int(i), int(v)) for i, v in Dataset.range(5, 8).enumerate(start=1)] == [(1, 5), (2, 6), (3, 7)]
    (batch,) = Dataset.range(2).map(lambda v: {"v": v, "list": [v, v]}).batch(2)
    assert batch["list"].tolist() == [[0, 0], [1, 1]]


def test_zip_and_concatenate():
    a, b = Dataset.range(3), Dataset.range(10, 15)
    assert [tuple(map(int, pair)) for pair in Dataset.zip(a, b)] == [(0, 10), (1, 11), (2, 12)]
    assert [tuple(map(int, pair)) for pair in Dataset.zip((a, b.filter(lambda v: v > 11)))] == [
        (0, 12),
        (1, 13),
        (2, 14),
    ]
    (batch,) = Dataset.zip({"x": a, "y": b}).batch(3)
    assert batch["y"].tolist() == [10, 11, 12] and not batch["y"].flags.writeable
    assert values(a.concatenate(b)) == [0, 1, 2, 10, 11, 12, 13, 14]
    assert values(a.concatenate(b).batch(3, drop_remainder=True)) == [[0, 1, 2], [10, 11, 12]]


def test_cache_keeps_the_first_complete_pass():
    calls = []
    dataset = Dataset.range(3).map(lambda v: calls.append(int(v)) or v).cache()
    next(iter(dataset))  # left early: nothing kept
    assert values(dataset) == values(dataset) == [0, 1, 2]
    assert calls == [0, 0, 1, 2]
    frozen = Dataset.range(30).shuffle(30, seed=1).cache()
    next(iter(frozen))
    assert values(frozen) == values(frozen) == values(Dataset.range(30).shuffle(30, seed=1))
    after = Dataset.range(30).cache().shuffle(30, seed=1)
    assert values(after) != values(after)


def test_from_generator_with_signature():
    def rows(n):
        for i in range(n):
            yield i, [i, i]

    dataset = Dataset.from_generator(rows, args=(3,), output_signature=("int32", np.float32))
    (batch,) = dataset.batch(3)
    assert batch[0].dtype == np.int32 and batch[1].dtype == np.float32
    assert values(dataset.map(lambda a, b: a)) == [0, 1, 2] == values(dataset.map(lambda a, b: a))

    class Spec:
        shape, dtype = (None, 3), np.dtype("int64")

    with pytest.raises(ValueError, match=r"\[Dataset.from_generator\].*expected \(None, 3\).*shape=\(2, 2\)"):
        list(Dataset.from_generator(lambda: [np.zeros((2, 2))], output_signature=Spec()))
    with pytest.raises(ValueError, match=r"\[Dataset.from_generator\].*expected tuple of 2.*Received: one array"):
        list(Dataset.from_generator(lambda: [1], output_signature=("int32", "int32")))
    with pytest.raises(TypeError, match=r"\[Dataset.from_generator\].*NoneType"):
        list(Dataset.from_generator(lambda: None))


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda d: d, 10),
        (lambda d: d.batch(3), 4),
        (lambda d: d.batch(3, drop_remainder=True), 3),
        (lambda d: d.shuffle(2).take(4).map(abs).prefetch(1), 4),
        (lambda d: d.skip(8), 2),
        (lambda d: d.skip(80), 0),
        (lambda d: d.repeat(3), 30),
        (lambda d: d.repeat(), INFINITE_CARDINALITY),
        (lambda d: d.repeat().skip(3), INFINITE_CARDINALITY),
        (lambda d: d.repeat().take(25).batch(10), 3),
        (lambda d: d.take(0).repeat(), 0),
        (lambda d: d.concatenate(d).enumerate(), 20),
        (lambda d: d.concatenate(d.repeat()), INFINITE_CARDINALITY),
        (lambda d: Dataset.zip(d.batch(2), d.repeat()), 5),
        (lambda d: Dataset.zip(d, d.filter(abs)), UNKNOWN_CARDINALITY),
        (lambda d: d.filter(abs).repeat(), INFINITE_CARDINALITY),
        (lambda d: d.cache(), 10),
    ],
)
def test_cardinality(make, expected):
    dataset = make(Dataset.range(10))
    assert dataset.cardinality() == expected
    assert bool(dataset)
    if expected >= 0:
        assert len(dataset) == expected == len(list(dataset))
    else:
        with pytest.raises(TypeError, match=r"\[Dataset\].*no length.*cardinality=(infinite|unknown)"):
            len(dataset)


def test_as_numpy_iterator_and_repr():
    dataset = Dataset.range(4).batch(2)
    assert [item.tolist() for item in dataset.as_numpy_iterator()] == [[0, 1], [2, 3]]
    assert repr(dataset) == "<Dataset batch, cardinality=2>"
    assert repr(dataset.repeat()) == "<Dataset repeat, cardinality=infinite>"


ten = Dataset.range(10)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: Dataset.from_tensor_slices((np.zeros((3, 2)), np.zeros(4))),
            ValueError,
            r"shapes=\[\(3, 2\), \(4,\)\]",
        ),
        (lambda: Dataset.from_tensor_slices(3.0), ValueError, r"scalar.*shapes=\[\(\)\]"),
        (lambda: Dataset.from_tensor_slices(()), ValueError, r"no array.*Received: \(\)"),
        (lambda: Dataset.from_tensor_slices([[1], [1, 2]]), ValueError, r"different lengths.*type=list"),
        (lambda: Dataset.from_tensor_slices((np.zeros(2), None)), TypeError, "dtype=object"),
        (lambda: ten.batch(0), ValueError, r"\[Dataset.batch\].*at least 1.*batch_size=0"),
        (lambda: ten.batch(2.5), TypeError, r"\[Dataset.batch\].*batch_size=2.5"),
        (lambda: ten.batch(True), TypeError, "batch_size=True"),
        (lambda: ten.shuffle(0), ValueError, r"\[Dataset.shuffle\].*buffer_size=0"),
        (lambda: ten.shuffle(3, seed="a"), TypeError, "seed='a'"),
        (lambda: ten.take(-2), ValueError, r"\[Dataset.take\].*count=-2"),
        (lambda: ten.skip(None), TypeError, r"\[Dataset.skip\].*count=None"),
        (lambda: ten.repeat(-5), ValueError, r"\[Dataset.repeat\].*count=-5"),
        (lambda: ten.prefetch(-2), ValueError, r"\[Dataset.prefetch\].*buffer_size=-2"),
        (lambda: ten.map(3), TypeError, r"\[Dataset.map\].*map_func=3"),
        (lambda: ten.repeat().cache(), ValueError, r"\[Dataset.cache\].*cardinality=infinite"),
        (lambda: ten.concatenate([1]), TypeError, r"\[Dataset.concatenate\].*type=list"),
        (lambda: Dataset.zip(ten, [1]), TypeError, r"\[Dataset.zip\].*type=list"),
        (lambda: Dataset.zip(), ValueError, r"\[Dataset.zip\].*no dataset"),
        (lambda: Dataset(np.zeros(3)), TypeError, r"\[Dataset\].*type=ndarray.*from_tensor_slices"),
        (
            lambda: Dataset.from_generator([1, 2]),
            TypeError,
            r"\[Dataset.from_generator\].*generator=\[1, 2\]",
        ),
        (lambda: list(ten.map(lambda v: [None]).batch(2)), TypeError, r"\[Dataset.map\].*dtype=object"),
        (
            lambda: list(ten.map(lambda v: np.zeros(v)).batch(2)),
            ValueError,
            r"\[Dataset.batch\].*\(0,\) and \(1,\)",
        ),
        (
            lambda: list(ten.map(lambda v: (v, v) if v else v).batch(2)),
            ValueError,
            r"\[Dataset.batch\].*structure.*array and tuple of 2",
        ),
        (lambda: ten.set_epoch(-1), ValueError, r"\[Dataset.set_epoch\].*epoch=-1"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()
