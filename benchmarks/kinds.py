"""The kinds of layers of workloads.py under Keras' names, which Keras and Lamina share: `lib` is either."""

import functools

from benchmarks.workloads import BATCH_NORM, LAYER_NORM_EPSILON


def makers(lib):
    """{kind: maker(*arguments) -> list of layers}."""
    layers = lib.layers

    def conv(filters, kernel, stride=1, padding=0):
        if padding and 2 * padding != kernel - 1:  # no "same"
            return [layers.ZeroPadding2D(padding), *conv(filters, kernel, stride)]
        border = "same" if padding else "valid"
        return [layers.Conv2D(filters, kernel, strides=stride, padding=border, activation="relu")]

    def conv_norm(filters, kernel, stride, relu=True):
        product = layers.Conv2D(filters, kernel, strides=stride, padding="same", use_bias=False)
        norm = layers.BatchNormalization(momentum=BATCH_NORM["momentum"], epsilon=BATCH_NORM["epsilon"])
        return [product, norm] + ([layers.ReLU()] if relu else [])

    class Residual(layers.Layer):
        def __init__(self, filters, stride):
            super().__init__()
            branch = conv_norm(filters, 3, stride) + conv_norm(filters, 3, 1, relu=False)
            self.branch = lib.Sequential(branch)
            self.shortcut = lib.Sequential(conv_norm(filters, 1, stride, relu=False)) if stride > 1 else None

        def call(self, x, training=False):
            shortcut = self.shortcut(x, training=training) if self.shortcut else x
            return lib.ops.relu(self.branch(x, training=training) + shortcut)

    def gelu(x):
        return lib.activations.gelu(x, approximate=True)

    def norm():
        return layers.LayerNormalization(epsilon=LAYER_NORM_EPSILON)

    class Tokens(layers.Layer):
        def __init__(self, ids, width, steps):
            super().__init__()
            self.ids, self.positions = layers.Embedding(ids, width), layers.Embedding(steps, width)
            self.steps = lib.ops.arange(steps)

        def call(self, x):
            return self.ids(x) + self.positions(self.steps)

    class Block(layers.Layer):
        def __init__(self, width, heads, units, causal):
            super().__init__()
            self.attention_norm, self.network_norm, self.causal = norm(), norm(), causal
            self.attention = layers.MultiHeadAttention(heads, width // heads)
            self.network = lib.Sequential([layers.Dense(units, activation=gelu), layers.Dense(width)])

        def call(self, x):
            inner = self.attention_norm(x)
            x = x + self.attention(inner, inner, use_causal_mask=self.causal)
            return x + self.network(self.network_norm(x))

    return {
        "tokens": lambda ids, width, steps: [Tokens(ids, width, steps)],
        "block": lambda *arguments: [Block(*arguments)],
        "norm": lambda: [norm()],
        "mean_steps": lambda: [layers.GlobalAveragePooling1D()],
        "head": lambda units: [layers.Dense(units, use_bias=False)],
        "dense": lambda units, activation: [layers.Dense(units, activation=activation)],
        "conv": conv,
        "conv_norm": conv_norm,
        "residual": lambda filters, stride: [Residual(filters, stride)],
        "lstm": lambda units: [layers.LSTM(units)],
        "gru": lambda units: [layers.GRU(units)],
        "pool": lambda size, stride=None: [layers.MaxPooling2D(size, stride)],
        "mean": lambda: [layers.GlobalAveragePooling2D()],
        "flatten": lambda: [layers.Flatten()],
    }


def chain(lib, net):
    """The layers of a net, one after the other."""
    kinds = makers(lib)
    kinds["tokens"] = functools.partial(kinds["tokens"], steps=net.input[0])
    return [layer for kind, *arguments in net.layers for layer in kinds[kind](*arguments)]
