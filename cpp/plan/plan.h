// A closed recording: launches in their final order with an address for every buffer, replayed with no
// Python.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "plan/graph.h"
#include "plan/placement.h"

namespace lamina {

// The memory of intermediates, shared by plans that never run at the same time: its mutex is held by the one
// that runs. Allocated at the first replay; grows to the largest plan.
class Arena {
 public:
  std::mutex mutex;
  char* base() const { return block_ ? static_cast<char*>(block_->data) : nullptr; }
  size_t bytes() const { return block_ ? block_->bytes : 0; }
  void reserve(size_t bytes);

 private:
  StoragePtr block_;
};

// A result: a view of an argument, of storage made anew, or one fixed tensor.
struct PlanOutput {
  Role role = Role::constant;
  uint32_t number = 0;      // of the input or of the storage
  int64_t byte_offset = 0;  // inputs: from the argument's first element
  Tensor tensor;            // shape, strides and dtype; fixed results: the tensor itself
};

// Bytes that a replay needs, by purpose.
struct PlanMemory {
  size_t state, constants, kept, inputs, outputs, arena;
  size_t peak() const { return state + constants + kept + inputs + outputs + arena; }
};

class Plan {
 public:
  Plan(Graph graph, std::vector<Tensor> inputs, std::vector<PlanOutput> outputs,
       std::shared_ptr<Arena> arena);

  // Whether these tensors have the shapes, dtypes and strides of the recorded inputs and share no memory with
  // state that the plan writes.
  bool accepts(const std::vector<const Tensor*>& inputs) const;

  // Runs every launch in order on accepted inputs. A launch that reports bad data raises, naming its op, and
  // ends the replay. An interrupt counts until the first write to state; then the step finishes.
  std::vector<Tensor> replay(const std::vector<const Tensor*>& inputs);

  // One training step per row range: step i reads rows order[i * batch ...] of each column, or rows
  // begin + i * batch ... where `order` is null. Ends after `steps`, when `seconds` have passed, or after a
  // step that leaves true in `stop` (may be null); returns the steps done, and the last one's results.
  struct Column {
    const char* data;
    size_t row_bytes;
  };
  struct HostValues {  // values[i] is written to `target`, one float32, before step i
    Tensor target;
    std::vector<float> values;
  };
  int64_t replay_rows(const std::vector<Column>& columns, const int64_t* order, int64_t begin, int64_t batch,
                      int64_t steps, double seconds, const std::vector<HostValues>& host, const bool* stop,
                      std::vector<Tensor>* results);

  // Seconds of each launch, the median of `repeats` replays. State is put back to what it was.
  std::vector<double> profile(const std::vector<const Tensor*>& inputs, int repeats);

  PlanMemory memory() const;
  size_t bytes_touched() const { return bytes_touched_; }
  const Graph& graph() const { return graph_; }
  const std::vector<uint32_t>& groups() const { return groups_; }
  const Placement& placement() const { return placement_; }
  const std::vector<Tensor>& inputs() const { return inputs_; }

 private:
  struct Patch {
    size_t at;  // in addresses_
    int64_t byte_offset;
  };
  bool writes_memory_of(const Tensor& t) const;
  void resolve();
  std::vector<StoragePtr> fresh_outputs();
  void run(const std::vector<void*>& inputs, const std::vector<StoragePtr>& outputs);
  void run_launches(double* seconds);
  void run_group(size_t first, size_t count);
  std::vector<Tensor> results(const std::vector<Tensor>& inputs,
                              const std::vector<StoragePtr>& outputs) const;

  Graph graph_;
  std::vector<uint32_t> groups_;
  Placement placement_;
  size_t first_state_group_ = 0;  // groups before it write no state
  std::vector<Tensor> inputs_;    // shape, strides and dtype; no values
  std::vector<PlanOutput> outputs_;
  std::vector<size_t> output_bytes_;
  std::shared_ptr<Arena> arena_;
  char* resolved_base_ = nullptr;
  bool resolved_ = false;
  std::vector<void*> addresses_;
  std::vector<size_t> first_address_;  // by launch
  std::vector<void*> scratch_;         // by launch
  std::vector<std::vector<Patch>> input_patches_, output_patches_;
  std::vector<StoragePtr> written_;  // state and kept storage that replays write
  std::vector<std::pair<const char*, const char*>> written_memory_;  // of written_, sorted
  size_t bytes_touched_ = 0;
};

}  // namespace lamina
