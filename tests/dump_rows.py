"""Writes what the op rows compute to a file that tests/cpp/player replays without Python.

python -m tests.dump_rows rows.bin

Every row of tests/ops runs here, forward and backward in float32 and float64, with each function of the core
wrapped: its calls are written with their arguments and the data that come from outside of them, and then what the
row's float64 reference wants, with the row's own tolerances. Draws of random numbers and the update rules of
tests/optimizers follow.
"""

import ctypes
import functools
import re
import struct
import sys
from typing import NamedTuple

import numpy as np

import lamina as lm
from lamina import _core
from lamina.random_state import SeedGenerator

from .ops import test_optimizer
from .ops.cases import ROWS
from .ops.test_rows import MAX_DIFFERENCED, call, inputs_of, tensors, total
from .optimizers import test_rules

# Functions of the core that are no ops: they make tensors of host data, or ask about them.
NOT_OPS = set("symbolic from_buffer copy_buffer view_as same_meta first_unlike scalar version_sum alias".split())
OPAQUE = (_core.Conv2dWindow, _core.ParameterGroup)  # what one function makes for another
HANDLED = r"lamina\._core\.(Tensor|Conv2dWindow|ParameterGroup)"  # in the signatures of ops
DTYPES = ("bool", "uint8", "int8", "int32", "int64", "float16", "bfloat16", "float32", "float64")
SIZES = (1, 1, 1, 4, 8, 2, 2, 4, 8)


def text(s):
    return struct.pack("<I", len(s.encode())) + s.encode()


class Region(NamedTuple):
    """Bytes that the player has: its object's number, addresses of the first element, of the lowest byte and
    behind the highest one, and the storage's version when it was written."""

    number: int
    first: int
    low: int
    end: int
    version: int


class Dump:
    """A file being written; one program is open at a time."""

    def __init__(self, file):
        self.file = file
        self.open = False
        for name, f in list(vars(_core).items()):
            if name not in NOT_OPS and re.search(HANDLED, f.__doc__ or ""):
                setattr(_core, name, functools.wraps(f)(functools.partial(self.call, name, f)))

    def program(self, label):
        """Begins a program: nothing of the last one is known any more."""
        self.file.write(b"P" + text(label))
        self.objects = 0
        self.regions = {}  # storage id -> [Region]: results whole, data from outside as far as they were read
        self.opaque = {}  # id -> (number, the object, kept alive)
        self.open = True

    def number(self):
        self.objects += 1
        return self.objects

    def call(self, name, f, *args, **kwargs):
        cores = [c for c in leaves([*args, *kwargs.values()]) if isinstance(c, (_core.Tensor, *OPAQUE))]
        if not self.open or any(isinstance(c, _core.Tensor) and c.is_symbolic for c in cores):
            return f(*args, **kwargs)
        self.open = False  # what an op calls inside is its own affair
        given = [("", a) for a in args] + list(kwargs.items())
        record = b"C" + text(name) + struct.pack("<I", len(given))
        record += b"".join(text(key) + self.value(a) for key, a in given)
        try:
            result = f(*args, **kwargs)
        finally:
            self.open = True
        results = [] if result is None else leaves([result])
        ids = [self.result(r) for r in results]
        self.file.write(record + struct.pack(f"<I{len(ids)}Q", len(ids), *ids))
        return result

    def result(self, r):
        """The number by which later records name r; 0 where they need none."""
        if isinstance(r, OPAQUE):
            return self.opaque.setdefault(id(r), (self.number(), r))[0]
        if r is None or r.is_symbolic or r.storage_id in self.regions:
            return 0
        self.regions[r.storage_id] = [Region(self.number(), r.address, *span(r), r.version)]
        return self.objects

    def value(self, v):
        if v is None:
            return b"N"
        if isinstance(v, (bool, np.bool_)):
            return b"b" + struct.pack("<B", v)
        if isinstance(v, (int, np.integer)):
            return b"i" + struct.pack("<q", v)
        if isinstance(v, (float, np.floating)):
            return b"d" + struct.pack("<d", v)
        if isinstance(v, str):
            return b"s" + text(v)
        if isinstance(v, (list, tuple)):
            return b"l" + struct.pack("<I", len(v)) + b"".join(map(self.value, v))
        if isinstance(v, dict):
            return b"m" + struct.pack("<I", len(v)) + b"".join(text(k) + struct.pack("<d", x) for k, x in v.items())
        if isinstance(v, OPAQUE):
            return b"o" + struct.pack("<Q", self.opaque[id(v)][0])
        return b"t" + self.tensor(v)

    def tensor(self, t):
        """A view of a known region; data from outside are written first."""
        low, end = span(t)
        regions = self.regions.setdefault(t.storage_id, [])
        found = next((r for r in regions if r.low <= low and end <= r.end or low == end), None)
        if not found:
            found = Region(self.number(), low, low, end, t.version)
            regions.append(found)
            self.file.write(b"S" + struct.pack("<Qq", found.number, end - low) + ctypes.string_at(low, end - low))
        # The player keeps regions of one storage apart: a write to one would not reach the others.
        assert len(regions) == 1 or all(r.version == t.version for r in regions)
        dims = b"".join(struct.pack(f"<B{len(d)}q", len(d), *d) for d in (t.shape, strides(t)))
        return struct.pack("<Qq", found.number, t.address - found.first) + dims + bytes([DTYPES.index(t.dtype)])

    def check(self, label, t, want, rtol):
        """Values of the core tensor t within rtol of want, in units of the largest; rtol 0: equal values."""
        want = np.ascontiguousarray(want, np.float64)
        view = self.tensor(t)
        self.file.write(b"K" + text(label) + view + struct.pack("<dQ", rtol, want.size) + want.tobytes())

    def close(self):
        self.file.write(b"E")
        self.open = False


