"""Growth of resident memory over training steps of random batch sizes with the garbage collector off.

`python -m benchmarks.memory --workload lenet --steps 10000`; exit status 1 beyond --limit.
"""

import argparse
import gc
import importlib
import os

import numpy as np

from benchmarks import worker, workloads


def resident_mb():
    """Resident memory of this process in MB (10^6 bytes)."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def train(side, name, steps, max_batch, seed):
    """Yields the number of steps done after each: batches of 1 to max_batch rows, each converted anew."""
    rng = np.random.default_rng(seed)
    x, y = workloads.data(name, batch=max_batch)
    train_step = side.trainer(name)
    for done in range(1, steps + 1):
        rows = rng.integers(1, max_batch + 1)
        float(train_step(*side.tensors(x[:rows], y[:rows])))
        yield done


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__.splitlines()[0])
    parser.add_argument("--side", choices=["lamina", "pytorch"], default="lamina")
    parser.add_argument("--workload", choices=workloads.NETS, default="lenet")
    parser.add_argument("--steps", type=int, default=10000, help="steps after the warm-up")
    parser.add_argument("--warmup", type=int, default=1000)
    parser.add_argument("--max-batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--limit", type=float, default=2.0, help="MB of growth that fail")
    args = parser.parse_args()
    side = importlib.import_module(worker.SIDES[args.side][0])
    side.set_threads(args.threads)
    gc.collect()
    gc.disable()
    readings = []
    for done in train(side, args.workload, args.warmup + args.steps, args.max_batch, seed=1):
        if done >= args.warmup and (done - args.warmup) % max(1, args.steps // 10) == 0:
            readings.append(resident_mb())
            print(f"step {done:6}: {readings[-1]:.2f} MB", flush=True)
    growth = max(readings) - readings[0]
    print(f"{args.side} {args.workload}: {growth:+.2f} MB in {args.steps} steps (limit {args.limit} MB)")
    raise SystemExit(1 if growth > args.limit else 0)


if __name__ == "__main__":
    main()
