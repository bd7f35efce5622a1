"""What is measured, free of any framework: nets, fixed random data, convolution shapes, FLOP counts."""

from collections import namedtuple

import numpy as np

# layers: ("dense", units, activation) | ("flatten",)
#         | ("pool", size, stride = size): maximum | ("mean",): of each channel
#         | ("conv", filters, kernel, stride = 1, padding = 0): pixels on each side; bias, relu
#         | ("conv_norm", filters, kernel, stride): padding kernel // 2, no bias; batch normalisation, relu
#         | ("residual", filters, stride): two 3 x 3 conv_norm, the second's relu after adding the input, which goes
#           through a 1 x 1 conv_norm without relu where the stride is not 1 (He et al. 2015, arXiv:1512.03385)
# loss:   "binary" and "sparse" take logits; "mse" has the input as its target
# steps:  of one epoch of kind "fit": 50-500 ms of work, a multiple of STEPS_PER_EXECUTION; of long steps two
Net = namedtuple("Net", "batch input layers loss optimizer steps", defaults=[32])

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

LEARNING_RATE = {"adam": 0.001, "sgd": 0.01}
BATCH_NORM = {"momentum": 0.9, "epsilon": 1e-5}  # PyTorch's defaults; the momentum is that of the moving statistics

# (height, width, channels, filters, kernel, stride, padding); padding in pixels on each side
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
}


def has_convolutions(name):
    return any(kind in ("conv", "conv_norm", "residual") for kind, *_ in NETS[name].layers)


def data(name, batch=None):
    """Fixed random (x, y) of a net, NHWC float32; labels int64, binary targets float32 (batch, 1)."""
    net = NETS[name]
    batch = batch or net.batch
    rng = np.random.default_rng(0)
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


def gemm_data(n):
    """Two n x n float32 matrices."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((n, n), dtype=np.float32), rng.standard_normal((n, n), dtype=np.float32)


def conv_data(case):
    """(x, w, dy) of a convolution case: NHWC, HWIO, NHWC."""
    b, h, w, c, f, k = (case[key] for key in ("batch", "height", "width", "channels", "filters", "kernel"))
    out_h, out_w = conv_output(case)
    rng = np.random.default_rng(0)
    shapes = (b, h, w, c), (k, k, c, f), (b, out_h, out_w, f)
    return tuple(rng.standard_normal(shape, dtype=np.float32) for shape in shapes)


def conv_output(case):
    """Output (height, width) of a convolution case."""
    free = 2 * case["padding"] - case["kernel"]
    return tuple((case[side] + free) // case["stride"] + 1 for side in ("height", "width"))


def needs_input_gradient(case):
    """Images (one or three channels) stand first in a net: nothing asks for their gradient."""
    return case["channels"] > 3


def flops(case):
    """Floating-point operations of one step of a gemm or conv case (an FMA counts two); None for others."""
    if case["kind"] == "gemm":
        return 2 * case["n"] ** 3
    if case["kind"] == "conv":
        out_h, out_w = conv_output(case)
        macs = case["batch"] * out_h * out_w * case["filters"] * case["kernel"] ** 2 * case["channels"]
        passes = (2 + needs_input_gradient(case)) if case["gradient"] else 1
        return 2 * macs * passes
    return None


def shape(case):
    """How a case is written in tables."""
    if case["kind"] == "model":
        net = NETS[case["name"]]
        return "x".join(str(n) for n in (net.batch, *net.input))
    if case["kind"] == "fit":
        net = NETS[case["name"]]
        return f"{'x'.join(str(n) for n in (net.batch, *net.input))}, {net.steps} steps"
    if case["kind"] == "gemm":
        return "x".join([str(case["n"])] * 3)
    if case["kind"] == "add":
        return str(case["size"])
    return "{batch}x{height}x{width}x{channels} -> {filters}, {kernel}, {stride}, {padding}".format(**case)
