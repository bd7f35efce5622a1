"""Peak memory of training steps, side by side: `python -m benchmarks.peak_memory --workloads lenet mlp`.

Each figure comes from fresh processes, and is what 20 steps need at most beyond the loaded library and data: VmHWM
after them less VmHWM, set back, before the net is made, both of /proc/self/status. "Loaded" means that two small nets
have made two steps on one sample: code that a library imports, maps or makes at first use is no memory of training.
"""

import argparse
import datetime
import importlib
import json
import math
import os
import statistics
import subprocess
import sys

from benchmarks import runner, worker, workloads

WARM_UP = "simplenet", "lenet"  # both optimisers, dense and conv layers


def peak_mb():
    """The highest resident memory of this process so far in MB (10^6 bytes)."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) * 1024 / 1e6


def reset_peak():
    """Sets VmHWM back to what is resident now (Linux, proc(5): 5 written to clear_refs)."""
    with open("/proc/self/clear_refs", "w") as clear:
        clear.write("5")


def train(side, tensors, name, variant, steps):
    train_step = side.trainer(name, variant)
    for _ in range(steps):
        loss = float(train_step(*tensors))
    if not math.isfinite(loss):
        raise ValueError(f"the loss of {name} is not finite.")


def child(label, name, threads, steps):
    """Prints {"base": MB of library and data, "peak": MB beyond}."""
    side_name, variant = label.split("/")
    side = importlib.import_module(worker.SIDES[side_name][0])
    side.set_threads(threads)
    layout = {"variant": variant} if side_name == "pytorch" else {}
    for small in WARM_UP:
        train(side, side.tensors(*workloads.data(small, batch=1), **layout), small, variant, steps=2)
    tensors = side.tensors(*workloads.data(name), **layout)
    reset_peak()
    base = peak_mb()
    train(side, tensors, name, variant, steps)
    print(json.dumps({"base": base, "peak": peak_mb() - base}))


def measure(label, name, args, pythons):
    """Medians over fresh processes."""
    side = label.split("/")[0]
    command = [pythons.get(side, sys.executable), "-m", "benchmarks.peak_memory", "--child", label]
    command += ["--workloads", name, "--threads", str(args.threads), "--steps", str(args.steps)]
    environment = runner.environment(args.threads)
    answers = []
    for _ in range(args.repeats):
        done = subprocess.run(command, env=environment, cwd=runner.ROOT, check=True, stdout=subprocess.PIPE, text=True)
        answers.append(json.loads(done.stdout.splitlines()[-1]))
    peaks = [answer["peak"] for answer in answers]
    return {
        "workload": name,
        "side": label,
        "mb": statistics.median(peaks),
        "min_mb": min(peaks),
        "max_mb": max(peaks),
        "base_mb": statistics.median(answer["base"] for answer in answers),
    }


def table(results, sides):
    """Markdown: megabytes of every side, and the first sides' share of the last one's."""
    found = {(r["workload"], r["side"]): r["mb"] for r in results}
    names = [name for name in dict.fromkeys(r["workload"] for r in results) if (name, sides[-1]) in found]
    shares = [f"{side} / {sides[-1]}" for side in sides[:-1]]
    lines = [f"| workload, MB | {' | '.join(sides + shares)} |", "|---|" + "--:|" * (2 * len(sides) - 1)]
    for name in names:
        mb = [found[name, side] for side in sides]
        cells = [f"{value:.2f}" for value in mb] + [f"**{value / mb[-1]:.2f}**" for value in mb[:-1]]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peak_memory", description=__doc__.splitlines()[0])
    parser.add_argument("--workloads", nargs="+", choices=workloads.NETS, default=list(workloads.NETS))
    parser.add_argument(
        "--sides",
        nargs="+",
        default=["lamina/eager", "lamina/captured", "pytorch/eager"],
        metavar="SIDE/VARIANT",
        help="the last is what the others are held against",
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=3, help="fresh processes for each figure")
    parser.add_argument("--python", nargs="+", default=[], metavar="SIDE=PATH", help="interpreter of a side")
    parser.add_argument("--output", help="JSON (default: a new file in benchmarks/results)")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(args.child, args.workloads[0], args.threads, args.steps)
        return
    pythons, results = dict(item.split("=", 1) for item in args.python), []
    for name in args.workloads:
        for label in args.sides:
            results.append(measure(label, name, args, pythons))
            print(f"{name} {label}: {results[-1]['mb']:.2f} MB", file=sys.stderr, flush=True)
    date = datetime.datetime.now().isoformat(timespec="seconds")
    settings = {"threads": args.threads, "steps": args.steps, "repeats": args.repeats}
    document = {"benchmark": "peak_memory", "date": date, "machine": runner.machine(), "settings": settings}
    output = runner.write("peak_memory", document | {"results": results}, args.output)
    print(table(results, args.sides))
    print(f"\nwritten: {os.path.relpath(output)}", file=sys.stderr)


if __name__ == "__main__":
    main()
