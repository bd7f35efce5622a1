"""The command line: `lamina train lenet`, `lamina info`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

_EPOCHS = {"digits": 30, "fashion_mnist": 5}


def main(argv=None):
    """Runs the command line; returns the exit status.

    Args:
        argv: arguments without the program's name; by default those of the process.
    """
    parser = argparse.ArgumentParser(prog="lamina", description="Deep learning for the CPU you already have.")
    commands = parser.add_subparsers(dest="command", required=True)
    info = commands.add_parser("info", help="print version, CPU features, instruction set and threads")
    info.set_defaults(run=_info)
    train = commands.add_parser("train", help="train a model of the zoo on real images")
    train.add_argument("model", choices=["lenet"])
    train.add_argument(
        "--data",
        default="digits",
        help="digits (embedded), fashion_mnist (downloaded once), or the path of an .npz with x_train, y_train, "
        "x_test, y_test",
    )
    train.add_argument("--epochs", type=_positive, help="passes over the training data")
    train.add_argument("--out", type=Path, default=Path("lenet"), help="folder of the results [%(default)s]")
    train.add_argument("--seed", type=int, default=0, help="seed of weights and order [%(default)s]")
    train.set_defaults(run=_train)
    arguments = parser.parse_args(argv)
    try:
        return arguments.run(arguments)
    except (OSError, ValueError) as error:
        print(f"lamina: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("lamina: interrupted", file=sys.stderr)
        return 130


def _positive(text):
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected an integer of at least 1, got {text!r}")
    return int(text)


def _info(arguments):
    from . import __version__, _core

    for name, value in {
        "version": __version__,
        "CPU features": ", ".join(_core.cpu_features()),
        "instruction set": f"{_core.isa()} (of {', '.join(_core.supported_isas())})",
        "thread backend": _core.thread_backend(),
        "threads": _core.num_threads(),
    }.items():
        print(f"{name + ':':<17}{value}")
    return 0


def _load(data):
    """((x_train, y_train), (x_test, y_test), class names): images float32 [n, 28, 28, 1] in [0, 1]."""
    import numpy as np

    from .datasets import digits, fashion_mnist, mnist

    names = [str(i) for i in range(10)]
    if data == "digits":
        splits = digits.load_data(size=28)
    elif data == "fashion_mnist":
        splits, names = fashion_mnist.load_data(), list(fashion_mnist.class_names)
    else:
        path = Path(data).expanduser()
        if not path.is_file():
            raise FileNotFoundError(
                f"[train] there is no such data; expected digits, fashion_mnist or the path of an .npz file. "
                f"Received: --data {data}."
            )
        splits = mnist.load_data(str(path.resolve()))
        names = [str(i) for i in range(int(splits[0][1].max()) + 1)]
    (x, y), (x_test, y_test) = splits
    return (np.float32(x[..., None]) / 255, y), (np.float32(x_test[..., None]) / 255, y_test), names


def _train(arguments):
    from .utils import set_random_seed
    from .zoo import lenet

    (x, y), (x_test, y_test), names = _load(arguments.data)
    set_random_seed(arguments.seed)
    mean, std = float(x.mean()), float(x.std()) or 1.0
    model = lenet(x.shape[1:], classes=len(names), rescaling=(1 / std, -mean / std))
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    epochs = arguments.epochs or _EPOCHS.get(arguments.data, 5)
    print(f"LeNet on {arguments.data}: {len(x)} training and {len(x_test)} test images, {epochs} epochs")
    history = model.fit(x, y, batch_size=64, epochs=epochs, validation_data=(x_test, y_test))
    _, accuracy = model.evaluate(x_test, y_test, verbose=0)
    print(f"test accuracy: {accuracy:.4f}")
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / "lenet.safetensors"
    model.save(path)
    print(f"model: {path}")
    _draw(arguments.out, model, history.history, x_test[:16], y_test[:16], names)
    return 0


def _draw(folder, model, history, images, labels, names):
    """Pictures of the training curves and of sample predictions, where matplotlib is installed."""
    try:
        import matplotlib
    except ImportError:
        print('pictures: not drawn, as matplotlib is not installed. Get it with: pip install "lamina[viz]"')
        return
    from .viz import curves, predictions

    matplotlib.use("Agg")
    for name, figure in (
        ("curves.png", curves(history)),
        ("predictions.png", predictions(images, labels, model.predict(images, verbose=0), names)),
    ):
        figure.savefig(folder / name, dpi=120)
        print(f"picture: {folder / name}")


if __name__ == "__main__":
    sys.exit(main())
