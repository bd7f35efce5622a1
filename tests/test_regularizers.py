import numpy as np
import pytest

import lamina as lm
from lamina import regularizers

X = np.array([[1.0, -2.0], [0.0, 4.0]])


@pytest.mark.parametrize(
    "regularizer, expected",
    [
        (regularizers.L1(0.5), 3.5),
        (regularizers.L2(0.5), 10.5),
        (regularizers.L1L2(0.5, 0.5), 14.0),
        (regularizers.L1L2(0.5), 3.5),
        (regularizers.L1L2(l2=0.5), 10.5),
        (regularizers.L1L2(), 0.0),
    ],
)
def test_values_and_gradients(regularizer, expected):
    assert float(regularizer(lm.convert_to_tensor(X))) == expected
    lm.check_gradients(regularizer, X + 0.5)


@pytest.mark.parametrize("regularizer", [regularizers.L1(0.3), regularizers.L2(0.2), regularizers.L1L2(0.1, 0.2)])
def test_config_round_trip(regularizer):
    again = regularizers.deserialize(regularizers.serialize(regularizer))
    assert type(again) is type(regularizer) and again.get_config() == regularizer.get_config()


@pytest.mark.parametrize("name, cls", [("l1", "L1"), ("L2", "L2"), ("l1_l2", "L1L2"), ("l1l2", "L1L2")])
def test_names(name, cls):
    assert type(regularizers.get(name)).__name__ == cls


def test_a_users_function():
    f = lambda w: lm.ops.sum(w)  # noqa: E731
    assert regularizers.get(f) is f


@pytest.mark.parametrize("factor", [-1.0, float("nan"), float("inf"), "much"])
def test_bad_factor(factor):
    with pytest.raises(ValueError, match=r"\[L2\] a factor is a finite number >= 0. Received: l2="):
        regularizers.L2(factor)


def test_unknown_name():
    with pytest.raises(ValueError, match=r"\[regularizer\] is unknown; expected one of 'l1', 'l1_l2'"):
        regularizers.get("ridge")
