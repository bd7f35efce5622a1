"""`Dataset`: a chain of stages over in-memory arrays or generators, iterated as NumPy arrays."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from .. import seeding
from . import checks, element_stages, nodes, row_stages
from .nested import as_columns, leaves, map_structure
from .signature import conform

AUTOTUNE = -1
INFINITE_CARDINALITY = nodes.INFINITE
UNKNOWN_CARDINALITY = nodes.UNKNOWN

_PREFETCH = 2  # buffer that AUTOTUNE stands for: one item in use, one being made


class Dataset:
    """A sequence of elements that can be iterated again and again, with the methods of `tf.data.Dataset`.

    An element is a NumPy array or scalar, or nested tuples and dicts of them. Every method returns a new
    dataset and leaves this one as it is. Arrays are not copied: as long as rows are in order a batch is a
    read-only view of them, after `shuffle` it is one gather for each array and batch.

    The order is a function of the seeds and of how many iterations of the shuffle were begun before (its
    epoch); threads never change it.

    Example:
        >>> import numpy as np
        >>> from lamina.data import Dataset
        >>> dataset = Dataset.from_tensor_slices((np.arange(5.0), np.arange(5))).batch(2)
        >>> [(x.tolist(), y.tolist()) for x, y in dataset]
        [([0.0, 1.0], [0, 1]), ([2.0, 3.0], [2, 3]), ([4.0], [4])]

    Reference: the tf.data guide, https://www.tensorflow.org/guide/data
    """

    def __init__(self, node: nodes.Node):
        if not isinstance(node, nodes.Node):
            raise TypeError(
                "[Dataset] a dataset is not made from its class; expected one of the from_ functions. "
                "Received: "
                f"type={type(node).__name__}. Use Dataset.from_tensor_slices(arrays) or "
                f"Dataset.from_generator(f)."
            )
        self._node = node

    # Sources

    @staticmethod
    def from_tensor_slices(tensors: Any) -> "Dataset":
        """Makes a dataset of the rows of one or more arrays.

        Args:
            tensors: Array (or list, or object with `.numpy()`), or nested tuples and dicts of them, with the
                same first dimension. They are not copied: later changes to them show.

        Raises:
            ValueError: When first dimensions differ, an array is a scalar, or there is none.
            TypeError: When a value is no array of numbers or text.
        """
        return Dataset(nodes.Slices(*as_columns(tensors, "Dataset.from_tensor_slices")))

    @staticmethod
    def from_generator(
        generator: Callable[..., Iterable[Any]], *, args: tuple[Any, ...] = (), output_signature: Any = None
    ) -> "Dataset":
        """Makes a dataset of what `generator(*args)` yields; it is called anew for each iteration.

        Args:
            generator: Function that returns an iterable, a generator function say.
            args: Arguments that it is called with.
            output_signature: Optional structure like one element, with a dtype, or an object with `dtype` and
                `shape` (None: any size), for each array. Elements are cast to the dtype, shapes are checked.
        """
        checks.function(generator, "generator", "Dataset.from_generator")
        if output_signature is None:
            return Dataset(nodes.Generated(lambda: generator(*args)))
        return Dataset(nodes.Generated(lambda: (conform(item, output_signature) for item in generator(*args))))

    @staticmethod
    def range(*args: int) -> "Dataset":
        """Makes a dataset of the int64 numbers of Python's `range(*args)`."""
        return Dataset.from_tensor_slices(np.arange(*[checks.integer(a, "args", "Dataset.range") for a in args]))

    @staticmethod
    def zip(*datasets: Any) -> "Dataset":
        """Puts datasets side by side, to the end of the shortest.

        Args:
            datasets: Datasets, or one (nested) tuple or dict of datasets; elements have the same structure.

        Example:
            >>> from lamina.data import Dataset
            >>> [(int(a), int(b)) for a, b in Dataset.zip(Dataset.range(3), Dataset.range(5, 9))]
            [(0, 5), (1, 6), (2, 7)]
        """
        template = datasets[0] if len(datasets) == 1 and not isinstance(datasets[0], Dataset) else datasets
        sources = leaves(template)
        for source in sources:
            _check_dataset(source, "Dataset.zip")
        if not sources:
            raise ValueError("[Dataset.zip] there is no dataset; expected at least one. Received: no arguments.")
        inputs = [source._node for source in sources]
        if all(isinstance(node, nodes.Slices) for node in inputs):  # stay rows of arrays: later batches are views
            count = min(node.cardinality() for node in inputs)
            arrays = map_structure(lambda source: nodes.gather(source._node.arrays, range(count)), template)
            return Dataset(nodes.Slices(arrays, count))
        numbers = iter(range(len(inputs)))
        return Dataset(element_stages.Zip(map_structure(lambda _: next(numbers), template), *inputs))

    # Stages

    def shuffle(
        self, buffer_size: int, seed: int | None = None, reshuffle_each_iteration: bool | None = True
    ) -> "Dataset":
        """Shuffles with a buffer, as tf.data does.

        The buffer takes the first `buffer_size` elements; each element after them replaces a random one,
        which comes out. With a buffer of at least the dataset's size every order is equally likely; a smaller
        one shuffles locally.

        Args:
            buffer_size: Number of elements to choose from, >= 1.
            seed: Integer; without one the next of `lamina.seeding`, which the global seed determines.
            reshuffle_each_iteration: Whether each iteration and repetition has an order of its own.
        """
        size = checks.integer(buffer_size, "buffer_size", "Dataset.shuffle", minimum=1)
        number = seeding.next_seed() if seed is None else checks.integer(seed, "seed", "Dataset.shuffle")
        return Dataset(row_stages.Shuffle(self._node, size, number, reshuffle_each_iteration is not False))

    def batch(
        self,
        batch_size: int,
        drop_remainder: bool = False,
        num_parallel_calls: int | None = None,
        deterministic: bool | None = None,
    ) -> "Dataset":
        """Groups elements along a new first axis; `drop_remainder` leaves out a shorter last batch.

        `num_parallel_calls` and `deterministic` are accepted for tf.data's sake: the order is always kept.
        """
        size = checks.integer(batch_size, "batch_size", "Dataset.batch", minimum=1)
        return Dataset(row_stages.Batch(self._node, size, bool(drop_remainder)))

    def map(
        self,
        map_func: Callable[..., Any],
        num_parallel_calls: int | None = None,
        deterministic: bool | None = None,
    ) -> "Dataset":
        """Applies a function to every element, in order; a tuple is passed as separate arguments.

        After `batch` it is called once for each batch, which is much faster than once for each element.
        `num_parallel_calls` and `deterministic` are accepted for tf.data's sake: calls run one after the
        other.

        Example:
            >>> from lamina.data import Dataset
            >>> [x.tolist() for x in Dataset.range(4).batch(2).map(lambda x: x * 10)]
            [[0, 10], [20, 30]]
        """
        checks.function(map_func, "map_func", "Dataset.map")
        return Dataset(element_stages.Map(self._node, map_func))

    def filter(self, predicate: Callable[..., Any]) -> "Dataset":
        """Keeps the elements for which `predicate` is true; a tuple is passed as separate arguments."""
        checks.function(predicate, "predicate", "Dataset.filter")
        return Dataset(element_stages.Filter(self._node, predicate))

    def take(self, count: int) -> "Dataset":
        """Keeps the first `count` elements; -1 keeps all."""
        count = checks.integer(count, "count", "Dataset.take", minimum=-1)
        return Dataset(row_stages.Window(self._node, 0, None if count < 0 else count))

    def skip(self, count: int) -> "Dataset":
        """Leaves out the first `count` elements; -1 leaves out all."""
        count = checks.integer(count, "count", "Dataset.skip", minimum=-1)
        return Dataset(row_stages.Window(self._node, *((0, 0) if count < 0 else (count, None))))

    def repeat(self, count: int | None = None) -> "Dataset":
        """Goes through the dataset `count` times, or for ever (None or -1), reshuffled each time."""
        number = -1 if count is None else checks.integer(count, "count", "Dataset.repeat", minimum=-1)
        return Dataset(row_stages.Repeat(self._node, None if number < 0 else number))

    def cache(self) -> "Dataset":
        """Keeps in memory what the first complete pass gives; a shuffle before it is frozen, put it after.

        Raises:
            ValueError: When the dataset is infinite.
        """
        if self.cardinality() == INFINITE_CARDINALITY:
            raise ValueError(
                "[Dataset.cache] an infinite dataset cannot be kept; expected a finite one. "
                "Received: cardinality=infinite. Call cache() before repeat()."
            )
        return Dataset(row_stages.Cache(self._node))

    def prefetch(self, buffer_size: int) -> "Dataset":
        """Lets a thread make up to `buffer_size` (or AUTOTUNE) elements ahead; the order does not change."""
        size = checks.integer(buffer_size, "buffer_size", "Dataset.prefetch", minimum=-1)
        return Dataset(element_stages.Prefetch(self._node, _PREFETCH if size == AUTOTUNE else size)) if size else self

    def enumerate(self, start: int = 0) -> "Dataset":
        """Makes pairs (number, element), counted from `start`."""
        return Dataset(element_stages.Enumerate(self._node, checks.integer(start, "start", "Dataset.enumerate")))

    def concatenate(self, dataset: "Dataset") -> "Dataset":
        """Appends another dataset."""
        _check_dataset(dataset, "Dataset.concatenate")
        return Dataset(element_stages.Concatenate(self._node, dataset._node))

    # Iteration

    def __iter__(self) -> Iterator[Any]:
        return nodes.elements(self._node)(())

    def as_numpy_iterator(self) -> Iterator[Any]:
        """Returns an iterator over the elements as NumPy arrays, which is what plain iteration gives too."""
        return iter(self)

    def cardinality(self) -> int:
        """Returns the number of elements, or INFINITE_CARDINALITY (-1) or UNKNOWN_CARDINALITY (-2)."""
        return self._node.cardinality()

    def set_epoch(self, epoch: int) -> None:
        """Makes the next iteration epoch `epoch` of the shuffles, from 0: how an interrupted run goes on."""
        epoch = checks.integer(epoch, "epoch", "Dataset.set_epoch", minimum=0)
        pending = [self._node]
        while pending:
            node = pending.pop()
            pending.extend(node.inputs)
            if isinstance(node, row_stages.Shuffle):
                node.epoch = epoch

    def __len__(self) -> int:
        count = self.cardinality()
        if count < 0:
            raise TypeError(
                "[Dataset] this dataset has no length; expected a finite dataset of known size. Received: "
                f"cardinality={'infinite' if count == INFINITE_CARDINALITY else 'unknown'}. "
                "Use take(count), or count the elements by iterating."
            )
        return count

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        names = {INFINITE_CARDINALITY: "infinite", UNKNOWN_CARDINALITY: "unknown"}
        count = self.cardinality()
        return f"<Dataset {type(self._node).__name__.lower()}, cardinality={names.get(count, count)}>"


def _check_dataset(value: Any, where: str) -> None:
    if not isinstance(value, Dataset):
        raise TypeError(
            f"[{where}] an argument is no dataset; expected Dataset. Received: type={type(value).__name__}. "
            "Make one with Dataset.from_tensor_slices."
        )
