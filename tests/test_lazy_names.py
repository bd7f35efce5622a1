"""The package's public names, imported at first use."""

import subprocess
import sys

import pytest

import lamina as lm


def test_every_listed_name_is_there():
    for name in dir(lm):
        assert getattr(lm, name) is not None or name.startswith("_")
    with pytest.raises(AttributeError, match="no attribute 'layer'"):
        lm.layer  # noqa: B018


def test_a_bare_import_prints_nothing_and_loads_little():
    code = "import sys, lamina; print([m for m in ('lamina.models', 'lamina.data', 'tqdm') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]" and done.stderr == ""
