"""Stages that leave elements alone (shuffle, take, skip, repeat, cache), and batch, which gathers them."""

import itertools
from collections.abc import Iterator
from typing import Any

from . import order
from .nested import stack
from .nodes import INFINITE, UNKNOWN, Node, Repetition, Run, elements, gather


class Shuffle(Node):
    """Buffered shuffle, ordered by (seed, epoch, repetition)."""

    keeps_rows = True

    def __init__(self, source: Node, size: int, seed: int, reshuffle: bool):
        super().__init__(source)
        self.size, self.seed, self.reshuffle = size, seed, reshuffle
        self.epoch = 0

    def start(self) -> Run:
        epoch = self.epoch
        self.epoch += self.reshuffle
        source = self.inputs[0].start() if self.arrays is not None else elements(self.inputs[0])

        def run(repetition: Repetition) -> Iterator[Any]:
            draws = order.Draws(self.seed, epoch, repetition) if self.reshuffle else order.Draws(self.seed)
            if self.arrays is not None:
                return order.shuffle_rows(source(repetition), self.size, draws)
            return ([item] for item in order.shuffle_elements(source(repetition), self.size, draws))

        return run


class Window(Node):
    """Elements `first` to `stop` (None: to the end): take and skip."""

    keeps_rows = True

    def __init__(self, source: Node, first: int, stop: int | None):
        super().__init__(source)
        self.first, self.stop = first, stop

    def cardinality(self) -> int:
        count = super().cardinality()
        if count == INFINITE:
            return INFINITE if self.stop is None else self.stop - self.first
        if count == UNKNOWN:
            return 0 if self.stop == self.first else UNKNOWN
        return max((count if self.stop is None else min(count, self.stop)) - self.first, 0)

    def start(self) -> Run:
        source = self.inputs[0].start()

        def run(repetition: Repetition) -> Iterator[Any]:
            if self.stop == self.first:
                return
            position = 0
            for chunk in source(repetition):
                stop = len(chunk) if self.stop is None else self.stop - position
                part = chunk[max(self.first - position, 0) : stop]
                if len(part):
                    yield part
                position += len(chunk)
                if self.stop is not None and position >= self.stop:
                    return

        return run


class Repeat(Node):
    """The input `count` times over, or for ever (None)."""

    keeps_rows = True

    def __init__(self, source: Node, count: int | None):
        super().__init__(source)
        self.count = count

    def cardinality(self) -> int:
        count = super().cardinality()
        if self.count == 0 or count == 0:
            return 0
        if self.count is None:
            return INFINITE
        return count * self.count if count > 0 else count

    def start(self) -> Run:
        source = self.inputs[0].start()

        def run(repetition: Repetition) -> Iterator[Any]:
            for i in itertools.count() if self.count is None else range(self.count):
                empty = True
                for chunk in source((*repetition, i)):
                    empty = False
                    yield chunk
                if empty:  # for ever nothing would never return
                    return

        return run


class Cache(Node):
    """Keeps what the first complete pass gave, order included, and gives that from then on.

    The input is started once: until a pass is complete every iteration makes that same pass again.
    """

    keeps_rows = True

    def __init__(self, source: Node):
        super().__init__(source)
        self.source: Run | None = None
        self.kept: list[Any] | None = None

    def start(self) -> Run:
        if self.source is None:
            self.source = self.inputs[0].start()
        source = self.source

        def run(repetition: Repetition) -> Iterator[Any]:
            if self.kept is not None:
                yield from self.kept
                return
            passed = []
            for chunk in source(()):
                passed.append(chunk)
                yield chunk
            self.kept = passed

        return run


class Batch(Node):
    """Groups of `size` elements along a new first axis."""

    def __init__(self, source: Node, size: int, drop_remainder: bool):
        super().__init__(source)
        self.size, self.drop_remainder = size, drop_remainder

    def cardinality(self) -> int:
        count = super().cardinality()
        if count < 0:
            return count
        return count // self.size if self.drop_remainder else -(-count // self.size)

    def start(self) -> Run:
        source, arrays = self.inputs[0].start(), self.inputs[0].arrays

        def run(repetition: Repetition) -> Iterator[Any]:
            for parts in self._groups(source(repetition)):
                if arrays is not None:
                    yield [gather(arrays, order.join(parts))]
                else:
                    yield [stack(list(itertools.chain.from_iterable(parts)), "Dataset.batch")]

        return run

    def _groups(self, chunks: Iterator[Any]) -> Iterator[list[Any]]:
        """Cuts the chunks into lists of parts that hold `size` elements together."""
        parts: list[Any] = []
        missing = self.size
        for chunk in chunks:
            begin = 0
            while begin < len(chunk):
                part = chunk[begin : begin + missing]
                parts.append(part)
                begin += len(part)
                missing -= len(part)
                if missing == 0:
                    yield parts
                    parts, missing = [], self.size
        if parts and not self.drop_remainder:
            yield parts
