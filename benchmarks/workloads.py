"""What is measured, free of any framework: nets, fixed random data, convolution shapes, FLOP counts."""

import math
from collections import namedtuple

import numpy as np

# layers: ("dense", units, activation) | ("flatten",)
#         | ("pool", size, stride = size): maximum | ("mean",): of each channel
#         | ("conv", filters, kernel, stride = 1, padding = 0): pixels on each side; bias, relu
#         | ("conv_norm", filters, kernel, stride): padding kernel // 2, no bias; batch normalisation, relu
#         | ("residual", filters, stride): two 3 x 3 conv_norm, the second's relu after adding the input, which goes
#           through a 1 x 1 conv_norm without relu where the stride is not 1 (He et al. 2015, arXiv:1512.03385)
#         | ("lstm", units) | ("gru", units): over [steps, features], the last output
#         | ("tokens", ids, width): vectors of ids [steps] and of their positions, added
#         | ("block", width, heads, units, causal): attention and a tanh-GELU network, each normalised first and added
#           to its input | ("norm",): of layers | ("mean_steps",) | ("head", units): dense without bias
# loss:   "binary" and "sparse" take logits; "mse" has the input as its target
# steps:  of one epoch of kind "fit": 50-500 ms of work, a multiple of STEPS_PER_EXECUTION; of long steps two
# rate:   None for LEARNING_RATE's: of the optimizer
Net = namedtuple("Net", "batch input layers loss optimizer steps rate", defaults=[32, None])

NETS = {
    "simplenet": Net(
        batch=32,
        input=(10,),
        layers=[("dense", 10, "relu"), ("dense", 10, "relu"), ("dense", 1, None)],
        loss="binary",
        optimizer="adam",
        steps=256,
    ),
    "mlp": Net(
        batch=32,
        input=(28, 28, 1),
        layers=[("flatten",), ("dense", 64, "relu"), ("dense", 10, None)],
        loss="sparse",
        optimizer="adam",
        steps=256,
    ),
    "cnn000": Net(
        batch=32,
        input=(28, 28, 1),
        layers=[("conv", 32, 3), ("pool", 2), ("conv", 64, 3), ("pool", 2)]
        + [("flatten",), ("dense", 128, "relu"), ("dense", 10, None)],
        loss="sparse",
        optimizer="adam",
    ),
    "cnn004": Net(
        batch=32,
        input=(28, 28, 1),
        layers=[("conv", 32, 3), ("pool", 2), ("conv", 64, 3), ("pool", 2), ("conv", 64, 3)]
        + [("flatten",), ("dense", 64, "relu"), ("dense", 10, None)],
        loss="sparse",
        optimizer="adam",
    ),
    "lenet": Net(
        batch=100,
        input=(28, 28, 1),
        layers=[("conv", 6, 5), ("pool", 2), ("conv", 16, 5), ("pool", 2)]
        + [("flatten",), ("dense", 120, "relu"), ("dense", 84, "relu"), ("dense", 10, None)],
        loss="sparse",
        optimizer="sgd",
    ),
    "autoenc": Net(
        batch=128,
        input=(784,),
        layers=[("dense", 256, "relu"), ("dense", 32, "relu"), ("dense", 256, "relu"), ("dense", 784, None)],
        loss="mse",
        optimizer="adam",
    ),
    **{
        kind: Net(batch=32, input=(100, 64), layers=[(kind, 128), ("dense", 10, None)], loss="sparse", optimizer="adam")
        for kind in ("lstm", "gru")
    },
    "encoder": Net(
        batch=16,
        input=(128, 256),
        layers=[("block", 256, 8, 1024, False)] * 4 + [("mean_steps",), ("dense", 10, None)],
        loss="sparse",
        optimizer="adam",
        steps=2,
        rate=1e-4,  # a block's sums are not normalised at the end: with 1e-3 the first steps go up
    ),
    "gpt": Net(
        batch=32,
        input=(128,),
        layers=[("tokens", 65, 128)] + [("block", 128, 4, 512, True)] * 4 + [("norm",), ("head", 65)],
        loss="sparse",
        optimizer="adam",
        steps=2,
    ),
    # ResNet-18 for small images
    "resnet18": Net(
        batch=32,
        input=(32, 32, 3),
        layers=[("conv_norm", 64, 3, 1)]
        + [("residual", 64, 1), ("residual", 64, 1), ("residual", 128, 2), ("residual", 128, 1)]
        + [("residual", 256, 2), ("residual", 256, 1), ("residual", 512, 2), ("residual", 512, 1)]
        + [("mean",), ("dense", 10, None)],
        loss="sparse",
        optimizer="sgd",
        steps=2,
    ),
    # Krizhevsky 2014, arXiv:1404.5997, as torchvision has it, without dropout
    "alexnet": Net(
        batch=8,
        input=(224, 224, 3),
        layers=[("conv", 64, 11, 4, 2), ("pool", 3, 2), ("conv", 192, 5, 1, 2), ("pool", 3, 2)]
        + [("conv", 384, 3, 1, 1), ("conv", 256, 3, 1, 1), ("conv", 256, 3, 1, 1), ("pool", 3, 2)]
        + [("flatten",), ("dense", 4096, "relu"), ("dense", 4096, "relu"), ("dense", 1000, None)],
        loss="sparse",
        optimizer="sgd",
        steps=2,
    ),
}

