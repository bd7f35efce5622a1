"""The kinds of layers of workloads.py under Keras' names, which Keras and Lamina share: `lib` is either."""

from benchmarks.workloads import BATCH_NORM


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

    return {
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
    return [layer for kind, *arguments in net.layers for layer in kinds[kind](*arguments)]
