"""The picture of a plan's memory, with matplotlib (`pip install "lamina[viz]"`)."""

from __future__ import annotations

from .dot import size


def _rectangles(plan):
    """(first launch, launch after the last, offset, bytes, layer, whether scratch) of every block of the arena."""
    first_of: list[int] = []  # launch that begins each group
    for k, launch in enumerate(plan.launches):
        if launch.group == len(first_of):
            first_of.append(k)
    first_of.append(len(plan.launches))
    for first, last, offset, nbytes in plan._core.blocks:
        begin, end = first_of[first], first_of[last + 1]
        owner, scratch = begin, True
        for k in range(begin, first_of[first + 1]):
            if any(plan.buffers[b].offset == offset for b in plan.launches[k].writes):
                owner, scratch = k, False
                break
        if scratch:
            owner = next(k for k in range(begin, end) if plan.launches[k].scratch_bytes == nbytes)
        yield begin, end, offset, nbytes, plan.launches[owner].layer, scratch


def draw(plan, profile=None):
    """A figure; see `Plan.draw`."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch, Rectangle

    launches = plan.launches
    layers = list(dict.fromkeys(launch.layer for launch in launches))
    color = _colors(layers)
    prefix = _common_prefix(layers)

    width = min(max(0.24 * len(launches) + 3.5, 8), 40)
    figure = Figure(figsize=(width, 8), layout="constrained")
    memory, costs = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))

    arena = plan.memory()["arena"]
    unit, name = (1 << 20, "MB") if arena >= 1 << 20 else (1 << 10, "KB")
    for begin, end, offset, nbytes, layer, scratch in _rectangles(plan):
        memory.add_patch(
            Rectangle(
                (begin, offset / unit),
                end - begin,
                nbytes / unit,
                facecolor=color[layer],
                edgecolor="black",
                linewidth=0.4,
                hatch="////" if scratch else None,
            )
        )
    memory.set(ylabel=f"offset in the arena, {name}", ylim=(0, max(arena / unit, 1e-3) * 1.02))
    memory.set_title(f"{len(launches)} launches, arena of {size(arena)}, {size(plan.memory()['peak'])} in all")
    memory.grid(axis="y", alpha=0.3)

    values, label = _costs(plan, profile)
    at = [k + 0.5 for k in range(len(launches))]
    costs.bar(at, values, width=0.9, color=[color[launch.layer] for launch in launches])
    costs.set(ylabel=label, xlim=(0, max(len(launches), 1)))
    small = 8 if len(launches) <= 150 else 5
    costs.set_xticks(
        at, [f"{_short(launch.op)}  {k}" for k, launch in enumerate(launches)], rotation=90, fontsize=small
    )
    costs.tick_params(axis="x", length=0)
    costs.grid(axis="y", alpha=0.3)

    names = dict.fromkeys(layer.removesuffix(" gradient") for layer in layers)
    handles = [
        Patch(facecolor=color.get(name) or color[f"{name} gradient"], label=name.removeprefix(prefix) or "(step)")
        for name in names
    ]
    handles.append(Patch(facecolor="white", edgecolor="black", hatch="////", label="working memory"))
    title = "layer (light: its gradient)"
    figure.legend(handles=handles, loc="outside right upper", fontsize=8, title=title, ncols=-(-len(handles) // 40))
    return figure


def _colors(layers):
    """A color for each layer; its gradient has a lighter one."""
    from matplotlib import colormaps

    plain, b = colormaps["tab20"].colors, colormaps["tab20b"].colors
    pairs = [(plain[i], plain[i + 1]) for i in range(0, 20, 2)]
    pairs += [(b[i + k], b[i + k + 2]) for k in range(2) for i in range(0, 20, 4)]
    names = list(dict.fromkeys(layer.removesuffix(" gradient") for layer in layers))
    return {
        layer: pairs[names.index(layer.removesuffix(" gradient")) % len(pairs)][layer.endswith(" gradient")]
        for layer in layers
    }


def _short(op, width=22):
    return op if len(op) <= width else op[: width - 3] + "..."


def _costs(plan, profile):
    """A number for each launch, and what it is."""
    if profile is not None:
        return [row.share * 100 for row in profile.rows], "share of time, %"
    flops = [launch.flops for launch in plan.launches]
    return [100 * f / max(sum(flops), 1) for f in flops], "share of operations, %"


def _common_prefix(layers):
    """The model's own name with its slash, where all paths begin with it."""
    names = {layer.split("/")[0] for layer in layers if "/" in layer}
    return f"{names.pop()}/" if len(names) == 1 else ""