def leaves(tree):
    if isinstance(tree, (list, tuple)):
        return [leaf for part in tree for leaf in leaves(part)]
    return [tree]


def strides(t):
    """In elements; the binding shows -1, an unknown dimension elsewhere, as None."""
    return [-1 if s is None else s for s in t.strides]


def span(t):
    """Addresses of the first byte and behind the last one that t's elements take."""
    item = SIZES[DTYPES.index(t.dtype)]
    steps = [(n - 1) * s * item for n, s in zip(t.shape, strides(t))] if t.size else []
    return t.address + sum(s for s in steps if s < 0), t.address + sum(s for s in steps if s > 0) + item * bool(t.size)


def rows(dump):
    for row in ROWS:
        rng = np.random.default_rng(0)
        for number, (args, kwargs) in enumerate(row.samples(rng)):
            want = row.reference(*args, **kwargs)
            want = want if isinstance(want, tuple) else (want,)
            weights, derivatives = None, {}
            for dtype, rtol in (("float64", 1e-10), ("float32", row.rtol32)):
                given = tensors(args, dtype)
                dump.program(f"{row.id} {number} {dtype}")
                outputs = call(row, given, kwargs)
                for i, (y, w) in enumerate(zip(outputs, want)):
                    dump.check(f"y{i}", y._core, w, rtol if y.dtype.startswith("float") else 0.0)
                if not row.grad or not 0 < sum(v.size for v in inputs_of(given)) <= MAX_DIFFERENCED:
                    continue
                weights = weights or [rng.standard_normal(y.shape) for y in outputs]
                scales = [lm.ops.cast(lm.convert_to_tensor(w), dtype) for w in weights]
                for order in (1, 2) if row.second else (1,):
                    dump.program(f"{row.id} {number} {dtype} order {order}")
                    found = derivative(row, given, kwargs, scales, order)
                    # The float64 values, which tests/ops/test_rows.py holds against finite differences.
                    exact = derivatives.setdefault(order, [g.numpy() for g in found])
                    for i, (g, w) in enumerate(zip(found, exact)):
                        dump.check(f"gradient{i}", g._core, w, 1e-9 if dtype == "float64" else 10**order * row.rtol32)


