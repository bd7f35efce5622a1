"""Times of a plan's launches beside the least that this machine could need for them."""

from __future__ import annotations

import functools
from typing import NamedTuple

from .. import _core, config


class Peaks(NamedTuple):
    """What the machine can do at most, measured: float32 multiply-adds (two operations each), and a triad's bytes."""

    flops_per_second: float
    bytes_per_second: float


@functools.cache
def _measured(threads):
    return Peaks(*_core.machine_peaks())


def machine_peaks():
    """Peaks with the current number of threads; measured at the first call for it, some 50 ms.

    Example:
        >>> from lamina.plan.profile import machine_peaks
        >>> machine_peaks().flops_per_second > 1e8
        True
    """
    return _measured(config.get_num_threads())


class Row(NamedTuple):
    """One launch, or all launches of a layer.

    Attributes:
        layer: path of the layer.
        op: the op's name; of a layer the number of its launches.
        seconds: time of one run.
        share: of the time of all launches, 0 to 1.
        flops: floating-point operations.
        bytes: read and written.
        gflops: 1e9 operations in a second.
        floor: seconds that the machine needs at least, by its peak rate or its memory's bandwidth.
        reached: floor / seconds. Above 1 where the data come from a cache, which is faster than the memory.
    """

    layer: str
    op: str
    seconds: float
    share: float
    flops: float
    bytes: int
    gflops: float
    floor: float
    reached: float


class Profile:
    """Times of a plan's launches; iterates over its rows, and its text is a table.

    Attributes:
        rows: list of Row, one for each launch in order.
        layers: list of Row, one for each layer in the order of their first launch.
        total: Row of the whole step.
        plan: the Plan.
        peaks: Peaks of the machine with `threads` threads.
        threads: number of threads.
        title: first line of the table.
    """

    def __init__(self, plan, seconds, title="Profile", prefix=""):
        self.plan, self.title, self.peaks, self.threads = plan, title, machine_peaks(), config.get_num_threads()
        self._prefix, self._all = prefix, max(sum(seconds), 1e-12)
        launches = plan.launches
        floors = [self._floor(launch) for launch in launches]
        self.rows = [
            self._row(launch.layer, launch.op, [launch], [time], [floor])
            for launch, time, floor in zip(launches, seconds, floors)
        ]
        parts: dict[str, list] = {}
        for part in zip(launches, seconds, floors):
            parts.setdefault(part[0].layer, []).append(part)
        self.layers = [self._row(layer, str(len(part)), *zip(*part)) for layer, part in parts.items()]
        self.total = self._row("total", str(len(launches)), launches, seconds, floors)

    def _floor(self, launch):
        return max(launch.flops / self.peaks.flops_per_second, launch.bytes / self.peaks.bytes_per_second)

    def _row(self, layer, op, launches, seconds, floors):
        time, floor, flops = sum(seconds), sum(floors), sum(launch.flops for launch in launches)
        least = max(time, 1e-12)
        return Row(
            layer,
            op,
            time,
            time / self._all,
            flops,
            sum(launch.bytes for launch in launches),
            flops / least / 1e9,
            floor,
            floor / least,
        )

    def __iter__(self):
        return iter(self.rows)

    def __len__(self):
        return len(self.rows)

    def draw(self, path):
        """The picture of `Plan.draw` with these times."""
        self.plan.draw(path, self)

    def __str__(self):
        peaks = (
            f"Machine with {self.threads} thread{'s' * (self.threads > 1)} ({_core.isa()}): "
            f"{self.peaks.flops_per_second / 1e9:.1f} GFLOP/s, {self.peaks.bytes_per_second / 1e9:.1f} GB/s (measured)"
        )
        layers = _table("Layer", "Launches", [*self.layers, self.total], self._prefix)
        launches = _table("Layer", "Launch", [*self.rows, self.total], self._prefix)
        legend = "Floor %: the least time by these peaks, of the time needed; above 100 where data come from a cache."
        return "\n".join([self.title, *layers, "", *launches, peaks, legend])


_LINE = 110  # characters at most


def _table(first, second, rows, prefix):
    """Lines of a table; the last row is the total."""
    head = (first, second, "Time us", "Time %", "MFLOP", "KB", "GFLOP/s", "Floor %")
    cells = [
        (
            row.layer.removeprefix(prefix) or "(step)",
            row.op,
            f"{row.seconds * 1e6:.1f}",
            f"{row.share * 100:.1f}",
            f"{row.flops / 1e6:.2f}",
            f"{row.bytes / 1024:.1f}",
            f"{row.gflops:.1f}" if row.flops else "-",
            f"{row.reached * 100:.0f}",
        )
        for row in rows
    ]
    widths = [max(len(line[i]) for line in [head, *cells]) for i in range(len(head))]
    room = _LINE - 3 * len(head) - 1 - sum(widths[2:])  # of the two columns of names
    widths[1] = min(widths[1], max(room - widths[0], room // 2))
    widths[0] = min(widths[0], room - widths[1])
    numbers = 2 if second == "Launch" else 1  # columns from here on are numbers

    def text(line):
        parts = [_shortened(cell, width) for cell, width in zip(line, widths)]
        parts = [p.rjust(w) if i >= numbers else p.ljust(w) for i, (p, w) in enumerate(zip(parts, widths))]
        return f"| {' | '.join(parts)} |"

    rule = "+" + "+".join("-" * (width + 2) for width in widths) + "+"
    lines = [text(line) for line in cells]
    return [rule, text(head), rule, *lines[:-1], rule, lines[-1], rule]


def _shortened(name, width):
    """A path that is too long keeps its end."""
    return name if len(name) <= width else "..." + name[3 - width :]


def checked_repeats(repeats):
    """Raises ValueError unless it is an integer of at least 1."""
    if isinstance(repeats, bool) or not hasattr(repeats, "__index__") or repeats < 1:
        raise ValueError(f"[profile] repeats is an integer of at least 1. Received: repeats={repeats!r}.")
