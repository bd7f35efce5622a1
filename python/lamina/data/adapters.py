"""The form in which fit, evaluate and predict see their data: `Batches` of (x, y, sample_weight)."""

import math
from collections.abc import Iterable, Iterator, Sized
from typing import Any

import numpy as np

from .. import seeding
from . import checks
from .dataset import INFINITE_CARDINALITY, Dataset
from .nested import as_array, as_columns, leaves, map_structure
from .nodes import gather
from .order import Draws

Triple = tuple[Any, Any, Any]

DEFAULT_BATCH_SIZE = 32


class Batches:
    """Batches (x, y, sample_weight) of NumPy arrays, or tuples and dicts of them; what is absent is None.

    Attributes:
        steps: Batches in an epoch; None when not known beforehand.
        num_samples: Samples in an epoch; None when not known.
        infinite: Whether an epoch never ends by itself.
        columns: The whole arrays (x, y, sample_weight) where they are in memory, else None.
    """

    steps: int | None = None
    num_samples: int | None = None
    infinite = False
    columns: Any = None

    def __init__(self, epoch: int, where: str):
        self.next_epoch = epoch
        self.where = where

    def iterate(self, epoch: int) -> Iterator[Triple]:
        """Returns the batches of one epoch, counted from 0, which the order is a function of."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[Triple]:
        epoch, self.next_epoch = self.next_epoch, self.next_epoch + 1
        return self.iterate(epoch)


class ArrayBatches(Batches):
    """Rows of arrays: read-only views in order, or one gather for each array and batch when shuffled."""

    def __init__(self, data: Triple, batch_size: int, shuffle: bool, seed: int, epoch: int, where: str):
        super().__init__(epoch, where)
        present = tuple(part for part in data if part is not None)
        columns, count = as_columns(present, where)
        if count == 0:
            raise ValueError(
                f"[{where}] the data are empty; expected at least one sample. "
                f"Received: shapes={[array.shape for array in leaves(columns)]}."
            )
        given = iter(columns)
        self.columns = tuple(None if part is None else next(given) for part in data)
        self.batch_size, self.shuffle, self.seed = batch_size, shuffle, seed
        self.num_samples, self.steps = count, -(-count // batch_size)

    def order(self, epoch: int) -> np.ndarray | None:
        """The row numbers of one epoch, int64; None where rows come as they lie."""
        return Draws(self.seed, epoch).permutation(self.num_samples or 0) if self.shuffle else None

    def batch(self, order: np.ndarray | None, step: int) -> Triple:
        """The batch of one step, rows by `order`."""
        begin = step * self.batch_size
        end = min(begin + self.batch_size, self.num_samples or 0)
        rows = range(begin, end) if order is None else order[begin:end]
        x, y, weight = (None if part is None else gather(part, rows) for part in self.columns)
        return x, y, weight

    def iterate(self, epoch: int) -> Iterator[Triple]:
        order = self.order(epoch)
        for step in range(self.steps or 0):
            yield self.batch(order, step)


class IterableBatches(Batches):
    """Ready batches from a Dataset, an iterator (it goes on where it is) or anything iterated anew."""

    def __init__(self, source: Iterable[Any], epoch: int, where: str):
        super().__init__(epoch, where)
        self.source = source
        if isinstance(source, Dataset):
            count = source.cardinality()
            self.infinite = count == INFINITE_CARDINALITY
            self.steps = count if count >= 0 else None
        elif isinstance(source, Sized):
            self.steps = len(source)

    def iterate(self, epoch: int) -> Iterator[Triple]:
        source = iter(self.source)  # now, not at the first batch: a shuffle takes its epoch here

        def ready() -> Iterator[Triple]:
            empty = True
            for item in source:
                empty = False
                yield unpack(item, self.where)
            if empty:
                raise ValueError(
                    f"[{self.where}] the data gave no batch; expected at least one. Received: "
                    f"type={type(self.source).__name__}, epoch={epoch}. A generator ends after one pass: let "
                    f"it go on "
                    "for ever and set steps_per_epoch, or pass a Dataset."
                )

        return ready()


class SequenceBatches(Batches):
    """Ready batches by number, as Keras' PyDataset gives them; `shuffle` draws the order of the batches."""

    def __init__(self, source: Any, shuffle: bool, seed: int, epoch: int, where: str):
        super().__init__(epoch, where)
        self.source, self.shuffle, self.seed = source, shuffle, seed
        self.steps = len(source)
        if self.steps == 0:
            raise ValueError(
                f"[{where}] the data are empty; expected at least one batch. "
                f"Received: type={type(source).__name__}, length=0."
            )

    def iterate(self, epoch: int) -> Iterator[Triple]:
        self._notify("on_epoch_begin")
        steps = len(self.source)
        order = Draws(self.seed, epoch).permutation(steps).tolist() if self.shuffle else range(steps)
        for i in order:
            yield unpack(self.source[i], self.where)
        self._notify("on_epoch_end")

    def _notify(self, event: str) -> None:
        method = getattr(self.source, event, None)
        if method is not None:
            method()


