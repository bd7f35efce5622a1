"""What a `Dataset` is a chain of: the stage interface and the sources.

A stage hands on chunks. While the elements are still rows of in-memory arrays (`Node.arrays` says which), a
chunk is row numbers (`order.Rows`), and the stages of `row_stages` only move those, and `Batch` then gathers
a batch in one NumPy call. After any other stage a chunk is a list of elements.

`start()` is called once for each iteration, at its beginning and in the consumer's thread: it is where a
shuffle takes its epoch, so threads and early exits change nothing. It returns `run(repetition)`, the chunks
of one pass.
"""

import operator
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from . import order
from .nested import as_arrays, map_structure

INFINITE = -1
UNKNOWN = -2

Repetition = tuple[int, ...]
Run = Callable[[Repetition], Iterator[Any]]


def elements(node: "Node") -> Run:
    """Starts an iteration of `node`; returns the passes as single elements."""
    run, arrays = node.start(), node.arrays

    def flat(repetition: Repetition) -> Iterator[Any]:
        for chunk in run(repetition):
            if arrays is None:
                yield from chunk
                continue
            for i in chunk if isinstance(chunk, range) else chunk.tolist():
                yield map_structure(operator.itemgetter(i), arrays)

    return flat


def gather(arrays: Any, rows: order.Rows) -> Any:
    """Returns the rows of every array: views where they are contiguous, else one copy each."""
    if isinstance(rows, range):
        return map_structure(lambda array: array[rows.start : rows.stop], arrays)
    return map_structure(lambda array: array.take(rows, axis=0), arrays)


class Node:
    """A stage with its inputs; passes row numbers on when `keeps_rows` and its only input does."""

    keeps_rows = False

    def __init__(self, *inputs: "Node"):
        self.inputs = inputs
        self.arrays: Any = inputs[0].arrays if self.keeps_rows and inputs else None

    def cardinality(self) -> int:
        return self.inputs[0].cardinality()

    def start(self) -> Run:
        raise NotImplementedError


class Slices(Node):
    """The rows of arrays that share their first dimension."""

    def __init__(self, arrays: Any, count: int):
        super().__init__()
        self.arrays, self.count = arrays, count

    def cardinality(self) -> int:
        return self.count

    def start(self) -> Run:
        return lambda repetition: iter([range(self.count)] if self.count else [])


class Generated(Node):
    """What a function's iterable yields; one call for each pass."""

    def __init__(self, function: Callable[[], Iterable[Any]]):
        super().__init__()
        self.function = function

    def cardinality(self) -> int:
        return UNKNOWN

    def start(self) -> Run:
        def run(repetition: Repetition) -> Iterator[Any]:
            made = self.function()
            if not isinstance(made, Iterable):
                raise TypeError(
                    "[Dataset.from_generator] the function gave nothing to iterate; expected an iterable. "
                    f"Received: type={type(made).__name__}. Does it yield its elements?"
                )
            for item in made:
                yield [as_arrays(item, "Dataset.from_generator")]

        return run