# What "steps32" means: one call of Keras' compiled function runs this many steps.
STEPS_PER_EXECUTION = 32

LAYER_NORM_EPSILON = 1e-5
LEARNING_RATE = {"adam": 0.001, "sgd": 0.01}
BATCH_NORM = {"momentum": 0.9, "epsilon": 1e-5}  # PyTorch's defaults; the momentum is that of the moving statistics

# (height, width, channels, filters, kernel, stride, padding[, groups]); padding in pixels on each side
CONVS = {
    "tutorials": [
        (28, 28, 1, 32, 3, 1, 0),
        (13, 13, 32, 64, 3, 1, 0),
        (5, 5, 64, 64, 3, 1, 0),
        (28, 28, 1, 6, 5, 1, 0),
        (12, 12, 6, 16, 5, 1, 0),
    ],
    "alexnet": [
        (27, 27, 64, 192, 5, 1, 2),
        (13, 13, 192, 384, 3, 1, 1),
        (13, 13, 384, 256, 3, 1, 1),
        (13, 13, 256, 256, 3, 1, 1),
    ],
    "resnet50": [
        (224, 224, 3, 64, 7, 2, 3),
        (56, 56, 64, 64, 1, 1, 0),
        (56, 56, 64, 64, 3, 1, 1),
        (56, 56, 64, 256, 1, 1, 0),
        (56, 56, 256, 128, 1, 2, 0),
        (28, 28, 128, 128, 3, 1, 1),
        (28, 28, 512, 128, 1, 1, 0),
        (14, 14, 256, 256, 3, 1, 1),
        (14, 14, 1024, 256, 1, 1, 0),
        (7, 7, 512, 512, 3, 1, 1),
        (7, 7, 512, 2048, 1, 1, 0),
    ],
    "cifar": [
        (32, 32, 3, 64, 3, 1, 1),
        (32, 32, 64, 64, 3, 1, 1),
        (32, 32, 64, 128, 3, 2, 1),
        (16, 16, 128, 128, 3, 1, 1),
        (8, 8, 256, 256, 3, 1, 1),
        (4, 4, 512, 512, 3, 1, 1),
    ],
    "mobilenet": [  # depthwise layers of MobileNetV2
        (size, size, channels, channels, 3, stride, 1, channels)
        for size, channels, stride in (
            (112, 32, 1),
            (112, 96, 2),
            (56, 144, 1),
            (28, 192, 1),
            (14, 384, 1),
            (14, 576, 2),
            (7, 960, 1),
        )
    ],
}

