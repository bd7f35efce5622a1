"""The library as a guest in a process: Ctrl-C, fork, out of memory, threads, silence on import."""

import multiprocessing
import os
import signal
import threading
import time

import numpy as np
import pytest

import lamina as lm

from .fresh import run


def test_import_prints_nothing_and_stays_small():
    code = "import sys, lamina; print([m for m in ('tqdm', 'safetensors', 'matplotlib', 'h5py') if m in sys.modules])"
    done = run(code)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_ctrl_c_ends_a_long_op_soon():
    n = 6000
    a = lm.ops.ones((n, n))
    timer = threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT))
    start = time.monotonic()
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        for _ in range(100):
            lm.ops.matmul(a, a)
    assert time.monotonic() - start < 10  # well below the minutes that the loop would take
    # The library goes on as before.
    np.testing.assert_array_equal(lm.ops.add(a, a).numpy()[0, :3], [2, 2, 2])


def child(queue):
    x = lm.ops.ones((512, 512))
    queue.put(float(lm.ops.sum(lm.ops.matmul(x, x))))


def test_a_forked_child_works():
    x = lm.ops.ones((512, 512))
    lm.ops.matmul(x, x)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    process = context.Process(target=child, args=(queue,))
    process.start()
    assert queue.get(timeout=60) == 512.0**3
    process.join(timeout=60)
    assert process.exitcode == 0


def test_out_of_memory_is_an_error_and_the_process_goes_on():
    with pytest.raises(MemoryError, match=r"\[allocate\] cannot get 4000000000000 bytes"):
        lm.ops.zeros((1000000, 1000000))
    with pytest.raises(ValueError, match=r"more elements than memory can address"):
        lm.ops.zeros((2**40, 2**40))
    assert float(lm.ops.sum(lm.ops.ones((3,)))) == 3


def test_python_threads_share_the_library():
    x = lm.convert_to_tensor(np.random.default_rng(0).standard_normal((256, 256)).astype("float32"))
    want = lm.ops.matmul(x, x).numpy().tobytes()
    wrong = []

    def work():
        for _ in range(20):
            if lm.ops.matmul(x, x).numpy().tobytes() != want:
                wrong.append(1)

    pool = [threading.Thread(target=work) for _ in range(4)]
    for t in pool:
        t.start()
    for t in pool:
        t.join()
    assert not wrong


@pytest.mark.parametrize("isa", ["sse9", "avx2" if "neon" in lm._core.supported_isas() else "neon"])
def test_an_unknown_instruction_set_is_an_error(isa):
    done = run("import lamina as lm; lm.ops.exp(1.0)", LAMINA_ISA=isa)
    assert done.returncode != 0 and "LAMINA_ISA" in done.stderr and lm._core.supported_isas()[0] in done.stderr


def test_the_forced_instruction_set_is_the_running_one():
    for isa in ("baseline", "avx2", "avx512", "avx512_bf16", "amx", "neon"):
        if isa in lm._core.supported_isas():
            assert run("from lamina import _core; print(_core.isa())", LAMINA_ISA=isa).stdout.strip() == isa


def test_bad_thread_counts_are_errors():
    for n in (0, -1, 10**6):
        with pytest.raises(ValueError, match=r"\[set_num_threads\]"):
            lm.set_num_threads(n)
    with pytest.raises(TypeError, match=r"\[set_num_threads\]"):
        lm.set_num_threads(1.5)
    assert "LAMINA_NUM_THREADS" in run("import lamina as lm; lm.get_num_threads()", LAMINA_NUM_THREADS="x").stderr