def batches(
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    batch_size: int | None = None,
    shuffle: bool = False,
    seed: int | None = None,
    epoch: int = 0,
    where: str = "data.batches",
) -> Batches:
    """Brings any kind of training data into the form of `Batches`.

    Args:
        x: Array, list of numbers, pandas object, object with `.numpy()`, or a tuple, list or dict of them
            for several inputs. Or a source of ready batches: Dataset, generator, other iterable, or an object
            with `__len__` and `__getitem__`; a ready batch is x, (x,), (x, y) or (x, y, sample_weight).
        y: Targets with the first dimension of `x`; None for sources of ready batches, which bring their own.
        sample_weight: Weights [samples], likewise.
        batch_size: Rows in a batch, 32 unless given; ready batches keep their size, as in Keras.
        shuffle: Whether rows (or the batches of a sequence) come in random order; a Dataset or iterator keeps
            its own.
        seed: Decides that order together with the epoch; without one the next of `lamina.seeding`.
        epoch: Number of the first epoch that plain iteration gives; `iterate(epoch)` gives any.
        where: Tag of the error messages.

    Raises:
        ValueError: When first dimensions differ, the data are empty, or `y` is given beside ready batches.
        TypeError: When `x` is nothing of the kind.

    Example:
        >>> from lamina.data.adapters import batches
        >>> [(x.tolist(), y.tolist()) for x, y, _ in batches([1, 2, 3], [4, 5, 6], batch_size=2)]
        [([1, 2], [4, 5]), ([3], [6])]
    """
    size = DEFAULT_BATCH_SIZE if batch_size is None else checks.integer(batch_size, "batch_size", where, minimum=1)
    epoch = checks.integer(epoch, "epoch", where, minimum=0)
    if shuffle:
        seed = seeding.next_seed() if seed is None else checks.integer(seed, "seed", where)
    if is_arrays(x):
        data = (several(x), several(y), several(sample_weight))
        return ArrayBatches(data, size, shuffle, seed or 0, epoch, where)
    if x is None or isinstance(x, (str, bytes, set)) or not (hasattr(x, "__iter__") or hasattr(x, "__getitem__")):
        hint = " Call it to make the generator." if callable(x) else ""
        raise TypeError(
            f"[{where}] x is no data; expected arrays, a Dataset, a generator, or an object with __len__ and "
            f"__getitem__. Received: x of type {type(x).__name__}.{hint}"
        )
    for name, part in (("y", y), ("sample_weight", sample_weight)):
        if part is not None:
            raise ValueError(
                f"[{where}] {name} is given twice; expected None, as every batch of x brings its own. "
                f"Received: "
                f"x of type {type(x).__name__}, {name} of type {type(part).__name__}. Let x yield (x, y, "
                f"sample_weight)."
            )
    if not isinstance(x, Dataset) and hasattr(x, "__len__") and hasattr(x, "__getitem__"):
        return SequenceBatches(x, shuffle, seed or 0, epoch, where)
    return IterableBatches(x, epoch, where)


