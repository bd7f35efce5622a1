"""Scores that do not count, and those that are no numbers, in both forms of attention."""

import numpy as np
import pytest

import lamina as lm
from lamina.ops.attention import attention_with_scores, dot_product_attention

FORMS = [dot_product_attention, lambda *args, **kwargs: attention_with_scores(*args, **kwargs)[0]]
RNG = np.random.default_rng(0)
Q, K, V = (RNG.standard_normal((1, 5, 2, 4)).astype("float32") for _ in range(3))
SEEN = np.tril(np.ones((5, 5), bool), -1)  # the first query sees no key


@pytest.mark.parametrize("form", FORMS, ids=["kernel", "composed"])
@pytest.mark.parametrize("zero_unseen", [False, True])
def test_a_bias_of_minus_infinity_is_a_mask(form, zero_unseen):
    results = []
    for given in ({"mask": SEEN}, {"bias": np.where(SEEN, 0, -np.inf).astype("float32")}):
        xs = [lm.convert_to_tensor(x) for x in (Q, K, V)]
        with lm.GradientTape() as tape:
            tape.watch(xs)
            y = form(*xs, zero_unseen=zero_unseen, **given)
            loss = lm.ops.sum(y * y)
        results.append([y.numpy(), *(g.numpy() for g in tape.gradient(loss, xs))])
    for masked, biased in zip(*results):
        np.testing.assert_allclose(biased, masked, rtol=1e-5, atol=1e-6)
    first = 0 * V[:, 0] if zero_unseen else V.mean(1)
    np.testing.assert_allclose(results[0][0][:, 0], first, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("form", FORMS, ids=["kernel", "composed"])
@pytest.mark.parametrize("zero_unseen", [False, True])
@pytest.mark.parametrize("mask", [None, SEEN | np.eye(5, dtype=bool)])
def test_nan_in_a_query_stays(form, zero_unseen, mask):
    query = Q.copy()
    query[0, 3, 1, 2] = np.nan
    with lm.GradientTape() as tape:
        tape.watch(x := lm.convert_to_tensor(query))
        y = form(x, K, V, mask=mask, zero_unseen=zero_unseen)
        loss = lm.ops.sum(y)
    for found in (y.numpy(), tape.gradient(loss, x).numpy()):
        lost = np.isnan(found)
        assert lost[0, 3, 1].all() and lost.sum() == 4


@pytest.mark.parametrize("queries", [1, 3])
@pytest.mark.parametrize("first", [0, 300, 1097])
@pytest.mark.parametrize("window", [None, 200])
def test_few_queries_of_a_long_cache_see_what_they_may(queries, first, window):
    query, key, value = (RNG.standard_normal((1, n, 4, 64)).astype("float32") for n in (queries, 1100, 1100))
    y = dot_product_attention(query, key, value, is_causal=True, sliding_window=window, first=first).numpy()
    place, at = first + np.arange(queries)[:, None], np.arange(1100)
    scores = np.einsum("bthd,bshd->bhts", query, key, dtype=np.float64) / 8
    scores = np.where((at <= place) & (at > place - (window or 2000)), scores, -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    expected = np.einsum("bhts,bshd->bthd", weights / weights.sum(-1, keepdims=True), value)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
