#include "plan/plan.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "base/allocator.h"
#include "base/parallel.h"
#include "ops/gemm.h"

namespace lamina {

namespace {

// Items of a group that are taken through all its launches at a time: 16 KB of float32 a buffer.
constexpr int64_t kGroupChunk = 4096;
constexpr double kGroupCost = 0.3;  // rough ns per item and launch

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Holds the arena for one replay; other Python threads run meanwhile where it is long, or has to wait.
class Turn {
 public:
  Turn(Arena& arena, bool release) : released_(release), lock_(arena.mutex, std::try_to_lock) {
    if (lock_.owns_lock()) return;
    const InterpreterReleased waiting(!release);
    lock_.lock();
  }

 private:
  InterpreterReleased released_;
  std::unique_lock<std::mutex> lock_;
};

// Puts state back to what it was.
class Restore {
 public:
  explicit Restore(const std::vector<StoragePtr>& storages) : storages_(storages) {
    for (const StoragePtr& s : storages_) {
      before_.push_back(StoragePtr::allocate(s->bytes));
      std::memcpy(before_.back()->data, s->data, s->bytes);
    }
  }
  ~Restore() {
    for (size_t i = 0; i < storages_.size(); ++i) {
      std::memcpy(storages_[i]->data, before_[i]->data, before_[i]->bytes);
    }
  }
  Restore(const Restore&) = delete;

 private:
  const std::vector<StoragePtr>& storages_;
  std::vector<StoragePtr> before_;
};

// Counts one write of each storage, also where the step ends in an error half-way.
struct Written {
  const std::vector<StoragePtr>& storages;
  ~Written() {
    for (const StoragePtr& s : storages) s->version.fetch_add(1, std::memory_order_relaxed);
  }
};

size_t view_bytes(const Tensor& t) { return static_cast<size_t>(t.size()) * itemsize(t.dtype()); }

}  // namespace

void Arena::reserve(size_t bytes) {
  if (bytes <= this->bytes() && block_) return;
  block_ = StoragePtr();
  // The recorded step left in the allocator's cache what replays find in the arena.
  if (allocator_stats().cached > bytes / 16) trim();
  block_ = StoragePtr::allocate(bytes);
}

Plan::Plan(Graph graph, std::vector<Tensor> inputs, std::vector<PlanOutput> outputs,
           std::shared_ptr<Arena> arena)
    : graph_(std::move(graph)),
      groups_(group_itemwise(graph_)),
      placement_(place_intermediates(graph_, groups_)),
      inputs_(std::move(inputs)),
      outputs_(std::move(outputs)),
      arena_(std::move(arena)) {
  input_patches_.resize(inputs_.size());
  for (const GraphBuffer& b : graph_.buffers) {
    if (b.role != Role::output) continue;
    if (output_bytes_.size() <= b.number) output_bytes_.resize(b.number + 1);
    output_bytes_[b.number] = b.bytes;
  }
  output_patches_.resize(output_bytes_.size());
  std::vector<bool> listed(graph_.buffers.size());
  for (const GraphLaunch& l : graph_.launches) {
    first_address_.push_back(addresses_.size());
    bytes_touched_ += graph_.bytes_of(l);
    for (size_t i = 0; i < l.operands.size(); ++i) {
      const GraphOperand& o = l.operands[i];
      const GraphBuffer& b = graph_.buffers[o.buffer];
      const Patch patch{addresses_.size(), o.byte_offset};
      void* fixed = nullptr;
      if (b.role == Role::input) {
        input_patches_[b.number].push_back(patch);
      } else if (b.role == Role::output) {
        output_patches_[b.number].push_back(patch);
      } else if (b.role != Role::intermediate) {
        fixed = static_cast<char*>(b.storage->data) + o.byte_offset;
      }
      addresses_.push_back(fixed);
      const bool writes = i >= l.num_reads;
      if (writes && (b.role == Role::state || b.role == Role::kept) && !listed[o.buffer]) {
        listed[o.buffer] = true;
        written_.push_back(b.storage);
        const char* data = static_cast<const char*>(b.storage->data);
        written_memory_.emplace_back(data, data + b.storage->bytes);
      }
    }
  }
  std::sort(written_memory_.begin(), written_memory_.end());
  scratch_.resize(graph_.launches.size());
  first_state_group_ = groups_.size();
  size_t k = 0;
  for (size_t g = 0; g < groups_.size() && first_state_group_ == groups_.size(); k += groups_[g++]) {
    for (size_t j = k; j < k + groups_[g]; ++j) {
      if (graph_.writes_state(graph_.launches[j])) first_state_group_ = g;
    }
  }
}

void Plan::resolve() {
  arena_->reserve(placement_.arena_bytes);
  if (resolved_ && resolved_base_ == arena_->base()) return;
  resolved_base_ = arena_->base();
  resolved_ = true;
  size_t at = 0;
  for (size_t k = 0; k < graph_.launches.size(); ++k) {
    for (const GraphOperand& o : graph_.launches[k].operands) {
      if (graph_.buffers[o.buffer].role == Role::intermediate) {
        addresses_[at] = resolved_base_ + placement_.buffer_offset[o.buffer] + o.byte_offset;
      }
      ++at;
    }
    scratch_[k] = resolved_base_ + placement_.scratch_offset[k];
  }
}

bool Plan::writes_memory_of(const Tensor& t) const {
  const char* data = static_cast<const char*>(t.storage()->data);
  // Blocks are disjoint: the last one that begins before the tensor's end is the one that may reach into it.
  const auto after =
      std::lower_bound(written_memory_.begin(), written_memory_.end(), data + t.storage()->bytes,
                       [](const auto& block, const char* end) { return block.first < end; });
  return after != written_memory_.begin() && std::prev(after)->second > data;
}

bool Plan::accepts(const std::vector<const Tensor*>& inputs) const {
  if (inputs.size() != inputs_.size()) return false;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Tensor &t = *inputs[i], &want = inputs_[i];
    if (t.is_symbolic() || t.dtype() != want.dtype() || t.shape() != want.shape()) return false;
    if (t.strides() != want.strides()) return false;
    if (writes_memory_of(t)) return false;
  }
  return true;
}

