#include "ops/attention.h"

#include <cstring>
#include <utility>

#include "base/error.h"
#include "base/tensor.h"
#include "ops/attention_blocks.h"
#include "ops/attention_split.h"
#include "ops/dispatch.h"
#include "ops/gemm_split.h"
#include "ops/layout.h"
#include "ops/random.h"

namespace lamina {

LAMINA_KERNELS(AttentionKernels, attention_kernels)

const AttentionKernels::Table& attention_table(DType dtype) {
  return dtype == DType::kFloat32 ? attention_kernels().f32 : attention_kernels().f64;
}

namespace {

constexpr int64_t kColdBytes = 1 << 20;  // of keys and values, which L2 does not keep from call to call

constexpr double kScoreCost = 0.4;  // rough ns of one weight

bool known_and_differ(int64_t a, int64_t b) { return a != b && a != kUnknown && b != kUnknown; }

// A head is cut into parts of at least kPartQueries where there are fewer than kTasks of them.
constexpr int64_t kTasks = 16, kPartQueries = 512;
static_assert(kPartQueries % kAttentionQueries == 0);

GemmArgs scores_product(const AttentionArgs& a, int64_t rows, int64_t keys) {
  return a.scores_of(rows, keys, a.D, a.q.place, a.k.place);
}
// Output += weights v.
GemmArgs output_product(const AttentionArgs& a, int64_t rows, int64_t keys) {
  GemmArgs g = a.product(rows, a.E, keys);
  g.a_row = a.row(), g.a_col = 1, g.b_row = a.v.place, g.b_col = 1, g.c_row = a.H * a.E;
  return g;
}

// Parts that blocks of these sizes are made of by attention_split.h; 0: by products of their own.
int parts_of(const AttentionArgs& a) {
  constexpr double kLargestKeep = 1 << 20;  // weights stay far from what must not be split
  const bool splits = a.packs() && attention_split_kernels() && 1 / (1 - a.rate) <= kLargestKeep &&
                      gemm_split_prepacks(scores_product(a, a.queries(), a.keys())) &&
                      gemm_split_prepacks(output_product(a, a.queries(), a.keys()));
  return splits ? split_parts(a.precision) : 0;
}

// Queries [begin, end) of one head. Key blocks go outside, so that each is packed once for all of them.
class QueryPart {
 public:
  QueryPart(const AttentionArgs& a, const AttentionData& data, char* slot, char* y, char* lse)
      : a_(a),
        data_(data),
        table_(attention_table(a.dtype)),
        y_(y),
        lse_(lse),
        split_(parts_of(a)),
        scores_(slot),
        maximum_(slot + scores_bytes(a)),
        sum_(maximum_ + stat_bytes(a)),
        correction_(sum_ + stat_bytes(a)),
        gemm_(correction_ + stat_bytes(a)) {
    if (!a.packs()) return;
    weigh_ = packed_scores(a);
    sum_up_ = packed_output(a);
  }

  static size_t bytes(const AttentionArgs& a) {
    const size_t packed = packed_scores(a).bytes() + packed_output(a).bytes();
    return scores_bytes(a) + 3 * stat_bytes(a) + (a.packs() ? packed : align64(a.gemm_bytes));
  }

  void run(int64_t b, int64_t h, int64_t begin, int64_t end) {
    b_ = b, h_ = h, begin_ = begin, end_ = end;
    for (int64_t r = 0; r < end - begin; ++r) {
      put(maximum_, r, -__builtin_inf());
      put(sum_, r, 0);
    }
    visit([](int64_t, const AttentionBlock& block) { return seen(block); });
    // A row that saw nothing weighs all there is.
    visit([this](int64_t i, const AttentionBlock& block) {
      return !seen(block) && lost(i) && !(a_.zero_unseen && begun(i));
    });
    for (int64_t i = begin; i < end; i += kAttentionQueries) {
      table_.finish(output(i), a_.H * a_.E, rows(i), a_.E, stat(maximum_, i), stat(sum_, i),
                    lse_ + ((b_ * a_.H + h_) * a_.T + i) * a_.item(), a_.zero_unseen);
    }
  }

