// Blocks of attention on bfloat16 tiles (gemm_split.h), 32 queries at a time. Scores go from the tiles to
// rows in cache, their weights become the parts of the next product as they leave the exponential, and that
// happens beside the products of the queries before and after. Letters as in attention.h.
#pragma once

#include <cstddef>

#include "ops/attention.h"

namespace lamina {

// What a block of keys adds to its queries: o, maximum and sum move on; where maximum is -infinity, o is new.
struct AttentionSplitBlock {
  AttentionBlock block;
  bool skips;  // keys that none of 32 queries sees need not be weighed
  int64_t D, E;
  const float* q;
  int64_t q_row;
  const uint16_t *k, *v;  // parts of D x keys and of keys x E, as gemm_split_pack has them
  float* o;
  int64_t o_row;
  float *maximum, *sum;
  void* scratch;
};

struct AttentionSplitKernels {
  // [parts - 1]. Scratch bytes of a block of so many rows and keys, at most kAttentionQueries and
  // kAttentionKeys.
  size_t (*bytes[3])(int64_t D, int64_t rows, int64_t keys);
  // False where q has elements that must not be split: nothing was done then.
  bool (*weigh[3])(const AttentionSplitBlock&);
};

// Null where the machine has no tiles.
const AttentionSplitKernels* attention_split_kernels();

}  // namespace lamina
