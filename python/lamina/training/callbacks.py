"""Callbacks: what a training run calls at its begins and ends."""

from __future__ import annotations

_HOOKS = tuple(
    f"on_{what}_{end}" for what in ("train", "test", "predict", "epoch") for end in ("begin", "end")
) + tuple(f"on_{what}_batch_{end}" for what in ("train", "test", "predict") for end in ("begin", "end"))


class Callback:
    """Base of callbacks; override any of the methods.

    `on_train_begin/end(logs)`, `on_test_begin/end`, `on_predict_begin/end`, `on_epoch_begin/end(epoch, logs)`,
    `on_train_batch_begin/end(batch, logs)`, `on_test_batch_...`, `on_predict_batch_...`. `logs` is a dict of floats.

    Attributes:
        model: the model that runs; set `self.model.stop_training = True` to end after this epoch.
        params: dict with `epochs`, `steps` and `verbose`.

    Example:
        >>> import lamina as lm
        >>> class Stop(lm.callbacks.Callback):
        ...     def on_epoch_end(self, epoch, logs=None):
        ...         self.model.stop_training = logs["loss"] < 0.1
    """

    # Whether its batch hooks read `logs`, which cost time to make.
    _reads_batch_logs = True

    def __init__(self):
        self.model = None
        self.params = {}

    def set_model(self, model):
        self.model = model

    def set_params(self, params):
        self.params = params

    def on_train_begin(self, logs=None): ...
    def on_train_end(self, logs=None): ...
    def on_test_begin(self, logs=None): ...
    def on_test_end(self, logs=None): ...
    def on_predict_begin(self, logs=None): ...
    def on_predict_end(self, logs=None): ...
    def on_epoch_begin(self, epoch, logs=None): ...
    def on_epoch_end(self, epoch, logs=None): ...
    def on_train_batch_begin(self, batch, logs=None): ...
    def on_train_batch_end(self, batch, logs=None): ...
    def on_test_batch_begin(self, batch, logs=None): ...
    def on_test_batch_end(self, batch, logs=None): ...
    def on_predict_batch_begin(self, batch, logs=None): ...
    def on_predict_batch_end(self, batch, logs=None): ...


class LambdaCallback(Callback):
    """A callback made of functions.

    Args:
        **hooks: functions by the name of the method they stand for: `on_epoch_end=lambda epoch, logs: ...`.
    """

    def __init__(self, **hooks):
        super().__init__()
        for name, function in hooks.items():
            if name not in _HOOKS:
                from ..utils.naming import unknown_name

                raise unknown_name("hook", name, _HOOKS)
            if function is not None:
                setattr(self, name, function)


class TerminateOnNaN(Callback):
    """Ends training after the first step whose loss is not finite.

    The step itself looks at its loss, so captured steps lose no time.

    Example:
        >>> import numpy as np, lamina as lm
        >>> model = lm.Sequential([lm.layers.Dense(1)])
        >>> model.compile(lm.optimizers.SGD(1e30), "mse")
        >>> x = np.ones((64, 1), "float32")
        >>> history = model.fit(x, x, epochs=9, verbose=0, callbacks=[lm.callbacks.TerminateOnNaN()])
        >>> len(history.history["loss"])
        1
    """

    # Makes training steps keep the model's stop flag: see Steps._learn.
    watches_loss = True


class History(Callback):
    """What `fit` returns: the logs of every epoch.

    Attributes:
        epoch: list of epoch numbers.
        history: dict from a log's name to its list of values.
    """

    def __init__(self):
        super().__init__()
        self.epoch: list[int] = []
        self.history: dict[str, list[float]] = {}

    def on_epoch_end(self, epoch, logs=None):
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)


class CallbackList:
    """Calls every callback in turn; knows which hooks anybody listens to, so that nobody's cost nothing."""

    def __init__(self, callbacks, model, params):
        self.callbacks = list(callbacks)
        for callback in self.callbacks:
            callback.set_model(model)
            callback.set_params(params)
        self._listeners = {hook: [getattr(c, hook) for c in self.callbacks if _listens(c, hook)] for hook in _HOOKS}

    def wants(self, hook):
        """Whether any callback overrides a hook."""
        return bool(self._listeners[hook])

    def wants_steps(self, what):
        """Whether any callback must see every single step of "train", "test" or "predict". One that has `advance` can
        be told of many at a time."""
        hooks = (f"on_{what}_batch_begin", f"on_{what}_batch_end")
        return any(_listens(c, hook) for c in self.callbacks if not hasattr(c, "advance") for hook in hooks)

    def advance(self, what, steps):
        """Tells of steps that ran without their hooks being called."""
        for callback in self.callbacks:
            if hasattr(callback, "advance"):
                callback.advance(what, steps)

    def reads_logs(self, hook):
        """Whether any callback that overrides a batch hook reads its logs."""
        return any(getattr(c, "_reads_batch_logs", True) for c in self.callbacks if _listens(c, hook))

    def call(self, hook, *args):
        """Calls a hook of every callback that overrides it."""
        for listener in self._listeners[hook]:
            listener(*args)


def _listens(callback, hook):
    own = getattr(callback, hook, None)
    return own is not None and getattr(own, "__func__", own) is not getattr(Callback, hook)


def as_list(callbacks):
    """The callbacks argument of fit as a list."""
    if isinstance(callbacks, CallbackList):
        return list(callbacks.callbacks)
    given = [] if callbacks is None else list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks]
    for callback in given:
        if isinstance(callback, type) or not hasattr(callback, "set_model"):
            raise TypeError(
                f"[callbacks] expects Callback objects. Received: {callback!r}."
                + (" Make an object of it first." if isinstance(callback, type) else "")
            )
    return given
