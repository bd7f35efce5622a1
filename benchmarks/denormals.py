"""What subnormal numbers cost: `python -m benchmarks.denormals`. Exit status 1 where it is over 1.1 times the time.

The same op on ordinary numbers, on subnormal ones (1e-40), and on 1e-20, whose products are subnormal; short turns of
each in one process, the quickest turn of each kind, on one thread.
"""

import argparse
import sys
import time

import numpy as np

ROUNDS, SECONDS, BOUND = 101, 1e-3, 1.1


def gradients(f, *tensors):
    import lamina as lm

    with lm.GradientTape() as tape:
        tape.watch(list(tensors))
        y = f(*tensors)
    return tape.gradient(y, list(tensors), output_gradients=y)


def calls():
    """(name, shapes, f(*tensors)); f makes results and gradients."""
    import lamina as lm

    ops, nn = lm.ops, lambda f: lambda *xs: gradients(f, *xs)
    wide = (64, 1000)
    return [
        ("matmul", [(256, 256), (256, 256)], nn(ops.matmul)),
        ("conv", [(4, 28, 28, 32), (3, 3, 32, 32)], nn(ops.conv)),
        ("depthwise_conv", [(4, 28, 28, 32), (3, 3, 32, 1)], nn(ops.depthwise_conv)),
        ("max_pool", [(8, 28, 28, 32)], nn(lambda x: ops.max_pool(x, 2))),
        ("average_pool", [(8, 28, 28, 32)], nn(lambda x: ops.average_pool(x, 2))),
        ("multiply", [wide, wide], nn(ops.multiply)),
        ("sum", [wide], nn(lambda x: ops.sum(x, 1))),
        ("softmax", [wide], nn(ops.softmax)),
        ("layer_normalization", [wide], nn(lambda x: ops.layer_normalization(x, epsilon=1e-3))),
        ("batch_norm", [wide], nn(lambda x: ops.batch_norm(x, None, None)[0])),
        *[
            (name, [wide], nn(getattr(ops, name)))
            for name in ("exp", "log1p", "tanh", "sigmoid", "erf", "gelu", "silu")
        ],
        ("cumsum", [wide], nn(lambda x: ops.cumsum(x, 1))),
        ("sort", [(64, 200)], lambda x: ops.sort(x)),
        ("adam", [wide, wide], adam()),
    ]


def adam():
    import lamina as lm

    trained = {}  # an optimizer and its variable for each kind of numbers

    def step(value, gradient):
        if id(value) not in trained:
            trained[id(value)] = lm.optimizers.Adam(1e-3), lm.Variable(value)
        optimizer, variable = trained[id(value)]
        optimizer.apply([gradient], [variable])

    return step


def ratios(f, kinds):
    """{kind: its quickest turn over that of ordinary numbers}."""
    once = min(timed(lambda: f(*kinds["normal"])) for _ in range(3))
    repeats = max(int(SECONDS / once), 1)
    best = dict.fromkeys(kinds, float("inf"))
    for i in range(ROUNDS):
        for kind in kinds if i % 2 else reversed(kinds):
            best[kind] = min(best[kind], timed(lambda k=kind: [f(*kinds[k]) for _ in range(repeats)]))
    return {kind: seconds / best["normal"] for kind, seconds in best.items()}


def timed(f):
    start = time.perf_counter()
    f()
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.denormals", description=__doc__.splitlines()[0])
    parser.add_argument("--ops", nargs="+", help="only these")
    args = parser.parse_args()
    import lamina as lm

    lm.set_num_threads(1)
    rng, slow = np.random.default_rng(0), []
    print(f"{'op':22}{'1e-40':>8}{'1e-20':>8}")
    for name, shapes, f in calls():
        if args.ops and name not in args.ops:
            continue
        arrays = [rng.uniform(0.5, 1, s) for s in shapes]
        scales = {"normal": 1.0, "subnormal": 1e-40, "products": 1e-20}
        kinds = {k: [lm.convert_to_tensor((a * s).astype(np.float32)) for a in arrays] for k, s in scales.items()}
        found = ratios(f, kinds)
        print(f"{name:22}{found['subnormal']:8.2f}{found['products']:8.2f}", flush=True)
        slow += [name] * (max(found.values()) > BOUND)
    return bool(slow)


if __name__ == "__main__":
    sys.exit(main())
