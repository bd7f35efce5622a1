#include "plan/recording.h"

#include <algorithm>
#include <cstring>

namespace lamina {

namespace {

thread_local Recording* current = nullptr;

std::mutex& registry_mutex() {
  static std::mutex m;
  return m;
}
std::vector<Recording*>& registry() {
  static std::vector<Recording*> r;
  return r;
}

// Takes a reference unless the last one is already gone and the storage is about to report its death.
bool pin(Storage* s) {
  uint32_t refs = s->refs.load(std::memory_order_relaxed);
  while (refs != 0 && !s->refs.compare_exchange_weak(refs, refs + 1)) {
  }
  return refs != 0;
}

constexpr size_t align64(size_t n) { return (n + 63) & ~size_t{63}; }

}  // namespace

void forget_storage(uint64_t id) {
  std::lock_guard lock(registry_mutex());
  for (Recording* r : registry()) {
    std::lock_guard inner(r->mutex_);
    if (auto it = r->buffers_.find(id); it != r->buffers_.end()) it->second.alive = nullptr;
  }
}

Recording* open_recording() { return current; }
void set_open_recording(Recording* recording) { current = recording; }

Recording::Recording() {
  storage_died = forget_storage;
  std::lock_guard lock(registry_mutex());
  registry().push_back(this);
}

Recording::~Recording() {
  if (current == this) current = nullptr;
  std::lock_guard lock(registry_mutex());
  std::erase(registry(), this);
}

void Recording::append(const Launch& l) {
  RecordedLaunch r{l.op, l.run, {}, {}, l.num_reads, l.scratch_bytes, 0};
  r.args.resize((l.args_bytes + sizeof(std::max_align_t) - 1) / sizeof(std::max_align_t));
  std::memcpy(r.args.data(), l.args, l.args_bytes);
  std::lock_guard lock(mutex_);
  for (size_t i = 0; i < l.num_reads + l.num_writes; ++i) {
    const Tensor& t = i < l.num_reads ? *l.reads[i] : *l.writes[i - l.num_reads];
    Storage* s = t.storage().get();
    s->recorded.store(true, std::memory_order_relaxed);
    const bool read = i < l.num_reads;
    buffers_.try_emplace(s->id, Buffer{s, s->bytes, read ? t.storage() : StoragePtr()});
    r.operands.push_back({s->id, t.byte_offset()});
    r.bytes_touched += s->bytes;
  }
  launches_.push_back(std::move(r));
}

std::unique_ptr<Plan> Recording::close() {
  auto plan = std::make_unique<Plan>();
  std::lock_guard lock(mutex_);
  for (auto& [id, b] : buffers_) {
    if (b.alive && !pin(b.alive)) b.alive = nullptr;
  }
  std::unordered_map<uint64_t, size_t> arena_offset;
  size_t scratch = 0;
  for (const RecordedLaunch& l : launches_) {
    scratch = std::max(scratch, l.scratch_bytes);
    for (const RecordedOperand& o : l.operands) {
      const Buffer& b = buffers_.at(o.storage);
      if (b.alive || arena_offset.contains(o.storage)) continue;
      arena_offset[o.storage] = plan->arena_bytes_;
      plan->arena_bytes_ += align64(b.bytes);
    }
  }
  plan->arena_ = StoragePtr::allocate(plan->arena_bytes_ + align64(scratch));
  char* arena = static_cast<char*>(plan->arena_->data);
  plan->scratch_ = arena + plan->arena_bytes_;
  for (auto& [id, b] : buffers_) {
    if (b.alive) plan->persistent_.push_back(StoragePtr(b.alive));
  }
  for (const RecordedLaunch& l : launches_) {
    for (const RecordedOperand& o : l.operands) {
      const Buffer& b = buffers_.at(o.storage);
      char* base = b.alive ? static_cast<char*>(b.alive->data) : arena + arena_offset.at(o.storage);
      plan->addresses_.push_back(base + o.byte_offset);
    }
  }
  plan->launches_ = std::move(launches_);
  launches_.clear();
  buffers_.clear();
  return plan;
}

void Plan::replay() {
  void* const* address = addresses_.data();
  for (const RecordedLaunch& l : launches_) {
    check_status(l.op, run_launch(l.run, l.args.data(), Buffers{address, scratch_}, l.bytes_touched));
    address += l.operands.size();
  }
}

std::vector<std::string> Plan::ops() const {
  std::vector<std::string> names;
  for (const RecordedLaunch& l : launches_) names.emplace_back(l.op);
  return names;
}

}  // namespace lamina