def is_arrays(x: Any) -> bool:
    """Whether `x` is data in memory: rows that can be counted, cut and shuffled."""
    return isinstance(x, (list, tuple, dict, range, int, float)) or _is_array(x)


def several(value: Any) -> Any:
    """Reads a list of arrays as several inputs, a tuple, as Keras does; a list of numbers stays one array."""
    if isinstance(value, list) and value and all(_is_array(item) and np.ndim(item) for item in value):
        return tuple(value)
    return value


def unpack(item: Any, where: str) -> Triple:
    """Splits a ready batch into (x, y, sample_weight), every array a NumPy array."""
    parts = tuple(item) if isinstance(item, (tuple, list)) else (item,)
    if not 1 <= len(parts) <= 3:
        raise ValueError(
            f"[{where}] a batch has too many or too few parts; expected x, (x, y) or (x, y, sample_weight). "
            f"Received: {len(parts)} parts. Put several inputs into a tuple or dict of their own: ((a, b), "
            f"y)."
        )
    x, y, weight = (None if part is None else _arrays(part, where) for part in (*parts, None, None)[:3])
    if x is None:
        raise ValueError(f"[{where}] a batch has no x; expected an array. Received: {len(parts)} parts, x=None.")
    shapes = [array.shape for part in (x, y, weight) if part is not None for array in leaves(part)]
    if () in shapes or len({shape[0] for shape in shapes}) != 1 or shapes[0][0] == 0:
        raise ValueError(
            f"[{where}] the arrays of a batch differ in their number of samples, or have none; expected one "
            f"first "
            f"dimension of at least 1. Received: shapes={shapes}. Is batch() missing?"
        )
    return x, y, weight


def train_validation_split(arrays: Any, fraction: float, where: str = "fit") -> tuple[Any, Any]:
    """Cuts the last samples off for validation, before any shuffling, as Keras does.

    Args:
        arrays: Structure of arrays with one first dimension; None stays None.
        fraction: Share of the samples, in (0, 1): `floor(n * (1 - fraction))` samples are left for training.
        where: Tag of the error messages.

    Returns:
        The structure of the first and that of the last rows, as read-only views.
    """
    if isinstance(fraction, bool) or not isinstance(fraction, (int, float, np.number)) or not 0 < fraction < 1:
        raise ValueError(
            f"[{where}] validation_split is no share; expected a number between 0 and 1. "
            f"Received: validation_split={fraction!r}."
        )
    parts = arrays if isinstance(arrays, tuple) else (arrays,)
    for part in parts:
        if part is not None and not is_arrays(part):
            raise ValueError(
                f"[{where}] validation_split needs data in memory; expected arrays. Received: x of type "
                f"{type(part).__name__}. Pass validation_data instead, dataset.take(n) and dataset.skip(n) "
                f"say."
            )
    present, count = as_columns(tuple(several(part) for part in parts if part is not None), where)
    cut = math.floor(count * (1.0 - float(fraction)))
    if not 0 < cut < count:
        raise ValueError(
            f"[{where}] validation_split leaves nothing on one side; expected at least one sample on each. "
            f"Received: samples={count}, validation_split={fraction}."
        )

    def side(rows: range) -> Any:
        given = iter(gather(present, rows))
        cut_parts = tuple(None if part is None else next(given) for part in parts)
        return cut_parts if isinstance(arrays, tuple) else cut_parts[0]

    return side(range(cut)), side(range(cut, count))


def _is_array(value: Any) -> bool:
    if isinstance(value, Dataset):
        return False
    return hasattr(value, "__array__") or callable(getattr(value, "numpy", None))


def _arrays(part: Any, where: str) -> Any:
    return map_structure(lambda leaf: as_array(leaf, where), several(part))