 private:
  static GemmPacked packed_scores(const AttentionArgs& a) {
    const GemmArgs g = scores_product(a, a.queries(), a.keys());
    return {g, parts_of(a) > 0 || gemm_splits(g)};
  }
  static GemmPacked packed_output(const AttentionArgs& a) {
    const GemmArgs g = output_product(a, a.queries(), a.keys());
    return {g, parts_of(a) > 0 || gemm_splits(g)};
  }
  static size_t scores_bytes(const AttentionArgs& a) {
    const int parts = parts_of(a);
    if (!parts) return a.scores_bytes();
    return std::max(a.scores_bytes(),
                    attention_split_kernels()->bytes[parts - 1](a.D, a.queries(), a.keys()));
  }
  static size_t stat_bytes(const AttentionArgs& a) {
    return align64(static_cast<size_t>(a.part_queries * a.item()));
  }
  void put(char* at, int64_t r, double x) const {
    if (a_.dtype == DType::kFloat32) {
      reinterpret_cast<float*>(at)[r] = static_cast<float>(x);
    } else {
      reinterpret_cast<double*>(at)[r] = x;
    }
  }
  double maximum(int64_t i) const {
    const char* at = stat(maximum_, i);
    return a_.dtype == DType::kFloat32 ? *reinterpret_cast<const float*>(at)
                                       : *reinterpret_cast<const double*>(at);
  }
  // Whether block i has been added to: then each of its rows has a maximum.
  bool begun(int64_t i) const { return maximum(i) != -__builtin_inf(); }
  int64_t rows(int64_t i) const { return std::min(kAttentionQueries, end_ - i); }
  char* stat(char* of, int64_t i) const { return of + (i - begin_) * a_.item(); }
  char* output(int64_t i) const { return y_ + ((b_ * a_.T + i) * a_.H + h_) * a_.E * a_.item(); }

  // Whether a row of block i has seen no key.
  bool lost(int64_t i) const {
    const char* at = stat(maximum_, i);
    for (int64_t r = 0; r < rows(i); ++r) {
      if (a_.dtype == DType::kFloat32 ? reinterpret_cast<const float*>(at)[r] <= static_cast<float>(kUnseen)
                                      : reinterpret_cast<const double*>(at)[r] <= kUnseen) {
        return true;
      }
    }
    return false;
  }

  // Keys outside of it no query of this part sees. Of many queries every block of keys is seen by some.
  std::pair<int64_t, int64_t> range() const {
    if (a_.packs()) return {0, a_.S};
    const AttentionBlock all = data_.block(a_, b_, h_, begin_, end_ - begin_, 0, a_.S);
    const int64_t high = all.high + (all.rows - 1) * all.high_slope;
    const int64_t end = std::clamp<int64_t>(round_up(high, kAttentionKeys), 0, a_.S);
    return {std::clamp<int64_t>(all.low / kAttentionKeys * kAttentionKeys, 0, end), end};
  }

  // Adds the blocks that are wanted(first query, block).
  template <class F>
  void visit(const F& wanted) {
    const int64_t kv = h_ / a_.group();
    const auto [low, high] = range();
    for (int64_t j = 0, keys = 0; j < a_.S; j += keys) {
      const int64_t limit = j < low ? low : j < high ? high : a_.S;
      keys = std::min(a_.block_keys(), limit - j);
      const char *k = data_.k + a_.k.at(b_, j, kv) * a_.item(), *v = data_.v + a_.v.at(b_, j, kv) * a_.item();
      bool packed = false;
      for (int64_t i = begin_; i < end_; i += kAttentionQueries) {
        AttentionBlock block = data_.block(a_, b_, h_, i, rows(i), j, keys);
        if (!wanted(i, block)) continue;
        if (a_.packs() && !packed) {
          weigh_.pack(k, a_.D, keys, gemm_);
          sum_up_.pack(v, keys, a_.E, gemm_ + weigh_.bytes());
          packed = true;
        }
        if (a_.packs()) ask(block, i, j, k, v);
        add(block, i, k, v);
      }
    }
  }

