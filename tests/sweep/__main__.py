"""python -m tests.sweep [--family conv ...] [--seed 1234] [--count 1000] [--threads 1 2 3 4 7] [--digests]

Checks `count` configurations, spread over the families, from `seed` on; prints every one that fails with the command
that runs it alone; exits with 1 if any did. LAMINA_ISA and LAMINA_GRAIN act as always. With --digests, also a line
`family seed digest` for each: the same lines must come out under LAMINA_GRAIN=1 as without it.
"""

import argparse
import sys
import time
import traceback

from lamina import _core

from .families import FAMILIES, configuration


def several_threads(seed):
    """One thread, and by turns another number of them."""
    return 1, (2, 3, 4, 7)[seed % 4]


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.sweep", description=__doc__.split("\n\n")[1])
    parser.add_argument("--family", nargs="+", choices=FAMILIES, default=list(FAMILIES))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--threads", type=int, nargs="+", help="whose bits to compare; 1 and another by turns")
    parser.add_argument("--digests", action="store_true")
    parser.add_argument("--unchecked", action="store_true", help="run each once, for its digest alone")
    args = parser.parse_args()
    failed, start, spent = 0, time.time(), dict.fromkeys(args.family, 0.0)
    for i in range(args.count):
        family, seed = args.family[i % len(args.family)], args.seed + i // len(args.family)
        before = time.time()
        case, rng = configuration(family, seed)
        try:
            found = case.digest(rng) if args.unchecked else case.check(rng, args.threads or several_threads(seed))
            if args.digests:
                print(family, seed, found)
        except Exception as error:
            failed += 1
            where = "" if isinstance(error, AssertionError) else traceback.format_exc()
            print(
                f"python -m tests.sweep --family {family} --seed {seed}\n  {case.text}\n  {error}\n{where}", flush=True
            )
        spent[family] += time.time() - before
    each = ", ".join(f"{family} {t:.1f}" for family, t in spent.items())
    summary = f"{_core.isa()}: {args.count} configurations, {failed} failed; {time.time() - start:.0f} s: {each}"
    print(summary, file=sys.stderr)
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
