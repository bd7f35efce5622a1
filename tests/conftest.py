import signal

import numpy as np
import pytest

import lamina as lm


@pytest.fixture(autouse=True, scope="session")
def ctrl_c_interrupts():
    """A shell's background jobs begin with SIGINT ignored; the tests of Ctrl-C need Python's own handler."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def threads():
    """Sets the number of threads for one test."""
    before = lm.get_num_threads()
    yield lm.set_num_threads
    lm.set_num_threads(before)
