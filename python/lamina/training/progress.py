"""How a run shows where it is: a bar on a terminal, one line per epoch elsewhere."""

from __future__ import annotations

import sys
import time

from .callbacks import Callback

VERBOSE = ("auto", 0, 1, 2)


def resolve_verbose(verbose, where):
    """0: silent, 1: bar, 2: lines. "auto", and 1 where there is no terminal to draw on, choose by the output."""
    if verbose not in VERBOSE:
        raise ValueError(f'[{where}] verbose is "auto", 0, 1 or 2. Received: verbose={verbose!r}.')
    if verbose == "auto" or (verbose == 1 and verbose is not False):
        return 1 if sys.stdout is not None and sys.stdout.isatty() else 2
    return int(verbose)


def format_logs(logs):
    """`{"loss": 0.5}` as `"loss: 0.5000"`; small and large numbers in scientific form.

    Example:
        >>> format_logs({"loss": 0.5, "lr": 1e-5})
        'loss: 0.5000 - lr: 1.0000e-05'
    """
    return " - ".join(
        f"{name}: {value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e5 else f"{name}: {value:.4e}"
        for name, value in (logs or {}).items()
        if isinstance(value, (int, float))
    )


class ProgressBar(Callback):
    """Shows epochs, speed and logs on the standard output.

    Args:
        verbose: 1 for a bar, 2 for one line per epoch.
        results: function that returns the logs so far; asked for at most ten times a second.
    """

    _reads_batch_logs = False

    def __init__(self, verbose, results=dict):
        super().__init__()
        self._verbose, self._results = verbose, results
        self._bar, self._drawn, self._begun, self._training = None, 0.0, 0.0, False
        if verbose != 1:  # nothing to draw within an epoch
            self.on_train_batch_end = self.on_test_batch_end = self.on_predict_batch_end = None

    def on_train_begin(self, logs=None):
        self._training = True

    def on_train_end(self, logs=None):
        self._training = False
        self.close()

    def on_epoch_begin(self, epoch, logs=None):
        self._open(f"Epoch {epoch + 1}/{self.params['epochs']}")

    def on_epoch_end(self, epoch, logs=None):
        self._finish(f"Epoch {epoch + 1}/{self.params['epochs']}", logs)

    def on_test_begin(self, logs=None):
        if not self._training:
            self._open("Test")

    def on_test_end(self, logs=None):
        if not self._training:
            self._finish("Test", logs)

    def on_predict_begin(self, logs=None):
        self._open("Predict")

    def on_predict_end(self, logs=None):
        self._finish("Predict", logs)

    def on_train_batch_end(self, batch, logs=None):
        self.advance("train", 1)

    def on_test_batch_end(self, batch, logs=None):
        self.advance("test", 1)

    def on_predict_batch_end(self, batch, logs=None):
        self.advance("predict", 1)

    def _open(self, title):
        self._begun = time.perf_counter()
        if self._verbose == 1:
            from tqdm import tqdm

            self._bar = tqdm(total=self.params.get("steps"), desc=title, unit="step", file=sys.stdout, leave=False)

    def advance(self, what, steps):
        """Counts steps of training, test or prediction that ran."""
        if self._bar is None or (what == "test" and self._training):
            return
        self._bar.update(steps)
        now = time.perf_counter()
        if now - self._drawn > 0.1:
            self._drawn = now
            self._bar.set_postfix_str(format_logs(self._results()), refresh=False)

    def _finish(self, title, logs):
        self.close()
        seconds = time.perf_counter() - self._begun
        shown = format_logs(logs)
        print(f"{title} - {seconds:.1f}s" + (f" - {shown}" if shown else ""), flush=True)

    def close(self):
        """Takes the bar off the terminal; a run that failed calls it too."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
