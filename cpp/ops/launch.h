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

// Items [begin, end) of an itemwise launch; the default is all of them.
struct Items {
  int64_t begin = 0, end = -1;
  bool all() const { return end < 0; }
};

// The addresses of a launch: reads in order, then writes, then the scratch block (64-byte aligned).
struct Buffers {
  void* const* address;
  void* scratch;
  Items items = {};  // a part only where the launch's Hints allow it
  template <class T>
  T* at(int i) const {
    return static_cast<T*>(address[i]);
  }
};

using RunFn = Status (*)(const void* args, Buffers buffers);

// What is known of a launch beyond what it computes.
struct Hints {
  // Above 0: the launch is a loop over so many items, any part of which `run` does for Buffers::items; item i
  // of a write depends on no other item of it.
  int64_t items = 0;
  uint64_t unit = 0;  // bit k: item i of operand k is its element i, counted from the operand's offset
  // Floating-point operations as papers count them: a fused multiply-add is two, an elementary function one,
  // copies and draws none. Below 0: one for each element written.
  double flops = -1;
  bool is_sum = false;  // y = a + b of floats, item by item, all three as they lie
  // Unless null: changes the argument block so that the launch adds r to what it would write first, with the
  // bits of a sum of the two. r lies as that does, and is read after all other reads.
  void (*add_residual)(void* args) = nullptr;

  bool is_unit(size_t operand) const { return operand < 64 && (unit >> operand & 1); }
};

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
  Hints hints = {};
};

// Does nothing where an operand is symbolic. Raises ValueError where the kernel reports bad data.
void launch(const Launch& launch);

// The usual form: launch<run_softmax>("softmax", args, {&x}, {&y}). `run` is Status(const Args&, Buffers);
// buffers are numbered reads first. Args holds sizes, strides and scalars, never pointers.
template <auto run, class Args>
inline void launch(const char* op, const Args& args, std::initializer_list<const Tensor*> reads,
                   std::initializer_list<const Tensor*> writes, size_t scratch_bytes = 0,
                   const Hints& hints = {}) {
  static_assert(std::is_trivially_copyable_v<Args>);
  const RunFn fn = [](const void* a, Buffers b) { return run(*static_cast<const Args*>(a), b); };
  launch(Launch{op, fn, &args, sizeof(Args), reads.begin(), reads.size(), writes.begin(), writes.size(),
                scratch_bytes, hints});
}

// Raises for a status that reports bad data.
void check_status(const char* op, const Status& status);

// Set by the binding: called around work that touches more than kReleaseBytes, so that other Python threads
// run.
struct InterpreterHooks {
  void* (*release)() = nullptr;
  void (*acquire)(void*) = nullptr;
};
extern InterpreterHooks interpreter_hooks;

// Below this many bytes of operands the work is over before a lock handover would pay; with fewer operations
// than kReleaseFlops, below kReadBytes.
inline constexpr size_t kReleaseBytes = 64 << 10, kReadBytes = 2 << 20;
inline constexpr double kReleaseFlops = 5e6;

struct InterpreterReleased {
  explicit InterpreterReleased(bool wanted)
      : state(wanted && interpreter_hooks.release ? interpreter_hooks.release() : nullptr) {}
  ~InterpreterReleased() {
    if (state) interpreter_hooks.acquire(state);
  }
  InterpreterReleased(const InterpreterReleased&) = delete;
  void* state;
};

}  // namespace lamina
