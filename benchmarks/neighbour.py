"""What a busy neighbour costs: `python -m benchmarks.neighbour --workloads lenet cnn000`.

The mean time of a training step on all the CPUs that the threads are bound to, alone and while another process keeps
the last of those CPUs busy, in turn, in one process for each side and net. With two threads, a fair share of the
machine would cost 1.33 times.
"""

import argparse
import datetime
import importlib
import json
import os
import signal
import statistics
import subprocess
import sys
import time

from benchmarks import runner, worker, workloads

SPIN = "import os\nos.sched_setaffinity(0, [{cpu}])\nwhile True:\n    pass"


def mean_step(step, seconds):
    """Seconds of a step, over about so many seconds after an uncounted tenth."""
    clock = time.perf_counter
    start = clock()
    while clock() - start < seconds / 10:
        step()
    steps, start = 0, clock()
    while clock() - start < seconds:
        step()
        steps += 1
    return (clock() - start) / steps


def child(label, name, threads, rounds, seconds):
    """Prints {"alone": [seconds of a step in each round], "beside": the same with the neighbour}."""
    cpus = runner.first_cpus(threads)
    os.sched_setaffinity(0, cpus)
    side_name, variant = label.split("/")
    side = importlib.import_module(worker.SIDES[side_name][0])
    side.set_threads(threads)
    layout = {"variant": variant} if side_name == "pytorch" else {}
    tensors, train_step = side.tensors(*workloads.data(name), **layout), side.trainer(name, variant)

    def step():
        float(train_step(*tensors))

    neighbour = subprocess.Popen([sys.executable, "-c", SPIN.format(cpu=cpus[-1])])
    found = {"alone": [], "beside": []}
    try:
        for _ in range(rounds):
            for state, sent in (("alone", signal.SIGSTOP), ("beside", signal.SIGCONT)):
                neighbour.send_signal(sent)
                time.sleep(0.1)
                found[state].append(mean_step(step, seconds))
    finally:
        neighbour.kill()
        neighbour.wait()
    print(json.dumps(found))


def measure(label, name, args, pythons):
    """Medians over the rounds of one fresh process."""
    python = pythons.get(label.split("/")[0], sys.executable)
    command = [python, "-m", "benchmarks.neighbour", "--child", label, "--workloads", name]
    for option in ("threads", "rounds", "seconds"):
        command += [f"--{option}", str(getattr(args, option))]
    environment = runner.environment(args.threads)
    done = subprocess.run(command, env=environment, cwd=runner.ROOT, check=True, stdout=subprocess.PIPE, text=True)
    found = json.loads(done.stdout.splitlines()[-1])
    ratios = [beside / alone for alone, beside in zip(found["alone"], found["beside"])]
    alone, beside = (statistics.median(found[state]) for state in ("alone", "beside"))
    return {"workload": name, "side": label, "alone": alone, "beside": beside, "ratio": statistics.median(ratios)}


def table(results):
    """Markdown: milliseconds alone and beside the neighbour, and how many times as long a step takes."""
    lines = ["| workload | side | alone, ms | neighbour, ms | times as long |", "|---|---|--:|--:|--:|"]
    for r in results:
        times = f"{1e3 * r['alone']:.3g} | {1e3 * r['beside']:.3g}"
        lines.append(f"| {r['workload']} | {r['side']} | {times} | **{r['ratio']:.2f}** |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.neighbour", description=__doc__.splitlines()[0])
    parser.add_argument("--workloads", nargs="+", choices=workloads.NETS, default=["lenet", "cnn000", "resnet18"])
    parser.add_argument("--sides", nargs="+", default=["lamina/captured", "pytorch/eager"], metavar="SIDE/VARIANT")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.0, help="of a turn")
    parser.add_argument("--python", nargs="+", default=[], metavar="SIDE=PATH", help="interpreter of a side")
    parser.add_argument("--output", help="JSON (default: a new file in benchmarks/results)")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        return child(args.child, args.workloads[0], args.threads, args.rounds, args.seconds)
    pythons, results = dict(item.split("=", 1) for item in args.python), []
    for name in args.workloads:
        for label in args.sides:
            results.append(measure(label, name, args, pythons))
            print(f"{name} {label}: {results[-1]['ratio']:.2f} times as long", file=sys.stderr, flush=True)
    date = datetime.datetime.now().isoformat(timespec="seconds")
    settings = {key: getattr(args, key) for key in ("threads", "rounds", "seconds")}
    document = {"benchmark": "neighbour", "date": date, "machine": runner.machine(), "settings": settings}
    output = runner.write("neighbour", document | {"results": results}, args.output)
    print(table(results))
    print(f"\nwritten: {os.path.relpath(output)}", file=sys.stderr)


if __name__ == "__main__":
    main()
