"""What compile sets up and what one batch does: the methods that a subclass may override."""

from __future__ import annotations

from .. import _core, ops
from ..autograd import _gradients, no_grad
from ..capture import labelled
from ..metrics.metric import Metric
from ..optimizers import registry as optimizers
from ..tensor import Tensor, Variable
from ..thread_state import changes
from .batches import count
from .compiled import Compiled


class Steps:
    """The lower half of Steps. Needs `__call__`, `trainable_variables` and the layer tree."""

    def _init_trainer(self):
        # Past Layer.__setattr__, which would take them for parts of the model.
        self.__dict__.update(
            _compiled=None,
            _parts=None,  # what a step needs of the layer tree: see _collect_parts
            _given_warnings=set(),
            optimizer=None,
            _functions={},  # captured steps by kind, see replay.py
            _stop_flag=None,  # a bool variable, true after a loss that is not finite; None where nobody asks
            stop_training=False,
            run_eagerly=False,
        )

    def __getstate__(self):
        return {**self.__dict__, "_functions": {}}  # a copy captures its own steps

    def compile(
        self,
        optimizer="rmsprop",
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
            optimizer: name (`"adam"`) or Optimizer; None for a model that is not trained.
            loss: name (`"sparse_categorical_crossentropy"`), Loss or function; for several outputs a list or dict.
            loss_weights: weights of several outputs' losses, a list or dict.
            metrics: list of names, Metrics or functions; "accuracy" is chosen by the loss and the shapes.
            weighted_metrics: metrics that count sample weights too.
            run_eagerly: run Python at every step instead of replaying captured ones: for debugging.
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
        self.__dict__.update(_compiled=compiled, _parts=None, _functions={})

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
        """{name: scalar tensor} of every metric."""
        return {metric.name: metric.result() for metric in self.metrics}

    def metric_values(self):
        """{name: float} of every metric."""
        return {name: float(value) for name, value in self.get_metrics_result().items()}

    def _watch_loss(self, on):
        """Whether training steps look for a loss that is not finite; lowers the flag."""
        if on != (self._stop_flag is not None):
            changes.count += 1
            self.__dict__["_stop_flag"] = Variable(False, dtype="bool", trainable=False, name="stop") if on else None
        elif on:
            self._stop_flag.assign(False)

    def _must_stop(self):
        """Whether training ends here: somebody said so, or the loss did."""
        if self._stop_flag is not None and bool(self._stop_flag):
            self.stop_training = True
        return self.stop_training

    def _require_compiled(self, where, training=False):
        if self._compiled is None:
            raise ValueError(
                f"[{where}] the model is not compiled. Received: loss=None, optimizer=None. "
                'Call model.compile(optimizer="adam", loss=..., metrics=["accuracy"]) first.'
            )
        own_step = type(self).train_step is not Steps.train_step
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
        with labelled("loss"):
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
        with labelled("metrics"):
            self._compiled.tracker.update_state(Tensor(loss._core), count(x))
            if self._stop_flag is not None:
                bad = ops.logical_not(ops.isfinite(Tensor(loss._core)))
                _core.assign(self._stop_flag._core, ops.logical_or(self._stop_flag, bad)._core)
        variables = parts[1]
        self.optimizer.apply(gradients(self.optimizer.scale_loss(loss), variables), variables)
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
        if type(self).compute_metrics is Steps.compute_metrics:
            with no_grad(), labelled("metrics"):
                self._compiled.update_metrics(y, y_pred, sample_weight)
        else:
            self.compute_metrics(x, y, y_pred, sample_weight)

    def _collect_parts(self):
        """(all layers, trainable variables, those with a regularizer), read off the tree once per epoch."""
        variables = self.trainable_variables
        regularized = [v for v in variables if v.regularizer is not None]
        self.__dict__["_parts"] = parts = (self._flatten_layers(), variables, regularized)
        return parts


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
