import copy
import gc
import pickle
import threading

import numpy as np
import pytest

import lamina as lm
from lamina import layers
from lamina.layers.call_context import context


class Scale(layers.Layer):
    def __init__(self, factor=2.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def build(self, input_shape):
        self.scale = self.add_weight((input_shape[-1],), "ones", name="scale")
        self.count = self.add_weight((), "zeros", dtype="int32", trainable=False, name="count")

    def call(self, inputs):
        return inputs * self.scale * self.factor


class Block(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.steps = [layers.Dense(3), layers.Dropout(0.5, seed=1)]
        self.named = {"out": layers.Dense(2)}

    def call(self, inputs):
        for step in self.steps:
            inputs = step(inputs)
        return self.named["out"](inputs)


class Training(layers.Layer):
    def call(self, inputs, training=None):
        self.seen = training
        return inputs


def ones(*shape):
    return np.ones(shape, "float32")


def test_builds_at_the_first_call():
    layer = Scale()
    assert not layer.built and layer.weights == []
    np.testing.assert_array_equal(layer(ones(2, 3)).numpy(), 2 * ones(2, 3))
    assert layer.built and layer.count_params() == 4
    assert [v.path for v in layer.weights] == [f"{layer.name}/scale", f"{layer.name}/count"]


def test_names_are_numbered_by_class():
    class OneOfAKind(layers.Layer):
        pass

    assert [OneOfAKind().name for _ in range(3)] == ["one_of_a_kind", "one_of_a_kind_1", "one_of_a_kind_2"]


def test_weights_made_while_recording_are_not_recorded():
    with lm.GradientTape() as tape:
        layer = Scale()
        loss = lm.ops.sum(layer(ones(1, 2)))
    np.testing.assert_array_equal(tape.gradient(loss, layer.scale).numpy(), [2, 2])


def test_sublayers_in_containers_are_found():
    block = Block(name="block")
    block(ones(1, 4))
    assert [v.path.split("/")[0] for v in block.weights] == ["block"] * 4
    assert [v.shape for v in block.weights] == [(4, 3), (3,), (3, 2), (2,)]
    assert len(block.variables) == 5  # the generator's state too
    block.steps.append(layers.Dense(7))
    block.steps[-1].build((None, 3))
    assert len(block.weights) == 6


def test_freezing_reaches_everything_inside():
    block = Block()
    block(ones(1, 4))
    block.trainable = False
    assert block.trainable_weights == [] and len(block.non_trainable_weights) == 4
    assert not block.steps[0].kernel.trainable and not block.steps[0].trainable
    block.trainable = True
    assert len(block.trainable_weights) == 4


def test_a_layer_frozen_before_it_is_built():
    layer = layers.Dense(2, trainable=False)
    layer(ones(1, 3))
    assert layer.trainable_weights == []
    layer.trainable = True
    assert len(layer.trainable_weights) == 2


def test_deleted_and_replaced_attributes_are_let_go():
    layer = layers.Layer()
    layer.inner = layers.Dense(2)
    layer.inner.build((None, 3))
    assert len(layer.weights) == 2
    layer.inner = None
    assert layer.weights == []
    layer.v = lm.Variable(1.0)
    del layer.v
    assert layer.weights == []


def test_shared_layers_count_once():
    shared = layers.Dense(2)
    shared.build((None, 2))
    layer = layers.Layer()
    layer.a, layer.b = shared, [shared]
    assert len(layer.weights) == 2


@pytest.mark.parametrize("training", [True, False])
def test_training_reaches_inner_layers(training):
    class Outer(layers.Layer):
        def __init__(self):
            super().__init__()
            self.inner = Training()

        def call(self, inputs):
            return self.inner(inputs)

    outer = Outer()
    outer(ones(1, 1), training=training)
    assert outer.inner.seen is training
    outer(ones(1, 1))
    assert outer.inner.seen is None
    outer.inner(ones(1, 1), training)
    assert outer.inner.seen is training


def test_what_a_layer_says_wins_over_the_outer_call():
    class Outer(layers.Layer):
        def __init__(self):
            super().__init__()
            self.inner = Training()

        def call(self, inputs):
            return self.inner(inputs, training=False)

    outer = Outer()
    outer(ones(1, 1), training=True)
    assert outer.inner.seen is False


def test_the_call_context_is_empty_after_errors_and_per_thread():
    class Fails(layers.Layer):
        def call(self, inputs):
            raise ValueError("no")

    with pytest.raises(ValueError, match=r"^\[fails\] no$"):
        Fails(name="fails")(ones(1))
    assert context.frame is None
    seen = []

    class Looks(layers.Layer):
        def call(self, inputs):
            thread = threading.Thread(target=lambda: seen.append(context.frame))
            thread.start()
            thread.join()
            return inputs

    Looks()(ones(1))
    assert seen == [None]


def test_errors_name_the_layers_path_once():
    class Net(layers.Layer):
        def __init__(self):
            super().__init__(name="net")
            self.block = Block(name="block")

        def call(self, inputs):
            return self.block(inputs)

    net = Net()
    net(ones(1, 4))
    first = net.block.steps[0].name
    with pytest.raises(ValueError) as caught:
        net(ones(1, 5))
    assert (
        str(caught.value) == f"[net/block/{first}] expects inputs whose last axis is 4. Received: input.shape=(1, 5)."
    )

    class Wrong(layers.Layer):
        def call(self, inputs):
            return lm.ops.matmul(inputs, inputs)

    net.block.steps[0] = Wrong(name="wrong")
    with pytest.raises(ValueError, match=r"^\[net/block/wrong\] \[matmul\] .*\(1, 4\)"):
        net(ones(1, 4))


def test_inputs_are_cast_to_the_layers_type():
    assert Training()(np.ones((1, 2))).dtype == "float32"
    assert Training()(lm.convert_to_tensor(np.ones((1, 2)))).dtype == "float32"
    assert Training()(np.ones((1, 2), np.uint8)).dtype == "uint8"
    assert layers.Dense(1, dtype="float64")(ones(1, 2)).dtype == "float64"


@pytest.mark.parametrize(
    "x",
    [
        np.ones((4, 6))[:, ::2],
        np.ones((3, 4)).T[::-1],
        np.ones((4, 3), ">f4"),
        np.ones((0, 3)),
    ],
)
def test_any_numpy_array_will_do(x):
    x.setflags(write=False)
    layer = layers.Dense(2, kernel_initializer="ones")
    np.testing.assert_array_equal(layer(x).numpy(), 3 * ones(len(x), 2))


def test_inputs_by_name():
    class Net(layers.Layer):
        def call(self, x, y=None):
            return x if y is None else x + y

    net = Net()
    np.testing.assert_array_equal(net(x=ones(2)).numpy(), ones(2))
    np.testing.assert_array_equal(net(ones(2), np.ones(2)).numpy(), 2 * ones(2))
    with pytest.raises(TypeError, match="needs its inputs as the first argument"):
        net()


def test_set_weights():
    layer = layers.Dense(2, name="fc")
    with pytest.raises(ValueError, match=r"needs one array for each of its 0 weights.*not built yet"):
        layer.set_weights([ones(3, 2)])
    layer.build((None, 3))
    address = layer.kernel._core.address
    layer.set_weights([5 * ones(3, 2), ones(2)])
    assert layer.kernel._core.address == address
    np.testing.assert_array_equal(layer.get_weights()[0], 5 * ones(3, 2))
    with pytest.raises(
        ValueError, match=r"\[fc/bias\] set_weights needs an array of shape \(2,\). Received: shape=\(3,\)"
    ):
        layer.set_weights([ones(3, 2), ones(3)])
    np.testing.assert_array_equal(layer.get_weights()[0], 5 * ones(3, 2))


def test_get_weights_copies():
    layer = layers.Dense(1)
    layer.build((None, 1))
    layer.get_weights()[0][:] = 9
    assert (layer.get_weights()[0] != 9).all()


def test_unbuilt_has_no_count():
    with pytest.raises(ValueError, match=r"\[fc\] has no weights yet: it is not built"):
        layers.Dense(2, name="fc").count_params()


def test_added_losses_last_one_call():
    class Penalised(layers.Layer):
        def call(self, inputs):
            self.add_loss(lm.ops.sum(inputs))
            self.add_loss([lm.ops.mean(inputs)])
            return inputs

    outer = layers.Layer()
    outer.inner = layer = Penalised()
    layer(ones(2))
    layer(2 * ones(2))
    assert [float(x) for x in outer.losses] == [4.0, 2.0]
    outer.clear_losses()
    assert outer.losses == []


def test_assignment_before_init():
    class Early(layers.Layer):
        def __init__(self):
            self.inner = layers.Dense(2)
            super().__init__()

    with pytest.raises(RuntimeError, match=r"self.inner assigned before it. Call super\(\).__init__\(\) first"):
        Early()


def test_a_failed_build_leaves_nothing():
    class Half(layers.Layer):
        def build(self, input_shape):
            self.add_weight((1,))
            raise ValueError("later")

    layer = Half()
    with pytest.raises(ValueError, match="later"):
        layer(ones(1))
    assert layer.weights == [] and not layer.built


def test_config_reads_the_arguments():
    config = Scale(3.0, name="s").get_config()
    assert config == {"factor": 3.0, "name": "s", "trainable": True, "dtype": "float32"}
    assert Scale.from_config(config).factor == 3.0


def test_config_of_an_argument_that_was_not_kept():
    class Forgets(layers.Layer):
        def __init__(self, size):
            super().__init__()

    with pytest.raises(NotImplementedError, match=r"its argument 'size' is not kept as self.size"):
        Forgets(3).get_config()


def test_config_of_kerasses_kind():
    class Mine(layers.Layer):
        def __init__(self, size, **kwargs):
            super().__init__(**kwargs)
            self._size = size

        def get_config(self):
            return {**super().get_config(), "size": self._size}

    assert Mine.from_config(Mine(3).get_config())._size == 3


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_are_whole_and_apart(copied):
    layer = layers.Dense(2, kernel_regularizer="l2", name="fc")
    layer(ones(1, 3))
    twin = copied(layer)
    np.testing.assert_array_equal(twin(ones(1, 3)).numpy(), layer(ones(1, 3)).numpy())
    assert twin.weights[0] is twin.kernel and twin.kernel.path == "fc/kernel"
    assert float(twin.losses[0]) == float(layer.losses[0])
    twin.kernel.assign(0 * ones(3, 2))
    assert (layer.kernel.numpy() != 0).any()


@pytest.mark.parametrize(
    "kwargs, error, message",
    [
        ({"name": "a/b"}, ValueError, 'a name is a string without "/"'),
        ({"name": 3}, ValueError, "name=3"),
        ({"dtype": "float31"}, ValueError, "dtype='float31'"),
        ({"unit": 3}, TypeError, "unexpected argument. Received: 'unit'"),
    ],
)
def test_bad_arguments(kwargs, error, message):
    with pytest.raises(error, match=message):
        layers.Flatten(**kwargs)


def test_no_call():
    with pytest.raises(NotImplementedError, match=r"has no call method"):
        layers.Layer()(ones(1))


def test_unknown_weight_size():
    with pytest.raises(ValueError, match=r"a weight's sizes must be known. Received: w of shape=\(None, 2\)"):
        layers.Layer().add_weight((None, 2), name="w")


def test_nested_lists_of_numbers_are_one_input():
    layer = layers.Dense(1, kernel_initializer="ones")
    np.testing.assert_array_equal(layer([[1, 2], [3, 4]]).numpy(), [[3], [7]])


def test_a_misspelt_argument_is_answered_by_the_nearest():
    with pytest.raises(TypeError, match=r"Received: 'activaton'. Did you mean 'activation'\?"):
        layers.Dense(2, activaton="relu")


def test_sizes_that_overflow_raise():
    layer = layers.Dense(2**40)
    with pytest.raises((ValueError, MemoryError)):
        layer.build((None, 2**40))
    assert layer.weights == []


def test_calls_and_weight_lists_leave_no_cycles():
    block = Block(name="block")
    x = lm.convert_to_tensor(ones(2, 4))

    def step():
        with lm.GradientTape() as tape:
            loss = lm.ops.sum(block(x, training=True))
        tape.gradient(loss, block.trainable_variables)
        return block.losses

    step()
    gc.collect()
    for _ in range(3):
        step()
    assert gc.collect() == 0
