import numpy as np
import pytest

import lamina as lm
from lamina import layers
from lamina.masked_tensor import mask_of

from .check_layer import check_layer


def waves(positions, width, wavelength=10000):
    """Vaswani et al. 2017, section 3.5."""
    out = np.zeros((*np.shape(positions), width))
    for feature in range(width):
        angle = np.asarray(positions) / wavelength ** (2 * (feature // 2) / width)
        out[..., feature] = np.cos(angle) if feature % 2 else np.sin(angle)
    return out


def rotated(x, positions, wavelength=10000):
    """Su et al. 2021, equation 15, of x [steps, d], the pairs being (i, i + d/2): complex numbers times e^(i angle)."""
    half = x.shape[-1] // 2
    angles = np.asarray(positions)[:, None] / wavelength ** (np.arange(half) / half)
    turned = (x[:, :half] + 1j * x[:, half:]) * np.exp(1j * angles)
    return np.concatenate([turned.real, turned.imag], -1)


@pytest.mark.parametrize("width", [1, 7, 8])
def test_sines(width, tmp_path):
    layer = check_layer(
        layers.SinePositionEncoding, {"max_wavelength": 100}, (2, 5, width), (2, 5, width), tmp_path, gradients=False
    )
    x = lm.ops.zeros((2, 5, width))
    np.testing.assert_allclose(layer(x).numpy()[1], waves(np.arange(5), width, 100), atol=1e-6)
    for start in (3, lm.convert_to_tensor(3)):
        got = layer(x, start_index=start).numpy()
        np.testing.assert_allclose(got[0], waves(np.arange(3, 8), width, 100), atol=1e-6)
    positions = np.array([[4, 0, 1, 9, 2], [0, 0, 0, 7, 7]])
    np.testing.assert_allclose(layer(x, positions=positions).numpy(), waves(positions, width, 100), atol=1e-6)
    assert layers.SinePositionEncoding(dtype="float64")(x).dtype == "float64"


def test_learned_positions(tmp_path):
    layer = check_layer(
        layers.PositionEmbedding, {"sequence_length": 9}, (2, 5, 3), (2, 5, 3), tmp_path, trainable=1, gradients=False
    )
    table, x = layer.position_embeddings.numpy(), lm.ops.zeros((2, 5, 3))
    assert [v.path for v in layer.weights] == [f"{layer.name}/embeddings"] and table.shape == (9, 3)
    np.testing.assert_array_equal(layer(x).numpy(), np.stack([table[:5]] * 2))
    for start in (4, lm.convert_to_tensor(4)):
        np.testing.assert_array_equal(layer(x, start_index=start).numpy(), np.stack([table[4:]] * 2))
    positions = np.array([[4, 0, 1, 8, 2], [0, 0, 0, 7, 7]])
    np.testing.assert_array_equal(layer(x, positions=positions).numpy(), table[positions])
    with lm.GradientTape() as tape:
        loss = lm.ops.sum(layer(x, start_index=2))
    np.testing.assert_array_equal(tape.gradient(loss, layer.position_embeddings).numpy()[:, 0], [0, 0, *[2] * 5, 0, 0])


@pytest.mark.parametrize("axes", [(1, -1), (-2, 3), (2, 1), (1, 2)])
@pytest.mark.parametrize("width", [2, 6])
def test_rotations(axes, width, tmp_path, rng):
    sequence, feature = (axis % 4 for axis in axes)
    shape = [2, 3, 3, 3]
    shape[sequence], shape[feature] = 5, width
    options = {"max_wavelength": 50, "sequence_axis": axes[0], "feature_axis": axes[1]}
    layer = check_layer(layers.RotaryEmbedding, options, tuple(shape), tuple(shape), tmp_path)
    x = rng.standard_normal(shape)
    positions = rng.integers(0, 20, (2, 5))
    lines = np.moveaxis(x, (sequence, feature), (-2, -1))

    def want(of_batch):
        turned = [[rotated(line, of_batch(b), 50) for line in lines[b]] for b in range(2)]
        return np.moveaxis(np.array(turned), (-2, -1), (sequence, feature))

    def got(**more):
        return layer(x.astype("float32"), **more).numpy()

    np.testing.assert_allclose(got(), want(lambda b: np.arange(5)), atol=1e-5)
    for start in (3, lm.convert_to_tensor(3)):
        np.testing.assert_allclose(got(start_index=start), want(lambda b: np.arange(3, 8)), atol=1e-5)
    np.testing.assert_allclose(got(positions=positions[0]), want(lambda b: positions[0]), atol=1e-5)
    np.testing.assert_allclose(got(positions=positions), want(lambda b: positions[b]), atol=1e-5)
    half = layers.RotaryEmbedding(scaling_factor=2.0, **options)(x.astype("float32")).numpy()
    np.testing.assert_allclose(half, want(lambda b: np.arange(5) / 2), atol=1e-5)


def test_products_of_rotated_vectors_depend_on_the_distance(rng):
    layer = layers.RotaryEmbedding()
    q, k = (np.tile(rng.standard_normal((1, 1, 8)).astype("float32"), (1, 6, 1)) for _ in range(2))
    scores = (layer(q).numpy()[0] @ layer(k).numpy()[0].T).astype("float64")
    for distance in range(-5, 6):
        line = np.diagonal(scores, distance)
        np.testing.assert_allclose(line, np.full_like(line, line[0]), atol=1e-5)


def test_reversible(tmp_path, rng):
    ids = np.array([[1, 2, 0], [3, 0, 0]])
    x = rng.standard_normal((2, 3, 4)).astype("float32")
    tied = layers.ReversibleEmbedding(5, 4, mask_zero=True, sparse_gradient=True)
    np.testing.assert_array_equal(mask_of(tied(ids)).numpy(), ids != 0)
    table = tied.embeddings.numpy()
    np.testing.assert_array_equal(tied(ids).numpy(), table[ids])
    scores = tied(x, reverse=True)
    np.testing.assert_allclose(scores.numpy(), x @ table.T, rtol=1e-5, atol=1e-6)
    assert mask_of(scores) is None and tied.compute_output_shape((2, 3, 4), reverse=True) == (2, 3, 5)
    twin = layers.ReversibleEmbedding.from_config(tied.get_config())
    assert twin.sparse_gradient and twin.mask_zero and twin.tie_weights
    own = layers.ReversibleEmbedding(5, 4, tie_weights=False, logit_soft_cap=0.5, reverse_dtype="float64")
    scores = own(x, reverse=True).numpy()
    assert [v.path.split("/")[-1] for v in own.weights] == ["embeddings", "reverse_embeddings"]
    want = 0.5 * np.tanh(x @ own.reverse_embeddings.numpy() / 0.5)
    assert scores.dtype == np.float64
    np.testing.assert_allclose(scores, want, rtol=1e-5, atol=1e-6)


def test_tokens_and_positions(tmp_path):
    ids = np.array([[1, 2, 0], [3, 0, 0]])
    model = lm.Sequential([layers.TokenAndPositionEmbedding(5, 7, 4, mask_zero=True)])
    out = model(ids)
    layer = model.layers[0]
    tokens, positions = (v.numpy() for v in layer.weights)
    assert [v.path.split("/", 1)[1] for v in layer.weights] == [
        f"{layer.name}/token_embedding/embeddings",
        f"{layer.name}/position_embedding/embeddings",
    ]
    assert (tokens.shape, positions.shape) == ((5, 4), (7, 4))
    np.testing.assert_allclose(out.numpy(), tokens[ids] + positions[:3], rtol=1e-6)
    np.testing.assert_allclose(layer(ids, start_index=4).numpy(), tokens[ids] + positions[4:], rtol=1e-6)
    np.testing.assert_array_equal(mask_of(layer(ids)).numpy(), ids != 0)
    assert layer.compute_output_shape((None, 3)) == (None, 3, 4)
    model.save(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(lm.models.load_model(tmp_path / "model.safetensors")(ids).numpy(), out.numpy())


@pytest.mark.parametrize(
    "make, shape, message",
    [
        (lambda: layers.PositionEmbedding(4), (1, 5, 3), r"position for each step.*inputs.shape=\(1, 5, 3\)"),
        (lambda: layers.RotaryEmbedding(), (1, 5, 3), r"even number along feature_axis.*\(1, 5, 3\)"),
        (lambda: layers.RotaryEmbedding(sequence_axis=2), (1, 5, 4), r"which is not sequence_axis"),
        (lambda: layers.RotaryEmbedding(sequence_axis=5), (1, 5, 4), r"sequence_axis is an axis.*sequence_axis=5"),
        (lambda: layers.PositionEmbedding(0), (1, 5, 4), r"sequence_length must be a positive integer"),
        (lambda: layers.SinePositionEncoding(0), (1, 5, 4), r"max_wavelength"),
    ],
)
def test_errors(make, shape, message):
    with pytest.raises(ValueError, match=message):
        make()(lm.ops.zeros(shape))