std::vector<StoragePtr> Plan::fresh_outputs() {
  std::vector<StoragePtr> outputs;
  outputs.reserve(output_bytes_.size());
  for (const size_t bytes : output_bytes_) outputs.push_back(StoragePtr::allocate(bytes));
  return outputs;
}

std::vector<Tensor> Plan::results(const std::vector<Tensor>& inputs,
                                  const std::vector<StoragePtr>& outputs) const {
  std::vector<Tensor> made;
  made.reserve(outputs_.size());
  for (const PlanOutput& o : outputs_) {
    const Tensor& t = o.tensor;
    if (o.role == Role::input) {
      const Tensor& x = inputs[o.number];
      made.push_back(Tensor(x.storage(),
                            x.offset() + o.byte_offset / static_cast<int64_t>(itemsize(x.dtype())), t.shape(),
                            t.strides(), t.dtype()));
    } else if (o.role == Role::output) {
      made.push_back(Tensor(outputs[o.number], t.offset(), t.shape(), t.strides(), t.dtype()));
    } else {
      made.push_back(t);
    }
  }
  return made;
}

void Plan::run(const std::vector<void*>& inputs, const std::vector<StoragePtr>& outputs) {
  for (size_t i = 0; i < inputs.size(); ++i) {
    for (const Patch& p : input_patches_[i]) addresses_[p.at] = static_cast<char*>(inputs[i]) + p.byte_offset;
  }
  for (size_t i = 0; i < outputs.size(); ++i) {
    for (const Patch& p : output_patches_[i]) {
      addresses_[p.at] = static_cast<char*>(outputs[i]->data) + p.byte_offset;
    }
  }
  const DenormalGuard flush;
  const Written written{written_};
  const ProductSequence sequence;
  run_launches(nullptr);
  for (const StoragePtr& s : outputs) s->version.store(1, std::memory_order_relaxed);
}

void Plan::run_group(size_t first, size_t count) {
  const int64_t items = graph_.launches[first].hints.items;
  parallel_for(items, grain_for(kGroupCost * static_cast<double>(count)), [&](int64_t begin, int64_t end) {
    for (int64_t at = begin; at < end; at += kGroupChunk) {
      const Items part{at, std::min(at + kGroupChunk, end)};
      for (size_t k = first; k < first + count; ++k) {
        const GraphLaunch& l = graph_.launches[k];
        l.run(l.args.data(), Buffers{addresses_.data() + first_address_[k], nullptr, part});
      }
    }
  });
}

void Plan::run_launches(double* seconds) {
  size_t k = 0;
  for (size_t g = 0; g < groups_.size(); ++g) {
    const bool writes_state = g >= first_state_group_;
    if (!writes_state && cancel_flag().load(std::memory_order_relaxed)) throw Interrupted();
    const CancelShield shield(writes_state);
    const double start = seconds ? now() : 0;
    if (groups_[g] > 1 && !seconds) {
      run_group(k, groups_[g]);
      k += groups_[g];
      continue;
    }
    double before = start;
    for (const size_t end = k + groups_[g]; k < end; ++k) {
      const GraphLaunch& l = graph_.launches[k];
      check_status(l.op, l.run(l.args.data(), Buffers{addresses_.data() + first_address_[k], scratch_[k]}));
      if (!seconds) continue;
      const double after = now();
      seconds[k] = after - before;
      before = after;
    }
  }
}