# The kernels between the products: kind -> (which, shape, settings). Images are NHWC.
# pool: (window, stride), no padding; norm: over channels, rows, or groups of channels; ctc: (batch, frames, classes),
# labels of a sample; recurrent: (batch, steps, features), units; adam: (tensors, each)
BETWEEN = {
    "pool": [
        (which, shape, settings)
        for which in ("max", "average")
        for shape, settings in (
            ((32, 26, 26, 32), (2, 2)),
            ((100, 24, 24, 6), (2, 2)),
            ((8, 112, 112, 64), (3, 2)),
        )
    ],
    "norm": [
        ("batch", (32, 28, 28, 64), None),
        ("group", (32, 28, 28, 64), 8),
        ("layer", (2048, 256), None),
        ("rms", (2048, 256), None),
    ],
    "softmax": [(which, shape, None) for which in ("softmax", "log_softmax") for shape in ((2048, 512), (128, 1000))],
    "cross_entropy": [("sparse, logits", (128, 1000), None)],
    "ctc": [("logits", (64, 400, 29), length) for length in (20, 100)],
    "recurrent": [
        (which, shape, units)
        for shape, units in (
            ((32, 100, 64), 128),
            ((64, 50, 256), 512),
            ((1, 100, 64), 128),
            ((16, 400, 672), 800),  # Deep Speech 2 (Amodei et al. 2015, arXiv:1512.02595): gru alone
        )
        for which in ("lstm", "gru")[units == 800 :]
    ],
    "unary": [(which, (1_000_000,), None) for which in ("exp", "tanh", "gelu")],
    "triad": [("x + a y", (size,), None) for size in (100_000, 1_000_000, 10_000_000)],
}
ADAM = [(1, 300_000), (300, 1000)]
# batch, heads, length, size
ATTENTION = [(16, 8, 128, 32), (8, 12, 512, 64), (1, 12, 2048, 64)]
# attention layers, width, heads, places of their caches
DECODE = [(12, 768, 12, 1024)]
EMBEDDING = [(rows, 64, optimizer) for optimizer in ("adam", "sgd") for rows in (5_000, 500_000)]  # rows, width


def learning_rate(net):
    return net.rate or LEARNING_RATE[net.optimizer]


def takes_ids(net):
    return net.layers[0][0] == "tokens"


def has_convolutions(name):
    return any(kind in ("conv", "conv_norm", "residual") for kind, *_ in NETS[name].layers)


def data(name, batch=None):
    """Fixed random (x, y) of a net, NHWC float32; ids and labels int64, binary targets float32 (batch, 1)."""
    net = NETS[name]
    batch = batch or net.batch
    rng = np.random.default_rng(0)
    if takes_ids(net):  # labels are the ids that follow
        ids = rng.integers(0, net.layers[0][1], (batch, net.input[0] + 1))
        return ids[:, :-1].copy(), ids[:, 1:].copy()
    x = rng.random((batch, *net.input), dtype=np.float32)
    if net.loss == "sparse":
        return x, rng.integers(0, net.layers[-1][1], batch)
    if net.loss == "binary":
        return x, rng.integers(0, 2, (batch, 1)).astype(np.float32)
    return x, x


def fit_data(name):
    """(x, y) of one epoch of a net: its batch times its steps samples."""
    return data(name, NETS[name].batch * NETS[name].steps)


def ones(size):
    return np.ones(size, np.float32)


def zeros(size):
    return np.zeros(size, np.float32)


def gemm_data(m, k, n):
    """Two float32 matrices, m x k and k x n."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((m, k), dtype=np.float32), rng.standard_normal((k, n), dtype=np.float32)


def conv_data(case):
    """(x, w, dy) of a convolution case: NHWC, HWIO, NHWC."""
    b, h, w, c, f, k = (case[key] for key in ("batch", "height", "width", "channels", "filters", "kernel"))
    out_h, out_w = conv_output(case)
    rng = np.random.default_rng(0)
    shapes = (b, h, w, c), (k, k, c // case.get("groups", 1), f), (b, out_h, out_w, f)
    return tuple(rng.standard_normal(shape, dtype=np.float32) for shape in shapes)


def between_data(case):
    """(x, dy) of a case of BETWEEN, dy of the result's shape."""
    rng = np.random.default_rng(0)
    shapes = case["shape"], between_output(case)
    return tuple(rng.standard_normal(shape, dtype=np.float32) for shape in shapes)


