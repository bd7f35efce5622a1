#include "plan/recording.h"

#include <algorithm>
#include <cstring>

namespace lamina {

namespace {

thread_local Recording* current = nullptr;

constexpr uint32_t kNoInput = UINT32_MAX;

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

Recording::Recording(std::vector<Tensor> inputs)
    : inputs_(std::move(inputs)), first_own_id_(Tensor::empty({}, DType::kBool).storage()->id) {
  storage_died = forget_storage;
  std::lock_guard lock(registry_mutex());
  registry().push_back(this);
}

Recording::~Recording() {
  if (current == this) current = nullptr;
  std::lock_guard lock(registry_mutex());
  std::erase(registry(), this);
}

void Recording::set_label(const std::string& label) {
  const auto known = std::find(labels_.begin(), labels_.end(), label);
  label_ = static_cast<uint32_t>(known - labels_.begin());
  if (known == labels_.end()) labels_.push_back(label);
}

uint32_t Recording::input_of(uint64_t storage) const {
  for (uint32_t i = 0; i < inputs_.size(); ++i) {
    if (inputs_[i].storage()->id == storage) return i;
  }
  return kNoInput;
}

bool Recording::may_read(const Tensor& t) const {
  const StoragePtr& s = t.storage();
  return s->id >= first_own_id_ && !s->recorded.load(std::memory_order_relaxed);
}

bool Recording::writes(uint64_t storage) const {
  std::lock_guard lock(mutex_);
  const auto it = buffers_.find(storage);
  return it != buffers_.end() && it->second.written;
}

void Recording::append(const Launch& l) {
  Launched r{{l.op, label_, l.run, {}, {}, l.num_reads, l.scratch_bytes, l.hints, 0}, {}};
  r.launch.args.resize((l.args_bytes + sizeof(std::max_align_t) - 1) / sizeof(std::max_align_t));
  std::memcpy(r.launch.args.data(), l.args, l.args_bytes);
  std::lock_guard lock(mutex_);
  for (size_t i = 0; i < l.num_reads + l.num_writes; ++i) {
    const Tensor& t = i < l.num_reads ? *l.reads[i] : *l.writes[i - l.num_reads];
    Storage* s = t.storage().get();
    s->recorded.store(true, std::memory_order_relaxed);
    const bool reads = i < l.num_reads;
    const bool from_outside =
        reads || s->id < first_own_id_ || s->version.load(std::memory_order_relaxed) != 0;
    Buffer& b = buffers_.try_emplace(s->id, Buffer{s, s->bytes, from_outside ? t.storage() : StoragePtr()})
                    .first->second;
    b.written = b.written || !reads;
    r.storages.push_back(s->id);
    const uint32_t input = input_of(s->id);
    const int64_t origin = input == kNoInput ? 0 : static_cast<int64_t>(inputs_[input].byte_offset());
    const size_t bytes = static_cast<size_t>(t.size()) * itemsize(t.dtype());
    r.launch.operands.push_back({0, static_cast<int64_t>(t.byte_offset()) - origin, bytes});
    if (!reads) r.launch.elements_written += static_cast<double>(t.size());
  }
  launches_.push_back(std::move(r));
}

Role Recording::role_of(uint64_t id, const Buffer& b, const std::vector<Tensor>& outputs) const {
  if (input_of(id) != kNoInput) return Role::input;
  if (b.held) {
    // Nobody else can write a constant later: it was made here, and only the recording still holds it.
    const bool ours = id >= first_own_id_ && b.held->refs.load(std::memory_order_relaxed) == 1;
    return ours && !b.written ? Role::constant : Role::state;
  }
  if (!b.alive) return Role::intermediate;
  const bool result =
      std::any_of(outputs.begin(), outputs.end(), [&](const Tensor& t) { return t.storage()->id == id; });
  return result ? Role::output : Role::kept;
}

std::unique_ptr<Plan> Recording::close(const std::vector<Tensor>& outputs, std::shared_ptr<Arena> arena) {
  // Storage that dies here reports to this recording: only once the lock is gone.
  std::vector<Tensor> own_inputs;
  std::vector<Launched> launches;
  std::unordered_map<uint64_t, Buffer> buffers;
  Graph graph;
  std::unique_lock lock(mutex_);
  graph.labels = std::move(labels_);
  std::unordered_map<uint64_t, uint32_t> number_of;
  uint32_t num_outputs = 0;
  for (Launched& l : launches_) {
    for (size_t i = 0; i < l.storages.size(); ++i) {
      const uint64_t id = l.storages[i];
      const auto [it, fresh] = number_of.try_emplace(id, static_cast<uint32_t>(graph.buffers.size()));
      l.launch.operands[i].buffer = it->second;
      if (!fresh) continue;
      const Buffer& b = buffers_.at(id);
      GraphBuffer g{role_of(id, b, outputs), b.bytes, 0, {}};
      if (g.role == Role::kept && !pin(b.alive)) g.role = Role::intermediate;  // died just now
      if (g.role == Role::kept) g.storage = StoragePtr(b.alive);
      if (g.role == Role::state || g.role == Role::constant) g.storage = b.held;
      if (g.role == Role::input) g.number = input_of(id);
      if (g.role == Role::output) g.number = num_outputs++;
      graph.buffers.push_back(std::move(g));
    }
    graph.launches.push_back(std::move(l.launch));
  }
  std::vector<PlanOutput> results;
  for (const Tensor& t : outputs) {
    PlanOutput o{Role::constant, 0, 0, t};
    const uint64_t id = t.storage()->id;
    const uint32_t input = input_of(id);
    const auto buffer = number_of.find(id);
    if (input != kNoInput) {
      o.role = Role::input;
      o.number = input;
      o.byte_offset =
          static_cast<int64_t>(t.byte_offset()) - static_cast<int64_t>(inputs_[input].byte_offset());
    } else if (buffer != number_of.end() && graph.buffers[buffer->second].role == Role::output) {
      o.role = Role::output;
      o.number = graph.buffers[buffer->second].number;
    }
    // Shape and place are all that is needed of what every replay makes anew.
    if (o.role != Role::constant)
      o.tensor = Tensor(StoragePtr(), t.offset(), t.shape(), t.strides(), t.dtype());
    results.push_back(std::move(o));
  }
  std::vector<Tensor> inputs;
  for (const Tensor& t : inputs_) inputs.emplace_back(StoragePtr(), 0, t.shape(), t.strides(), t.dtype());
  own_inputs.swap(inputs_);
  launches.swap(launches_);
  buffers.swap(buffers_);
  lock.unlock();
  fold_constants(graph);
  drop_dead_launches(graph);
  fuse_sums(graph);
  defer_state_writes(graph);
  return std::make_unique<Plan>(std::move(graph), std::move(inputs), std::move(results), std::move(arena));
}

}  // namespace lamina
