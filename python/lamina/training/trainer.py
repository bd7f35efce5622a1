"""fit, evaluate and predict: what turns a layer into a model that trains. The loops are in loop.py."""

from __future__ import annotations

import numpy as np

from . import loop
from .replay import Runner
from .steps import Steps


class Trainer(Steps):
    """What Model adds to Layer."""

    # Single batches.

    def train_on_batch(self, x, y=None, sample_weight=None, class_weight=None, return_dict=False):
        """One training step on one batch.

        Args:
            x: inputs [batch, ...].
            y: targets [batch, ...].
            sample_weight: weights [batch].
            class_weight: dict from class id to weight.
            return_dict: return {name: value}.

        Returns:
            Loss, or [loss, metrics ...] where there are metrics, of this batch alone.
        """
        self._require_compiled("train_on_batch", training=True)
        self.__dict__["_parts"] = None
        self.reset_metrics()
        logs = Runner(self, "train", "train_on_batch")(*loop.one_batch(self, x, y, sample_weight, class_weight))
        return _as_results(self.metric_values() if logs is None else logs, return_dict)

    def test_on_batch(self, x, y=None, sample_weight=None, return_dict=False):
        """Evaluates one batch; arguments and results as `train_on_batch`."""
        self._require_compiled("test_on_batch")
        self.__dict__["_parts"] = None
        self.reset_metrics()
        logs = Runner(self, "test", "test_on_batch")(*loop.one_batch(self, x, y, sample_weight))
        return _as_results(self.metric_values() if logs is None else logs, return_dict)

    def predict_on_batch(self, x):
        """Outputs for one batch, as NumPy arrays."""
        return loop.to_numpy(Runner(self, "predict", "predict_on_batch")(x))

    # Whole data sets.

    def fit(
        self,
        x=None,
        y=None,
        batch_size=None,
        epochs=1,
        verbose="auto",
        callbacks=None,
        validation_split=0.0,
        validation_data=None,
        shuffle=True,
        class_weight=None,
        sample_weight=None,
        initial_epoch=0,
        steps_per_epoch=None,
        validation_steps=None,
        validation_batch_size=None,
        validation_freq=1,
    ):
        """Trains the model.

        Args:
            x: inputs: array, tuple or dict of arrays, Dataset, generator, or a sequence of batches.
            y: targets, where x is arrays.
            batch_size: samples of a step, 32 unless given.
            epochs: number of the last epoch, counted from 1.
            verbose: 0 silent, 1 progress bar, 2 one line per epoch; "auto" is 1 on a terminal, else 2.
            callbacks: list of Callbacks.
            validation_split: share of the samples, from the end, that is kept for validation.
            validation_data: (x, y), (x, y, sample_weight) or a Dataset, evaluated after each epoch.
            shuffle: draw a new order for each epoch; `lamina.utils.set_random_seed` fixes it.
            class_weight: dict from class id to weight.
            sample_weight: weights [samples].
            initial_epoch: epoch to begin with, for going on.
            steps_per_epoch: steps that end an epoch, for endless data.
            validation_steps: steps that end a validation.
            validation_batch_size: samples of a validation step; batch_size unless given.
            validation_freq: epochs from one validation to the next, or a list of epochs.

        Returns:
            History: `.history` is a dict from name to values per epoch.

        Raises:
            ValueError: where data and model do not fit together.

        Example:
            >>> import numpy as np, lamina as lm
            >>> x = np.linspace(-1, 1, 64, dtype="float32")[:, None]
            >>> model = lm.Sequential([lm.layers.Dense(1)])
            >>> model.compile("adam", "mse")
            >>> history = model.fit(x, 3 * x, epochs=2, verbose=0)
            >>> len(history.history["loss"])
            2
        """
        self._require_compiled("fit", training=True)
        return loop.fit(
            self,
            loop.Request(
                x=x,
                y=y,
                batch_size=batch_size,
                epochs=epochs,
                verbose=verbose,
                callbacks=callbacks,
                validation_split=validation_split,
                validation_data=validation_data,
                shuffle=shuffle,
                class_weight=class_weight,
                sample_weight=sample_weight,
                initial_epoch=initial_epoch,
                steps_per_epoch=steps_per_epoch,
                validation_steps=validation_steps,
                validation_batch_size=validation_batch_size,
                validation_freq=validation_freq,
            ),
        )

    def evaluate(
        self,
        x=None,
        y=None,
        batch_size=None,
        verbose="auto",
        sample_weight=None,
        steps=None,
        callbacks=None,
        return_dict=False,
    ):
        """Loss and metrics over a data set.

        Args:
            x, y, batch_size, verbose, callbacks, sample_weight: as for `fit`.
            steps: steps after which to stop.
            return_dict: return {name: value}.

        Returns:
            Loss, or [loss, metrics ...] where there are metrics.
        """
        self._require_compiled("evaluate")
        return _as_results(loop.evaluate(self, x, y, batch_size, verbose, sample_weight, steps, callbacks), return_dict)

    def predict(self, x, batch_size=None, verbose="auto", steps=None, callbacks=None):
        """Outputs for a data set.

        Args:
            x, batch_size, verbose, callbacks: as for `fit`.
            steps: steps after which to stop.

        Returns:
            NumPy array [samples, ...], or the structure of them that the model returns.
        """
        return loop.predict(self, x, batch_size, verbose, steps, callbacks)


def _as_results(logs, return_dict):
    if return_dict:
        return {name: float(value) for name, value in logs.items()}
    values = [float(value) for value in logs.values()]
    return values[0] if len(values) == 1 else values


def concatenate(outputs):
    """Outputs of batches, one after the other."""
    first = outputs[0]
    if isinstance(first, (list, tuple)):
        return type(first)([concatenate([out[i] for out in outputs]) for i in range(len(first))])
    if isinstance(first, dict):
        return {key: concatenate([out[key] for out in outputs]) for key in first}
    return first if len(outputs) == 1 else np.concatenate(outputs)
