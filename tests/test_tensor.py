"""Tensors as NumPy's neighbours: exchange, layouts, dtypes, copies."""

import copy
import gc
import pickle

import numpy as np
import pytest

import lamina as lm


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8", "int32", "int64", "float16", "float32", "float64"])
def test_arrays_keep_their_dtype_and_come_back(dtype):
    a = np.arange(6).reshape(2, 3).astype(dtype)
    t = lm.convert_to_tensor(a)
    assert (t.dtype, t.shape, t.ndim, t.size, t.nbytes) == (dtype, (2, 3), 2, 6, a.nbytes)
    np.testing.assert_array_equal(t.numpy(), a)
    assert t.numpy().dtype == a.dtype


@pytest.mark.parametrize(
    "view",
    [
        lambda a: a[::-1, ::2],
        lambda a: a.T,
        lambda a: a.astype(">f4"),
        lambda a: np.broadcast_to(a[:1], (3, 4)),
        lambda a: a[:0],
        lambda a: a[1, 1],
        lambda a: np.asfortranarray(a),
    ],
    ids=["negative strides", "transposed", "big-endian", "broadcast", "zero-size", "scalar", "fortran"],
)
def test_any_layout_converts(view):
    a = view(np.arange(16, dtype="float32").reshape(4, 4))
    np.testing.assert_array_equal(lm.convert_to_tensor(a).numpy(), a)


def test_read_only_and_misaligned_arrays_convert():
    a = np.arange(4.0)
    a.setflags(write=False)
    np.testing.assert_array_equal(lm.convert_to_tensor(a).numpy(), a)
    packed = np.frombuffer(b"\x00" + np.arange(3, dtype="float32").tobytes(), dtype="float32", offset=1)
    np.testing.assert_array_equal(lm.convert_to_tensor(packed).numpy(), [0, 1, 2])
    fields = np.zeros(3, dtype=[("a", "u1"), ("b", "<f4")])
    np.testing.assert_array_equal(lm.convert_to_tensor(fields["b"]).numpy(), [0, 0, 0])


def test_conversion_copies_and_numpy_is_a_read_only_view():
    a = np.zeros(3)
    t = lm.convert_to_tensor(a)
    a[0] = 5
    assert float(t[0]) == 0
    view = t.numpy()
    with pytest.raises(ValueError):
        view[0] = 1
    del t
    gc.collect()
    assert view.sum() == 0  # the view keeps the memory


def test_python_values():
    assert lm.convert_to_tensor(1).dtype == "int32"
    assert lm.convert_to_tensor([1.0, 2]).dtype == "float32"
    assert lm.convert_to_tensor(True).dtype == "bool"
    assert lm.convert_to_tensor(2**40).dtype == "int64"
    assert lm.convert_to_tensor([]).shape == (0,)
    assert lm.convert_to_tensor(np.int16([1])).dtype == "int32"
    assert lm.convert_to_tensor([1, 2], dtype="float64").dtype == "float64"
    assert lm.convert_to_tensor([1, 2], dtype=np.float32).dtype == "float32"


@pytest.mark.parametrize(
    "value, error, message",
    [
        (["a"], TypeError, r"\[convert_to_tensor\] needs numbers"),
        (1 + 2j, TypeError, r"\[convert_to_tensor\] needs numbers.*complex"),
        (None, TypeError, r"\[convert_to_tensor\] needs numbers.*NoneType"),
        ([[1], [2, 3]], ValueError, r"\[convert_to_tensor\] rows must have equal lengths"),
        (np.zeros((1,) * 9), ValueError, r"\[shape\] a tensor has at most 8 axes"),
    ],
)
def test_what_is_no_number_is_refused(value, error, message):
    with pytest.raises(error, match=message):
        lm.convert_to_tensor(value)


def test_from_numpy_borrows():
    a = np.arange(6.0).reshape(2, 3)
    t = lm.from_numpy(a[:, ::-1])
    a[0, 0] = 9
    assert float(t[0, 2]) == 9
    a.setflags(write=False)
    borrowed = lm.from_numpy(a)
    with pytest.raises(ValueError, match=r"read-only"):
        lm._core.assign(borrowed._core, lm.ops.zeros((2, 3))._core)
    with pytest.raises(TypeError, match=r"\[from_numpy\] needs a NumPy array"):
        lm.from_numpy([1.0])


def test_numpy_operands_give_tensors():
    t = lm.convert_to_tensor([1.0, 2.0])
    for y in (np.float32(2) * t, np.ones(2, "float32") + t, t * np.ones(2, "float32"), 2 - t, t**2, -t, abs(t)):
        assert isinstance(y, lm.Tensor)
    assert (np.float32(2) * t).dtype == "float32"
    np.testing.assert_allclose(np.exp(t), np.exp([1, 2]), rtol=1e-6)
    assert (t == t).numpy().all() and len({t, t}) == 1


def test_promotion_follows_keras():
    get = lambda a, b: lm.ops.add(lm.ops.ones((), dtype=a), lm.ops.ones((), dtype=b)).dtype  # noqa: E731
    assert get("int32", "float32") == "float32"
    assert get("int64", "float32") == "float32"
    assert get("float32", "float64") == "float64"
    assert get("uint8", "int8") == "int32"
    assert get("bool", "int8") == "int8"
    t = lm.ops.ones((2,), dtype="int32")
    assert (t + 1).dtype == "int32" and (t + 1.5).dtype == "float32" and (t / 2).dtype == "float32"
    assert (lm.ops.ones((2,), dtype="float64") + 1.5).dtype == "float64"


