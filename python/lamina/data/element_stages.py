"""Stages that need the elements one by one: map, filter, enumerate, zip, concatenate, prefetch."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .nested import as_arrays, map_structure
from .nodes import INFINITE, UNKNOWN, Node, Repetition, Run, elements
from .prefetch import prefetched


class Map(Node):
    """`function` of every element; a tuple is passed as separate arguments."""

    def __init__(self, source: Node, function: Callable[..., Any]):
        super().__init__(source)
        self.function = function

    def start(self) -> Run:
        source = elements(self.inputs[0])

        def run(repetition: Repetition) -> Iterator[Any]:
            for item in source(repetition):
                yield [as_arrays(call(self.function, item), "Dataset.map")]

        return run


class Filter(Node):
    """The elements for which `predicate` is true."""

    def __init__(self, source: Node, predicate: Callable[..., Any]):
        super().__init__(source)
        self.predicate = predicate

    def cardinality(self) -> int:
        return UNKNOWN

    def start(self) -> Run:
        source = elements(self.inputs[0])
        return lambda repetition: ([item] for item in source(repetition) if call(self.predicate, item))


def call(function: Callable[..., Any], item: Any) -> Any:
    """Calls `function` as tf.data does: a tuple becomes separate arguments."""
    return function(*item) if isinstance(item, tuple) else function(item)


class Enumerate(Node):
    """Pairs of (number, element)."""

    def __init__(self, source: Node, first: int):
        super().__init__(source)
        self.first = first

    def start(self) -> Run:
        source = elements(self.inputs[0])

        def run(repetition: Repetition) -> Iterator[Any]:
            for i, item in enumerate(source(repetition), self.first):
                yield [(np.int64(i), item)]

        return run


class Zip(Node):
    """Elements side by side, to the end of the shortest input; `template` holds input numbers."""

    def __init__(self, template: Any, *sources: Node):
        super().__init__(*sources)
        self.template = template

    def cardinality(self) -> int:
        counts = [node.cardinality() for node in self.inputs]
        if UNKNOWN in counts:
            return UNKNOWN
        return min((count for count in counts if count != INFINITE), default=INFINITE)

    def start(self) -> Run:
        sources = [elements(node) for node in self.inputs]

        def run(repetition: Repetition) -> Iterator[Any]:
            for items in zip(*[source(repetition) for source in sources]):
                yield [map_structure(items.__getitem__, self.template)]

        return run


class Concatenate(Node):
    """The first input, then the second."""

    def cardinality(self) -> int:
        counts = [node.cardinality() for node in self.inputs]
        if INFINITE in counts:
            return INFINITE
        return UNKNOWN if UNKNOWN in counts else sum(counts)

    def start(self) -> Run:
        sources = [elements(node) for node in self.inputs]
        return lambda repetition: ([item] for source in sources for item in source(repetition))


class Prefetch(Node):
    """Elements made ahead by a thread, in their order; rows in memory need none and pass through."""

    keeps_rows = True

    def __init__(self, source: Node, size: int):
        super().__init__(source)
        self.size = size

    def start(self) -> Run:
        source = self.inputs[0].start()
        if self.arrays is not None:
            return source
        return lambda repetition: prefetched(source(repetition), self.size)
