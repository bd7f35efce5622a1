import numpy as np
import pytest

import lamina as lm


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def threads():
    """Sets the number of threads for one test."""
    before = lm.get_num_threads()
    yield lm.set_num_threads
    lm.set_num_threads(before)
