"""Reverse-mode differentiation: the whole engine.

An op computes through `_core` and calls `record` with a closure from its output's gradient to its inputs' gradients.
Nodes are numbered in the order they were made, so running them in falling order is a valid reverse walk.
`Tensor.backward`, `grad` and `GradientTape` are thin faces of `_gradients`.
"""

from __future__ import annotations

import functools
import heapq
import itertools
import warnings

from . import _core
from .tensor import FLOATING, LEAF, Tensor, convert_to_tensor
from .thread_state import mode

_sequence = itertools.count()


class Node:
    """One recorded op call: where its inputs' gradients go and how they are computed.

    Holds its inputs' sources, not the inputs; `grad` holds what it needs; `output` is the op's own result where the
    closure asked for it. Never the output's wrapper, so graphs have no reference cycles. `label` is the layer it ran
    in, set while a step is captured.
    """

    __slots__ = ("op", "edges", "grad", "output", "saved", "versions", "sequence", "label")


def record(op, core, inputs, grad, saved=(), output=False):
    """Wraps an op's result, with its gradient where one may be asked for.

    Args:
        op: name for error messages.
        core: the result, a core tensor.
        inputs: tuple of the input Tensors.
        grad: `grad(dy)`, or `grad(dy, y)` with `output=True`; returns one Tensor (or None) per input, alone or as
            a tuple.
        saved: Tensors whose values `grad` reads; writing into them before it runs is an error.
        output: whether `grad` gets the result passed in.
    """
    if mode.enabled:
        for x in inputs:
            if x._source is not None:
                break
        else:
            return Tensor(core)
        node = Node()
        node.op = op
        node.edges = tuple([x if x._source is LEAF else x._source for x in inputs])
        node.grad = grad
        node.output = core if output else None
        node.saved = tuple([x._core for x in saved]) if saved else saved
        node.versions = _core.version_sum(*node.saved) if saved else 0
        node.sequence = next(_sequence)
        if mode.capture is not None:
            node.label = mode.capture.label
        return Tensor(core, node)
    return Tensor(core)


def fused_grad(kernel, composed, *tensors):
    """A gradient computed by one kernel, or by public ops where it is itself recorded."""
    if mode.enabled and any(t._source is not None for t in tensors):
        return composed(*tensors)
    return Tensor(kernel(*[t._core for t in tensors]))


class no_grad:
    """Context manager and decorator: ops inside are not recorded.

    Example:
        >>> import lamina as lm
        >>> v = lm.Variable([1.0])
        >>> with lm.no_grad():
        ...     (v * 2.0).requires_grad
        False
    """

    _enabled = False

    def __enter__(self):
        self._before, mode.enabled = mode.enabled, self._enabled
        return self

    def __exit__(self, *exc):
        mode.enabled = self._before

    def __call__(self, f):
        @functools.wraps(f)
        def wrapped(*args, **kwargs):
            with type(self)():
                return f(*args, **kwargs)

        return wrapped


class enable_grad(no_grad):
    """The opposite of `no_grad`, for use inside it."""

    _enabled = True


def _run(node, dy, create_graph):
    if mode.capture is not None:
        mode.capture.set_label(f"{getattr(node, 'label', '')} gradient".lstrip())
    if node.saved and _core.version_sum(*node.saved) != node.versions:
        raise RuntimeError(
            f"[{node.op}] a value needed for its gradient was written in place since. "
            "Compute the gradient before the write, or run the forward pass again."
        )
    if node.output is None:
        grads = node.grad(dy)
    else:
        grads = node.grad(dy, Tensor(node.output, node if create_graph else None))
    return (grads,) if isinstance(grads, Tensor) or grads is None else grads


def _gradients(targets, seeds, create_graph, since=-1, until=float("inf"), keep=()):
    """Gradients of all targets with respect to every leaf reached: {id(leaf): (leaf, gradient)}.

    Only nodes with since <= sequence < until are run through; others are ends, like leaves. A node's gradient is
    dropped once it has been passed on, unless its id is in `keep`.
    """
    found: dict[int, tuple] = {}
    heap: list[tuple] = []

    def send(edge, grad):
        key = id(edge)
        known = found.get(key)
        found[key] = (edge, grad if known is None else known[1] + grad)
        if known is None and type(edge) is Node and since <= edge.sequence < until:
            heapq.heappush(heap, (-edge.sequence, key))

    before, mode.enabled = mode.enabled, create_graph
    label = None if mode.capture is None else mode.capture.label
    try:
        for target, seed in zip(targets, seeds):
            if target._source is not None:
                send(target if target._source is LEAF else target._source, seed)
        while heap:
            key = heapq.heappop(heap)[1]
            node, dy = found[key]
            if key not in keep:
                found[key] = (node, None)
            for edge, grad in zip(node.edges, _run(node, dy, create_graph)):
                if edge is not None and grad is not None:
                    send(edge, grad)
    finally:
        mode.enabled = before
        if label is not None and mode.capture is not None:
            mode.capture.set_label(label)
    return found


