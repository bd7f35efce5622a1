"""What is checked of one configuration: values, gradients, memory and bits."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

import lamina as lm

from .mode import floating_point_mode
from .place import place

THREADS = (1, 2, 3, 4, 7)
ROUND = {"float32": 2.0**-24, "float64": 2.0**-53}


@dataclass
class Case:
    """One configuration of one op.

    text: what it is, as one would call it.
    call: f(*tensors); reference: f(*float64 arrays); either may return a tuple.
    inputs: arrays of float64 that float32 holds exactly.
    terms: of the longest sum behind a result. For a linear case errors of a result or a gradient are bounded by
        roundings of |a||b| summed in the same way, however the sum is cut.
    linear: linear in each input; with whole numbers in the inputs results are exact.
    tolerance: of the other cases: roundings of the largest magnitude of a result; ten times that for gradients.
    floor: the least magnitude that tolerance is of: that of an intermediate result, say.
    grad: whether there is a gradient to check.
    magnitude: the reference of a linear case with every sign positive, where that is another function.
    same_from_views: whether bits are those of contiguous operands whatever the strides. (Where a matrix product packs
        its operands depends on their strides, and with it where its sums are cut.)
    """

    text: str
    call: Callable
    reference: Callable
    inputs: list
    terms: int = 1
    linear: bool = False
    tolerance: float = 64.0
    floor: float = 1e-3
    grad: bool = True
    magnitude: Callable | None = None
    same_from_views: bool = True

    def check(self, rng, threads=THREADS):
        """Raises AssertionError; returns a digest of the float32 results and gradients."""
        want = several(self.reference(*self.inputs))
        weights = [self._weights(rng, w) for w in want]
        self.sizes = [np.size(y) for y in want]
        self.seed_size = max(np.abs(w).max(initial=0.0) for w in weights)
        placed, seeds = self._place(rng, weights)
        self._check_double(rng, want, weights)
        self._check_odd(rng)
        return self._check_single(placed, seeds, want, weights, threads)

    def digest(self, rng):
        """The digest alone, of one run."""
        want = several(self.reference(*self.inputs))
        placed, seeds = self._place(rng, [self._weights(rng, w) for w in want])
        return digest_of(self._run([t for t, _ in placed], [t for t, _ in seeds]))

    def _place(self, rng, weights):
        return [place(single(x), rng) for x in self.inputs], [place(single(w), rng) for w in weights]

    def _weights(self, rng, want):
        kind, shape = rng.random(), np.shape(want)
        if kind < 0.2:
            return np.ones(shape)
        return rng.integers(-3, 4, shape).astype(float) if self._whole() else rounded(rng.standard_normal(shape))

    def _whole(self):
        return self.linear and all((x == np.rint(x)).all() for x in self.inputs)

    def _run(self, tensors, weights):
        """Results, then gradients with respect to the inputs."""
        with lm.GradientTape() as tape:
            if self.grad:
                tape.watch(tensors)
            results = several(self.call(*tensors))
        if not self.grad:
            return list(results), []
        floats = [(y, w) for y, w in zip(results, weights) if y.dtype.startswith("float")]
        seeds = [w if isinstance(w, lm.Tensor) else lm.convert_to_tensor(w.astype(y.dtype)) for y, w in floats]
        grads = tape.gradient([y for y, _ in floats], tensors, seeds, "zero")
        return list(results), list(grads)

    def _check_double(self, rng, want, weights):
        """float64 results against the reference, float64 gradients against differences of the reference."""
        tensors = [place(np.array(x), rng)[0] for x in self.inputs]
        results, grads = self._run(tensors, weights)
        self._judge("float64 result", results, want, self._magnitude, 4096 * ROUND["float64"])
        self.gradients = [g.numpy() for g in grads]
        if not grads:
            return
        directions = [rng.standard_normal(x.shape) for x in self.inputs]

        def along(t):
            moved = several(self.reference(*[x + t * v for x, v in zip(self.inputs, directions)]))
            return sum(np.sum(w * y) for w, y in zip(weights, moved) if np.asarray(y).dtype.kind == "f")

        parts = [g * v for g, v in zip(self.gradients, directions)]
        got, scale = sum(p.sum() for p in parts), sum(np.abs(p).sum() for p in parts)
        values = sum(np.abs(w * y).sum() for w, y in zip(weights, want) if np.asarray(y).dtype.kind == "f")
        said = []
        for h in (1e-5, 1e-3):  # the longer for gradients that drown in the rounding of results
            coarse, fine = ((along(step) - along(-step)) / (2 * step) for step in (h, h / 2))
            allowed = 1e-7 * scale + 2 * abs(coarse - fine) + 1e-9 * values + 1e-12
            if abs(got - fine) <= allowed:
                return
            said.append(f"{fine} +- {allowed}")
        raise AssertionError(f"float64 gradient along a line: {got}, differences {' and '.join(said)}")

    def _check_odd(self, rng):
        """NaN and infinities in the first input come out where they do of the reference; in every fourth case."""
        if not self.inputs or not self.inputs[0].size or rng.random() > 0.25:
            return
        x = self.inputs[0].copy()
        for value in rng.choice([np.nan, np.inf, -np.inf], int(rng.integers(1, 4))):
            x.flat[int(rng.integers(x.size))] = value
        with np.errstate(all="ignore"):
            want = several(self.reference(x, *self.inputs[1:]))
        got = several(self.call(*(place(single(a), rng)[0] for a in (x, *self.inputs[1:]))))
        for i, (y, w) in enumerate(zip(got, want)):
            kinds = [np.where(np.isfinite(a), 0.0, a) for a in (y.numpy(), np.asarray(w))]
            assert np.array_equal(*kinds, equal_nan=True), (
                f"odd result {i} of shape {y.shape} differs at {np.argwhere(kinds[0] != kinds[1])[:3].tolist()}: "
                f"{kinds[0][kinds[0] != kinds[1]][:3]}, expected {kinds[1][kinds[0] != kinds[1]][:3]}"
            )

    def _check_single(self, placed, seeds, want, weights, threads):
        tensors = [t for t, _ in placed]
        first, (results, grads) = same_on_all(threads, lambda: self._run(tensors, [t for t, _ in seeds]), digest_of)
        assert all(whole() for _, whole in (*placed, *seeds)), "an input was written to"
        self._judge("float32 result", results, want, self._magnitude, ROUND["float32"])
        self._judge("float32 gradient", grads, self.gradients, self._gradient_magnitude, ROUND["float32"])
        if self.same_from_views:
            plain = self._run([lm.convert_to_tensor(single(x)) for x in self.inputs], [single(w) for w in weights])
            assert digest_of(plain) == first, "other bits from views than from contiguous tensors"
        return first

    def _magnitude(self, want):
        f = self.magnitude or self.reference
        return [np.abs(w) for w in several(f(*[np.abs(x) for x in self.inputs]))]

    def _gradient_magnitude(self, want):
        inputs = [lm.convert_to_tensor(np.abs(x)) for x in self.inputs]
        outputs = several(self.reference(*self.inputs))
        return [np.abs(g.numpy()) for g in self._run(inputs, [np.full(np.shape(y), 3.0) for y in outputs])[1]]

    def _judge(self, what, got, want, magnitude, unit):
        got = [np.asarray(y.numpy()) for y in got]
        assert len(got) == len(want), f"{what}: {len(got)} tensors, {len(want)} expected"
        if self.linear:
            sums = magnitude(want)
            terms = max(self.terms, *self.sizes) if "gradient" in what else self.terms
            root = 2 * (4 + np.sqrt(terms))
        else:
            # A gradient may cancel: at least the seeds' size, times how many of them an element sums.
            seeds = [max(sum(self.sizes) / max(np.size(w), 1), 1) * self.seed_size / 20 for w in want]
            floors = seeds if "gradient" in what else [self.floor] * len(want)
            sums = [np.abs(w[np.isfinite(w)]).max(initial=f) for w, f in zip(map(np.asarray, want), floors)]
            root = self.tolerance * (10 if "gradient" in what else 1)
        for i, (y, w, s) in enumerate(zip(got, want, sums)):
            w = np.asarray(w)
            assert y.shape == w.shape, f"{what} {i}: shape {y.shape}, {w.shape} expected"
            if w.dtype.kind != "f":
                assert np.array_equal(y, w), f"{what} {i}: differs in {np.argwhere(y != w)[:3].tolist()}"
                continue
            allowed = 0.0 if self._whole() else root * unit * s
            error = np.where(y == w, 0.0, np.abs(y.astype(np.float64) - w))
            bad = ~(error <= allowed)
            assert not bad.any(), (
                f"{what} {i} of shape {w.shape}: {bad.sum()} wrong, at {np.argwhere(bad)[:3].tolist()}: "
                f"{y[bad][:3]}, expected {w[bad][:3]} within {np.broadcast_to(allowed, w.shape)[bad][:3]}"
            )


def same_on_all(threads, run, digest):
    """(digest, the last result) of run() on each number of threads; the floating-point mode must stay as it was."""
    before, mode, first = lm.get_num_threads(), floating_point_mode(), None
    try:
        for n in threads:
            lm.set_num_threads(n)
            result = run()
            found = digest(result)
            first = first or found
            assert found == first, f"other bits on {n} threads than on {threads[0]}"
    finally:
        lm.set_num_threads(before)
    assert floating_point_mode() == mode, "the floating-point mode is another than before"
    return first, result


def several(y):
    return tuple(y) if isinstance(y, (tuple, list)) else (y,)


def single(x):
    return np.asarray(x, np.float32)


def rounded(x):
    """Values that float32 holds, as float64."""
    return np.asarray(x, np.float32).astype(np.float64)


def digest_of(run):
    h = hashlib.sha256()
    for t in (*run[0], *run[1]):
        h.update(t.numpy().tobytes())
    return h.hexdigest()[:16]


def drawn(rng, *shapes, whole=False):
    """An array for each shape: standard normal, or whole numbers from -4 to 4."""
    draw = (lambda s: rng.integers(-4, 5, s).astype(float)) if whole else (lambda s: rounded(rng.standard_normal(s)))
    return [np.asarray(draw(s), np.float64) for s in shapes]
