"""The rules of the house, kept by machine: file sizes, import direction, includes, symbols, rows for every op."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

import lamina as lm

ROOT = Path(__file__).resolve().parent.parent
CPP, PYTHON = ROOT / "cpp", ROOT / "python" / "lamina"

pytestmark = pytest.mark.skipif(not CPP.exists(), reason="needs the source tree")

# Longer than 500 lines, with the reason. Tests and lists are exempt.
LONG = {}


def sources(folder, *suffixes):
    return sorted(p for p in folder.rglob("*") if p.suffix in suffixes and "__pycache__" not in p.parts)


def test_files_stay_short():
    too_long = {}
    for path in [*sources(CPP, ".h", ".cc"), *sources(PYTHON, ".py")]:
        lines = len(path.read_text().splitlines())
        if lines > 500 and str(path.relative_to(ROOT)) not in LONG:
            too_long[str(path.relative_to(ROOT))] = lines
    assert not too_long


LEVELS_CPP = ["base", "simd", "ops", "plan", "bind"]
# The launch point hands a launch to the open recording: ops/launch.cc is where the plan layer looks in.
ALLOWED_UP = {("ops/launch.cc", "plan/recording.h")}


def test_cpp_includes_point_down():
    wrong = []
    for path in sources(CPP, ".h", ".cc"):
        here = path.relative_to(CPP)
        for name in re.findall(r'#include "([^"]+)"', path.read_text()):
            room = name.split("/")[0]
            if room not in LEVELS_CPP or "/" not in name:
                continue
            up = LEVELS_CPP.index(room) > LEVELS_CPP.index(here.parts[0])
            if up and (str(here), name) not in ALLOWED_UP:
                wrong.append(f"{here} includes {name}")
    assert not wrong


# Each room may import those before it, at module level or later.
LEVELS_PYTHON = [
    {"_core", "container", "seeding", "thread_state"},
    {"tensor", "row_gradient", "masked_tensor", "autograd", "config", "random_state", "tensor_bytes"}
    | {"capture", "signature"},
    {"ops"},
    {"gradient_check", "function", "plan", "probabilities", "utils"},
    {"activations", "initializers", "regularizers", "constraints"},
    {"layers", "losses", "metrics", "optimizers", "data", "datasets"},
    {"training"},
    {"models", "callbacks"},
    {"saving"},
    {"zoo", "compat", "viz", "cli"},
]

# A model hands itself to the room of files, which makes models: Model.save and models.load_model look up.
ALLOWED_UP_PYTHON = {("models", "saving")}


def level(room):
    return next((i for i, rooms in enumerate(LEVELS_PYTHON) if room in rooms), None)


def test_python_imports_point_down():
    wrong = []
    for path in sources(PYTHON, ".py"):
        here = path.relative_to(PYTHON)
        room = here.parts[0].removesuffix(".py")
        if room == "__init__":
            continue
        assert level(room) is not None, f"{room} has no place in the list of rooms"
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.ImportFrom) or not node.level:
                continue
            up = node.level - 1
            base = here.parent.parts[: len(here.parent.parts) - up]
            module = [*base, *(node.module or "").split(".")] if node.module else list(base)
            targets = [module[0]] if module and module[0] else [a.name for a in node.names]
            for target in targets:
                allowed = (room, target) in ALLOWED_UP_PYTHON
                if not allowed and level(target) is not None and level(target) > level(room):
                    wrong.append(f"{here} imports {target}")
    assert not wrong


def test_openmp_only_in_its_backend():
    users = [p.name for p in sources(CPP, ".h", ".cc") if re.search(r"#include <omp.h>|#pragma omp", p.read_text())]
    assert set(users) <= {"parallel_openmp.cc"}


def test_intrinsics_only_in_simd():
    pattern = re.compile(r"#include <\w*intrin\.h>|#include <arm_neon\.h>|\b_mm\d*_\w+\(")
    users = [str(p.relative_to(CPP)) for p in sources(CPP, ".h", ".cc") if pattern.search(p.read_text())]
    assert all(u.startswith("simd/") or u == "base/cpu.cc" for u in users), users


def objects_with_rows():
    return sorted(ROOT.glob("build/**/*.kernel.cc.o"))


@pytest.mark.skipif(not objects_with_rows(), reason="needs the object files of a build in build/")
def test_kernel_objects_have_no_weak_symbols():
    bad = []
    for path in objects_with_rows():
        listing = subprocess.run(["nm", "-C", str(path)], capture_output=True, text=True, check=True).stdout
        bad += [f"{path.name}: {line}" for line in listing.splitlines() if re.match(r"^\S* [WVu] ", line)]
        sections = subprocess.run(["objdump", "-h", str(path)], capture_output=True, text=True, check=True).stdout
        bad += [f"{path.name}: .init_array"] if ".init_array" in sections else []
    assert not bad


@pytest.mark.parametrize("path", sorted(ROOT.glob("build/**/compile_commands.json")), ids=str)
def test_no_contraction_and_no_fast_math(path):
    import json

    for entry in json.loads(path.read_text()):
        flags = entry["command"].split()
        assert "-ffp-contract=off" in flags
        assert not {"-ffast-math", "-Ofast", "-funsafe-math-optimizations", "-flto"} & set(flags)


def test_the_extension_brings_its_own_runtime():
    """The wheel imports on a machine without libgomp and with an older libstdc++."""
    listing = subprocess.run(["readelf", "-d", lm._core.__file__], capture_output=True, text=True, check=True).stdout
    needed = set(re.findall(r"\(NEEDED\).*\[(\w+)", listing))
    if lm._core.thread_backend() == "pool":
        assert needed <= {"libc", "libm", "libpthread", "ld"}


def test_every_op_has_a_row():
    from .ops.cases import ROWS

    tested = {row.op.split(".")[-1] for row in ROWS}
    public = {n for n, f in vars(lm.ops).items() if callable(f) and not n.startswith("_") and not isinstance(f, type)}
    creations = {"arange", "eye", "full", "linspace", "ones", "zeros", "shape"}  # tests/ops/test_creation.py
    aliases = {"absolute", "amax", "amin", "true_divide"}
    assert not public - tested - creations - aliases


def test_every_core_function_has_one_home():
    """A kernel is called from one Python file, so that one grep finds an op at every level."""
    shared = {"full", "assign", "copy", "cast", "scalar", "copy_buffer", "symbolic", "reshape", "version_sum", "sum_to"}
    homes = {}
    for path in sources(PYTHON, ".py"):
        for name in set(re.findall(r"_core\.(\w+)", path.read_text())):
            homes.setdefault(name, set()).add(path.name)
    ops = {n for n in dir(lm._core) if callable(getattr(lm._core, n)) and not n.startswith("_")}
    assert {n: h for n, h in homes.items() if n in ops and n not in shared and len(h) > 2} == {}
