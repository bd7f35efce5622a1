"""LeNet: the convolutional net for 28x28 images that the tutorials train."""

from __future__ import annotations


def lenet(input_shape=(28, 28, 1), classes=10, rescaling=None, name="lenet"):
    """LeNet with relu and max pooling: 44 426 parameters for 28x28x1 and 10 classes.

    Args:
        input_shape: height, width and channels; height and width at least 16.
        classes: number of classes.
        rescaling: (scale, offset) of a first layer that computes x * scale + offset, e.g. (1 / std, -mean / std) of the
            training pixels; by default there is none.
        name: name of the model.

    Returns:
        Sequential, built, whose outputs are probabilities [batch, classes]; not compiled.

    Example:
        >>> import lamina as lm
        >>> from lamina.zoo import lenet
        >>> lenet().count_params()
        44426

    Reference: Y. LeCun et al., "Gradient-Based Learning Applied to Document Recognition", 1998, which used tanh
        and average pooling.
    """
    from ..layers import Conv2D, Dense, Flatten, Input, MaxPooling2D, Rescaling
    from ..models import Sequential

    return Sequential(
        [
            Input(input_shape),
            *([Rescaling(*rescaling, name="rescaling")] if rescaling else []),
            Conv2D(6, 5, activation="relu", name="conv1"),
            MaxPooling2D(2, name="pool1"),
            Conv2D(16, 5, activation="relu", name="conv2"),
            MaxPooling2D(2, name="pool2"),
            Flatten(name="flatten"),
            Dense(120, activation="relu", name="fc1"),
            Dense(84, activation="relu", name="fc2"),
            Dense(classes, activation="softmax", name="fc3"),
        ],
        name=name,
    )
