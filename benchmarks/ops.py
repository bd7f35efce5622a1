"""Single ops side by side: `python -m benchmarks.ops --peers pytorch numpy --ops add gemm conv`.

add   one call on 8 floats, `a + a`, plain and recorded for a gradient: the overhead of a call
gemm  n x n x n or m x k x n (`--sizes 64 1x512x512`), of `--dtypes`
conv  forward, and forward with the gradients of input and weight (first layers: weight only)
attention  forward, and forward with the gradients of query, key and value (batch x heads x length x size)
decode  one token through layers of self-attention whose caches are full but for its own place
pool norm softmax cross_entropy ctc recurrent unary adam embedding triad: the kernels between, see between.py
"""

import argparse
import itertools

from benchmarks import between, runner, workloads

CALLS = 1000  # calls in one step of "add": the loop around them costs every side the same few nanoseconds


def add(size, recorded, calls, variant="eager"):
    import lamina as lm

    ones = workloads.ones(size)
    a = lm.Variable(ones) if recorded else lm.convert_to_tensor(ones)

    def plain():
        for _ in itertools.repeat(None, calls):
            a + a

    def on_tape():
        with lm.GradientTape():
            plain()

    return on_tape if recorded else plain


def gemm(m, k, n, dtype, variant="eager"):
    import lamina as lm

    a, b = (lm.ops.cast(array, dtype) for array in workloads.gemm_data(m, k, n))
    return lambda: lm.ops.matmul(a, b)


def conv(gradient, variant="eager", **case):
    import lamina as lm

    x, w, dy = (lm.convert_to_tensor(array) for array in workloads.conv_data(case))
    options = {"strides": case["stride"], "padding": "same" if case["padding"] else "valid"}
    sources = [x, w] if workloads.needs_input_gradient(case) else [w]

    return between.stepper(lambda: lm.ops.conv(x, w, **options), sources, dy, gradient)


def attention(gradient, variant="eager", **case):
    import lamina as lm

    *sources, dy = (lm.convert_to_tensor(array) for array in workloads.attention_data(case))
    return between.stepper(lambda: lm.ops.dot_product_attention(*sources), sources, dy, gradient)


def decode(layers, width, heads, places, variant="eager"):
    import lamina as lm

    chain = [lm.layers.MultiHeadAttention(heads, width // heads) for _ in range(layers)]
    caches = [lm.layers.KeyValueCache(places) for _ in chain]
    token, held = map(lm.convert_to_tensor, workloads.decode_data({"width": width, "places": places}))
    for cache in caches:
        cache.append(*lm.ops.reshape(held, (2, 1, places, heads, width // heads)))

    def step(x):
        for layer, cache in zip(chain, caches):
            cache.length.assign(places - 1)
            x = layer(x, x, cache=cache)
        return x

    run = lm.function(step) if variant == "captured" else step
    return lambda: run(token)


SIZES = [(n, n, n) for n in (128, 256, 512, 1024, 2048)]
FACTORIES = {"add": add, "gemm": gemm, "conv": conv, "attention": attention, "decode": decode}


def gemm_size(text):
    """(m, k, n) of "MxKxN", or of "N" alone."""
    sizes = tuple(int(size) for size in text.split("x"))
    if len(sizes) not in (1, 3):
        raise argparse.ArgumentTypeError(f"needs N or MxKxN. Received: {text}")
    return sizes * 3 if len(sizes) == 1 else sizes


def cases(args):
    if "add" in args.ops:
        for recorded in (False, True):
            yield {"kind": "add", "size": 8, "recorded": recorded, "calls": CALLS}
    if "gemm" in args.ops:
        for (m, k, n), dtype in itertools.product(args.sizes, args.dtypes):
            yield {"kind": "gemm", "m": m, "k": k, "n": n, "dtype": dtype}
    if "conv" in args.ops:
        names = ("height", "width", "channels", "filters", "kernel", "stride", "padding", "groups")
        shapes = [shape for family in args.convs for shape in workloads.CONVS[family]]
        for shape, batch, gradient in itertools.product(shapes, args.batch, (False, True)):
            yield {"kind": "conv", "batch": batch, **dict(zip(names, shape)), "gradient": gradient}
    if "attention" in args.ops:
        for shape, gradient in itertools.product(workloads.ATTENTION, (False, True)):
            yield {"kind": "attention", "shape": shape, "gradient": gradient}
    if "decode" in args.ops:
        for case in workloads.DECODE:
            yield {"kind": "decode", **dict(zip(("layers", "width", "heads", "places"), case))}
    yield from between.cases(args.ops)


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ops", description=__doc__.splitlines()[0])
    parser.add_argument("--ops", nargs="+", choices=[*FACTORIES, *between.FACTORIES], default=list(FACTORIES))
    parser.add_argument("--sizes", nargs="+", type=gemm_size, default=SIZES, help="of gemm: n, or MxKxN")
    parser.add_argument("--dtypes", nargs="+", choices=["float32", "bfloat16"], default=["float32"], help="of gemm")
    parser.add_argument("--convs", nargs="+", choices=workloads.CONVS, default=["tutorials"])
    parser.add_argument("--batch", nargs="+", type=int, default=[8, 32], help="batch sizes of conv")
    runner.add_arguments(parser, peers=["pytorch", "numpy"])
    args = parser.parse_args()
    runner.run("ops", list(cases(args)), args)


if __name__ == "__main__":
    main()
