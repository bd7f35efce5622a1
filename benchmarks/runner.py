"""Interleaved measurement: one worker process per side, one of them running at a time.

The parent loads no framework. It asks each worker in turn to run a case for some milliseconds and takes the
ratio of the two median step times round by round, so that drift of the machine hits both sides alike.
"""

import datetime
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time

from benchmarks import workloads

ROOT = pathlib.Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"

# What holds every side to one instruction set. NumPy and TensorFlow's own kernels (Eigen) keep their choice.
ISA = {
    "baseline": ("baseline", "default", "SSE41", "SSE4_2", "--xla_cpu_max_isa=SSE4_2"),
    "avx2": ("avx2", "avx2", "AVX2", "AVX2", "--xla_cpu_max_isa=AVX2"),
    "avx512": ("avx512", "avx512", "AVX512_CORE", "AVX512", "--xla_cpu_max_isa=AVX512"),
}
ISA_VARIABLES = ("LAMINA_ISA", "ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS", "XLA_FLAGS")
# NPROC is what XLA sizes its pool by; its flags do not.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "LAMINA_NUM_THREADS", "NPROC")
WAIT_VARIABLES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")


def first_cpus(n):
    """The first n CPUs this process may use, one per physical core before any second hyperthread."""

    def rank(cpu):
        try:
            siblings = pathlib.Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list").read_text()
        except OSError:
            return 0, cpu
        return int(siblings.replace("-", ",").split(",")[0]) != cpu, cpu

    allowed = sorted(os.sched_getaffinity(0), key=rank)
    if n > len(allowed):
        raise SystemExit(f"[benchmarks] more threads than CPUs. Received: --threads {n}, CPUs={len(allowed)}")
    return allowed[:n]


def machine():
    info = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in info if ":" in line)
    fields = {key.strip(): value.strip() for key, value in fields.items()}
    flags = fields.get("flags", "").split()
    identity = " ".join(fields.get(key, "?") for key in ("cpu family", "model", "stepping"))
    return {
        "cpu": f"{fields.get('model name', platform.machine())} (family, model, stepping {identity})",
        "cores": len(os.sched_getaffinity(0)),
        "features": [flag for flag in flags if flag.startswith(("avx", "amx", "fma"))],
        "system": f"{platform.system()} {platform.release()}",
    }


def environment(threads, isa=None):
    """The environment of a process that is held to a number of threads and an instruction set."""
    found = dict(os.environ, **{name: str(threads) for name in THREAD_VARIABLES})
    return found | dict(zip(ISA_VARIABLES, ISA[isa])) if isa else found


