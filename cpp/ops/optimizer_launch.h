// The launch of optimizer_step: its arguments, and what optimizer.cc runs for it.
#pragma once

#include <cstdint>

#include "base/dtype.h"
#include "ops/factored.h"
#include "ops/launch.h"
#include "ops/optimizer_rules.h"

namespace lamina {

constexpr int64_t kSumBlock = 4096;  // elements of one partial sum
inline int64_t blocks_of(int64_t size) { return (size + kSumBlock - 1) / kSumBlock; }

// The argument block of a launch: this, then `count` rows, one for each parameter. Writes are iterations,
// then lists of `count`: parameters, slots, r and c, accumulators, averages; then the state.
struct StepArgs {
  const Rule* rule;
  DType lr_dtype, state_dtype;
  int id_lists;                // how many gradients are rows
  int slots, list_of_slot[3];  // how many lists; 1 + which, 0 for a slot that is not there
  bool gathers, averages;
  int64_t count, period, blocks;
  UpdateArgs update;

  bool by_norm() const { return update.clipnorm > 0 || update.global_clipnorm > 0; }
};
// A gradient that is rows of its matrix, see optimizer.h.
struct NamedRows {
  int64_t count = -1;  // of ids; -1 for a gradient of its parameter's shape
  int64_t n, width;    // the parameter's rows, and their size
  DType dtype;         // of the ids
};
struct Row {
  int64_t begin, end;              // elements, of all parameters end to end
  int64_t block_begin, block_end;  // partial sums
  double weight_decay;
  Matrices matrices;
  DType dtype;
  NamedRows named;
};

// Reads the learning rate, gradients, then the ids of those that are rows. Scratch: step_scratch(args)
// numbers, then factored_scratch, then sparse_scratch.
Status run_step(const void* args, Buffers buffers);

inline const Row* rows_of(const StepArgs& a) { return reinterpret_cast<const Row*>(&a + 1); }
inline int64_t step_scratch(const StepArgs& a) { return 2 * a.count + 2 * a.blocks; }
// Where lists of `count` operands begin among the addresses: gradients from 1 on, then ids and iterations.
inline int64_t first_parameter(const StepArgs& a) { return 2 + a.count + a.id_lists; }
inline int64_t first_factor(const StepArgs& a) { return first_parameter(a) + (1 + a.slots) * a.count; }

}  // namespace lamina
