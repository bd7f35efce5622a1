import numpy as np
import pytest

import lamina as lm
from lamina import layers
from lamina.masked_tensor import mask_of


def test_rows_of_the_table():
    layer = layers.Embedding(7, 3, name="words")
    ids = np.array([[0, 6, 2], [2, 2, 1]])
    out = layer(ids)
    assert [v.path for v in layer.weights] == ["words/embeddings"]
    np.testing.assert_array_equal(out.numpy(), layer.embeddings.numpy()[ids])
    assert layer.compute_output_shape((None, 3)) == (None, 3, 3)
    for same in (ids.astype("float32"), ids.astype("uint8"), ids.tolist()):
        np.testing.assert_array_equal(layer(same).numpy(), out.numpy())


def test_gradient_adds_up_over_equal_ids():
    layer = layers.Embedding(4, 2)
    with lm.GradientTape() as tape:
        loss = lm.ops.sum(layer(np.array([[1, 1, 3]])) * lm.convert_to_tensor([[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]]))
    np.testing.assert_array_equal(tape.gradient(loss, layer.embeddings).numpy(), [[0, 0], [4, 6], [0, 0], [5, 6]])


def test_zero_is_padding():
    layer = layers.Embedding(4, 2, mask_zero=True)
    np.testing.assert_array_equal(mask_of(layer(np.array([[1, 0]]))).numpy(), [[True, False]])
    assert mask_of(layers.Embedding(4, 2)(np.array([[1, 0]]))) is None


def test_given_weights_and_configuration():
    table = np.arange(8, dtype="float32").reshape(4, 2)
    layer = layers.Embedding(4, 2, weights=table, mask_zero=True, embeddings_regularizer="l2")
    np.testing.assert_array_equal(layer(np.array([3])).numpy(), [[6, 7]])
    assert [float(penalty) for penalty in layer.losses] == pytest.approx([1.4])
    twin = layers.Embedding.from_config(layer.get_config())
    assert (twin.input_dim, twin.output_dim, twin.mask_zero) == (4, 2, True)


def test_saved_and_loaded(tmp_path):
    model = lm.Sequential([layers.Embedding(4, 2, mask_zero=True), layers.GlobalAveragePooling1D()])
    ids = np.array([[1, 2, 0], [3, 0, 0]])
    want = model(ids).numpy()
    np.testing.assert_allclose(want[1], model.get_weights()[0][3])
    model.save(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(lm.models.load_model(tmp_path / "model.safetensors")(ids).numpy(), want)


@pytest.mark.parametrize("sizes", [(0, 2), (3, -1), (2.5, 2), (3, True)])
def test_bad_sizes(sizes):
    with pytest.raises(ValueError, match=r"\[Embedding\] \w+ must be a positive integer"):
        layers.Embedding(*sizes)


def test_ids_outside_the_table():
    with pytest.raises(ValueError, match=r"\[words\] .*index is out of range.*value=9"):
        layers.Embedding(4, 2, name="words")(np.array([[1, 9]]))


def text_model(sparse_gradient, eager, optimizer):
    lm.utils.set_random_seed(4)
    embedding = layers.Embedding(50, 6, mask_zero=True, sparse_gradient=sparse_gradient)
    model = lm.Sequential([embedding, layers.GlobalAveragePooling1D(), layers.Dense(3)])
    loss = lm.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, run_eagerly=eager)
    model(IDS)
    return model


IDS, CLASSES = np.random.default_rng(0).integers(0, 20, (24, 5)), np.random.default_rng(1).integers(0, 3, 24)


@pytest.mark.parametrize("make", [lambda: lm.optimizers.AdamW(0.1), lambda: lm.optimizers.SGD(0.5), lm.optimizers.Lamb])
def test_rows_in_fit(make, tmp_path):
    """Captured as eager; ids 20 to 49 come in no batch, 0 is masked; a loaded model goes on as the saved one."""
    models = [text_model(True, eager, make()) for eager in (False, True)]
    start = models[0].get_weights()[0]
    for model in models:
        lm.utils.set_random_seed(5)  # of the order of samples
        model.fit(IDS, CLASSES, batch_size=8, epochs=3, verbose=0)
    captured, eager = (model.get_weights() for model in models)
    for a, b in zip(captured, eager):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(captured[0][20:], start[20:])
    assert (captured[0][1:20] != start[1:20]).any(axis=1).all()
    models[0].save(tmp_path / "model.safetensors")
    again = lm.models.load_model(tmp_path / "model.safetensors")
    assert again.layers[0].embeddings.sparse_gradient
    for model in (models[0], again):
        model.fit(IDS, CLASSES, batch_size=8, epochs=1, shuffle=False, verbose=0)
    for a, b in zip(models[0].get_weights(), again.get_weights()):
        np.testing.assert_array_equal(a, b)


def test_rules_that_move_every_row_do_so_by_default():
    model = text_model(False, False, lm.optimizers.AdamW(0.1, weight_decay=0.1))
    start = model.get_weights()[0]
    model.fit(IDS, CLASSES, batch_size=8, epochs=1, verbose=0)
    np.testing.assert_allclose(model.get_weights()[0][20:], start[20:] * 0.99**3, rtol=1e-5)
