"""The table of `Model.summary`."""

from __future__ import annotations

import math


def _size(variables):
    return sum(math.prod(v.shape) for v in variables)


def _bytes(number):
    for unit in ("B", "KB", "MB", "GB"):
        if number < 1024 or unit == "GB":
            return f"{number:.2f} {unit}"
        number /= 1024


def _rows(model, expand_nested, show_trainable, depth=0):
    shapes = model._output_shapes()
    for layer in model.layers:
        shape = shapes.get(id(layer), "?")
        params = f"{layer.count_params():,}" if layer.built else "0 (unbuilt)"
        row = ["  " * depth + f"{layer.name} ({type(layer).__name__})", str(shape), params]
        if show_trainable:
            row.append("Y" if layer.trainable_weights else "N" if layer.weights else "-")
        yield row
        if expand_nested and hasattr(layer, "_output_shapes"):
            yield from _rows(layer, expand_nested, show_trainable, depth + 1)


def table(model, line_length=None, expand_nested=False, show_trainable=False):
    """The summary as text; arguments as `Model.summary`."""
    head = ["Layer (type)", "Output Shape", "Param #", *(["Trainable"] if show_trainable else [])]
    rows = list(_rows(model, expand_nested, show_trainable))
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    if line_length is not None:
        widths[0] = max(widths[0], line_length - sum(widths[1:]) - 3 * len(widths) - 1)

    def line(row):
        cells = [cell.rjust(width) if i == 2 else cell.ljust(width) for i, (cell, width) in enumerate(zip(row, widths))]
        return f"| {' | '.join(cells)} |"

    rule = "+" + "+".join("-" * (width + 2) for width in widths) + "+"
    variables, trainable = model.weights, model.trainable_weights
    nbytes = sum(v.nbytes for v in variables)
    total, learned = _size(variables), _size(trainable)
    return "\n".join(
        [
            f'Model: "{model.name}"',
            rule,
            line(head),
            rule,
            *(line(row) for row in rows),
            rule,
            f"Total params: {total:,} ({_bytes(nbytes)})",
            f"Trainable params: {learned:,}",
            f"Non-trainable params: {total - learned:,}",
        ]
    )
