"""Pictures of training, with matplotlib (`pip install "lamina[viz]"`)."""

from __future__ import annotations

import numpy as np


def curves(history):
    """A figure of the loss and the metrics over the epochs.

    Args:
        history: dict from name to values per epoch, `fit(...).history`; `val_` names are drawn beside their own.

    Returns:
        matplotlib Figure, one plot for each name.
    """
    from matplotlib.figure import Figure

    names = [name for name in history if not name.startswith("val_")]
    figure = Figure(figsize=(5 * len(names), 3.6), layout="constrained")
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names):
        for label, key in (("training", name), ("validation", f"val_{name}")):
            if key in history:
                values = history[key]
                axes.plot(range(1, len(values) + 1), values, marker=".", label=label)
        axes.set(title=name, xlabel="epoch")
        axes.grid(alpha=0.3)
        axes.legend()
    return figure


def predictions(images, labels, scores, names=None):
    """A figure of images with what the model says of them; wrong answers are red.

    Args:
        images: array [n, height, width, 1] in [0, 1].
        labels: class ids [n].
        scores: array [n, classes].
        names: names of the classes; their numbers by default.

    Returns:
        matplotlib Figure.
    """
    from matplotlib.figure import Figure

    columns = min(8, len(images))
    rows = -(-len(images) // columns)
    figure = Figure(figsize=(1.5 * columns, 1.8 * rows), layout="constrained")
    chosen = np.argmax(scores, -1)
    for i, axes in enumerate(figure.subplots(rows, columns, squeeze=False).ravel()):
        axes.set_axis_off()
        if i >= len(images):
            continue
        axes.imshow(np.squeeze(images[i]), cmap="gray_r")
        said, right = int(chosen[i]), int(labels[i])
        text = str(said) if names is None else names[said]
        axes.set_title(text, fontsize=9, color="black" if said == right else "red")
    return figure
