"""GPT: no step sees those behind it, and it learns an order that two steps decide."""

import numpy as np
import pytest

import lamina as lm
from lamina.zoo import gpt


@pytest.fixture(autouse=True)
def seeded():
    lm.utils.set_random_seed(0)


def test_steps_see_those_before_them_alone():
    model = gpt(11, context=16, width=16, heads=2, blocks=2)
    ids = np.random.default_rng(0).integers(0, 11, (2, 12))
    other = ids.copy()
    other[:, 7:] = (other[:, 7:] + 1) % 11
    y, z = model(ids).numpy(), model(other).numpy()
    assert y.shape == (2, 12, 11)
    np.testing.assert_allclose(y[:, :7], z[:, :7], rtol=1e-5, atol=1e-6)
    assert np.abs(y[:, 7:] - z[:, 7:]).max() > 1e-3


def test_learns_what_two_steps_decide(tmp_path):
    ids = np.random.default_rng(1).integers(0, 7, (512, 20))
    for t in range(2, 20):
        ids[:, t] = (ids[:, t - 1] + 2 * ids[:, t - 2]) % 7
    model = gpt(7, context=20, width=32, heads=2, blocks=2)
    model.compile(lm.optimizers.Adam(3e-3), lm.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(ids[:, :-1], ids[:, 1:], batch_size=32, epochs=20, verbose=0)
    right = model.predict(ids[:, :-1], verbose=0).argmax(-1)[:, 1:] == ids[:, 2:]
    assert right.mean() > 0.99
    model.save(tmp_path / "gpt.safetensors")
    again = lm.models.load_model(tmp_path / "gpt.safetensors")
    np.testing.assert_array_equal(again.predict(ids[:4, :9], verbose=0), model.predict(ids[:4, :9], verbose=0))