  // What block i of the keys from j on has asked for: at first the next queries and their outputs, then the
  // next keys and values.
  void ask(AttentionBlock& block, int64_t i, int64_t j, const char* k, const char* v) const {
    const int64_t item = a_.item(), next = i + kAttentionQueries;
    if (next < end_ && j == 0) {
      const int64_t count = rows(next);
      block.ahead[0] =
          ahead_of(data_.q + a_.q.at(b_, next, h_) * item, count, a_.q.place * item, a_.D * item, block.rows);
      block.ahead[1] = ahead_of(output(next), count, a_.H * a_.E * item, a_.E * item, block.rows);
    } else if (next >= end_ && j + block.keys < a_.S) {
      const int64_t count = std::min(a_.block_keys(), a_.S - j - block.keys);
      block.ahead[0] =
          ahead_of(k + block.keys * a_.k.place * item, count, a_.k.place * item, a_.D * item, block.rows);
      block.ahead[1] =
          ahead_of(v + block.keys * a_.v.place * item, count, a_.v.place * item, a_.E * item, block.rows);
    }
  }

  void add(const AttentionBlock& block, int64_t i, const char* k, const char* v) const {
    const char* q = data_.q + a_.q.at(b_, i, h_) * a_.item();
    char* y = output(i);
    if (split_ && add_split(block, i, q, y)) return;
    const bool added = begun(i);
    if (a_.packs()) {
      weigh_.multiply(q, block.rows, false, scores_);
    } else {
      gemm_run(scores_product(a_, block.rows, block.keys), q, k, nullptr, scores_, gemm_);
    }
    table_.weights(block, scores_, a_.row(), stat(maximum_, i), stat(sum_, i), correction_);
    if (added) table_.rescale(y, a_.H * a_.E, block.rows, a_.E, correction_);
    if (a_.packs()) return sum_up_.multiply(scores_, block.rows, added, y);
    GemmArgs g = output_product(a_, block.rows, block.keys);
    g.accumulate = added;
    gemm_run(g, scores_, v, nullptr, y, gemm_);
  }

  // False, and nothing done, where an operand must not be split.
  bool add_split(const AttentionBlock& block, int64_t i, const char* q, char* y) const {
    const uint16_t *k = weigh_.parts(), *v = sum_up_.parts();
    const bool causal_alone =
        !a_.window && !block.bias && !block.mask[0] && !block.mask[1] && data_.first >= 0;
    return k && v &&
           attention_split_kernels()->weigh[split_ - 1](
               {.block = block,
                .skips = a_.zero_unseen || causal_alone,
                .D = a_.D,
                .E = a_.E,
                .q = reinterpret_cast<const float*>(q),
                .q_row = a_.q.place,
                .k = k,
                .v = v,
                .o = reinterpret_cast<float*>(y),
                .o_row = a_.H * a_.E,
                .maximum = reinterpret_cast<float*>(stat(maximum_, i)),
                .sum = reinterpret_cast<float*>(stat(sum_, i)),
                .scratch = scores_});
  }

