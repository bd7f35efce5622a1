import json

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

import lamina as lm
from lamina.container import DamagedFile, decode, encode
from lamina.tensor_bytes import bytes_of, core_of_bytes

DTYPES = ["bool", "uint8", "int8", "int32", "int64", "float16", "bfloat16", "float32", "float64"]


def tensors():
    rng = np.random.default_rng(0)
    return {
        "a/kernel": lm.convert_to_tensor(rng.standard_normal((3, 4)).astype("float32")),
        "a/bias": lm.convert_to_tensor(np.arange(5)),
        "empty": lm.ops.zeros((0, 2)),
        "scalar": lm.ops.ones(()),
    }


def encoded(config=None):
    return encode({name: t._core for name, t in tensors().items()}, config)


def values(t):
    return lm.ops.cast(t, "float64").numpy()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (0, 4)])
def test_every_type_comes_back(dtype, shape):
    t = lm.ops.cast(lm.convert_to_tensor(np.random.default_rng(1).integers(0, 5, shape) / 2), dtype)
    again = lm.Tensor(core_of_bytes(bytes_of(t)))
    assert (again.dtype, again.shape) == (dtype, shape)
    np.testing.assert_array_equal(values(again), values(t))


def test_strided_tensors_come_back():
    t = lm.ops.transpose(lm.ops.reshape(lm.ops.arange(6.0), (2, 3)))[::-1]
    np.testing.assert_array_equal(lm.Tensor(core_of_bytes(bytes_of(t))).numpy(), t.numpy())


def test_a_symbolic_tensor_has_no_bytes():
    with pytest.raises(ValueError, match=r"\[bytes_of\] a symbolic tensor has a shape"):
        bytes_of(lm.Tensor(lm._core.symbolic((None, 2), "float32")))


def test_tensors_and_config_come_back():
    cores, config = decode(encoded({"x": [1, None, "é"]}), "here")
    assert config == {"x": [1, None, "é"]}
    assert set(cores) == set(tensors())
    for name, t in tensors().items():
        np.testing.assert_array_equal(lm.Tensor(cores[name]).numpy(), t.numpy())


def test_other_tools_can_read_the_file():
    loaded = safetensors.numpy.load(encoded())
    np.testing.assert_array_equal(loaded["a/kernel"], tensors()["a/kernel"].numpy())


def test_a_flipped_bit_names_the_tensor():
    data = bytearray(encoded())
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    start = 8 + int.from_bytes(data[:8], "little") + header["a/kernel"]["data_offsets"][0]
    data[start + 5] ^= 4
    with pytest.raises(
        DamagedFile, match=r"tensor 'a/kernel' is damaged: its checksum differs. Received: m.safetensors"
    ):
        decode(bytes(data), "m.safetensors")


def test_every_flipped_byte_is_refused():
    data = encoded({"name": "model"})
    for position in range(len(data)):
        damaged = bytearray(data)
        damaged[position] ^= 1
        with pytest.raises(DamagedFile, match=r"^\[load\].*here"):
            decode(bytes(damaged), "here")


def test_every_truncation_is_refused():
    data = encoded()
    for length in range(len(data)):
        with pytest.raises(DamagedFile, match=r"^\[load\] the file is damaged, cut short.*here"):
            decode(data[:length], "here")


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_garbage_is_refused(data):
    with pytest.raises(DamagedFile):
        decode(data, "here")


def test_files_of_others_are_refused():
    data = safetensors.numpy.save({"w": np.ones(3, "float32")})
    with pytest.raises(DamagedFile, match="was not written by Lamina"):
        decode(data, "here")
