"""What a plan says of itself: operations against hand formulas, memory, times, the graph, the picture."""

import re

import numpy as np
import pytest

import lamina as lm
from lamina import _core
from lamina.plan import Plan
from lamina.plan.profile import machine_peaks


def plan_of(f, *args):
    step = lm.function(f)
    step(*args)
    return step.plans[0]


def flops(f, *args):
    return {launch.op: launch.flops for launch in plan_of(f, *args).launches}


def tensor(*shape, seed=0):
    return lm.convert_to_tensor(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


@pytest.mark.parametrize(
    "op, f, shapes, expected",
    [
        ("matmul", lm.ops.matmul, [(7, 5), (5, 3)], 2 * 7 * 5 * 3),
        ("matmul", lm.ops.matmul, [(4, 7, 5), (5, 3)], 2 * 4 * 7 * 5 * 3),
        ("matmul", lm.ops.matmul, [(4, 7, 5), (4, 5, 3)], 2 * 4 * 7 * 5 * 3),
        ("conv2d", lm.ops.conv, [(2, 9, 8, 3), (3, 2, 3, 5)], 2 * (2 * 7 * 7 * 5) * (3 * 2 * 3)),
        ("max_pool2d", lambda x: lm.ops.max_pool(x, 2), [(2, 8, 8, 3)], 2 * 4 * 4 * 3 * 4),
        ("average_pool2d", lambda x: lm.ops.average_pool(x, 4), [(2, 8, 8, 3)], 2 * 2 * 2 * 3 * 16),
        ("sum", lambda x: lm.ops.sum(x, 1), [(6, 11)], 66),
        ("mean", lambda x: lm.ops.mean(x, 1), [(6, 11)], 66 + 6),
        ("argmax", lambda x: lm.ops.argmax(x, 1), [(6, 11)], 66),
        ("softmax", lm.ops.softmax, [(6, 11)], 5 * 66),
        ("tanh", lm.ops.tanh, [(6, 11)], 66),
        ("add", lambda x, y: x + y, [(6, 11), (11,)], 66),
        ("concatenate", lambda x, y: lm.ops.concatenate([x, y]), [(6, 3), (5, 3)], 0),
        ("copy", lambda x: lm.ops.reshape(lm.ops.transpose(x), (-1,)), [(6, 11)], 0),
    ],
)
def test_operations_by_hand(op, f, shapes, expected):
    assert flops(f, *[tensor(*shape) for shape in shapes])[op] == expected


def test_operands_that_are_broadcast_or_named_twice_count_once():
    x, row = tensor(64, 16), tensor(16)
    (launch,) = plan_of(lambda a, b: a + b, x, row).launches
    assert launch.bytes == (64 * 16 + 16 + 64 * 16) * 4
    (launch,) = plan_of(lambda a: a * a, x).launches
    assert launch.bytes == 2 * 64 * 16 * 4


def test_launches_and_buffers_name_each_other():
    plan = plan_of(lambda x: lm.ops.sum(lm.ops.matmul(x, x) * 2.0), tensor(32, 32))
    assert [launch.op for launch in plan.launches] == ["matmul", "multiply", "sum"]
    product, scaled, total = plan.launches
    assert set(product.writes) <= set(scaled.reads) and set(scaled.writes) <= set(total.reads)
    assert plan.buffers[product.reads[0]].role == "input" and plan.buffers[total.writes[0]].role == "output"
    assert plan.buffers[product.writes[0]].offset is not None and plan.buffers[total.writes[0]].offset is None
    assert plan.inputs == [((32, 32), "float32")]
    assert "launches=3" in repr(plan)


def test_memory_adds_up():
    weight = lm.Variable(np.ones((50, 50), np.float32))
    plan = plan_of(lambda x: lm.ops.tanh(lm.ops.matmul(x, weight)) + 1.0, tensor(100, 50))
    memory = plan.memory()
    assert list(memory) == ["state", "constants", "kept", "inputs", "outputs", "arena", "peak"]
    assert memory["peak"] == sum(size for name, size in memory.items() if name != "peak")
    assert memory["state"] >= 50 * 50 * 4 and memory["inputs"] >= 100 * 50 * 4 and memory["outputs"] >= 100 * 50 * 4
    assert memory["arena"] >= 100 * 50 * 4


def test_times_and_floors():
    x = tensor(64, 64)
    plan = plan_of(lambda a: lm.ops.sum(lm.ops.matmul(a, a)), x)
    profile = plan.profile([x], repeats=3)
    peaks = machine_peaks()
    assert len(profile) == 2 and [row.op for row in profile] == ["matmul", "sum"]
    for row, launch in zip(profile, plan.launches):
        assert row.seconds > 0 and row.flops == launch.flops and row.bytes == launch.bytes
        assert row.floor == max(row.flops / peaks.flops_per_second, row.bytes / peaks.bytes_per_second)
        assert row.reached == pytest.approx(row.floor / row.seconds)
        assert row.gflops == pytest.approx(row.flops / row.seconds / 1e9)
    assert sum(row.share for row in profile) == pytest.approx(1)
    assert profile.total.seconds == pytest.approx(sum(row.seconds for row in profile))
    assert profile.plan is plan and profile.threads == lm.get_num_threads()


def test_peaks_are_measured_once_for_a_number_of_threads(threads):
    before = _core.allocator_stats()
    for n in (1, 2):
        threads(n)
        first = machine_peaks()
        assert first is machine_peaks()
        assert 1e9 < first.flops_per_second < 1e14 and 1e8 < first.bytes_per_second < 1e13
    assert _core.allocator_stats() == before


def test_profiling_leaves_state_as_it_was():
    counter, seen = lm.Variable(3.0), lm.Variable(np.zeros(4, np.float32))

    def step(x):
        counter.assign(counter + 1.0)
        seen.assign(seen + x)

    x = lm.ops.ones((4,))
    plan = plan_of(step, x)
    before = counter.numpy().tobytes(), seen.numpy().tobytes()
    plan.profile([x], repeats=5)
    assert (counter.numpy().tobytes(), seen.numpy().tobytes()) == before


@pytest.mark.parametrize(
    "inputs, repeats, message",
    [
        ([np.zeros((3, 4), np.float32)], 5, r"\[profile\].*\(2, 4\).*Received:.*\(3, 4\)"),
        ([np.zeros((2, 4), np.int32)], 5, r"\[profile\].*Received:.*int32"),
        ([], 5, r"\[profile\].*Received: \[\]"),
        ([np.zeros((2, 4), np.float32)], 0, r"\[profile\] repeats.*Received: repeats=0"),
        ([np.zeros((2, 4), np.float32)], 2.5, r"\[profile\] repeats.*Received: repeats=2.5"),
    ],
)
def test_errors(inputs, repeats, message):
    plan = plan_of(lambda x: x * 2.0, tensor(2, 4))
    with pytest.raises(ValueError, match=message):
        plan.profile(inputs, repeats)


def test_the_core_checks_inputs_too():
    plan = plan_of(lambda x: x * 2.0, tensor(2, 4))
    with pytest.raises(ValueError, match=r"\[profile\] the tensors do not fit"):
        plan._core.profile([tensor(3, 4)._core], 3)
    with pytest.raises(ValueError, match=r"\[profile\] repeats.*repeats=0"):
        plan._core.profile([tensor(2, 4)._core], 0)


def check_dot(text, plan):
    """Braces and quotes balance, every statement is a node, an edge or an attribute, every launch is one node."""
    assert text.startswith("digraph plan {") and text.rstrip().endswith("}")
    bare = re.sub(r'"(?:[^"\\]|\\.)*"', '""', text)
    assert bare.count("{") == bare.count("}") == 1 + bare.count("subgraph")
    statement = re.compile(
        r"(digraph plan|subgraph cluster_\d+) \{|\}|(graph|node|edge) \[.*\];|label=\"\";"
        r"|(launch|buffer)_\d+( -> (launch|buffer)_\d+)?( \[[^\[\]]*\])?;"
    )
    lines = [line.strip() for line in bare.splitlines() if line.strip()]
    assert [line for line in lines if not statement.fullmatch(line)] == []
    nodes = re.findall(r"^\s*launch_(\d+) \[", text, re.MULTILINE)
    assert sorted(map(int, nodes)) == list(range(len(plan.launches)))
    defined = set(re.findall(r"^\s*((?:launch|buffer)_\d+) \[", text, re.MULTILINE))
    ends = {end for edge in re.findall(r"(\w+) -> (\w+)", bare) for end in edge}
    assert ends <= defined


def test_graph():
    weight = lm.Variable(np.ones((4, 4), np.float32), name='odd "name" {')

    def step(x):
        y = lm.ops.tanh(lm.ops.matmul(x, weight))
        weight.assign(weight + lm.ops.matmul(lm.ops.transpose(y), y))
        return y

    plan = plan_of(step, tensor(8, 4))
    check_dot(plan.to_dot(), plan)
    assert "input" in plan.to_dot() and "state" in plan.to_dot() and "output" in plan.to_dot()


def test_a_plan_without_launches():
    plan = plan_of(lambda x: x, tensor(2))
    assert isinstance(plan, Plan) and plan.launches == [] and len(plan.profile([tensor(2)])) == 0
    check_dot(plan.to_dot(), plan)


def test_picture(tmp_path):
    pytest.importorskip("matplotlib", reason="pictures need the extra lamina[viz]")
    x = tensor(256, 64)
    plan = plan_of(lambda a: lm.ops.sum(lm.ops.softmax(lm.ops.matmul(lm.ops.tanh(a), lm.ops.transpose(a)))), x)
    plan.draw(tmp_path / "plan.png")
    plan.profile([x], repeats=1).draw(tmp_path / "times.png")
    for name in ("plan.png", "times.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_rectangles_of_the_picture_do_not_overlap():
    from lamina.plan.picture import _rectangles

    x = tensor(64, 64)

    def step(a):
        b = lm.ops.tanh(a)
        c = lm.ops.matmul(a, b)
        return lm.ops.sum(lm.ops.matmul(c, b) + lm.ops.mean(c, 0))

    plan = plan_of(step, x)
    boxes = list(_rectangles(plan))
    assert len(boxes) >= 3
    for i, (begin, end, offset, nbytes, _, _) in enumerate(boxes):
        assert 0 <= begin < end <= len(plan.launches) and offset + nbytes <= plan.memory()["arena"]
        for other in boxes[:i]:
            apart = other[1] <= begin or end <= other[0]
            assert apart or other[2] + other[3] <= offset or offset + nbytes <= other[2]
