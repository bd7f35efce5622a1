"""A plan as a graph for Graphviz."""

from __future__ import annotations

_SHAPES = {
    "input": "lightblue",
    "state": "lightgrey",
    "constant": "white",
    "kept": "lightyellow",
    "output": "palegreen",
}


def size(nbytes):
    """Bytes for people: 12 B, 3.4 KB, 5.6 MB."""
    return _scaled(nbytes, 1024, ("B", "KB", "MB", "GB"))


def _scaled(number, step, units):
    power = 0
    while number >= step and power + 1 < len(units):
        number, power = number / step, power + 1
    return f"{number:.1f} {units[power]}" if power else f"{number:.0f} {units[0]}"


def _quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def to_dot(plan):
    """See `Plan.to_dot`."""
    lines = [
        "digraph plan {",
        "  graph [ranksep=0.7];",
        *(f'  {kind} [fontname="sans-serif", fontsize=10];' for kind in ("graph", "node", "edge")),
    ]
    layers: dict[str, list[int]] = {}
    for k, launch in enumerate(plan.launches):
        layers.setdefault(launch.layer, []).append(k)
    for number, (layer, members) in enumerate(layers.items()):
        lines.append(f"  subgraph cluster_{number} {{")
        lines.append(f"    label={_quoted(layer or '(step)')};")
        for k in members:
            launch = plan.launches[k]
            label = f"{k}: {launch.op}\n{_scaled(launch.flops, 1000, ('FLOP', 'kFLOP', 'MFLOP', 'GFLOP'))}"
            lines.append(f"    launch_{k} [label={_quoted(label)}, style=rounded, shape=box];")
        lines.append("  }")
    used = {b for launch in plan.launches for b in (*launch.reads, *launch.writes)}
    for b in sorted(used):
        role, nbytes, _ = plan.buffers[b]
        if role != "intermediate":
            label = _quoted(f"{role}\n{size(nbytes)}")
            lines.append(f"  buffer_{b} [label={label}, shape=box, style=filled, fillcolor={_SHAPES[role]}];")
    lines += [f"  {edge};" for edge in _edges(plan)]
    return "\n".join([*lines, "}", ""])


def _edges(plan):
    """A buffer's last writer to its readers; boxes to their first readers, and dashed to their writers."""
    writer: dict[int, int] = {}
    for k, launch in enumerate(plan.launches):
        for b in dict.fromkeys(launch.reads):
            # An xlabel takes no part in the layout: dot 2.43 gives up on large graphs with clusters and edge labels.
            label = _quoted(size(plan.buffers[b].bytes))
            if b in writer:
                yield f"launch_{writer[b]} -> launch_{k} [xlabel={label}]"
            elif plan.buffers[b].role != "intermediate":
                yield f"buffer_{b} -> launch_{k}"
        for b in dict.fromkeys(launch.writes):
            writer[b] = k
            if plan.buffers[b].role == "output":
                yield f"launch_{k} -> buffer_{b}"
            elif plan.buffers[b].role != "intermediate":  # drawn from above, where the box stands for its readers
                yield f"buffer_{b} -> launch_{k} [dir=back, style=dashed]"
