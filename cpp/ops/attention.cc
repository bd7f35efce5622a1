#include "ops/attention.h"

#include <cstring>

#include "base/error.h"
#include "base/tensor.h"
#include "ops/attention_blocks.h"
#include "ops/dispatch.h"
#include "ops/layout.h"
#include "ops/random.h"

namespace lamina {

LAMINA_KERNELS(AttentionKernels, attention_kernels)

const AttentionKernels::Table& attention_table(DType dtype) {
  return dtype == DType::kFloat32 ? attention_kernels().f32 : attention_kernels().f64;
}

namespace {

constexpr double kScoreCost = 0.4;  // rough ns of one weight

bool known_and_differ(int64_t a, int64_t b) { return a != b && a != kUnknown && b != kUnknown; }

// Output += weights v.
GemmArgs output_product(const AttentionArgs& a, int64_t rows, int64_t keys) {
  GemmArgs g = a.product(rows, a.E, keys);
  g.a_row = a.row(), g.a_col = 1, g.b_row = a.v.place, g.b_col = 1, g.c_row = a.H * a.E;
  return g;
}

// Queries [i, i + rows) of one head: all key blocks they see, one after the other.
class QueryBlock {
 public:
  QueryBlock(const AttentionArgs& a, const AttentionData& data, char* slot, int64_t b, int64_t h, int64_t i,
             int64_t rows, char* y, char* lse)
      : a_(a),
        data_(data),
        table_(attention_table(a.dtype)),
        b_(b),
        h_(h),
        i_(i),
        rows_(rows),
        y_(y),
        lse_(lse),
        scores_(slot),
        maximum_(slot + a.scores_bytes()),
        sum_(maximum_ + stat_bytes(a)),
        correction_(sum_ + stat_bytes(a)),
        gemm_(correction_ + stat_bytes(a)) {}

  static size_t stat_bytes(const AttentionArgs& a) { return align64(static_cast<size_t>(a.queries()) * 8); }

  void run() {
    std::memset(sum_, 0, stat_bytes(a_));
    each([&](int64_t r) { put(maximum_, r, -__builtin_inf()); });
    visit(true);
    bool lost = false;  // a row that saw nothing weighs all there is
    each([&](int64_t r) { lost |= get(maximum_, r) <= kUnseen; });
    if (lost && (!begun_ || !a_.zero_unseen)) visit(false);
    table_.finish(y_, a_.H * a_.E, rows_, a_.E, maximum_, sum_, lse_, a_.zero_unseen);
  }

 private:
  template <class F>
  void each(F f) const {
    for (int64_t r = 0; r < rows_; ++r) f(r);
  }
  void put(char* at, int64_t r, double x) const {
    if (a_.dtype == DType::kFloat32) {
      reinterpret_cast<float*>(at)[r] = static_cast<float>(x);
    } else {
      reinterpret_cast<double*>(at)[r] = x;
    }
  }
  // A float's least score is kUnseen rounded.
  double get(const char* at, int64_t r) const {
    if (a_.dtype == DType::kFloat64) return reinterpret_cast<const double*>(at)[r];
    const float x = reinterpret_cast<const float*>(at)[r];
    return x <= static_cast<float>(kUnseen) ? kUnseen : static_cast<double>(x);
  }

  // The blocks that are seen, or those that are not.
  void visit(bool which) {
    const int64_t kv = h_ / a_.group();
    const char* q = data_.q + a_.q.at(b_, i_, h_) * a_.item();
    for (int64_t j = 0; j < a_.S; j += kAttentionKeys) {
      const int64_t keys = std::min(kAttentionKeys, a_.S - j);
      const AttentionBlock block = data_.block(a_, b_, h_, i_, rows_, j, keys);
      if (seen(block) != which) continue;
      gemm_run(a_.scores_of(rows_, keys, a_.D, a_.q.place, a_.k.place), q,
               data_.k + a_.k.at(b_, j, kv) * a_.item(), nullptr, scores_, gemm_);
      table_.weights(block, scores_, a_.row(), maximum_, sum_, correction_);
      GemmArgs g = output_product(a_, rows_, keys);
      g.accumulate = begun_;
      if (begun_) table_.rescale(y_, a_.H * a_.E, rows_, a_.E, correction_);
      gemm_run(g, scores_, data_.v + a_.v.at(b_, j, kv) * a_.item(), nullptr, y_, gemm_);
      begun_ = true;
    }
  }

