"""The same program in Python and captured: every result and all state must have the same bits."""

import lamina as lm

from ..plan.placement import check_placement


def leaves(tree):
    if isinstance(tree, dict):
        return [leaf for part in tree.values() for leaf in leaves(part)]
    if isinstance(tree, (list, tuple)):
        return [leaf for part in tree for leaf in leaves(part)]
    return [tree]


def bits(tree):
    """Shape, dtype and bytes of every tensor; other values as they are."""
    return [(t.shape, t.dtype, t.numpy().tobytes()) if isinstance(t, lm.Tensor) else t for t in leaves(tree)]


def run(make, calls, capture, seed=3):
    """(bits of each call's result, bits of the state after each call, the function).

    Args:
        make: function that returns (step, function that lists the variables).
        calls: list of argument tuples.
        capture: whether the step is captured.
    """
    lm.utils.set_random_seed(seed)
    step, variables = make()
    function = lm.function(step) if capture else step
    kept, at_once, state = [], [], []
    for args in calls:
        kept.append(function(*args))
        at_once.append(bits(kept[-1]))
        state.append(bits(variables()))
    assert [bits(result) for result in kept] == at_once, "a result changed after it was returned"
    return at_once, state, function


def check_twice(make, calls, plans=1):
    """Compares; returns the captured function.

    Args:
        plans: how many plans the captured function must have made; None for any number.
    """
    results, state, _ = run(make, calls, False)
    captured_results, captured_state, function = run(make, calls, True)
    for i in range(len(calls)):
        assert captured_results[i] == results[i], f"results of call {i} differ"
        assert captured_state[i] == state[i], f"state after call {i} differs"
    if plans is not None:
        assert len(function.plans) == plans
    for plan in function.plans:
        check_placement(plan)
    return function


def groups(function):
    """Numbers of launches in the item-wise groups of a function's plans."""
    counts = []
    for plan in function.plans:
        numbers = [launch.group for launch in plan.launches]
        counts += [n for n in map(numbers.count, set(numbers)) if n > 1]
    return counts
