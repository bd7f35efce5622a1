"""What a user pays before the first step: wheel size, import time beyond NumPy, memory after import.

`python -m benchmarks.startup --wheel dist/lamina-*.whl`
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import zipfile

IMPORTS = {
    "numpy": "import numpy",
    "lamina": "import numpy, lamina",
    "lamina and parts": "import numpy; from lamina import datasets, layers, losses, models, optimizers",
}

# Run in a fresh interpreter; VmRSS counts units of 1024 bytes.
CHILD = """
import time
start = time.perf_counter()
{imports}
seconds = time.perf_counter() - start
rss = next(line for line in open("/proc/self/status") if line.startswith("VmRSS")).split()[1]
print(seconds, rss)
"""


def start(python, imports):
    """(seconds of the import statements, resident MB after them) in a fresh interpreter."""
    # -I: neither this folder nor PYTHONPATH, so that what is measured is the installed package.
    command = [python, "-I", "-c", CHILD.format(imports=imports)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"[startup] the import failed. Received: {imports!r}\n{done.stderr}")
    if done.stderr or done.stdout.count("\n") != 1:
        raise SystemExit(f"[startup] importing must print nothing. Received: {done.stdout + done.stderr!r}")
    seconds, kilobytes = done.stdout.split()
    return float(seconds), int(kilobytes) * 1024 / 1e6


def measure(python, starts):
    """{what: {"ms", "ms_beyond_numpy", "rss_mb"}}: medians over interleaved starts after one uncounted."""
    found = {name: [] for name in IMPORTS}
    for number in range(starts + 1):
        for name, imports in IMPORTS.items():
            result = start(python, imports)
            if number:
                found[name].append(result)
    report = {}
    for name, results in found.items():
        beyond = [ours[0] - base[0] for ours, base in zip(results, found["numpy"])]
        report[name] = {
            "ms": statistics.median(seconds for seconds, _ in results) * 1e3,
            "ms_beyond_numpy": statistics.median(beyond) * 1e3,
            "rss_mb": statistics.median(rss for _, rss in results),
        }
    return report


def wheel_sizes(path):
    """Megabytes (10^6 bytes) of a wheel file, packed and unpacked."""
    with zipfile.ZipFile(path) as wheel:
        unpacked = sum(entry.file_size for entry in wheel.infolist())
    return {"wheel_mb": path.stat().st_size / 1e6, "unpacked_mb": unpacked / 1e6}


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.startup", description=__doc__.splitlines()[0])
    parser.add_argument("--python", default=sys.executable, help="interpreter with lamina installed")
    parser.add_argument("--starts", type=int, default=20)
    parser.add_argument("--wheel", type=pathlib.Path, help="wheel file to weigh")
    parser.add_argument("--output", type=pathlib.Path, help="JSON file to write")
    args = parser.parse_args()
    report = wheel_sizes(args.wheel) if args.wheel else {}
    if args.wheel:
        print(f"wheel {report['wheel_mb']:.2f} MB, unpacked {report['unpacked_mb']:.2f} MB\n")
    report["imports"] = measure(args.python, args.starts)
    print("| import | ms | ms beyond numpy | resident MB after |\n|---|--:|--:|--:|")
    for name, row in report["imports"].items():
        print(f"| {name} | {row['ms']:.1f} | {row['ms_beyond_numpy']:.1f} | {row['rss_mb']:.1f} |")
    if args.output:
        args.output.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
