// What attention and its gradient share: the sizes of one launch, its blocks, and the memory of those under
// way. Letters as in attention.h.
#pragma once

#include <algorithm>

#include "base/dtype.h"
#include "base/parallel.h"
#include "base/rounding.h"
#include "base/slots.h"
#include "ops/attention.h"
#include "ops/gemm_packed.h"
#include "ops/launch.h"

namespace lamina {

inline constexpr int64_t kPackedQueries = 16;

// Of one operand: elements from batch to batch, place to place, head to head.
struct AttentionSteps {
  int64_t batch, place, head;
  int64_t at(int64_t b, int64_t t, int64_t h) const { return b * batch + t * place + h * head; }
};

struct AttentionArgs {
  DType dtype;
  MatmulPrecision precision;
  int64_t B, T, S, H, K, D, E;
  AttentionSteps q, k, v;
  bool has_bias, has_mask[2], has_first, drops, causal;
  int64_t window;
  bool zero_unseen;
  double scale, rate;
  uint32_t last;  // of the draws that keep
  int64_t bias[4], mask[2][4];
  bool cold;  // keys and values come from memory
  size_t gemm_bytes, slot_bytes;
  int64_t slots, part_queries;

  int64_t item() const { return static_cast<int64_t>(itemsize(dtype)); }
  int64_t group() const { return H / K; }
  int64_t queries() const { return std::min(T, kAttentionQueries); }
  int64_t block_keys() const { return packs() ? kAttentionKeys : kAttentionLongKeys; }
  int64_t keys() const { return std::min(S, block_keys()); }
  int64_t row() const { return round_up(keys(), 16) + 16; }  // of scores: not a power of two apart
  // With few queries products read k and v where they lie; else a block of them is packed for many queries.
  bool packs() const { return T >= kPackedQueries; }
  int64_t query_blocks() const { return ceil_div(T, kAttentionQueries); }
  int64_t key_blocks() const { return ceil_div(S, block_keys()); }
  size_t scores_bytes() const { return align64(static_cast<size_t>(queries() * row() * item())); }
  GemmArgs product(int64_t m, int64_t n, int64_t k) const {
    return {.dtype = dtype, .precision = precision, .m = m, .n = n, .k = k, .cold = cold};
  }
  // q k^T, or dy v^T where `size` and steps are theirs.
  GemmArgs scores_of(int64_t rows, int64_t keys, int64_t size, int64_t a_row, int64_t b_col) const {
    GemmArgs g = product(rows, keys, size);
    g.a_row = a_row, g.a_col = 1, g.b_row = 1, g.b_col = b_col, g.c_row = row();
    return g;
  }
};

// The operands of a launch. Buffers: q, k, v, bias, two masks, first, state, then what is the launch's own.
struct AttentionData {
  const char *q, *k, *v, *bias;
  const bool* mask[2];
  const int64_t* state;
  int64_t first;

  AttentionData(const AttentionArgs& a, const Buffers& b)
      : q(b.at<char>(0)),
        k(b.at<char>(1)),
        v(b.at<char>(2)),
        bias(a.has_bias ? b.at<char>(3) : nullptr),
        mask{a.has_mask[0] ? b.at<bool>(4) : nullptr, a.has_mask[1] ? b.at<bool>(5) : nullptr},
        state(a.drops ? b.at<int64_t>(7) : nullptr),
        first(a.has_first ? *b.at<int64_t>(6) : 0) {}

  // Queries [i, i + rows) and keys [j, j + keys) of a head.
  AttentionBlock block(const AttentionArgs& a, int64_t b, int64_t h, int64_t i, int64_t rows, int64_t j,
                       int64_t keys) const {
    const int64_t place = i + first - j, draw_row = round_up(a.S, 64);
    AttentionBlock block{.ahead = {},
                         .rows = rows,
                         .keys = keys,
                         .low = a.window ? place - a.window + 1 : 0,
                         .high = a.causal   ? place + 1
                                 : a.window ? place + a.window
                                            : keys,
                         .low_slope = a.window ? 1 : 0,
                         .high_slope = a.causal || a.window ? 1 : 0,
                         .scale = a.scale,
                         .bias = nullptr,
                         .bias_row = a.bias[2],
                         .bias_key = a.bias[3],
                         .mask = {},
                         .mask_row = {a.mask[0][2], a.mask[1][2]},
                         .mask_key = {a.mask[0][3], a.mask[1][3]},
                         .state = state,
                         .last = a.last,
                         .keep_scale = 1 / (1 - a.rate),
                         .draw = ((b * a.H + h) * a.T + i) * draw_row + j,
                         .draw_row = draw_row};
    const auto at = [&](const int64_t* s) { return b * s[0] + h * s[1] + i * s[2] + j * s[3]; };
    if (bias) block.bias = bias + at(a.bias) * a.item();
    for (int m = 0; m < 2; ++m) {
      if (mask[m]) block.mask[m] = mask[m] + at(a.mask[m]);
    }
    return block;
  }
};

// `count` rows from `data` on, for a block of `rows` rows to ask for.
inline AttentionBlock::Ahead ahead_of(const char* data, int64_t count, int64_t row, int64_t bytes,
                                      int64_t rows) {
  return {data, count, row, bytes, ceil_div(count, rows)};
}

// Whether any row of the block sees any of its keys, mask aside.
inline bool seen(const AttentionBlock& b) {
  return b.low < b.keys && b.high + (b.rows - 1) * b.high_slope > 0;
}

// How many pieces of memory (slots.h) a loop over so many items is given.
inline int64_t attention_slots(int64_t items) {
  return std::max<int64_t>(1, std::min(items, std::min<int64_t>(64, std::max(16, num_threads()))));
}

// Calls f(rows, keys) for the sizes of blocks that occur. Few queries may leave out keys by whole
// kAttentionKeys.
template <class F>
void for_block_sizes(const AttentionArgs& a, const F& f) {
  if (!a.packs() && (a.causal || a.window)) {
    for (int64_t keys = kAttentionKeys; keys <= a.keys(); keys += kAttentionKeys) f(a.T, keys);
    for (int64_t keys = a.S % kAttentionKeys; keys <= a.keys(); keys += kAttentionKeys) f(a.T, keys);
  }
  for (int64_t rows : {a.queries(), (a.T - 1) % kAttentionQueries + 1}) {
    for (int64_t keys : {a.keys(), (a.S - 1) % a.block_keys() + 1}) f(rows, keys);
  }
}

const AttentionKernels::Table& attention_table(DType dtype);

// Checks the operands and fills in what does not depend on the direction.
AttentionArgs attention_args(const char* op, const Tensor& q, const Tensor& k, const Tensor& v,
                             const Tensor* bias, const Tensor* mask, const Tensor* mask2, const Tensor* first,
                             const Tensor* state, double scale, bool causal, int64_t window, bool zero_unseen,
                             double rate);

// x, or a copy of it, with neighbours along the last axis side by side, and its steps.
Tensor attention_operand(const Tensor& x, AttentionSteps& steps);

// bias and mask as [B, H, T, S], by steps of 0 where broadcast; fills in the steps.
Tensor attention_spread(const AttentionArgs& a, const Tensor& x, int64_t* steps);

}  // namespace lamina