std::vector<Tensor> Plan::replay(const std::vector<const Tensor*>& inputs) {
  std::vector<void*> data;
  std::vector<Tensor> held;
  data.reserve(inputs.size());
  held.reserve(inputs.size());
  for (const Tensor* t : inputs) {
    data.push_back(t->data());
    held.push_back(*t);
  }
  const std::vector<StoragePtr> outputs = fresh_outputs();
  {
    const Turn turn(*arena_, bytes_touched_ >= kReleaseBytes);
    resolve();
    run(data, outputs);
  }
  return results(held, outputs);
}

int64_t Plan::replay_rows(const std::vector<Column>& columns, const int64_t* order, int64_t begin,
                          int64_t batch, int64_t steps, double seconds, const std::vector<HostValues>& host,
                          const bool* stop, std::vector<Tensor>* last) {
  check(columns.size() == inputs_.size(), "replay_rows",
        "needs one column for each input. Received: ", columns.size(), " columns, ", inputs_.size(),
        " inputs.");
  std::vector<Tensor> staged;
  std::vector<void*> data(columns.size());
  for (size_t c = 0; c < columns.size(); ++c) {
    check(view_bytes(inputs_[c]) == columns[c].row_bytes * static_cast<size_t>(batch), "replay_rows",
          "a column's rows must have the size of the recorded input's. Received: column ", c, ".");
    staged.push_back(order ? Tensor::empty(inputs_[c].shape(), inputs_[c].dtype()) : inputs_[c]);
    if (order) data[c] = staged[c].data();
  }
  const std::vector<StoragePtr> outputs = fresh_outputs();
  const Turn turn(*arena_, true);
  resolve();
  const double deadline = now() + seconds;
  int64_t step = 0;
  while (step < steps) {
    if (cancel_flag().load(std::memory_order_relaxed)) throw Interrupted();
    const int64_t row = begin + step * batch;
    for (size_t c = 0; c < columns.size(); ++c) {
      const Column& column = columns[c];
      if (!order) {
        data[c] = const_cast<char*>(column.data) + static_cast<size_t>(row) * column.row_bytes;
        continue;
      }
      char* to = static_cast<char*>(data[c]);
      const double cost = 5 + 0.1 * static_cast<double>(column.row_bytes);
      parallel_for(batch, grain_for(cost), [&](int64_t from, int64_t until) {
        for (int64_t i = from; i < until; ++i) {
          std::memcpy(to + static_cast<size_t>(i) * column.row_bytes,
                      column.data + static_cast<size_t>(order[row + i]) * column.row_bytes, column.row_bytes);
        }
      });
    }
    for (const HostValues& h : host) *h.target.data<float>() = h.values[static_cast<size_t>(step)];
    run(data, outputs);
    ++step;
    if (now() >= deadline || (stop && *stop)) break;
  }
  for (const PlanOutput& o : outputs_) {  // a result that is the last batch itself
    if (o.role != Role::input || order) continue;
    staged[o.number] = Tensor::empty(inputs_[o.number].shape(), inputs_[o.number].dtype());
    std::memcpy(staged[o.number].data(), data[o.number], view_bytes(staged[o.number]));
  }
  if (last) *last = results(staged, outputs);
  return step;
}

std::vector<double> Plan::profile(const std::vector<const Tensor*>& inputs, int repeats) {
  const std::vector<StoragePtr> outputs = fresh_outputs();
  const Turn turn(*arena_, true);
  resolve();
  const Restore restore(written_);
  std::vector<std::vector<double>> samples(graph_.launches.size());
  std::vector<double> seconds(graph_.launches.size());
  for (int r = 0; r < repeats; ++r) {
    std::vector<void*> data;
    for (const Tensor* t : inputs) data.push_back(t->data());
    run(data, outputs);  // binds the addresses and warms up
    const DenormalGuard flush;
    run_launches(seconds.data());
    for (size_t k = 0; k < seconds.size(); ++k) samples[k].push_back(seconds[k]);
  }
  for (size_t k = 0; k < samples.size(); ++k) {
    std::nth_element(samples[k].begin(), samples[k].begin() + repeats / 2, samples[k].end());
    seconds[k] = samples[k][static_cast<size_t>(repeats) / 2];
  }
  return seconds;
}

PlanMemory Plan::memory() const {
  PlanMemory m{};
  for (const GraphBuffer& b : graph_.buffers) {
    if (b.role == Role::state) m.state += block_size(b.bytes);
    if (b.role == Role::constant && b.storage) m.constants += block_size(b.bytes);
    if (b.role == Role::kept) m.kept += block_size(b.bytes);
  }
  for (const Tensor& t : inputs_) m.inputs += block_size(view_bytes(t));
  for (const size_t bytes : output_bytes_) m.outputs += block_size(bytes);
  m.arena = block_size(placement_.arena_bytes);
  return m;
}

}  // namespace lamina
