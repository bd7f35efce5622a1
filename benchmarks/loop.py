"""How the kind "fit" is timed: a framework's own training loop, epoch by epoch within one call of it."""

import math
import statistics
import time

from benchmarks import workloads

MIN_EPOCHS = 3


class Loop:
    """A training loop over one epoch's data, again and again.

    Args:
        run: run(epochs, mark) -> mean loss of the last epoch. Trains in one call and calls mark() at each epoch's
            end, when its loss is known.
        steps: steps of an epoch.
    """

    def __init__(self, run, steps):
        self.run, self.steps, self.epoch_seconds = run, steps, None

    def __call__(self):
        """Trains one epoch; returns its loss."""
        return self.run(1, lambda: None)

    def seconds_per_step(self, ms):
        """(median over epochs of epoch time / steps, steps timed) over about `ms` milliseconds.

        One call runs all epochs. An epoch lasts from the end of the one before to its own, so that shuffling,
        callbacks and the reading of the loss count; the first carries the start-up of the call and does not.
        """
        if self.epoch_seconds is None:
            self.epoch_seconds = statistics.median(self._epochs(MIN_EPOCHS))
        epochs = self._epochs(max(MIN_EPOCHS, math.ceil(ms / 1e3 / self.epoch_seconds)))
        self.epoch_seconds = statistics.median(epochs)
        return self.epoch_seconds / self.steps, self.steps * len(epochs)

    def _epochs(self, count):
        ends = []
        self.run(1 + count, lambda: ends.append(time.perf_counter()))
        return [end - start for start, end in zip(ends, ends[1:])]


def model_fit(model, callback_class, name):
    """The Loop of a compiled Keras or Lamina model's `fit` on a net's arrays, shuffled and silent."""
    x, y = workloads.fit_data(name)
    net = workloads.NETS[name]

    class EpochEnd(callback_class):
        """Overrides this hook alone: one for batches would slow every step."""

        def __init__(self, mark):
            super().__init__()
            self.mark = mark

        def on_epoch_end(self, epoch, logs=None):
            self.mark()

    def run(epochs, mark):
        history = model.fit(
            x, y, batch_size=net.batch, epochs=epochs, shuffle=True, verbose=0, callbacks=[EpochEnd(mark)]
        )
        return history.history["loss"][-1]

    return Loop(run, net.steps)
