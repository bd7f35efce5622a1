"""Every example in a docstring runs and prints what it says; every public op and layer has a docstring."""

import doctest
import importlib
import inspect
import pkgutil

import pytest

import lamina as lm

MODULES = sorted(
    m.name for m in pkgutil.walk_packages(lm.__path__, "lamina.") if not m.name.split(".")[-1].startswith("_")
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # examples may save files
    module = importlib.import_module(name)
    result = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    assert result.failed == 0


def test_public_names_are_documented():
    rooms = [lm.ops, lm.layers, lm.losses, lm.metrics, lm.optimizers, lm.initializers, lm.models, lm.callbacks]
    missing = [
        f"{room.__name__}.{name}"
        for room in rooms
        for name, value in vars(room).items()
        if not name.startswith("_")
        and (inspect.isclass(value) or inspect.isfunction(value))
        and not inspect.getdoc(value)
    ]
    assert not missing
