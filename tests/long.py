"""The long run, hours: python -m tests.long [--count 100000] [--step 1] [--jobs 2] [--isa avx2 ...]

On every instruction set: `count` configurations of the sweep, checked under LAMINA_GRAIN=1 on 1, 2, 3, 4 and 7 threads
and compared with unsplit work; and every `step`-th of the 2^32 floats through every function of one argument.
"""

import argparse
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from .isas import runnable

SHARD = 140  # seeds of each family in one process


def python(isa, *args, **env):
    done = subprocess.run(
        [sys.executable, "-m", *map(str, args)],
        env={**os.environ, "LAMINA_ISA": isa, **env},
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout, done.stderr


def sweep(isa, first, families):
    args = ("tests.sweep", "--seed", first, "--count", SHARD * families, "--digests")
    code, checked, said = python(isa, *args, "--threads", 1, 2, 3, 4, 7, LAMINA_GRAIN="1")
    _, plain, _ = python(isa, *args, "--unchecked", LAMINA_NUM_THREADS="1")
    if code == 0 and checked == plain:
        return True, ""
    differ = sorted(set(checked.splitlines()) ^ set(plain.splitlines())) if code == 0 else [checked]
    return False, "\n".join([f"{isa}, seeds from {first}, exit status {code}", *differ, said])


def accuracy(isa, function, step):
    code, found, said = python(isa, "tests.ops.accuracy", "--step", step, "--function", function)
    return code == 0, found.strip() or said


def main():
    from .ops.accuracy import COMPOSITIONS, KERNELS
    from .sweep.families import FAMILIES

    parser = argparse.ArgumentParser(prog="python -m tests.long", description=__doc__.split("\n\n")[1])
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--step", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--isa", nargs="+", default=runnable())
    args = parser.parse_args()
    seeds = -(-args.count // len(FAMILIES))
    failed = 0
    with ThreadPoolExecutor(args.jobs) as pool:
        for isa in args.isa:
            shards = [pool.submit(sweep, isa, at, len(FAMILIES)) for at in range(0, seeds, SHARD)]
            functions = [pool.submit(accuracy, isa, f, args.step) for f in (*KERNELS, *COMPOSITIONS)]
            for job in (*shards, *functions):
                good, text = job.result()
                failed += not good
                if text:
                    print(text if good else f"FAILED: {text}", flush=True)
            print(f"{isa}: {len(shards)} x {SHARD * len(FAMILIES)} configurations", flush=True)
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