def test_scalars_index_bool_and_iteration():
    t = lm.convert_to_tensor([3, 4])
    assert [int(x) for x in t] == [3, 4] and list(range(10))[t[0]] == 3 and len(t) == 2
    assert bool(t[0] == 3) and float(lm.convert_to_tensor(2.5)) == 2.5 and f"{lm.convert_to_tensor(2.5):.1f}" == "2.5"
    with pytest.raises(TypeError, match=r"\[item\] only a tensor of one element"):
        bool(t)
    with pytest.raises(TypeError, match=r"\[len\]"):
        len(t[0])


def test_copies_and_pickles_are_equal_and_apart():
    v = lm.Variable([1.0, 2.0], name="w")
    t = lm.convert_to_tensor(np.arange(3))
    for clone in (copy.deepcopy(v), copy.copy(v), pickle.loads(pickle.dumps(v))):
        assert clone.name == "w" and clone.trainable and clone.requires_grad
        np.testing.assert_array_equal(clone.numpy(), v.numpy())
        clone.assign([0.0, 0.0])
        assert v.numpy().tolist() == [1, 2]
    for clone in (copy.deepcopy(t), copy.copy(t), pickle.loads(pickle.dumps(t))):
        np.testing.assert_array_equal(clone.numpy(), t.numpy())


def test_variables_write_in_place():
    v = lm.Variable(np.zeros((2, 3), "float32"))
    address = v._core.address
    v.assign(np.ones((2, 3)))
    v.assign_add(1.0)
    v.assign_sub(np.float64(0.5))
    assert v._core.address == address and v.numpy().sum() == 9 and v.dtype == "float32"
    with pytest.raises(ValueError, match=r"assign needs a value of the variable's shape.*\(3,\).*\(2, 3\)"):
        v.assign(np.ones(3))
    before = v.numpy()
    v.assign_add(1.0)
    assert before.sum() == 9  # numpy() of a variable is a copy


def test_dlpack_goes_both_ways():
    t = lm.convert_to_tensor([1.0, 2.0])
    np.testing.assert_array_equal(np.from_dlpack(t), [1, 2])
    np.testing.assert_array_equal(lm.from_dlpack(np.arange(3)).numpy(), [0, 1, 2])


def test_half_types_are_storage():
    t = lm.ops.cast(lm.convert_to_tensor([1.0, 1e-3]), "bfloat16")
    assert t.dtype == "bfloat16" and t.nbytes == 4
    with pytest.raises(TypeError, match=r"bfloat16"):
        t.numpy()
    with pytest.raises(TypeError, match=r"\[exp\].*bfloat16.*cast"):
        lm.ops.exp(t)
    np.testing.assert_allclose(lm.ops.cast(t, "float32").numpy(), [1, 1e-3], rtol=4e-3)
    every = np.arange(65536, dtype=np.uint16).view(np.float16)
    wide = lm.ops.cast(lm.convert_to_tensor(every), "float32")
    np.testing.assert_array_equal(wide.numpy(), every.astype(np.float32))
    np.testing.assert_array_equal(lm.ops.cast(wide, "float16").numpy(), every)


def test_float16_rounding_is_numpys(rng):
    a = np.concatenate([rng.standard_normal(10000) * 10.0 ** rng.integers(-9, 6, 10000), [65519.9, 65520, 1e-8, -0.0]])
    a = a.astype(np.float32)
    with np.errstate(over="ignore"):
        want = a.astype(np.float16)
    np.testing.assert_array_equal(lm.ops.cast(lm.convert_to_tensor(a), "float16").numpy(), want)


def test_casts_to_integers_truncate_and_saturate():
    x = lm.convert_to_tensor([1.9, -1.9, 300.0, -300.0, np.nan, np.inf, -np.inf, 3e9])
    assert lm.ops.cast(x, "int8").numpy().tolist() == [1, -1, 127, -128, 0, 127, -128, 127]
    assert lm.ops.cast(x, "uint8").numpy().tolist() == [1, 0, 255, 0, 0, 255, 0, 255]
    assert lm.ops.cast(x, "int32").numpy().tolist()[5:] == [2**31 - 1, -(2**31), 2**31 - 1]


def test_symbolic_tensors_have_shapes_but_no_values():
    s = lm.Tensor(lm._core.symbolic((None, 3), "float32"))
    assert (s + 1.0).shape == (None, 3) and lm.ops.sum(s, axis=1).shape == (None,)
    assert "symbolic" in repr(s)
    with pytest.raises(ValueError, match=r"\[numpy\] a symbolic tensor"):
        s.numpy()


def test_integer_arithmetic_wraps_and_divides_like_numpy():
    a = np.array([-7, 7, -(2**31), 2**31 - 1, 5], "int32")
    b = np.array([2, -2, -1, 1, 0], "int32")
    ta, tb = lm.convert_to_tensor(a), lm.convert_to_tensor(b)
    with np.errstate(all="ignore"):
        for op in ("add", "subtract", "multiply", "floor_divide", "mod", "maximum", "minimum"):
            np.testing.assert_array_equal(getattr(lm.ops, op)(ta, tb).numpy(), getattr(np, op)(a, b), err_msg=op)
        np.testing.assert_array_equal(lm.ops.abs(ta).numpy(), np.abs(a))
        np.testing.assert_array_equal((-ta).numpy(), -a)


def test_nan_and_infinity_propagate():
    x = lm.convert_to_tensor([np.nan, np.inf, -np.inf, -0.0])
    np.testing.assert_array_equal(lm.ops.relu(x).numpy(), [np.nan, np.inf, 0, 0])
    np.testing.assert_array_equal(lm.ops.maximum(x, 0.0).numpy(), [np.nan, np.inf, 0, 0])
    np.testing.assert_array_equal(lm.ops.exp(x).numpy(), [np.nan, np.inf, 0, 1])
    np.testing.assert_array_equal(lm.ops.tanh(x).numpy(), [np.nan, 1, -1, -0.0])
