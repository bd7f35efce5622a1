// Scaled dot-product attention (Vaswani et al. 2017, arXiv:1706.03762), float32 and float64, in memory linear
// in the lengths: FlashAttention (Dao et al. 2022, arXiv:2205.14135; 2023, arXiv:2307.08691).
//
//   s = scale q k^T + bias      p = softmax(s) over keys      o = drop(p) v
//   dv = drop(p)^T do    dp = drop(do v^T)    ds = p (dp - rowsum(do o))    dq = scale ds k    dk = scale
//   ds^T q
//
// q [B, T, H, D], k [B, S, K, D], v [B, S, K, E], any strides but neighbours in the last axis; query head h
// reads key head h / (H / K). Query i may see keys [low, high):
//
//   causal    high = i + first + 1, i.e. keys up to its own place; `first` is the place of query 0
//   window w  |place - key| < w
//   masks     and those that are true in both
//
// A row that sees no key at all weighs all S keys alike, as Keras does, or none (zero_unseen), as PyTorch
// does, and passes no gradient to q and k.
//
// Blocks of scores, some queries by some keys, are made one after the other, with the running maximum and sum
// of a row; what was added to the output before a larger maximum came is scaled down. Kept for the gradient:
// log-sum-exp [B, H, T], of a row without keys -infinity. Blocks that no query sees are left out. Dropout:
// the place (row of [B, H, T], key) is element row * (S up to a multiple of 64) + key of the draw.
#pragma once

#include <cstdint>
#include <tuple>

#include "base/fwd.h"

namespace lamina {

// In place of a score that does not count: below all others, so that its weight is 0, and yet finite, so that
// a row of nothing else weighs its keys alike.
inline constexpr double kUnseen = -0.7 * 3.38953e38;

inline constexpr int64_t kAttentionQueries = 128;
// Keys of a block, multiples of kDropoutBlock: as many as stay in cache beside the queries; few queries take
// long runs of keys, which memory streams.
inline constexpr int64_t kAttentionKeys = 256, kAttentionLongKeys = 2048;

// What decides on the weights of one block: rows of queries by keys. Row i sees keys [low + i * low_slope,
// high + i * high_slope) of the block, as far as it has them; of mask and bias the first element is the
// block's.
struct AttentionBlock {
  // Rows that later blocks will read: lines that lie apart, which no prefetcher follows, are asked for beside
  // the exponentials, `each` rows of them for one of the block.
  struct Ahead {
    const char* data;
    int64_t rows, row, bytes, each;  // row: bytes from one to the next
  };
  Ahead ahead[2];
  int64_t rows, keys;
  int64_t low, high, low_slope, high_slope;
  double scale;
  const void* bias;  // or null; steps in elements
  int64_t bias_row, bias_key;
  const bool* mask[2];  // or null
  int64_t mask_row[2], mask_key[2];
  const int64_t* state;  // of dropout, or null
  uint32_t last;
  double keep_scale;
  int64_t draw, draw_row;  // element of the first place, and from row to row

  // All keys count, as they are.
  bool plain() const {
    return !bias && !mask[0] && !mask[1] && low + (rows - 1) * low_slope <= 0 && high >= keys;
  }
};

struct AttentionKernels {
  struct Table {
    // scores: q k^T of a block, rows `row` apart; becomes its weights against the row's maximum so far, and
    // maximum, sum (of all keys so far) move on. correction: what earlier outputs are to be multiplied with.
    // At first maximum is -infinity, sum 0.
    void (*weights)(const AttentionBlock&, void* scores, int64_t row, void* maximum, void* sum,
                    void* correction);
    // o rows *= factor.
    void (*rescale)(void* o, int64_t row, int64_t rows, int64_t size, const void* factor);
    // o rows /= sum; lse = maximum + log(sum). Where nothing was seen lse = -infinity, and zero_unseen: o =
    // 0.
    void (*finish)(void* o, int64_t row, int64_t rows, int64_t size, const void* maximum, const void* sum,
                   void* lse, bool zero_unseen);
    // delta[i] = sum over j of dy[i * dy_row + j] y[i * y_row + j].
    void (*delta)(const void* dy, int64_t dy_row, const void* y, int64_t y_row, int64_t rows, int64_t size,
                  void* delta);
    // scores: q k^T, becomes drop(p); dp: do v^T, becomes scale ds. unseen: the weights of rows that see no
    // key. dbias: ds, or null.
    void (*grad)(const AttentionBlock&, void* scores, void* dp, int64_t row, const void* lse,
                 const void* delta, double unseen, void* dbias, int64_t dbias_row);
  };
  Table f32, f64;
};

// Returns y [B, T, H, E], lse [B, H, T] and a copy of state (empty without dropout). bias, of q's dtype, and
// both masks, bool, broadcast to [B, H, T, S]. first: int64 scalar, read as the launch runs; 0 where it is
// null.
std::tuple<Tensor, Tensor, Tensor> attention(const Tensor& q, const Tensor& k, const Tensor& v,
                                             const Tensor* bias, const Tensor* mask, const Tensor* mask2,
                                             const Tensor* first, const Tensor* state, double scale,
                                             bool causal, int64_t window, bool zero_unseen, double rate);

// dy as y. Returns dq, dk, dv and, where want_dbias, ds [B, H, T, S], whose sum over what was broadcast is
// the gradient of bias; else an empty tensor.
std::tuple<Tensor, Tensor, Tensor, Tensor> attention_grad(
    const Tensor& dy, const Tensor& y, const Tensor& lse, const Tensor& q, const Tensor& k, const Tensor& v,
    const Tensor* bias, const Tensor* mask, const Tensor* mask2, const Tensor* first, const Tensor* state,
    double scale, bool causal, int64_t window, bool zero_unseen, double rate, bool want_dbias);

}  // namespace lamina