  const AttentionArgs& a_;
  const AttentionData& data_;
  const AttentionKernels::Table& table_;
  int64_t b_ = 0, h_ = 0, begin_ = 0, end_ = 0;
  char *y_, *lse_;
  const int split_;
  char *scores_, *maximum_, *sum_, *correction_, *gemm_;
  GemmPacked weigh_, sum_up_;
};

// Writes y, lse and the copy of state.
Status run_attention(const AttentionArgs& a, Buffers b) {
  const AttentionData data(a, b);
  if (a.drops) std::copy_n(data.state, 3, b.at<int64_t>(10));
  Slots slots(b.scratch, a.slot_bytes, a.slots);
  const int64_t parts = ceil_div(a.T, a.part_queries);
  const double blocks = static_cast<double>(ceil_div(a.part_queries, kAttentionQueries) * a.key_blocks());
  const double cost = blocks * (kScoreCost * static_cast<double>(a.queries() * a.keys()) +
                                gemm_cost(scores_product(a, a.queries(), a.keys())) +
                                gemm_cost(output_product(a, a.queries(), a.keys())));
  parallel_for(a.B * a.H * parts, grain_for(cost), [&](int64_t begin, int64_t end) {
    const Slots::Slot slot(slots);
    QueryPart part(a, data, slot.data(), b.at<char>(8), b.at<char>(9));
    for (int64_t item = begin; item < end; ++item) {
      const int64_t i = item % parts * a.part_queries;
      part.run(item / parts / a.H, item / parts % a.H, i, std::min(a.T, i + a.part_queries));
    }
  });
  return {};
}

}  // namespace

AttentionArgs attention_args(const char* op, const Tensor& q, const Tensor& k, const Tensor& v,
                             const Tensor* bias, const Tensor* mask, const Tensor* mask2, const Tensor* first,
                             const Tensor* state, double scale, bool causal, int64_t window, bool zero_unseen,
                             double rate) {
  check_computes(op, q.dtype());
  check(q.rank() == 4 && k.rank() == 4 && v.rank() == 4, op,
        "needs query, key and value of shape [batch, length, heads, size]. Received: query.shape=", q.shape(),
        ", key.shape=", k.shape(), ", value.shape=", v.shape(), ".");
  check(k.dtype() == q.dtype() && v.dtype() == q.dtype(), op,
        "query, key and value must have one dtype. Received: ", q.dtype(), ", ", k.dtype(), ", ", v.dtype(),
        ".");
  check(!known_and_differ(q.dim(0), k.dim(0)) && !known_and_differ(q.dim(0), v.dim(0)) &&
            !known_and_differ(k.dim(1), v.dim(1)) && !known_and_differ(k.dim(2), v.dim(2)) &&
            !known_and_differ(q.dim(3), k.dim(3)),
        op,
        "query and key must agree in batch and size, key and value in batch, length and heads. Received: "
        "query.shape=",
        q.shape(), ", key.shape=", k.shape(), ", value.shape=", v.shape(), ".");
  check(k.dim(2) > 0 ? q.dim(2) % k.dim(2) == 0 : q.dim(2) <= 0, op,
        "the heads of query must be a multiple of those of key. Received: query.shape=", q.shape(),
        ", key.shape=", k.shape(), ".");
  check(!bias || bias->dtype() == q.dtype(), op,
        "bias must have query's dtype. Received: bias.dtype=", bias ? bias->dtype() : q.dtype(),
        ", query.dtype=", q.dtype(), ".");
  for (const Tensor* m : {mask, mask2}) {
    check(!m || m->dtype() == DType::kBool, op,
          "mask must be bool; what is to be added to the scores is a bias. Received: mask.dtype=",
          m ? m->dtype() : DType::kBool, ".");
  }
  check(!first || (first->size() == 1 && first->dtype() == DType::kInt64), op,
        "first must be one int64. Received: first.shape=", first ? first->shape() : Shape(), ".");
  check(rate >= 0 && rate < 1, op,
        "the rate of dropout must be at least 0 and below 1. Received: rate=", rate, ".");
  check(window >= 0, op, "the window must be positive, or 0 for none. Received: window=", window, ".");
  const Shape scores{q.dim(0), q.dim(2), q.dim(1), k.dim(1)};
  for (const Tensor* x : {bias, mask, mask2}) {
    if (!x) continue;
    bool fits = x->rank() <= 4;
    for (int i = 0; fits && i < x->rank(); ++i) {
      const int64_t n = x->dim(x->rank() - 1 - i);
      fits = n == 1 || !known_and_differ(n, scores[3 - i]);
    }
    check(fits, op, x == bias ? "bias" : "mask",
          " must broadcast to [batch, heads, queries, keys] = ", scores,
          ". Received: ", x == bias ? "bias" : "mask", ".shape=", x->shape(), ".");
  }
  if (state) check_random_state(op, *state);
  AttentionArgs a{};
  a.dtype = q.dtype(), a.precision = matmul_precision();
  a.has_bias = bias, a.has_mask[0] = mask, a.has_mask[1] = mask2, a.has_first = first, a.drops = state;
  a.causal = causal, a.window = window, a.zero_unseen = zero_unseen, a.scale = scale, a.rate = rate;
  if (state) a.last = static_cast<uint32_t>(std::max<uint64_t>(bernoulli_threshold(1 - rate), 1) - 1);
  a.B = q.dim(0), a.T = q.dim(1), a.H = q.dim(2), a.D = q.dim(3);
  a.S = k.dim(1), a.K = k.dim(2), a.E = v.dim(3);
  return a;
}

Tensor attention_spread(const AttentionArgs& a, const Tensor& x, int64_t* steps) {
  const Tensor wide = contiguous(x).expand({a.B, a.H, a.T, a.S});
  for (int i = 0; i < 4; ++i) steps[i] = wide.dim(i) == 1 ? 0 : wide.strides()[i];
  return wide;
}

Tensor attention_operand(const Tensor& given, AttentionSteps& steps) {
  const Tensor x = given.dim(3) == 1 || given.strides()[3] == 1 ? given : contiguous(given);
  steps = {x.strides()[0], x.strides()[1], x.strides()[2]};
  return x;
}

std::tuple<Tensor, Tensor, Tensor> attention(const Tensor& q_in, const Tensor& k_in, const Tensor& v_in,
                                             const Tensor* bias, const Tensor* mask, const Tensor* mask2,
                                             const Tensor* first, const Tensor* state, double scale,
                                             bool causal, int64_t window, bool zero_unseen, double rate) {
  const char* op = "dot_product_attention";
  AttentionArgs a = attention_args(op, q_in, k_in, v_in, bias, mask, mask2, first, state, scale, causal,
                                   window, zero_unseen, rate);
  const Shape y_shape{a.B, a.T, a.H, a.E}, lse_shape{a.B, a.H, a.T}, state_shape{state ? 3 : 0};
  bool symbolic = false;
  for (const Tensor* x : {&q_in, &k_in, &v_in, bias, mask}) symbolic |= x && x->is_symbolic();
  if (symbolic) {
    return {Tensor::symbolic(y_shape, a.dtype), Tensor::symbolic(lse_shape, a.dtype),
            Tensor::symbolic(state_shape, DType::kInt64)};
  }
  const Tensor copied = Tensor::empty(state_shape, DType::kInt64);
  if (a.S == 0 || a.B * a.T * a.H * a.E == 0) {
    return {full(y_shape, 0, a.dtype), full(lse_shape, -__builtin_inf(), a.dtype),
            state ? copy(*state) : copied};
  }
  const Tensor y = Tensor::empty(y_shape, a.dtype), lse = Tensor::empty(lse_shape, a.dtype);
  const Tensor q = attention_operand(q_in, a.q), k = attention_operand(k_in, a.k),
               v = attention_operand(v_in, a.v);
  const Tensor wide_bias = bias ? attention_spread(a, *bias, a.bias) : q,
               wide_mask = mask ? attention_spread(a, *mask, a.mask[0]) : q,
               wide_mask2 = mask2 ? attention_spread(a, *mask2, a.mask[1]) : q;
  a.cold = !a.packs() && a.B * a.S * a.K * (a.D + a.E) * a.item() > kColdBytes;
  for_block_sizes(a, [&](int64_t rows, int64_t keys) {
    a.gemm_bytes = std::max({a.gemm_bytes, gemm_scratch_bytes(scores_product(a, rows, keys)),
                             gemm_scratch_bytes(output_product(a, rows, keys))});
  });
  const int64_t parts = std::min(ceil_div(kTasks, a.B * a.H), ceil_div(a.T, kPartQueries));
  a.part_queries = round_up(ceil_div(a.T, parts), kAttentionQueries);
  a.slot_bytes = QueryPart::bytes(a);
  a.slots = attention_slots(a.B * a.H * ceil_div(a.T, a.part_queries));
  const double scores = static_cast<double>(a.B * a.H) * static_cast<double>(a.T * a.S);
  launch<run_attention>(
      op, a, {&q, &k, &v, &wide_bias, &wide_mask, &wide_mask2, first ? first : &q, state ? state : &q},
      {&y, &lse, &copied}, static_cast<size_t>(a.slots) * a.slot_bytes,
      {.flops = scores * static_cast<double>(2 * (a.D + a.E) + 5)});
  return {y, lse, copied};
}

}  // namespace lamina
