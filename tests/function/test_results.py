"""Results have storage of their own; arguments are read where they are, whatever memory they share."""

import gc

import numpy as np
import pytest

import lamina as lm
from lamina import ops


def x32(*values):
    return lm.convert_to_tensor(np.array(values, "float32"))


def test_results_keep_their_values_and_views():
    f = lm.function(lambda x: [x * 2.0, ops.transpose(ops.reshape(x * 3.0, (2, 2)))[0], x + 1.0])
    held, views, wanted = [], [], []
    for i in range(6):
        x = x32(*range(i, i + 4))
        held.append(f(x))
        views.append([t.numpy() for t in held[-1]])
        wanted.append([v.copy() for v in views[-1]])
    for tensors, arrays, want in zip(held, views, wanted):
        for t, a, w in zip(tensors, arrays, want):
            np.testing.assert_array_equal(a, w)
            np.testing.assert_array_equal(t.numpy(), w)
    del held
    gc.collect()
    for arrays, want in zip(views, wanted):  # a view keeps the memory
        for a, w in zip(arrays, want):
            np.testing.assert_array_equal(a, w)


def test_results_that_are_inputs_variables_views_numbers_or_nothing():
    v = lm.Variable([1.0, 2.0])
    const = lm.convert_to_tensor(7.0)
    obj = object()

    @lm.function
    def f(x, y):
        z = x * y
        results = {"x": x, "half": x[1:], "v": v, "view": v[1:], "none": None, "n": 3, "obj": obj, "const": const}
        made = {"twice": (z, z, z[:1]), "made": ops.ones((2,)), "scalar": lm.convert_to_tensor(2.5), "empty": []}
        return results | made

    for i in range(4):
        x, y = x32(i, i + 1), x32(3.0, 4.0)
        r = f(x, y)
        v.assign_add([1.0, 1.0])
        assert r["v"] is v and r["obj"] is obj and r["none"] is None and r["n"] == 3 and r["empty"] == []
        assert r["x"].numpy().tolist() == [i, i + 1] and r["half"].numpy().tolist() == [i + 1]
        assert r["view"].numpy().tolist() == [2 + i + 1]  # the variable's own memory, as in Python
        assert r["const"].numpy() == 7 and r["made"].numpy().tolist() == [1, 1] and r["scalar"].numpy() == 2.5
        assert [t.numpy().tolist() for t in r["twice"]] == [[3 * i, 4 * i + 4], [3 * i, 4 * i + 4], [3 * i]]
        x = r["x"]  # passed back in
        assert f(x, x)["twice"][0].numpy().tolist() == [i * i, (i + 1) ** 2]
    nothing = lm.function(lambda x: None)
    assert nothing(x32(1.0)) is None and nothing(x32(1.0)) is None
    assert len(nothing.plans[0].launches) == 0


def test_an_input_that_was_returned_outlives_its_array():
    f = lm.function(lambda x: (x, x + 1.0))
    results = []
    for i in range(5):
        array = np.full(20000, i, "float32")
        results.append(f(array))
        del array
    gc.collect()
    for i, (x, y) in enumerate(results):
        assert (x.numpy() == i).all() and (y.numpy() == i + 1).all()


def test_the_same_tensor_twice_and_overlapping_views():
    f = lm.function(lambda a, b: (a * 2.0 + b, a - b))
    x = x32(*range(6))
    for a, b in ((x, x), (x[:4], x[2:]), (x[:4], x[:4])):
        for _ in range(3):
            got, want = f(a, b), f.python_function(a, b)
            assert [t.numpy().tolist() for t in got] == [t.numpy().tolist() for t in want]


@pytest.mark.parametrize("how", ["detach", "slice", "numpy", "numpy_slice", "reversed"])
def test_memory_that_the_step_writes_as_an_argument(how):
    """Where an argument lies in a variable that the step writes, Python's order of reads and writes holds."""
    views = {
        "detach": lambda v: v.detach(),
        "slice": lambda v: v.detach()[2:6],
        "numpy": lambda v: v.detach().numpy(),
        "numpy_slice": lambda v: v.detach().numpy()[2:6],
        "reversed": lambda v: v.detach()[::-1][:4],
    }

    def make():
        v = lm.Variable(np.arange(8, dtype="float32"))

        def step(x):
            before = ops.multiply(x, 1.0)
            v.assign_add(ops.ones((8,)))
            after = ops.multiply(x, 1.0)
            v.assign(v * 2.0)
            return before, after, ops.add(x, 0.0)

        return v, step

    outcomes = []
    for capture in (False, True):
        v, step = make()
        run = lm.function(step) if capture else step
        got = [[t.numpy().tolist() for t in run(views[how](v))] for _ in range(3)]
        other = lm.convert_to_tensor(np.zeros_like(views[how](v)))
        got += [[t.numpy().tolist() for t in run(x)] for x in (other, views[how](v), other)]
        outcomes.append((got, v.numpy().tolist()))
    assert outcomes[0] == outcomes[1]
