"""The child process of a side: `python -m benchmarks.worker SIDE THREADS CPUS`, JSON lines in and out.

A side is one or more modules with FACTORIES (kind of case -> factory(variant=, **case) -> step()); the first
also has set_threads(n), versions() (names and versions, "isa" among them), variants(case, also) -> names.
"""

import importlib
import json
import math
import os
import pathlib
import statistics
import sys
import time

SIDES = {
    "lamina": ("benchmarks.models", "benchmarks.ops"),
    "numpy": ("benchmarks.peers.numpy",),
    "pytorch": ("benchmarks.peers.pytorch",),
}
MIN_SAMPLES = 3
SAMPLE_SECONDS = 200e-6  # shorter steps are timed in groups: the clock's own cost stays below 0.1 %


def seconds_per_step(step, ms):
    """(median seconds of one step, steps timed) over about `ms` milliseconds, after an uncounted tenth."""
    clock = time.perf_counter
    steps, start = 0, clock()
    while steps == 0 or clock() - start < ms / 10e3:
        step()
        steps += 1
    group = max(1, math.ceil(SAMPLE_SECONDS * steps / (clock() - start)))
    samples, end = [], clock() + ms / 1e3
    while len(samples) < MIN_SAMPLES or clock() < end:
        start = clock()
        for _ in range(group):
            step()
        samples.append((clock() - start) / group)
    return statistics.median(samples), group * len(samples)


def waited_seconds(cpus):
    """Seconds, up to a constant, that own threads were ready but not running or the host took from the CPUs.

    From /proc/self/task/*/schedstat (run and waited nanoseconds, slices) and steal in /proc/stat.
    """
    tasks = pathlib.Path("/proc/self/task").glob("*/schedstat")
    nanoseconds = sum(int(task.read_text().split()[1]) for task in tasks)
    counts = [line.split() for line in pathlib.Path("/proc/stat").read_text().splitlines()]
    steal = sum(int(count[8]) for count in counts if count[0] in {f"cpu{cpu}" for cpu in cpus})
    return nanoseconds / 1e9 + steal / os.sysconf("SC_CLK_TCK")


class Side:
    def __init__(self, name, threads):
        if name not in SIDES:
            raise ValueError(f"unknown side; expected one of {', '.join(SIDES)}.")
        modules = [importlib.import_module(module) for module in SIDES[name]]
        self.modules = modules
        self.factories = {kind: factory for module in modules for kind, factory in module.FACTORIES.items()}
        self.steps = {}
        modules[0].set_threads(threads)

    def answer(self, request):
        if "variants" in request:
            case = request["variants"]
            return self.modules[0].variants(case, request["also"]) if case["kind"] in self.factories else []
        if "forget" in request:
            self.steps.clear()
            return {}
        case, variant = request["case"], request["variant"]
        key = json.dumps(case, sort_keys=True), variant
        if key not in self.steps:
            parameters = {name: value for name, value in case.items() if name != "kind"}
            self.steps[key] = self.factories[case["kind"]](variant=variant, **parameters)
            self.check(case, self.steps[key]())
        cpus = os.sched_getaffinity(0)
        start, waited = time.perf_counter(), waited_seconds(cpus)
        seconds, steps = seconds_per_step(self.steps[key], request["ms"])
        waited = waited_seconds(cpus) - waited
        busy = waited / (time.perf_counter() - start) / len(cpus)
        return {"seconds": seconds / case.get("calls", 1), "steps": steps, "busy": busy}

    @staticmethod
    def check(case, result):
        """A training step must give a finite loss: speed without work is no speed."""
        if case["kind"] == "model" and not math.isfinite(float(result)):
            raise ValueError(f"the loss of {case['name']} is not finite.")


def main(name, threads, cpus):
    channel = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a framework prints must not end up in the answers
    os.sched_setaffinity(0, [int(cpu) for cpu in cpus.split(",")])  # before any thread pool is made

    def reply(answer):
        channel.write(json.dumps(answer) + "\n")

    side = Side(name, int(threads))
    reply({"python": sys.version.split()[0], **side.modules[0].versions()})
    for line in sys.stdin:
        reply(side.answer(json.loads(line)))


if __name__ == "__main__":
    main(*sys.argv[1:])