def _leaves(tree):
    if isinstance(tree, (list, tuple, dict)):
        return [leaf for part in (tree.values() if isinstance(tree, dict) else tree) for leaf in _leaves(part)]
    return [tree]


def _seed(gradient, target):
    """The gradient of a target as a tensor of its type, and of its shape."""
    gradient = convert_to_tensor(gradient, target.dtype)
    if gradient.shape != target.shape:
        raise ValueError(
            "[backward] a gradient must have the shape of its tensor. "
            f"Received: gradient.shape={gradient.shape}, tensor.shape={target.shape}."
        )
    return gradient


def backward(self, gradient=None, create_graph=False):
    """Adds d(self)/d(leaf) to `.grad` of every leaf that requires a gradient; `Tensor.backward`.

    Args:
        gradient: tensor of this tensor's shape, the gradient of what follows; may be left out for a scalar.
        create_graph: record the gradient computation itself, for second derivatives.

    Raises:
        ValueError: if no gradient is given for a tensor of more than one element, or nothing was recorded.

    Example:
        >>> import lamina as lm
        >>> v = lm.Variable(3.0)
        >>> (v * v).backward()
        >>> float(v.grad)
        6.0
    """
    if self._source is None:
        raise ValueError(
            "[backward] nothing was recorded for this tensor. It depends on no trainable variable, "
            f"or was computed under no_grad. Received: shape={self.shape}, dtype={self.dtype}."
        )
    if gradient is None:
        if self.size != 1:
            raise ValueError(
                f"[backward] needs a scalar, or the gradient argument. Received: shape={self.shape}. "
                "Reduce the loss first, e.g. ops.mean(loss)."
            )
        gradient = Tensor(_core.full(self.shape, 1.0, self.dtype))
    found = _gradients([self], [_seed(gradient, self)], create_graph)
    for edge, grad in found.values():
        if isinstance(edge, Tensor):
            if mode.capture is not None:
                mode.capture.graded(edge)
            edge.grad = grad if edge.grad is None else edge.grad + grad


def _attach():
    """The method of Tensor, attached here so that the tensor need not import the engine."""
    Tensor.backward = backward


_attach()


