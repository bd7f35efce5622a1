"""What must hold wherever a plan puts its intermediates."""


def lives(plan):
    """First and last launch that touches each buffer."""
    found = {}
    for k, launch in enumerate(plan.launches):
        for buffer in (*launch.reads, *launch.writes):
            found[buffer] = (found.get(buffer, (k, k))[0], k)
    return found


def check_placement(plan):
    """Buffers and scratch that are needed at the same time lie apart, within an arena no larger than all together.

    Launches of one group run item range by item range, so that all of a group happens at the same time, but for
    a result that takes the place of an operand that dies in its launch.
    """
    group = [launch.group for launch in plan.launches]
    movable = [
        (i, b, *life) for i, life in lives(plan).items() if (b := plan.buffers[i]).role == "intermediate" and b.bytes
    ]
    for n, (i, a, a_first, a_last) in enumerate(movable):
        for j, b, b_first, b_last in movable[:n]:
            if a.offset >= b.offset + b.bytes or b.offset >= a.offset + a.bytes:
                continue
            apart = group[a_last] < group[b_first] or group[b_last] < group[a_first]
            handed_on = (a.offset, a.bytes) == (b.offset, b.bytes) and (a_last == b_first or b_last == a_first)
            through = (a.offset, a.bytes) == (b.offset, b.bytes) and chain(plan, movable, a, group)
            assert apart or handed_on or through, f"buffers {i} and {j} overlap"
    blocks = [block for block in plan._core.blocks if block[3]]
    for n, (first, last, offset, size) in enumerate(blocks):
        assert offset % 64 == 0 and offset + size <= plan._core.memory["arena"]
        for other_first, other_last, other, other_size in blocks[:n]:
            if first <= other_last and other_first <= last:
                assert offset >= other + other_size or other >= offset + size
    padded = [(first, last, -(-size // 64) * 64) for first, last, _, size in blocks]
    arena = max((offset + -(-size // 64) * 64 for _, _, offset, size in blocks), default=0)
    assert arena <= sum(size for _, _, size in padded)
    at_once = [sum(s for first, last, s in padded if first <= g <= last) for g in set(group)]
    assert arena >= max(at_once, default=0)
    return arena


def chain(plan, movable, a, group):
    """Whether the buffers in a's place follow one another, each born in the launch in which the one before dies."""
    line = sorted((first, last) for _, b, first, last in movable if (b.offset, b.bytes) == (a.offset, a.bytes))
    return all(x[1] <= y[0] or group[x[1]] < group[y[0]] for x, y in zip(line, line[1:]))