class Worker:
    """A side in a process of its own. `label` is "side" or "side:tag": two tags are two processes."""

    def __init__(self, label, threads, python=None, isa=None, variables=None):
        self.label = label
        cpus = ",".join(map(str, first_cpus(threads)))
        command = [
            python or sys.executable,
            "-m",
            "benchmarks.worker",
            label.split(":")[0],
            str(threads),
            cpus,
        ]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(threads, isa) | (variables or {}),
            cwd=ROOT,
        )
        self.versions = self._answer()

    def ask(self, **request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(
                f"[benchmarks] the worker of a side ended early; its traceback is above. "
                f"If a package is missing, install it or name its interpreter: --python {self.label}=PATH. "
                f"Received: side={self.label}, exit status={self.process.wait()}"
            )
        return json.loads(line)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def interleave(turns, case, settings):
    """({(worker, variant): step seconds of each round}, share of the time they waited for a CPU).

    The first round warms up and does not count. Rounds run A B, B A, A B, ...: a linear drift cancels. A
    silence before each turn lets the spinning thread pool of the side before go to sleep. A round in which a
    side waited for a CPU more than `busy` of its time is measured again, three times as many rounds at most;
    the quietest are kept.
    """
    wanted, rounds = settings["rounds"], []
    for number in range(3 * wanted + 1):
        answers = {}
        for turn in turns if number % 2 == 0 else turns[::-1]:
            time.sleep(settings["settle"])
            worker, variant = turn
            answers[turn] = worker.ask(case=case, variant=variant, ms=settings["ms"])
        if number:
            rounds.append((max(answer["busy"] for answer in answers.values()), answers))
        if sum(busy <= settings["busy"] for busy, _ in rounds) == wanted:
            break
    for worker in {worker for worker, _ in turns}:
        worker.ask(forget=True)
    kept = sorted(rounds, key=lambda item: item[0])[:wanted]
    seconds = {turn: [answers[turn]["seconds"] for _, answers in kept] for turn in turns}
    return seconds, statistics.mean(busy for busy, _ in kept)


def compare(subject, peers, case, settings):
    """One result per subject variant and peer that know the case; a peer is judged by its best variant."""
    variants = {side: side.ask(variants=case, also=settings["also"]) for side in (subject, *peers)}
    turns = [(side, variant) for side, names in variants.items() for variant in names]
    if not variants[subject]:
        print(f"[benchmarks] {subject.label} does not know {case}", file=sys.stderr)
        return []
    seconds, busy = interleave(turns, case, settings)
    results = []
    for peer in (peer for peer in peers if variants[peer]):
        best = min(variants[peer], key=lambda variant: statistics.median(seconds[peer, variant]))
        for variant in variants[subject]:
            pairs = zip(seconds[subject, variant], seconds[peer, best])
            ratios = [ours / theirs for ours, theirs in pairs]
            q1, median, q3 = statistics.quantiles(ratios, n=4, method="inclusive")
            ours, theirs = (statistics.median(seconds[t]) for t in ((subject, variant), (peer, best)))
            result = {
                "case": case,
                "shape": workloads.shape(case),
                "subject": subject.label,
                "variant": variant,
                "peer": peer.label,
                "peer_variant": best,
                "peer_variants": {name: statistics.median(seconds[peer, name]) for name in variants[peer]},
                "seconds": ours,
                "peer_seconds": theirs,
                "ratio": median,
                "ratio_q1": q1,
                "ratio_q3": q3,
                "busy": busy,
            }
            if operations := workloads.flops(case):
                result |= {"gflops": operations / ours / 1e9, "peer_gflops": operations / theirs / 1e9}
            if moved := workloads.traffic(case):
                result |= {"gbytes": moved / ours / 1e9, "peer_gbytes": moved / theirs / 1e9}
            results.append(result)
    return results


def add_arguments(parser, peers):
    parser.add_argument("--subject", default="lamina", help="the side under test (default: lamina)")
    parser.add_argument("--peers", nargs="+", default=peers, help="sides, or side:tag for a second build of one")
    parser.add_argument("--threads", nargs="+", type=int, default=[1])
    parser.add_argument("--isa", choices=ISA, help="hold every side to this instruction set")
    parser.add_argument("--python", nargs="+", default=[], metavar="LABEL=PATH", help="interpreter of a side")
    parser.add_argument("--env", nargs="+", default=[], metavar="LABEL=NAME=VALUE", help="environment of a side")
    parser.add_argument(
        "--also", nargs="+", default=[], metavar="VARIANT", help="optional variants to run as well: see README.md"
    )
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--ms", type=float, default=300, help="milliseconds of one turn")
    parser.add_argument("--settle", type=float, default=0.05, help="seconds of silence before each turn")
    parser.add_argument("--busy", type=float, default=0.1, help="share of waiting for a CPU that a good round may have")
    parser.add_argument("--output", type=pathlib.Path, help="JSON (default: a new file in benchmarks/results)")


def measure(cases, threads, args, settings, document):
    """Adds versions and results of one thread count to the document."""
    pythons = dict(item.split("=", 1) for item in args.python)
    assignments = [item.split("=", 2) for item in args.env]
    sides = []
    try:
        for label in (args.subject, *args.peers):
            python = pythons.get(label, pythons.get(label.split(":")[0]))
            variables = {name: value for owner, name, value in assignments if owner == label}
            sides.append(Worker(label, threads, python, args.isa, variables))
        document["versions"] |= {side.label: side.versions for side in sides}
        isa = args.isa or sides[0].versions.get("isa", "native")
        for case in cases:
            what = f"{case['kind']} {case.get('name', '')} {workloads.shape(case)}, threads={threads}"
            print(what, file=sys.stderr, flush=True)
            for result in compare(sides[0], sides[1:], case, settings):
                document["results"].append(result | {"threads": threads, "isa": isa})
    finally:
        for side in sides:
            side.close()


def write(name, document, output=None):
    """Writes a document as JSON, to a new file in benchmarks/results unless told where; returns the path."""
    RESULTS.mkdir(exist_ok=True)
    output = pathlib.Path(output or RESULTS / f"{name}-{document['date'].replace(':', '')}.json")
    output.write_text(json.dumps(document, indent=1) + "\n")
    return output


def run(name, cases, args):
    """Measures the cases for every thread count, prints the table and writes the JSON."""
    from benchmarks.compare import report

    if args.rounds < 2:
        raise SystemExit(f"[benchmarks] quartiles need at least 2 rounds. Received: --rounds {args.rounds}")
    settings = {key: getattr(args, key) for key in ("rounds", "ms", "settle", "busy", "also")}
    document = {
        "benchmark": name,
        "date": datetime.datetime.now().isoformat(timespec="seconds"),
        "machine": machine(),
        "settings": settings
        | {"isa": args.isa, "env": args.env, "wait": {v: os.environ.get(v) for v in WAIT_VARIABLES}},
        "versions": {},
        "results": [],
    }
    try:
        for threads in args.threads:
            measure(cases, threads, args, settings, document)
    finally:  # a run cut short keeps what it has measured
        output = write(name, document, args.output)
        print(report(document), flush=True)
        print(f"\nwritten: {os.path.relpath(output)}", file=sys.stderr)
