"""What a captured step knows of itself: its launches, its memory, how long each part takes, and pictures of it."""

from __future__ import annotations

from typing import NamedTuple

from ..tensor import convert_to_tensor


class Buffer(NamedTuple):
    """A piece of memory that launches read and write.

    Attributes:
        role: "input", "state" (weights, counters), "constant", "kept" (Python still holds it), "output" or
            "intermediate".
        bytes: size.
        offset: place in the arena, intermediates only; None for the others.
    """

    role: str
    bytes: int
    offset: int | None


class Launch(NamedTuple):
    """One call of a kernel.

    Attributes:
        op: the op's name.
        layer: path of the layer it belongs to, "adam" for an optimizer's; "" outside of all.
        flops: floating-point operations as papers count them: a multiply-add is two, copies are none.
        bytes: read and written, each operand once.
        group: launches of one group run piece by piece together, so that the pieces stay in the cache.
        reads, writes: numbers of its buffers, in `Plan.buffers`.
        scratch_bytes: working memory of its own.
    """

    op: str
    layer: str
    flops: float
    bytes: int
    group: int
    reads: tuple[int, ...]
    writes: tuple[int, ...]
    scratch_bytes: int


class Plan:
    """A captured step: launches in their final order, and where their memory lies. `Function.plans` has them.

    Attributes:
        launches: list of Launch, in the order in which they run.
        buffers: list of Buffer.
        inputs: (shape, dtype) of each tensor that a replay takes.

    Example:
        >>> import lamina as lm
        >>> @lm.function
        ... def step(x):
        ...     return lm.ops.sum(lm.ops.matmul(x, x))
        >>> _ = step(lm.ops.ones((8, 8)))
        >>> [(launch.op, launch.flops) for launch in step.plans[0].launches]
        [('matmul', 1024.0), ('sum', 64.0)]
    """

    def __init__(self, core):
        self._core = core
        self.launches = [
            Launch(**{**row, "reads": tuple(row["reads"]), "writes": tuple(row["writes"])}) for row in core.launches
        ]
        self.buffers = [Buffer(row["role"], row["bytes"], row.get("offset")) for row in core.buffers]
        self.inputs = core.inputs

    def memory(self):
        """Bytes that a replay needs, by purpose.

        Returns:
            dict: `state` (weights, optimizer slots, counters and whatever else was made before the step), `constants`
            (made of Python numbers and host data), `kept` (intermediates that Python still held when the capture
            ended), `inputs` (the arguments), `outputs` (the results), `arena` (all intermediates and working memory,
            which share one block), and their sum, `peak`. Sizes are those of the allocator's blocks.

        Example:
            >>> import lamina as lm
            >>> double = lm.function(lambda x: x * 2.0)
            >>> _ = double(lm.ops.ones((1000,)))
            >>> memory = double.plans[0].memory()
            >>> memory["inputs"], memory["arena"]
            (4096, 64)
        """
        return dict(self._core.memory)

    def profile(self, inputs=(), repeats=20):
        """Times every launch.

        The step runs `2 * repeats` times; afterwards all state is what it was, bit for bit. Launches of a group are
        timed one by one.

        Args:
            inputs: list of tensors or arrays as the captured step takes them: shapes and dtypes as in `self.inputs`.
            repeats: runs; the times are medians.

        Returns:
            Profile.

        Raises:
            ValueError: if the inputs do not fit, or repeats is below 1.

        Example:
            >>> import lamina as lm
            >>> double = lm.function(lambda x: x * 2.0)
            >>> x = lm.ops.ones((1000,))
            >>> _ = double(x)
            >>> [row.op for row in double.plans[0].profile([x])]
            ['multiply']
        """
        from .profile import Profile, checked_repeats

        checked_repeats(repeats)
        tensors = [convert_to_tensor(x) for x in inputs]
        given = [(t.shape, t.dtype) for t in tensors]
        if given != self.inputs:
            raise ValueError(f"[profile] the plan was captured for inputs {self.inputs}. Received: {given}.")
        return Profile(self, self._core.profile([t._core for t in tensors], repeats))

    def to_dot(self):
        """The plan as text for Graphviz (`dot -Tsvg`).

        Launches are nodes, in a cluster for each layer; intermediates are edges labelled with their sizes; inputs,
        state, constants and outputs are boxes.
        """
        from .dot import to_dot

        return to_dot(self)

    def draw(self, path, profile=None):
        """Draws which part of the arena is in use when, by layer, and below it what each launch costs.

        Needs matplotlib (`pip install "lamina[viz]"`).

        Args:
            path: file to write; its ending says the format.
            profile: Profile of this plan, whose times are then shown; else operations are.
        """
        from .picture import draw

        draw(self, profile).savefig(path)

    def __repr__(self):
        flops = sum(launch.flops for launch in self.launches)
        return f"<Plan launches={len(self.launches)}, flops={flops:.0f}, peak_bytes={self.memory()['peak']}>"