def derivative(row, given, kwargs, scales, order):
    """Gradients of sum(y scale), by the fused kernels, or of |gradient of sum((y^2 + y) scale)|^2, composed."""
    variables = inputs_of(given)
    with lm.GradientTape() as tape:
        tape.watch(variables)
        if order == 1:
            value = total(call(row, given, kwargs), scales)
        else:
            with lm.GradientTape() as inner:
                inner.watch(variables)
                curved = [y * y + y if y.dtype.startswith("float") else y for y in call(row, given, kwargs)]
                inside = total(curved, scales)
            value = sum(lm.ops.sum(lm.ops.square(g)) for g in inner.gradient(inside, variables, None, "zero"))
    return tape.gradient(value, variables, None, "zero")


def draws(dump):
    random = lm.ops.random
    for dtype in ("float32", "float64"):
        dump.program(f"random {dtype}")
        for name, y in {
            "uniform": random.uniform((1001,), -1.0, 3.0, dtype, 1),
            "normal": random.normal((1001,), 1.0, 2.0, dtype, 1),
            "truncated_normal": random.truncated_normal((1001,), 1.0, 2.0, dtype, 1),
        }.items():
            dump.check(name, y._core, y.numpy(), 0.0)
    generator = SeedGenerator(5)
    dump.program("random integers")
    for name, y in {
        "randint": random.randint((1001,), -2, 9, "int32", seed=0),
        "bernoulli": random.bernoulli((1001,), 0.3, seed=0),
        "permutation": random.permutation(1001, 3),
        "own generator": random.uniform((9,), seed=generator) + random.uniform((9,), seed=generator),
    }.items():
        dump.check(name, y._core, y.numpy(), 0.0)


def others(dump):
    """What no row calls: it serves the saving of files, and caches of keys and values."""
    dump.program("contiguous")
    x = np.arange(6.0).reshape(2, 3)
    dump.check("y", _core.contiguous(lm.convert_to_tensor(x)._core.transpose((1, 0))), x.T, 0.0)
    dump.program("slice_assign")
    room, place = lm.convert_to_tensor(np.zeros((2, 5, 3))), lm.convert_to_tensor(np.array(2, "int64"))
    _core.slice_assign(room._core, lm.convert_to_tensor(x.reshape(2, 1, 3))._core, 1, place._core)
    want = np.zeros((2, 5, 3))
    want[:, 2] = x
    dump.check("room", room._core, want, 0.0)


def rules(dump):
    plain = {name: ("plain",) for name in test_rules.RULES}
    for name, kinds in (plain | {"rmsprop both": test_rules.SHARED}).items():
        make, rule = test_rules.RULES[name]
        for kind in kinds:
            shared = test_rules.SHARED[kind]
            for dtype, rtol in (("float64", 1e-10), ("float32", 2e-5)):
                dump.program(f"{name} {kind} {dtype}")
                optimizer, variables, start, steps = test_rules.train(make, (dtype,), shared, n=4)
                want, _ = test_rules.reference(rule, start, steps, float(optimizer.learning_rate), shared)
                for i, (v, w) in enumerate(zip(variables, want)):
                    dump.check(f"parameter{i}", v._core, w, rtol)
    for kind in test_optimizer.KINDS:
        dump.program(kind)
        dtypes = ["float32", "float64"] * (len(test_optimizer.SHAPES) // 2)
        for i, (p, w) in enumerate(zip(*test_optimizer.run(kind, dtypes, (0, 0, 3.0), np.random.default_rng(0)))):
            dump.check(f"parameter{i}", p, w, 2e-6)


if __name__ == "__main__":
    with open(sys.argv[1], "wb") as file:
        dump = Dump(file)
        rows(dump)
        draws(dump)
        rules(dump)
        others(dump)
        dump.close()
