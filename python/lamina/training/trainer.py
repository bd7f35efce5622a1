"""compile, fit, evaluate and predict: what turns a layer into a model that trains.

The loops are in loop.py; what one batch does is here, in methods that a subclass may override.
"""

from __future__ import annotations

import numpy as np

from .. import _core
from ..autograd import _gradients, no_grad
from ..metrics.metric import Metric
from ..optimizers import registry as optimizers
from ..tensor import Tensor
from . import loop
from .batches import count, to_tensors
from .compiled import Compiled


class Trainer:
    """What Model adds to Layer. Needs `__call__`, `trainable_variables` and the layer tree."""

    def _init_trainer(self):
        # Past Layer.__setattr__, which would take them for parts of the model.
        self.__dict__.update(
            _compiled=None,
            _parts=None,  # what a step needs of the layer tree: see _collect_parts
            _given_warnings=set(),
            optimizer=None,
            stop_training=False,
            run_eagerly=False,
        )

    def compile(
        self,
        optimizer=None,
        loss=None,
        loss_weights=None,
        metrics=None,
        weighted_metrics=None,
        run_eagerly=False,
        steps_per_execution=1,
        jit_compile="auto",
        auto_scale_loss=True,
    ):
        """Says how the model is trained.

        Args:
            optimizer: name (`"adam"`) or Optimizer; needed by `fit`.
            loss: name (`"sparse_categorical_crossentropy"`), Loss or function; for several outputs a list or dict.
            loss_weights: weights of several outputs' losses, a list or dict.
            metrics: list of names, Metrics or functions; "accuracy" is chosen by the loss and the shapes.
            weighted_metrics: metrics that count sample weights too.
            run_eagerly: run Python at every step; steps are not captured yet, so it changes nothing.
            steps_per_execution, jit_compile, auto_scale_loss: taken for Keras' signature, without effect.

        Raises:
            ValueError: for an unknown name, with the nearest known one.

        Example:
            >>> import lamina as lm
            >>> model = lm.Sequential([lm.layers.Dense(1, input_shape=(2,))])
            >>> model.compile("adam", "mse", metrics=["mae"])
        """
        compiled = Compiled(loss, loss_weights, metrics, weighted_metrics)
        self.optimizer = None if optimizer is None else optimizers.get(optimizer)
        self.run_eagerly = bool(run_eagerly)
        self.__dict__.update(_compiled=compiled, _parts=None)

    @property
    def compiled(self):
        """Whether `compile` was called."""
        return self._compiled is not None

    @property
    def metrics(self):
        """All metrics, the loss first, then those assigned to attributes; compile's are known after the first batch."""
        compiled = self._compiled.all_metrics if self._compiled else []
        return compiled + [v for v in vars(self).values() if isinstance(v, Metric)]

    @property
    def metrics_names(self):
        """Names of `metrics`."""
        return [metric.name for metric in self.metrics]

    def reset_metrics(self):
        """Sets every metric back."""
        for metric in self.metrics:
            metric.reset_state()

    def get_metrics_result(self):
        """{name: float} of every metric."""
        return {metric.name: float(metric.result()) for metric in self.metrics}

    def _require_compiled(self, where, training=False):
        if self._compiled is None:
            raise ValueError(
                f"[{where}] the model is not compiled. "
                'Call model.compile(optimizer="adam", loss=..., metrics=["accuracy"]) first.'
            )
        own_step = type(self).train_step is not Trainer.train_step
        if training and self.optimizer is None and not own_step:
            raise ValueError(
                f"[{where}] training needs an optimizer. Received: optimizer=None. "
                'Name one: model.compile(optimizer="adam", ...).'
            )

    # One batch.

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The scalar to minimise: the compiled loss and the penalties of layers and regularizers.

        Args:
            x: inputs.
            y: targets.
            y_pred: the model's outputs.
            sample_weight: weights [batch] or None.
            training: whether this is a training step.

        Raises:
            ValueError: when there is neither a loss nor a penalty.
        """
        value = self._compiled.compute_loss(y, y_pred, sample_weight)
        layers, _, regularized = self._parts or self._collect_parts()
        for layer in layers:
            for penalty in layer._losses:
                value = penalty if value is None else value + penalty
        for v in regularized:
            penalty = v.regularizer(v)
            value = penalty if value is None else value + penalty
        if value is None:
            raise ValueError(
                f"[{self.name}] there is nothing to minimise; expected a loss. Received: "
                f"loss={self._compiled.loss!r}, y={'None' if y is None else 'given'}. "
                'Name one, compile(loss="mse") say, and give y.'
            )
        return value

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """Adds a batch to the compiled metrics and returns all results so far."""
        self._compiled.update_metrics(y, y_pred, sample_weight)
        return self.get_metrics_result()

    def train_step(self, data):
        """Learns from one batch; override it for other ways of training.

        Args:
            data: (x, y, sample_weight), tensors; missing parts are None.

        Returns:
            dict of results by name.
        """
        self._learn(*unpack(data))
        return self.get_metrics_result()

    def test_step(self, data):
        """Evaluates one batch; like `train_step` without learning."""
        self._judge(*unpack(data))
        return self.get_metrics_result()

    def predict_step(self, data):
        """The outputs for one batch."""
        return self(unpack(data)[0], training=False)

    def _learn(self, x, y, sample_weight):
        parts = self._parts
        if parts is not None:
            for layer in parts[0]:
                if layer._losses:
                    layer._losses.clear()
        y_pred = self(x, training=True)
        if parts is None:
            parts = self._collect_parts()
        loss = self.compute_loss(x, y, y_pred, sample_weight, True)
        self._compiled.tracker.update_state(Tensor(loss._core), count(x))
        variables = parts[1]
        self.optimizer.apply(gradients(loss, variables), variables)
        self._count_metrics(x, y, y_pred, sample_weight)
        return y_pred

    def _judge(self, x, y, sample_weight):
        with no_grad():
            y_pred = self(x, training=False)
            for layer in (self._parts or self._collect_parts())[0]:
                if layer._losses:
                    layer._losses.clear()
            loss = self.compute_loss(x, y, y_pred, sample_weight, False)
            self._compiled.tracker.update_state(loss, count(x))
            self._count_metrics(x, y, y_pred, sample_weight)
        return y_pred

    def _count_metrics(self, x, y, y_pred, sample_weight):
        if type(self).compute_metrics is Trainer.compute_metrics:
            with no_grad():
                self._compiled.update_metrics(y, y_pred, sample_weight)
        else:
            self.compute_metrics(x, y, y_pred, sample_weight)

    def _collect_parts(self):
        """(all layers, trainable variables, those with a regularizer), read off the tree once per epoch."""
        variables = self.trainable_variables
        regularized = [v for v in variables if v.regularizer is not None]
        self.__dict__["_parts"] = parts = (self._flatten_layers(), variables, regularized)
        return parts

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
            Loss, or [loss, metrics ...] where there are metrics, so far; `reset_metrics` starts anew.
        """
        self._require_compiled("train_on_batch", training=True)
        self.__dict__["_parts"] = None
        return _as_results(self.train_step(loop.one_batch(self, x, y, sample_weight, class_weight)), return_dict)

    def test_on_batch(self, x, y=None, sample_weight=None, return_dict=False):
        """Evaluates one batch; arguments and results as `train_on_batch`."""
        self._require_compiled("test_on_batch")
        self.__dict__["_parts"] = None
        return _as_results(self.test_step(loop.one_batch(self, x, y, sample_weight)), return_dict)

    def predict_on_batch(self, x):
        """Outputs for one batch, as NumPy arrays."""
        with no_grad():
            return loop.to_numpy(self.predict_step((to_tensors(x, self.dtype), None, None)))

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
        return _as_results(
            loop.evaluate(self, x, y, batch_size, verbose, sample_weight, steps, callbacks), return_dict
        )

    def predict(self, x, batch_size=None, verbose="auto", steps=None, callbacks=None):
        """Outputs for a data set.

        Args:
            x, batch_size, verbose, callbacks: as for `fit`.
            steps: steps after which to stop.

        Returns:
            NumPy array [samples, ...], or the structure of them that the model returns.
        """
        return loop.predict(self, x, batch_size, verbose, steps, callbacks)


def gradients(loss, variables):
    """d(loss)/d(variable) for each variable, None where the loss does not depend on it."""
    if loss._source is None:
        return [None] * len(variables)
    found = _gradients([loss], [Tensor(_core.full(loss.shape, 1.0, loss.dtype))], False)
    return [found[id(v)][1] if id(v) in found else None for v in variables]


def unpack(data):
    """(x, y, sample_weight) of what a step is given."""
    if isinstance(data, (tuple, list)) and 1 <= len(data) <= 3:
        return (*data, None, None)[:3]
    return data, None, None


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