  const AttentionArgs& a_;
  const AttentionData& data_;
  const AttentionKernels::Table& table_;
  int64_t b_, h_, i_, rows_;
  char *y_, *lse_, *scores_, *maximum_, *sum_, *correction_, *gemm_;
  bool begun_ = false;
};

// Writes y, lse and the copy of state.
Status run_attention(const AttentionArgs& a, Buffers b) {
  const AttentionData data(a, b);
  char *y = b.at<char>(8), *lse = b.at<char>(9);
  if (a.drops) std::copy_n(data.state, 3, b.at<int64_t>(10));
  AttentionSlots slots(a, b.scratch);
  const int64_t blocks = a.query_blocks();
  const double cost = kScoreCost * static_cast<double>(a.queries() * a.S) +
                      static_cast<double>(a.key_blocks()) *
                          (gemm_cost(a.scores_of(a.queries(), a.keys(), a.D, a.q.place, a.k.place)) +
                           gemm_cost(output_product(a, a.queries(), a.keys())));
  parallel_for(a.B * a.H * blocks, grain_for(cost), [&](int64_t begin, int64_t end) {
    const AttentionSlots::Slot slot(slots);
    for (int64_t item = begin; item < end; ++item) {
      const int64_t i = item % blocks * kAttentionQueries, h = item / blocks % a.H,
                    batch = item / blocks / a.H;
      QueryBlock(a, data, slot.data(), batch, h, i, std::min(kAttentionQueries, a.T - i),
                 y + ((batch * a.T + i) * a.H + h) * a.E * a.item(),
                 lse + ((batch * a.H + h) * a.T + i) * a.item())
          .run();
    }
  });
  return {};
}

}  // namespace

AttentionArgs attention_args(const char* op, const Tensor& q, const Tensor& k, const Tensor& v,
                             const Tensor* bias, const Tensor* mask, const Tensor* mask2, const Tensor* first, const Tensor* state,
                             double scale, bool causal, int64_t window, bool zero_unseen,
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
  check(!bias || bias->dtype() == q.dtype(), op, "bias must have query's dtype. Received: bias.dtype=",
        bias ? bias->dtype() : q.dtype(), ", query.dtype=", q.dtype(), ".");
  for (const Tensor* m : {mask, mask2}) {
    check(!m || m->dtype() == DType::kBool, op,
          "mask must be bool; what is to be added to the scores is a bias. Received: mask.dtype=",
          m ? m->dtype() : DType::kBool, ".");
  }
  check(!first || (first->size() == 1 && first->dtype() == DType::kInt64), op,
        "first must be one int64. Received: first.shape=", first ? first->shape() : Shape(), ".");
  check(rate >= 0 && rate < 1, op, "the rate of dropout must be at least 0 and below 1. Received: rate=",
        rate, ".");
  check(window >= 0, op, "the window must be positive, or 0 for none. Received: window=", window, ".");
  const Shape scores{q.dim(0), q.dim(2), q.dim(1), k.dim(1)};
  for (const Tensor* x : {bias, mask, mask2}) {
    if (!x) continue;
    bool fits = x->rank() <= 4;
    for (int i = 0; fits && i < x->rank(); ++i) {
      const int64_t n = x->dim(x->rank() - 1 - i);
      fits = n == 1 || !known_and_differ(n, scores[3 - i]);
    }
    check(fits, op, x == bias ? "bias" : "mask", " must broadcast to [batch, heads, queries, keys] = ",
          scores, ". Received: ", x == bias ? "bias" : "mask", ".shape=", x->shape(), ".");
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
                                             const Tensor* bias, const Tensor* mask, const Tensor* mask2, const Tensor* first,
                                             const Tensor* state, double scale, bool causal, int64_t window,
                                             bool zero_unseen, double rate) {
  const char* op = "dot_product_attention";
  AttentionArgs a =
      attention_args(op, q_in, k_in, v_in, bias, mask, mask2, first, state, scale, causal, window, zero_unseen, rate);
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
  for_block_sizes(a, [&](int64_t rows, int64_t keys) {
    a.gemm_bytes =
        std::max({a.gemm_bytes, gemm_scratch_bytes(a.scores_of(rows, keys, a.D, a.q.place, a.k.place)),
                  gemm_scratch_bytes(output_product(a, rows, keys))});
  });
  a.slot_bytes = a.scores_bytes() + 3 * QueryBlock::stat_bytes(a) + align64(a.gemm_bytes);
  a.slots = attention_slots(a.B * a.H * a.query_blocks());
  const double scores = static_cast<double>(a.B * a.H) * static_cast<double>(a.T * a.S);
  launch<run_attention>(op, a,
                        {&q, &k, &v, &wide_bias, &wide_mask, &wide_mask2, first ? first : &q, state ? state : &q},
                        {&y, &lse, &copied}, static_cast<size_t>(a.slots) * a.slot_bytes,
                        {.flops = scores * static_cast<double>(2 * (a.D + a.E) + 5)});
  return {y, lse, copied};
}

}  // namespace lamina
