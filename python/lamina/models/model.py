"""Model: a layer made of layers, with training, summary and files."""

from __future__ import annotations

from ..config import functions_run_eagerly
from ..layers import tracking
from ..layers.call_context import context
from ..layers.layer import Layer
from ..layers.symbolic import map_tensors, placeholders
from ..training.replay import step_function
from ..training.trainer import Trainer
from ..utils.naming import unknown_name


class Model(Trainer, Layer):
    """A layer that trains: subclass it with a `call`, or join layers by `Model(inputs, outputs)`.

    Args:
        inputs: tensor of `lamina.Input`, or a list or dict of them.
        outputs: what layers made of them.
        trainable, dtype, name: as `Layer`.

    Example:
        >>> import lamina as lm
        >>> class Net(lm.Model):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.hidden = lm.layers.Dense(8, activation="relu")
        ...         self.out = lm.layers.Dense(1)
        ...     def call(self, inputs):
        ...         return self.out(self.hidden(inputs))
        >>> Net()(lm.ops.zeros((2, 3))).shape
        (2, 1)
    """

    def __new__(cls, *args, **kwargs):
        if cls is Model and (args or "inputs" in kwargs or "outputs" in kwargs):
            from .functional import Functional

            cls = Functional
        return super().__new__(cls)

    def __init__(self, *args, **kwargs):
        if args or "inputs" in kwargs or "outputs" in kwargs:
            raise TypeError(
                f"[{type(self).__name__}] a subclass of Model takes no inputs and outputs; define call(self, inputs). "
                f"Received: {len(args)} positional arguments."
            )
        super().__init__(**kwargs)
        self._init_trainer()

    def build(self, input_shape):
        """Makes the weights of all layers for inputs of this shape, the batch axis included (None: any)."""
        around = context.frame[0]
        if around is not None and around[1] is self:  # in its own call, which builds the layers on its way
            return
        if input_shape is None:
            raise ValueError(f"[{self.name}] build needs the shape of the inputs. Received: input_shape=None.")
        self.call(placeholders(input_shape, self.dtype))

    def compute_mask(self, inputs, previous_mask):
        return None  # the layers inside have put their masks on the outputs

    def __call__(self, *args, **kwargs):
        """As `Layer.__call__`; outside of gradients, other layers and captures the call is captured and replayed."""
        alone = not context.enabled and context.frame is None and context.capture is None
        if not alone or not self.built or self.run_eagerly or functions_run_eagerly():
            return super().__call__(*args, **kwargs)
        return step_function(self, "call")(*args, **kwargs)

    @property
    def layers(self):
        """The layers directly inside."""
        return tracking.parts_of(self)[0]

    def _flatten_layers(self):
        return list(tracking.walk(self))

    def get_layer(self, name=None, index=None):
        """A layer by its name or its place.

        Raises:
            ValueError: where there is none; the message names the nearest one.
        """
        layers = self.layers
        if index is not None:
            if not -len(layers) <= index < len(layers):
                raise ValueError(f"[get_layer] there are {len(layers)} layers. Received: index={index}.")
            return layers[index]
        for layer in layers:
            if layer.name == name:
                return layer
        raise unknown_name("layer", name, [layer.name for layer in layers])

    def _require_built(self, where):
        if not self.built:
            raise ValueError(
                f"[{where}] model {self.name!r} has no weights yet: it is not built. Received: built=False. "
                "Call it on a batch, fit it, or call build(input_shape) first."
            )

    def summary(self, line_length=None, print_fn=None, expand_nested=False, show_trainable=False):
        """Prints a table of layers, output shapes and numbers of parameters.

        Args:
            line_length: width; by default what the table needs.
            print_fn: function that takes the text, instead of print.
            expand_nested: list the layers inside layers too.
            show_trainable: say which layers train.

        Raises:
            ValueError: before the model is built.
        """
        from .summary import table

        self._require_built("summary")
        text = table(self, line_length, expand_nested, show_trainable)
        (print_fn or print)(text)

    def profile(self, x, y=None, sample_weight=None, repeats=20, print_fn=None):
        """Prints how long each layer and each launch of a step takes, beside what the machine needs at least.

        Without y the step is inference; with y it is the training step of the compiled model: loss, gradients,
        optimizer and metrics. It is captured, run `2 * repeats` times and timed; weights, optimizer, metrics and random
        states are afterwards what they were, bit for bit.

        Args:
            x: inputs [batch, ...], or a tuple or dict of them: one batch.
            y: targets [batch, ...].
            sample_weight: weights [batch].
            repeats: runs; the times are medians.
            print_fn: function that takes the text, instead of print.

        Returns:
            `lamina.plan.profile.Profile`: its rows are the launches, its `plan` has memory and pictures.

        Raises:
            ValueError: before the model is built (with y: compiled), or for data that do not fit it.
            lamina.CaptureError: for a step that reads values in Python, with the line.

        Example:
            >>> import lamina as lm
            >>> model = lm.Sequential([lm.layers.Dense(1, input_shape=(4,), use_bias=False)])
            >>> profile = model.profile(lm.ops.ones((8, 4)), print_fn=lambda text: None)
            >>> [(row.op, row.flops) for row in profile]
            [('dense', 64.0)]
        """
        from .profile import profile

        result = profile(self, x, y, sample_weight, repeats)
        (print_fn or print)(str(result))
        return result

    def _output_shapes(self):
        """{id(layer): shapes it gave} of a symbolic run; empty where the model computes outside of layers."""
        if self._build_shape is None:
            return {}
        from ..autograd import no_grad

        found: dict[int, object] = {}
        try:
            with no_grad():
                outputs = self.call(placeholders(_any_batch(self._build_shape), self.dtype))
        except (TypeError, ValueError, RuntimeError):
            return found  # reads values, which a symbolic run has none of

        def visit(tensor):
            call = getattr(tensor, "history", None)
            if call is not None and id(call.layer) not in found:
                found[id(call.layer)] = tuple(tensor.shape)
                map_tensors(visit, call.arguments)

        map_tensors(visit, outputs)
        return found

    def save(self, filepath, overwrite=True, **kwargs):
        """Writes configuration, weights and optimizer state to one file; see `lamina.saving.save_model`.

        Args:
            filepath: path that ends in `.safetensors`.
            overwrite: whether an existing file is replaced.
        """
        from ..saving import save_model

        self._require_built("save")
        save_model(self, filepath, overwrite=overwrite, **kwargs)

    def save_weights(self, filepath, overwrite=True):
        """Writes the weights alone."""
        from ..saving import save_weights

        self._require_built("save_weights")
        save_weights(self, filepath, overwrite=overwrite)

    def load_weights(self, filepath, **kwargs):
        """Reads weights that `save_weights` or `save` wrote for a model of this structure."""
        from ..saving import load_weights

        self._require_built("load_weights")
        load_weights(self, filepath, **kwargs)

    def get_compile_config(self):
        """The arguments of compile, as `saving.serialize` describes them; None before compile."""
        from ..utils.registry import serialize

        if self._compiled is None:
            return None
        c = self._compiled
        return {
            "optimizer": serialize(self.optimizer, "optimizer"),
            "loss": serialize(c.loss, "loss"),
            "loss_weights": c.loss_weights,
            "metrics": serialize(c.metrics, "metrics"),
            "weighted_metrics": serialize(c.weighted_metrics, "weighted_metrics"),
        }

    def compile_from_config(self, config):
        """Compiles with what `get_compile_config` gave."""
        from ..utils.registry import deserialize

        self.compile(**{name: deserialize(value) for name, value in config.items()})
        if self.optimizer is not None and self.built:
            self.optimizer.build(self.trainable_variables)


def _any_batch(shape):
    """A shape, or a structure of shapes, with the batch axis unknown."""
    if isinstance(shape, dict):
        return {key: _any_batch(part) for key, part in shape.items()}
    if shape and isinstance(shape[0], (list, tuple)):
        return [_any_batch(part) for part in shape]
    return (None, *shape[1:])