def between_output(case):
    """The shape that a case of BETWEEN results in."""
    shape = tuple(case["shape"])
    if case["kind"] == "pool":
        window, stride = case["settings"]
        return (shape[0], *((n - window) // stride + 1 for n in shape[1:3]), shape[3])
    if case["kind"] == "recurrent":
        return (*shape[:2], case["settings"])
    return shape[:1] if case["kind"] in ("cross_entropy", "ctc") else shape


def batches_of_ids(rows):
    """Ids of 16 batches of 32 x 64."""
    return np.random.default_rng(0).integers(0, rows, (16, 32, 64))


def labels(case):
    """Classes of the rows of a cross-entropy case."""
    return np.random.default_rng(1).integers(0, case["shape"][1], case["shape"][0])


def sequences(case):
    """Labels of a ctc case, none of them the blank 0, and how many labels and frames each sample has."""
    (batch, frames, classes), length = case["shape"], case["settings"]
    labels = np.random.default_rng(1).integers(1, classes, (batch, length))
    return labels, np.full(batch, length), np.full(batch, frames)


def traffic(case):
    """Bytes that a step must move, each operand and result once; None for kinds where operations count.

    A gradient reads what came in from above and x or y, and writes dx; a pool's reads dy alone and writes dx (the
    indices of maxima, one byte each, are read and written besides).
    """
    if case["kind"] == "adam":
        return 4 * 7 * case["tensors"] * case["size"]
    if case["kind"] == "decode":
        return 4 * case["layers"] * case["width"] * (4 * case["width"] + 2 * case["places"])
    if case["kind"] not in BETWEEN or case["kind"] == "recurrent":
        return None
    x, y = 4 * math.prod(case["shape"]), 4 * math.prod(between_output(case))
    if case["kind"] == "triad":
        return 3 * x
    gradient = y + x if case["kind"] == "pool" else x + x + y
    indices = y // 2 if case["kind"] == "pool" and case["which"] == "max" else 0
    return x + y + (gradient + indices if case["gradient"] else 0)


def conv_output(case):
    """Output (height, width) of a convolution case."""
    free = 2 * case["padding"] - case["kernel"]
    return tuple((case[side] + free) // case["stride"] + 1 for side in ("height", "width"))


def needs_input_gradient(case):
    """Images (one or three channels) stand first in a net: nothing asks for their gradient."""
    return case["channels"] > 3


def flops(case):
    """Floating-point operations of the products of a step (an FMA counts two); None where traffic() counts."""
    if case["kind"] == "gemm":
        return 2 * case["m"] * case["k"] * case["n"]
    if case["kind"] == "conv":
        out_h, out_w = conv_output(case)
        taps = case["kernel"] ** 2 * case["channels"] // case.get("groups", 1)
        macs = case["batch"] * out_h * out_w * case["filters"] * taps
        passes = (2 + needs_input_gradient(case)) if case["gradient"] else 1
        return 2 * macs * passes
    if case["kind"] == "attention":  # two products, and five more for the gradients
        return 2 * math.prod(case["shape"]) * case["shape"][2] * (7 if case["gradient"] else 2)
    if case["kind"] == "recurrent":
        (batch, steps, features), units = case["shape"], case["settings"]
        gates = {"lstm": 4, "gru": 3}[case["which"]]
        return 2 * batch * steps * (features + units) * gates * units * (3 if case["gradient"] else 1)
    return None


def attention_data(case):
    """query, key, value and the gradient of the result, `[batch, length, heads, size]`."""
    batch, heads, length, size = case["shape"]
    return np.random.default_rng(0).standard_normal((4, batch, length, heads, size), dtype=np.float32)


def decode_data(case):
    """A token `[1, 1, width]`, and what its layers' caches hold, keys and values `[2, 1, places, width]`."""
    rng, width = np.random.default_rng(0), case["width"]
    return (rng.standard_normal(shape, dtype=np.float32) for shape in ((1, 1, width), (2, 1, case["places"], width)))


def shape(case):
    """How a case is written in tables."""
    if case["kind"] == "model":
        net = NETS[case["name"]]
        return "x".join(str(n) for n in (net.batch, *net.input))
    if case["kind"] == "fit":
        net = NETS[case["name"]]
        return f"{'x'.join(str(n) for n in (net.batch, *net.input))}, {net.steps} steps"
    if case["kind"] == "gemm":
        return "{m}x{k}x{n}".format(**case)
    if case["kind"] == "add":
        return str(case["size"])
    if case["kind"] == "adam":
        return "{tensors} x {size}".format(**case)
    if case["kind"] == "embedding":
        return "{rows} x {width}, {optimizer}".format(**case)
    if case["kind"] == "attention":
        return "x".join(map(str, case["shape"]))
    if case["kind"] == "decode":
        return "{layers} x {width}, {heads} heads, {places} places".format(**case)
    if case["kind"] in BETWEEN:
        forms = {"pool": "{}, {}", "norm": "{} groups", "ctc": "{} labels", "recurrent": "{} units"}
        settings = forms.get(case["kind"], "")
        values = case["settings"] if isinstance(case["settings"], (list, tuple)) else [case["settings"]]
        extra = f", {settings.format(*values)}" if case["settings"] else ""
        return "x".join(map(str, case["shape"])) + extra
    text = "{batch}x{height}x{width}x{channels} -> {filters}, {kernel}, {stride}, {padding}".format(**case)
    return text + (f", {case['groups']} groups" if "groups" in case else "")
