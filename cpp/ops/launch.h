// The launch point. One op-level call = one launch: a function, a trivially copyable argument block, the
// tensors it reads and writes (as buffers: storage + offset), scratch bytes. Eager, recorded and replayed
// launches all run here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <type_traits>

#include "base/tensor.h"

namespace lamina {

// What a kernel reports: bad data (a label out of range) with the first element's index; the launch point
// raises.
struct Status {
  const char* what = nullptr;  // null: fine. Otherwise a static text "label is out of range; expected ..."
  int64_t index = 0;
  double value = 0;
};

// The addresses of a launch: reads in order, then writes, then the scratch block (64-byte aligned).
struct Buffers {
  void* const* address;
  void* scratch;
  template <class T>
  T* at(int i) const {
    return static_cast<T*>(address[i]);
  }
};

using RunFn = Status (*)(const void* args, Buffers buffers);

struct Launch {
  const char* op;
  RunFn run;
  const void* args;
  size_t args_bytes;
  const Tensor* const* reads;
  size_t num_reads;
  const Tensor* const* writes;
  size_t num_writes;
  size_t scratch_bytes;
};

// Does nothing where an operand is symbolic. Raises ValueError where the kernel reports bad data.
void launch(const Launch& launch);

// The usual form: launch<run_softmax>("softmax", args, {&x}, {&y}). `run` is Status(const Args&, Buffers);
// buffers are numbered reads first. Args holds sizes, strides and scalars, never pointers.
template <auto run, class Args>
inline void launch(const char* op, const Args& args, std::initializer_list<const Tensor*> reads,
                   std::initializer_list<const Tensor*> writes, size_t scratch_bytes = 0) {
  static_assert(std::is_trivially_copyable_v<Args>);
  const RunFn fn = [](const void* a, Buffers b) { return run(*static_cast<const Args*>(a), b); };
  launch(Launch{op, fn, &args, sizeof(Args), reads.begin(), reads.size(), writes.begin(), writes.size(),
                scratch_bytes});
}

// Set by the binding: called around launches that touch more than a few KB, so that other Python threads run.
struct InterpreterHooks {
  void* (*release)() = nullptr;
  void (*acquire)(void*) = nullptr;
};
extern InterpreterHooks interpreter_hooks;

}  // namespace lamina