class GradientTape:
    """Records the ops run inside it, and differentiates them (TensorFlow's interface).

    Trainable variables are watched by themselves; other tensors by `watch`.

    Args:
        persistent: allow more than one call of `gradient`.
        watch_accessed_variables: if False, gradients go only to what was watched.

    Example:
        >>> import lamina as lm
        >>> x = lm.Variable(3.0)
        >>> with lm.GradientTape() as tape:
        ...     y = x * x
        >>> float(tape.gradient(y, x))
        6.0
    """

    def __init__(self, persistent=False, watch_accessed_variables=True):
        self._persistent = persistent
        self._watch_variables = watch_accessed_variables
        self._watched: list = []  # (tensor, source before)
        self._since = self._until = None
        self._used = False

    def __enter__(self):
        if self._since is None:
            self._since = next(_sequence)
        self._until = float("inf")
        self._grad_before, mode.enabled = mode.enabled, True
        mode.tapes = (*mode.tapes, self)
        return self

    def __exit__(self, *exc):
        mode.tapes = tuple(t for t in mode.tapes if t is not self)
        mode.enabled = self._grad_before
        self._until = next(_sequence)

    def watch(self, tensor):
        """Makes the tape (and any other) follow `tensor` (or a list of them) from now on."""
        for t in tensor if isinstance(tensor, (list, tuple)) else [tensor]:
            if not isinstance(t, Tensor) or t.dtype not in FLOATING:
                raise TypeError(
                    "[GradientTape.watch] only floating tensors have gradients. "
                    f"Received: {getattr(t, 'dtype', type(t).__name__)}."
                )
            if t._source is None:
                t._source = LEAF
            self._watched.append(t)

    def stop_recording(self):
        """Context manager: ops inside are not recorded."""
        return no_grad()

    def reset(self):
        """Forgets everything recorded so far."""
        self._since = next(_sequence)
        self._used = False

    def gradient(self, target, sources, output_gradients=None, unconnected_gradients="none"):
        """d(target)/d(source) for every source.

        Args:
            target: tensor, or list of tensors (their gradients add up). A tensor of several elements is summed,
                with a warning.
            sources: tensor or variable, or a nested list, tuple or dict of them.
            output_gradients: gradient for each target, instead of ones.
            unconnected_gradients: `"none"` or `"zero"`, what a source gets that the target does not depend on.

        Returns:
            Gradients in the structure of `sources`.

        Raises:
            RuntimeError: on the second call of a tape that is not persistent.
        """
        if unconnected_gradients not in ("none", "zero"):
            raise ValueError(
                '[GradientTape.gradient] unconnected_gradients must be "none" or "zero". '
                f"Received: unconnected_gradients={unconnected_gradients!r}."
            )
        if self._since is None:
            raise RuntimeError("[GradientTape.gradient] the tape has recorded nothing; use it in a with statement.")
        if self._used and not self._persistent:
            raise RuntimeError(
                "[GradientTape.gradient] a tape answers once. Make it GradientTape(persistent=True) to ask again."
            )
        self._used = True
        targets = list(target) if isinstance(target, (list, tuple)) else [target]
        for t in (*targets, *_leaves(sources)):
            if not isinstance(t, Tensor):
                raise TypeError(
                    "[GradientTape.gradient] targets and sources must be tensors, not arrays or numbers. "
                    f"Received: {type(t).__name__}."
                )
        if output_gradients is None:
            for t in targets:
                if t.size is not None and t.size > 1:
                    warnings.warn(
                        f"[GradientTape.gradient] the target is not a scalar (shape={t.shape}), so its {t.size} "
                        "elements are summed. Was the mean meant? Reduce the loss first, e.g. ops.mean(loss).",
                        stacklevel=2,
                    )
            seeds = [Tensor(_core.full(t.shape, 1.0, t.dtype)) for t in targets]
        else:
            given = output_gradients if isinstance(output_gradients, (list, tuple)) else [output_gradients]
            if len(given) != len(targets):
                raise ValueError(
                    "[GradientTape.gradient] needs one output gradient for each target. "
                    f"Received: {len(given)} for {len(targets)} targets."
                )
            seeds = [_seed(g, t) for g, t in zip(given, targets)]
        create_graph = any(t is not self or self._persistent for t in mode.tapes)
        keep = {id(s._source) for s in _leaves(sources)}
        found = _gradients(targets, seeds, create_graph, self._since, self._until, keep)

        return self._pick(sources, found, unconnected_gradients)

    # A method and not a nested function: one that calls itself would be a reference cycle around the gradients.
    def _pick(self, source, found, unconnected):
        if isinstance(source, (list, tuple)):
            return type(source)([self._pick(s, found, unconnected) for s in source])
        if isinstance(source, dict):
            return {k: self._pick(s, found, unconnected) for k, s in source.items()}
        edge = source if source._source is LEAF else source._source
        hidden = not self._watch_variables and not any(w is source for w in self._watched)
        if edge is not None and not hidden and id(edge) in found:
            return found[id(edge)][1]
        return Tensor(_core.full(source.shape, 0.0, source.dtype)) if unconnected == "zero" else None


def grad(f, argnums=0):
    """The function that computes the gradient of a scalar function.

    Args:
        f: function of tensors that returns a scalar tensor.
        argnums: position (or tuple of positions) to differentiate with respect to.

    Returns:
        Function with f's arguments that returns the gradient (or tuple of gradients); applied twice it gives second
        derivatives.

    Example:
        >>> import lamina as lm
        >>> float(lm.grad(lm.grad(lambda x: x * x * x))(2.0))
        12.0
    """

    @functools.wraps(f)
    def gradient(*args, **kwargs):
        positions = argnums if isinstance(argnums, tuple) else (argnums,)
        if not all(isinstance(i, int) and -len(args) <= i < len(args) for i in positions):
            raise ValueError(
                f"[grad] argnums must be positions of arguments. Received: argnums={argnums!r}, {len(args)} arguments."
            )
        args = list(args)
        # A fresh tensor per argument, joined to the caller's graph so that gradients of gradients flow on.
        for i in positions:
            x = convert_to_tensor(args[i])
            if x.dtype not in FLOATING:
                raise TypeError(f"[grad] needs floating arguments. Received: dtype={x.dtype} at position {i}.")
            args[i] = x if x._source is not None else Tensor(x._core, LEAF)
        with GradientTape(persistent=True) as tape, enable_grad():
            y = f(*args, **kwargs)
            if not isinstance(y, Tensor) or y.size != 1:
                raise ValueError(
                    f"[grad] the function must return a scalar tensor. Received: {getattr(y, 'shape', type(y))}."
                )
            result = tape.gradient(y, [args[i] for i in positions], unconnected_gradients="zero")
        return tuple(result) if isinstance(argnums, tuple) else result[0]

    return gradient
