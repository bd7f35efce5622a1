"""The programs in examples/, shortened, against what a simpler method reaches."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from lamina.datasets import austen

EXAMPLES = Path(__file__).parents[1] / "examples"


def program(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pairs_loss(text, other):
    """Mean of -log p(letter | the one before), in nats, from how often pairs occur in another text."""
    letters = sorted(set(text + other))
    read, heard = (np.array([letters.index(c) for c in t]) for t in (text, other))
    counts = np.full((len(letters), len(letters)), 0.1)
    np.add.at(counts, (read[:-1], read[1:]), 1)
    p = counts / counts.sum(axis=1, keepdims=True)
    return -np.log(p[heard[:-1], heard[1:]]).mean()


def test_austen_learns_more_than_pairs_of_letters(capsys):
    try:
        novels = austen.load_data()
    except FileNotFoundError as error:
        pytest.skip(str(error))
    known = pairs_loss(novels["Emma"], novels["Persuasion"])
    loss = program("austen").main(["--steps", "300", "--characters", "40", "--seed", "1"])
    written = capsys.readouterr().out.split("\n\n", 1)[1]
    assert 2.3 < known < 2.5 and loss < known - 0.05
    assert written.startswith("It is a truth ") and len(written.rstrip("\n")) >= 40
