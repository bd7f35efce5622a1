// The launch of optimizer_step: its arguments, and what optimizer.cc runs for it.
#pragma once

#include <cstdint>

#include "base/dtype.h"
#include "ops/factored.h"
#include "ops/launch.h"
#include "ops/optimizer_rules.h"

namespace lamina {

constexpr int64_t kSumBlock = 4096;  // elements of one partial sum

// The argument block of a launch: this, then `count` rows. Writes are iterations, then lists of `count`:
// parameters, slots, r and c, accumulators, averages; then the state.
struct StepArgs {
  const Rule* rule;
  DType lr_dtype, state_dtype;
  int slots, list_of_slot[3];  // how many lists; 1 + which, 0 for a slot that is not there
  bool gathers, averages;
  int64_t count, period, blocks;
  UpdateArgs update;

  bool by_norm() const { return update.clipnorm > 0 || update.global_clipnorm > 0; }
};
struct Row {
  int64_t begin, end;              // elements, of all parameters end to end
  int64_t block_begin, block_end;  // partial sums
  double weight_decay;
  Matrices matrices;
  DType dtype;
};

// Reads the learning rate and gradients. Scratch: step_scratch(args) numbers, then factored_scratch.
Status run_step(const void* args, Buffers buffers);

inline int64_t step_scratch(const StepArgs& a) { return 2 * a.count + 2 * a.blocks; }

}  // namespace lamina
