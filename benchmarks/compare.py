"""Reads results: `python -m benchmarks.compare RUN.json` prints the table; of two files it judges the second.

Two runs are compared through their ratios to the same peer, never through absolute times: the peer carries
the state of the machine. Exit status 1 if anything became slower.
"""

import argparse
import json
import pathlib
import sys


def duration(seconds):
    for unit, scale in (("s", 1), ("ms", 1e3), ("us", 1e6)):
        if seconds * scale >= 1:
            return f"{seconds * scale:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def title(result):
    case = result["case"]
    if "which" in case:
        kind = {"pool": " pool", "norm": " norm", "cross_entropy": " cross-entropy", "ctc": " ctc"}.get(
            case["kind"], ""
        )
        return case["which"] + kind + (" + gradient" if case["gradient"] else "")
    extra = {
        "model": lambda: case["name"],
        "fit": lambda: f"{case['name']}, fit{' with accuracy' if case['accuracy'] else ''}",
        "add": lambda: "add, recorded" if case["recorded"] else "add",
        "gemm": lambda: "gemm" if case["dtype"] == "float32" else f"gemm, {case['dtype']}",
        "adam": lambda: "adam",
        "embedding": lambda: "embedding step",
        "decode": lambda: "decode a token",
        "attention": lambda: "attention + gradients" if case["gradient"] else "attention",
        "conv": lambda: "conv + gradients" if case["gradient"] else "conv",
    }[case["kind"]]()
    return extra if result["variant"] == usual(result) else f"{extra} ({result['variant']})"


def usual(result):
    """The variant that needs no name."""
    return "fit" if result["case"]["kind"] == "fit" else "eager"


def peer_side(result):
    variant = result["peer_variant"]
    return result["peer"] if variant == usual(result) else f"{result['peer']} {variant}"


def quartiles(result, settings):
    noisy = " *" if result["busy"] > settings["busy"] else ""
    return f"{result['ratio_q1']:.2f}-{result['ratio_q3']:.2f}{noisy}"


def amount(seconds, gflops, gbytes):
    work = f", {gflops:.0f} GFLOP/s" if gflops else ""
    return duration(seconds) + work + (f", {gbytes:.1f} GB/s" if gbytes else "")


def table(document):
    """Markdown: one row a result; time ratio below 1 = the subject is faster."""
    results = document["results"]
    if not results:
        return "no results"
    subject = results[0]["subject"]
    lines = [
        f"| workload | shape | threads | {subject} | peer | peer's time | time ratio | quartiles |",
        "|---|---|--:|--:|---|--:|--:|--:|",
    ]
    machine, settings = document["machine"], document["settings"]
    for r in results:
        ours = amount(r["seconds"], r.get("gflops"), r.get("gbytes"))
        theirs = amount(r["peer_seconds"], r.get("peer_gflops"), r.get("peer_gbytes"))
        lines.append(
            f"| {title(r)} | {r['shape']} | {r['threads']} | {ours} | {peer_side(r)} | {theirs} "
            f"| **{r['ratio']:.2f}** | {quartiles(r, settings)} |"
        )
    versions = {f"{k} {v}" for found in document["versions"].values() for k, v in found.items() if k != "isa"}
    facts = (
        f"{machine['cpu']}, {machine['cores']} cores, instruction set {results[0]['isa']}; "
        f"{', '.join(sorted(versions))}; {settings['rounds']} rounds of {settings['ms']:g} ms; "
        f"{document['date'][:10]}."
    )
    if any(r["busy"] > settings["busy"] for r in results):
        facts += f" * = waited for a CPU more than {settings['busy']:.0%} of the time: not quiet."
    return "\n".join([*lines, "", facts])


def best_table(document):
    """Markdown: one row a workload, variant of the subject and number of threads, against its strongest peer.

    The strongest is the peer with the highest ratio; "times as fast" is the ratio's inverse.
    """
    rows = {}
    for result in document["results"]:
        row = json.dumps(result["case"], sort_keys=True), result["variant"], result["threads"]
        rows[row] = max(rows.get(row, result), result, key=lambda r: r["ratio"])
    subject = document["results"][0]["subject"]
    lines = [
        f"| workload | threads | {subject} | best peer | its time | time ratio | quartiles | times as fast |",
        "|---|--:|--:|---|--:|--:|--:|--:|",
    ]
    for r in rows.values():
        ours, theirs = duration(r["seconds"]), duration(r["peer_seconds"])
        lines.append(
            f"| {title(r)} | {r['threads']} | {ours} | {peer_side(r)} | {theirs} "
            f"| {r['ratio']:.2f} | {quartiles(r, document['settings'])} | **{1 / r['ratio']:.2f}** |"
        )
    return "\n".join(lines)


def report(document):
    """The table and, where there are several peers, the one against the best of them."""
    several = len({result["peer"] for result in document["results"]}) > 1
    return table(document) + (f"\n\nAgainst the best peer:\n\n{best_table(document)}" if several else "")


def key(result):
    case = json.dumps(result["case"], sort_keys=True)
    return case, result["variant"], result["peer"], result["threads"], result["isa"]


def judge(old, new, tolerance):
    """(markdown, slower count): a change counts when the quartile ranges part and it is beyond tolerance."""
    for field in ("cpu", "cores", "features"):
        if old["machine"][field] != new["machine"][field]:
            raise SystemExit(
                f"[compare] the runs come from different machines; compare runs of one machine. "
                f"Received: {field}={old['machine'][field]!r} and {new['machine'][field]!r}"
            )
    before = {key(result): result for result in old["results"]}
    lines = [
        "| workload | shape | threads | peer | ratio before | ratio now | change | |",
        "|---|---|--:|---|--:|--:|--:|---|",
    ]
    slower = 0
    for now in new["results"]:
        was = before.get(key(now))
        if was is None:
            continue
        change = now["ratio"] / was["ratio"]
        verdict = "same"
        if change > 1 + tolerance and now["ratio_q1"] > was["ratio_q3"]:
            verdict, slower = "slower", slower + 1
        elif change < 1 / (1 + tolerance) and now["ratio_q3"] < was["ratio_q1"]:
            verdict = "faster"
        lines.append(
            f"| {title(now)} | {now['shape']} | {now['threads']} | {now['peer']} | {was['ratio']:.2f} "
            f"| {now['ratio']:.2f} | {change - 1:+.0%} | {verdict} |"
        )
    if len(lines) == 2:
        raise SystemExit("[compare] the two runs share no case with equal peer, threads and instruction set.")
    return "\n".join(lines), slower


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", type=pathlib.Path, help="one result file, or an old and a new one")
    parser.add_argument("--tolerance", type=float, default=0.05, help="change that counts (default 0.05)")
    args = parser.parse_args()
    documents = [json.loads(path.read_text()) for path in args.runs]
    if len(documents) == 1:
        print(report(documents[0]))
    elif len(documents) == 2:
        text, slower = judge(*documents, args.tolerance)
        print(text)
        sys.exit(1 if slower else 0)
    else:
        parser.error("expected one or two result files")


if __name__ == "__main__":
    main()
