"""Prefetch: order, errors, early exits, threads."""

import gc
import os
import threading
import time

import numpy as np
import pytest

from lamina.data import AUTOTUNE, Dataset


def workers():
    return [thread for thread in threading.enumerate() if thread.name == "lamina-prefetch"]


@pytest.mark.parametrize("size", [1, 3, AUTOTUNE, 1000, 0])
def test_order_is_kept(size):
    dataset = Dataset.range(200).batch(3).map(lambda v: v * 2).prefetch(size)
    for _ in range(2):
        assert np.concatenate(list(dataset)).tolist() == list(range(0, 400, 2))
    assert not workers()


def test_runs_ahead_by_at_most_the_buffer():
    made = []
    iterator = iter(Dataset.range(100).map(lambda v: made.append(1) or v).prefetch(3))
    assert next(iterator) == 0
    limit = time.monotonic() + 5
    while len(made) < 5 and time.monotonic() < limit:
        time.sleep(0.001)
    time.sleep(0.02)
    assert len(made) == 5  # one taken, three in the buffer, one waiting for room
    iterator.close()


def test_error_comes_after_the_elements_before_it():
    def broken():
        yield 1
        yield 2
        raise KeyError("lost")

    got = []
    with pytest.raises(KeyError, match="lost"):
        for value in Dataset.from_generator(broken).prefetch(10):
            got.append(int(value))
    assert got == [1, 2] and not workers()


def test_thread_ends_with_its_iterator():
    iterator = iter(Dataset.range(10).map(abs).repeat().prefetch(2))
    next(iterator)
    assert len(workers()) == 1
    del iterator
    gc.collect()
    assert not workers()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_use_after_fork_is_refused_and_a_new_iterator_works():
    dataset = Dataset.range(10).map(abs).prefetch(2)
    iterator = iter(dataset)
    next(iterator)
    child = os.fork()
    if child == 0:
        try:
            next(iterator)
        except RuntimeError as error:
            fine = "[Dataset.prefetch]" in str(error) and len(list(dataset)) == 10
            os._exit(0 if fine else 1)
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    iterator.close()
