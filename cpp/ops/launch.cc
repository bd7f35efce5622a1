#include "ops/launch.h"

#include "base/allocator.h"
#include "base/parallel.h"
#include "plan/recording.h"

namespace lamina {

InterpreterHooks interpreter_hooks;

namespace {

constexpr size_t kInlineOperands = 16;
struct Scratch {
  explicit Scratch(size_t n) : bytes(n), data(n ? allocate(n) : nullptr) {}
  ~Scratch() {
    if (data) deallocate(data, bytes);
  }
  Scratch(const Scratch&) = delete;
  size_t bytes;
  void* data;
};

}  // namespace

void check_status(const char* op, const Status& status) {
  check(status.what == nullptr, op, status.what, " Received: value=", status.value, " at element ",
        status.index, ".");
}

void launch(const Launch& l) {
  const size_t n = l.num_reads + l.num_writes;
  void* inline_address[kInlineOperands];
  Scratch spill(n > kInlineOperands ? n * sizeof(void*) : 0);
  void** address = n > kInlineOperands ? static_cast<void**>(spill.data) : inline_address;
  size_t bytes = 0;
  for (size_t i = 0; i < n; ++i) {
    const Tensor& t = i < l.num_reads ? *l.reads[i] : *l.writes[i - l.num_reads];
    if (t.is_symbolic()) return;
    address[i] = t.data();
    bytes += t.storage()->bytes;
  }
  bool in_place = false;  // writes over values that somebody may hold
  for (size_t i = 0; i < l.num_writes; ++i) {
    Storage* s = l.writes[i]->storage().get();
    in_place |= s->version.load(std::memory_order_relaxed) != 0;
    check(!s->readonly, l.op, "cannot write into read-only memory. Received: a tensor that borrows it.");
  }
  Scratch scratch(l.scratch_bytes);
  if (cancel_flag().load(std::memory_order_relaxed)) throw Interrupted();
  // An update in place is not cut off half-way: an interrupt waits for its end.
  const CancelShield shield(in_place);
  if (Recording* recording = open_recording()) recording->append(l);
  Status status;
  {
    const bool brief = l.hints.flops >= 0 && l.hints.flops < kReleaseFlops && bytes < kReadBytes;
    const InterpreterReleased released(bytes >= kReleaseBytes && !brief);
    const DenormalGuard flush;
    status = l.run(l.args, Buffers{address, scratch.data});
  }
  check_status(l.op, status);
  for (size_t i = 0; i < l.num_writes; ++i) {
    std::atomic<uint64_t>& version =
        l.writes[i]->storage()->version;  // one writer at a time, so not fetch_add
    version.store(version.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
}

}  // namespace lamina
