// A recording on its way to a plan: launches over numbered buffers, and the passes that make the list shorter
// and safer. No pass changes a bit of any result.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "ops/launch.h"

namespace lamina {

enum class Role : uint8_t {
  input,         // an argument: bound anew by every replay, never written
  state,         // made before the recording, or under init_scope: weights, counters
  constant,      // made during the recording outside of it, and out of everybody else's reach
  kept,          // an intermediate that Python still held when the recording ended
  output,        // a result: storage of its own at every replay
  intermediate,  // dead by the end: the plan decides where it lies
};
const char* role_name(Role role);

struct GraphBuffer {
  Role role = Role::intermediate;
  size_t bytes = 0;
  uint32_t number = 0;  // of the input or output
  StoragePtr storage;   // state, constant, kept
};

struct GraphOperand {
  uint32_t buffer;
  int64_t byte_offset;  // inputs: from the argument's first element
  size_t bytes;         // of the elements touched
};

struct GraphLaunch {
  const char* op;
  uint32_t label;  // the layer, an index into Graph::labels
  RunFn run;
  std::vector<std::max_align_t> args;  // the argument block, aligned
  std::vector<GraphOperand> operands;  // reads, then writes
  size_t num_reads;
  size_t scratch_bytes;
  Hints hints;
  double elements_written;

  double flops() const { return hints.flops >= 0 ? hints.flops : elements_written; }
};

struct Graph {
  std::vector<GraphBuffer> buffers;
  std::vector<GraphLaunch> launches;
  std::vector<std::string> labels;

  bool writes_state(const GraphLaunch& l) const;
  // Bytes read and written, operands that are named twice or broadcast once.
  size_t bytes_of(const GraphLaunch& l) const;
};

// Runs launches whose reads are all constant, once, and keeps what they wrote as constants.
void fold_constants(Graph& graph);

// Drops launches whose results nobody reads.
void drop_dead_launches(Graph& graph);

// Makes a sum a part of the launch that writes one of its operands, where nobody else reads that and the
// other one is there by then: y = x w + b and z = y + x become one launch.
void fuse_sums(Graph& graph);

// Moves launches that write nothing but state behind all that neither reads nor writes it again, order kept:
// a replay that stops before the first of them has changed nothing.
void defer_state_writes(Graph& graph);

// Lengths of runs of launches, in order, that may be executed item range by item range, all of a run for each
// range; 1 for any other launch.
std::vector<uint32_t> group_itemwise(const Graph& graph);

}  // namespace lamina
