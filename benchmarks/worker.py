"""The child process of a side: `python -m benchmarks.worker SIDE THREADS CPUS`, JSON lines in and out.

A side is one or more modules with FACTORIES (kind of case -> factory(variant=, **case) -> step()); the first
also has set_threads(n), versions() (names and versions, "isa" among them), variants(case, also) -> names and,
where old cases would burden the next, forget(). A factory of kind "fit" gives a Loop instead of a step.
"""

import functools
import importlib
import json
import math
import os
import pathlib
import statistics
import sys
import time

from benchmarks.loop import Loop

SIDES = {
    "lamina": ("benchmarks.models", "benchmarks.ops", "benchmarks.between"),
    "keras_jax": ("benchmarks.peers.keras_jax",),
    "keras_tensorflow": ("benchmarks.peers.keras_tensorflow",),
    "numpy": ("benchmarks.peers.numpy",),
    "pytorch": ("benchmarks.peers.pytorch", "benchmarks.peers.pytorch_between"),
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


def waited(schedstat):
    """Nanoseconds that a thread waited; 0 for one that has ended since it was listed."""
    try:
        return int(schedstat.read_text().split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def contention(cpus):
    """(waited, taken): seconds, up to constants, that own threads were ready but not running, and that the CPUs
    spent on others. Both count what the host took.

    From /proc/self/task/*/schedstat (run and waited nanoseconds, slices) and /proc/stat (user, nice, system, idle,
    iowait, irq, softirq, steal).
    """
    nanoseconds = sum(map(waited, pathlib.Path("/proc/self/task").glob("*/schedstat")))
    lines = [line.split() for line in pathlib.Path("/proc/stat").read_text().splitlines()]
    counts = [[int(n) for n in line[1:9]] for line in lines if line[0] in {f"cpu{cpu}" for cpu in cpus}]
    tick = os.sysconf("SC_CLK_TCK")
    steal = sum(count[7] for count in counts) / tick
    active = sum(sum(count) - count[3] - count[4] for count in counts) / tick
    return nanoseconds / 1e9 + steal, active - time.process_time()


class Side:
    def __init__(self, name, threads):
        if name not in SIDES:
            raise ValueError(f"unknown side; expected one of {', '.join(SIDES)}.")
        modules = [importlib.import_module(module) for module in SIDES[name]]
        self.modules = modules
        self.factories = {kind: factory for module in modules for kind, factory in module.FACTORIES.items()}
        self.steps, self.first = {}, {}
        modules[0].set_threads(threads)

    def answer(self, request):
        if "variants" in request:
            case = request["variants"]
            return self.modules[0].variants(case, request["also"]) if case["kind"] in self.factories else []
        if "forget" in request:
            self.steps.clear()
            self.first.clear()
            getattr(self.modules[0], "forget", lambda: None)()
            return {}
        case, variant = request["case"], request["variant"]
        key = json.dumps(case, sort_keys=True), variant
        if key not in self.steps:
            parameters = {name: value for name, value in case.items() if name != "kind"}
            self.steps[key] = self.factories[case["kind"]](variant=variant, **parameters)
            self.first[key] = self.loss(case, self.steps[key]())
        cpus = os.sched_getaffinity(0)
        start, before = time.perf_counter(), contention(cpus)
        step = self.steps[key]
        timer = step.seconds_per_step if isinstance(step, Loop) else functools.partial(seconds_per_step, step)
        seconds, steps = timer(request["ms"])
        waited, taken = (now - was for now, was in zip(contention(cpus), before))
        # Threads of a side that wait for each other are its own affair: never more than others took.
        busy = max(0.0, min(waited, taken)) / (time.perf_counter() - start) / len(cpus)
        self.check(case, self.first[key], self.loss(case, step()))
        return {"seconds": seconds / case.get("calls", 1), "steps": steps, "busy": busy}

    @staticmethod
    def loss(case, result):
        """What a step of training gave, as a float; None for ops."""
        return float(result) if case["kind"] in ("model", "fit") else None

    @staticmethod
    def check(case, first, last):
        """Speed without work is no speed: losses are finite, and steps on one batch have lowered theirs."""
        if last is not None and (not math.isfinite(last) or (case["kind"] == "model" and last >= first)):
            raise ValueError(f"the steps of {case['name']} do not train. Received: losses={first}, {last}.")


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
