#include "bind/module.h"

#include <pthread.h>
#include <pybind11/stl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>

#include "base/allocator.h"
#include "base/cpu.h"
#include "base/parallel.h"
#include "ops/gemm.h"
#include "ops/launch.h"

namespace py = pybind11;

namespace lamina {
namespace {

// The library's exceptions under Python's names.
void translate(std::exception_ptr p) {
  try {
    if (p) std::rethrow_exception(p);
  } catch (const ValueError& e) {
    py::set_error(PyExc_ValueError, e.what());
  } catch (const TypeError& e) {
    py::set_error(PyExc_TypeError, e.what());
  } catch (const IndexError& e) {
    py::set_error(PyExc_IndexError, e.what());
  } catch (const OutOfMemory& e) {
    py::set_error(PyExc_MemoryError, e.what());
  } catch (const Interrupted& e) {
    cancel_flag() = false;
    // Python's handler raises its KeyboardInterrupt here; if it does not, the loop was still cut off.
    if (PyErr_CheckSignals() == 0) py::set_error(PyExc_KeyboardInterrupt, e.what());
  }
}

py::dict allocator_info() {
  const AllocatorStats s = allocator_stats();
  py::dict d;
  d["in_use"] = s.in_use;
  d["peak"] = s.peak;
  d["cached"] = s.cached;
  return d;
}

// Ctrl-C during a long launch: Python's own handler only leaves a note for the interpreter, which waits for
// the launch. Ours also sets the cancel flag, so that loops stop at their next chunk, and then calls
// Python's. The system may hand the signal to any thread; it is passed on to the main one, which cannot see
// the flag without Python's note there, nor leave the launch between the two.
void (*python_sigint)(int) = nullptr;
std::atomic<bool> main_thread_in_launch{false};
std::atomic<bool> cancelled_by_sigint{false};

void on_sigint(int signal) {
  if (const pid_t process = getpid(); syscall(SYS_gettid) != process) {
    syscall(SYS_tgkill, process, process, signal);
    return;
  }
  if (main_thread_in_launch.load(std::memory_order_relaxed)) {
    cancelled_by_sigint = true;
    cancel_flag() = true;
  }
  if (python_sigint) python_sigint(signal);
}

// Asked for at every launch that lets go of the lock: the system is asked once per thread, and a forked
// child's one thread is its main thread.
constinit thread_local int main_thread = -1;  // -1: not known yet

bool on_main_thread() {
  if (main_thread < 0) main_thread = getpid() == static_cast<pid_t>(syscall(SYS_gettid));
  return main_thread != 0;
}

[[maybe_unused]] const int fork_handler = pthread_atfork(nullptr, nullptr, [] { main_thread = 1; });

// Installs on_sigint in front of the handler of the moment, which Python code may have changed since the last
// launch.
void chain_sigint() {
  struct sigaction current;
  if (sigaction(SIGINT, nullptr, &current) != 0 || current.sa_handler == on_sigint) return;
  if ((current.sa_flags & SA_SIGINFO) || current.sa_handler == SIG_DFL || current.sa_handler == SIG_IGN)
    return;
  python_sigint = current.sa_handler;
  current.sa_handler = on_sigint;
  sigaction(SIGINT, &current, nullptr);
}

void* release_interpreter() {
  if (on_main_thread()) {
    chain_sigint();
    main_thread_in_launch = true;
  }
  return PyEval_SaveThread();
}

void acquire_interpreter(void* state) {
  PyEval_RestoreThread(static_cast<PyThreadState*>(state));
  if (!on_main_thread()) return;
  main_thread_in_launch = false;
  // Python raises for this Ctrl-C now, whether or not the launch stopped for it: the next one must not.
  if (cancelled_by_sigint.exchange(false)) cancel_flag() = false;
}

}  // namespace

PYBIND11_MODULE(_core, m) {
  m.doc() = "Lamina's compiled core: tensors, ops on them, and the machine they run on. Internal.";
  m.attr("__version__") = LAMINA_VERSION;
  py::register_exception_translator(translate);
  interpreter_hooks.release = release_interpreter;
  interpreter_hooks.acquire = acquire_interpreter;

  m.def("num_threads", &num_threads);
  m.def("set_num_threads", &set_num_threads, py::arg("n"));
  m.def(
      "set_matmul_precision",  // 0 highest .. 3 low
      [](int level) { set_matmul_precision(static_cast<MatmulPrecision>(level)); }, py::arg("level"));
  m.def("thread_backend", &thread_backend);
  m.def("isa", [] { return isa_name(isa()); });
  m.def("supported_isas", [] {
    std::vector<std::string> names;
    for (Isa row : supported_isas()) names.emplace_back(isa_name(row));
    return names;
  });
  m.def("cpu_features", &cpu_features);
  m.def("allocator_stats", &allocator_info);
  m.def("reset_peak", &reset_peak);
  m.def("trim", &trim);
  m.def("set_cancel", [](bool on) { cancel_flag() = on; });

  bind_tensor(m);
  bind_ops(m);
  bind_plan(m);
}

}  // namespace lamina
