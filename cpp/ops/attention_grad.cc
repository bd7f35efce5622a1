#include <cstring>

#include "base/tensor.h"
#include "ops/attention_blocks.h"
#include "ops/layout.h"

namespace lamina {
namespace {

constexpr double kScoreCost = 0.5;  // rough ns of one weight and its gradient
// A part of the keys of one key head is a task: dk and dv are its own, and its share of dq is added later, in
// order. Heads are cut where there are fewer than kTasks, into parts of at least kPartKeys.
constexpr int64_t kTasks = 16, kPartKeys = 512;

struct AttentionGradArgs : AttentionArgs {
  AttentionSteps dy;
  bool want_dbias;
  int64_t parts, part_keys;
  size_t delta_bytes, share_bytes;

  int64_t dq_size() const { return B * T * H * D; }
  GemmArgs dp(int64_t rows, int64_t keys) const { return scores_of(rows, keys, E, dy.place, v.place); }
  GemmArgs s(int64_t rows, int64_t keys) const { return scores_of(rows, keys, D, q.place, k.place); }
  GemmArgs dq(int64_t rows, int64_t keys) const {  // += ds k
    GemmArgs g = product(rows, D, keys);
    g.a_row = row(), g.a_col = 1, g.b_row = k.place, g.b_col = 1, g.c_row = H * D, g.accumulate = true;
    return g;
  }
  GemmArgs dkv(int64_t rows, int64_t keys, int64_t size, int64_t b_row) const {  // += p^T dy, += ds^T q
    GemmArgs g = product(keys, size, rows);
    g.a_row = 1, g.a_col = row(), g.b_row = b_row, g.b_col = 1, g.c_row = K * size;
    return g;
  }
};

// Keys [begin, end) of one key head, with all the query heads that read it.
class KeyPart {
 public:
  KeyPart(const AttentionGradArgs& a, const AttentionData& data, const Buffers& b, char* slot)
      : a_(a),
        data_(data),
        table_(attention_table(a.dtype)),
        dy_(b.at<char>(8)),
        lse_(b.at<char>(10)),
        dk_(b.at<char>(12)),
        dv_(b.at<char>(13)),
        dbias_(a.want_dbias ? b.at<char>(14) : nullptr),
        delta_(static_cast<char*>(b.scratch)),
        scores_(slot),
        dp_(slot + a.scores_bytes()),
        gemm_(dp_ + a.scores_bytes()) {
    if (!a.packs()) return;
    char* at = gemm_;
    const int64_t rows = a.queries(), keys = a.keys();
    const GemmArgs args[5] = {a.s(rows, keys), a.dp(rows, keys), a.dq(rows, keys),
                              a.dkv(rows, keys, a.E, a.dy.place), a.dkv(rows, keys, a.D, a.q.place)};
    for (int n = 0; n < 5; ++n) {
      products_[n] = GemmPacked(args[n]);
      packed_[n] = at;
      at += products_[n].bytes();
    }
  }

  static size_t packed_bytes(const AttentionGradArgs& a) {
    size_t bytes = 0;
    const int64_t rows = a.queries(), keys = a.keys();
    for (const GemmArgs& g : {a.s(rows, keys), a.dp(rows, keys), a.dq(rows, keys),
                              a.dkv(rows, keys, a.E, a.dy.place), a.dkv(rows, keys, a.D, a.q.place)}) {
      bytes += GemmPacked(g).bytes();
    }
    return bytes;
  }

  // dq: where this part's share goes, as dq lies.
  void run(int64_t b, int64_t kv, int64_t begin, int64_t end, char* dq) {
    for (int64_t t = 0; t < a_.T; ++t) {
      std::memset(dq + ((b * a_.T + t) * a_.H + kv * a_.group()) * a_.D * a_.item(), 0,
                  static_cast<size_t>(a_.group() * a_.D * a_.item()));
    }
    for (int64_t j = begin; j < end; j += a_.block_keys()) {
      const int64_t keys = std::min(a_.block_keys(), end - j);
      begun_ = false;
      if (a_.packs()) {
        const char *k = data_.k + a_.k.at(b, j, kv) * a_.item(), *v = data_.v + a_.v.at(b, j, kv) * a_.item();
        pack(kS, k, a_.D, keys);
        pack(kDp, v, a_.E, keys);
        pack(kDq, k, keys, a_.D);
      }
      for (int64_t h = kv * a_.group(); h < (kv + 1) * a_.group(); ++h) {
        for (int64_t i = 0; i < a_.T; i += kAttentionQueries) {
          pair(b, h, i, std::min(kAttentionQueries, a_.T - i), j, keys, dq);
        }
      }
      if (!begun_) {
        for (int64_t key = j; key < j + keys; ++key) {
          const int64_t place = (b * a_.S + key) * a_.K + kv;
          std::memset(dk_ + place * a_.D * a_.item(), 0, static_cast<size_t>(a_.D * a_.item()));
          std::memset(dv_ + place * a_.E * a_.item(), 0, static_cast<size_t>(a_.E * a_.item()));
        }
      }
    }
  }

 private:
  // One block of scores.
  void pair(int64_t b, int64_t h, int64_t i, int64_t rows, int64_t j, int64_t keys, char* dq) {
    const int64_t item = a_.item(), kv = h / a_.group(), stat = (b * a_.H + h) * a_.T + i;
    AttentionBlock block = data_.block(a_, b, h, i, rows, j, keys);
    if (!seen(block) && (a_.zero_unseen || !lost(lse_ + stat * item, rows))) return;
    const char *q = data_.q + a_.q.at(b, i, h) * item, *k = data_.k + a_.k.at(b, j, kv) * item,
               *v = data_.v + a_.v.at(b, j, kv) * item, *dy = dy_ + a_.dy.at(b, i, h) * item;
    if (const int64_t next = i + rows; next < a_.T) {
      const int64_t count = std::min(kAttentionQueries, a_.T - next);
      block.ahead[0] = ahead_of(q + rows * a_.q.place * item, count, a_.q.place * item, a_.D * item, rows);
      block.ahead[1] = ahead_of(dy + rows * a_.dy.place * item, count, a_.dy.place * item, a_.E * item, rows);
    }
    multiply(kS, a_.s(rows, keys), q, k, false, scores_);
    multiply(kDp, a_.dp(rows, keys), dy, v, false, dp_);
    table_.grad(block, scores_, dp_, a_.row(), lse_ + stat * item, delta_ + stat * item,
                a_.zero_unseen ? 0 : 1 / static_cast<double>(a_.S),
                dbias_ ? dbias_ + (stat * a_.S + j) * item : nullptr, a_.S);
    const int64_t place = (b * a_.S + j) * a_.K + kv;
    if (a_.packs()) {
      pack(kDv, dy, rows, a_.E);
      pack(kDk, q, rows, a_.D);
    }
    multiply(kDv, a_.dkv(rows, keys, a_.E, a_.dy.place), scores_, dy, begun_, dv_ + place * a_.E * item);
    multiply(kDk, a_.dkv(rows, keys, a_.D, a_.q.place), dp_, q, begun_, dk_ + place * a_.D * item);
    multiply(kDq, a_.dq(rows, keys), dp_, k, true, dq + ((b * a_.T + i) * a_.H + h) * a_.D * item);
    begun_ = true;
  }

  enum Product { kS, kDp, kDq, kDv, kDk };
  void pack(Product p, const char* b, int64_t k, int64_t n) { products_[p].pack(b, k, n, packed_[p]); }
  void multiply(Product p, GemmArgs g, const char* a, const char* b, bool accumulate, char* c) const {
    if (a_.packs()) return products_[p].multiply(a, g.m, accumulate, c);
    g.accumulate = accumulate;
    gemm_run(g, a, b, nullptr, c, gemm_);
  }

  // Whether a row saw no key, and so weighs all.
  bool lost(const char* lse, int64_t rows) const {
    for (int64_t r = 0; r < rows; ++r) {
      if (a_.dtype == DType::kFloat32 ? reinterpret_cast<const float*>(lse)[r] == -__builtin_inff()
                                      : reinterpret_cast<const double*>(lse)[r] == -__builtin_inf()) {
        return true;
      }
    }
    return false;
  }

  const AttentionGradArgs& a_;
  const AttentionData& data_;
  const AttentionKernels::Table& table_;
  const char *dy_, *lse_;
  char *dk_, *dv_, *dbias_, *delta_, *scores_, *dp_, *gemm_;
  GemmPacked products_[5];
  char* packed_[5] = {};
  bool begun_ = false;
};

// Also reads dy, y, lse; writes dq, dk, dv, dbias. Scratch: delta, shares of dq, slots.
Status run_attention_grad(const AttentionGradArgs& a, Buffers b) {
  const AttentionData data(a, b);
  const AttentionKernels::Table& table = attention_table(a.dtype);
  const int64_t item = a.item();
  const char *dy = b.at<char>(8), *y = b.at<char>(9);
  char *dq = b.at<char>(11), *delta = static_cast<char*>(b.scratch), *shares = delta + a.delta_bytes;
  parallel_for(a.B * a.H, grain_for(0.2 * static_cast<double>(a.T * a.E)), [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      const int64_t batch = n / a.H, h = n % a.H;
      table.delta(dy + a.dy.at(batch, 0, h) * item, a.dy.place, y + (batch * a.T * a.H + h) * a.E * item,
                  a.H * a.E, a.T, a.E, delta + n * a.T * item);
      if (a.want_dbias) {
        std::memset(b.at<char>(14) + n * a.T * a.S * item, 0, static_cast<size_t>(a.T * a.S * item));
      }
    }
  });
  Slots slots(shares + a.share_bytes, a.slot_bytes, a.slots);
  const double blocks =
                   static_cast<double>(a.group() * a.query_blocks() * ceil_div(a.part_keys, a.block_keys())),
               scores = static_cast<double>(a.queries() * a.keys());
  const int64_t rows = a.queries(), keys = a.keys();
  const double cost =
      blocks * (kScoreCost * scores + gemm_cost(a.s(rows, keys)) + gemm_cost(a.dp(rows, keys)) +
                gemm_cost(a.dq(rows, keys)) + gemm_cost(a.dkv(rows, keys, a.E, a.dy.place)) +
                gemm_cost(a.dkv(rows, keys, a.D, a.q.place)));
  parallel_for(a.B * a.K * a.parts, grain_for(cost), [&](int64_t begin, int64_t end) {
    const Slots::Slot slot(slots);
    for (int64_t n = begin; n < end; ++n) {
      const int64_t part = n % a.parts, kv = n / a.parts % a.K, batch = n / a.parts / a.K;
      KeyPart(a, data, b, slot.data())
          .run(batch, kv, part * a.part_keys, std::min(a.S, (part + 1) * a.part_keys),
               a.parts > 1 ? shares + part * a.dq_size() * item : dq);
    }
  });
  if (a.parts > 1) {
    const GemmTypeKernels& kernels = gemm_kernels_of(a.dtype);
    parallel_for(ceil_div(a.dq_size(), 1024), grain_for(100.0 * static_cast<double>(a.parts)),
                 [&](int64_t begin, int64_t end) {
                   const int64_t at = begin * 1024, n = std::min(a.dq_size(), end * 1024) - at;
                   kernels.combine(shares + at * item, a.dq_size(), a.parts, dq + at * item, n, false);
                 });
  }
  return {};
}

}  // namespace

std::tuple<Tensor, Tensor, Tensor, Tensor> attention_grad(
    const Tensor& dy_in, const Tensor& y_in, const Tensor& lse, const Tensor& q_in, const Tensor& k_in,
    const Tensor& v_in, const Tensor* bias, const Tensor* mask, const Tensor* mask2, const Tensor* first,
    const Tensor* state, double scale, bool causal, int64_t window, bool zero_unseen, double rate,
    bool want_dbias) {
  const char* op = "dot_product_attention_grad";
  AttentionGradArgs a{};
  static_cast<AttentionArgs&>(a) = attention_args(op, q_in, k_in, v_in, bias, mask, mask2, first, state,
                                                  scale, causal, window, zero_unseen, rate);
  const Shape y_shape{a.B, a.T, a.H, a.E}, dbias_shape{want_dbias ? a.B : 0, a.H, a.T, a.S};
  bool symbolic = false;
  for (const Tensor* x : {&dy_in, &y_in, &lse, &q_in, &k_in, &v_in, bias, mask, mask2}) {
    symbolic |= x && x->is_symbolic();
  }
  if (symbolic) {
    return {Tensor::symbolic(q_in.shape(), a.dtype), Tensor::symbolic(k_in.shape(), a.dtype),
            Tensor::symbolic(v_in.shape(), a.dtype), Tensor::symbolic(dbias_shape, a.dtype)};
  }
  check(dy_in.shape() == y_shape && y_in.shape() == y_shape && lse.shape() == Shape{a.B, a.H, a.T} &&
            dy_in.dtype() == a.dtype && y_in.dtype() == a.dtype && lse.dtype() == a.dtype,
        op, "dy and y must have the output's shape and dtype. Received: dy.shape=", dy_in.shape(),
        ", y.shape=", y_in.shape(), ", expected ", y_shape, " ", a.dtype, ".");
  if (a.S == 0 || a.B * a.T * a.H * a.E == 0) {
    return {full(q_in.shape(), 0, a.dtype), full(k_in.shape(), 0, a.dtype), full(v_in.shape(), 0, a.dtype),
            full(dbias_shape, 0, a.dtype)};
  }
  const Tensor dq = Tensor::empty(q_in.shape(), a.dtype), dk = Tensor::empty(k_in.shape(), a.dtype),
               dv = Tensor::empty(v_in.shape(), a.dtype), dbias = Tensor::empty(dbias_shape, a.dtype);
  const Tensor q = attention_operand(q_in, a.q), k = attention_operand(k_in, a.k),
               v = attention_operand(v_in, a.v), dy = attention_operand(dy_in, a.dy), y = contiguous(y_in),
               kept = contiguous(lse);
  const Tensor wide_bias = bias ? attention_spread(a, *bias, a.bias) : q,
               wide_mask = mask ? attention_spread(a, *mask, a.mask[0]) : q,
               wide_mask2 = mask2 ? attention_spread(a, *mask2, a.mask[1]) : q;
  a.want_dbias = want_dbias;
  for_block_sizes(a, [&](int64_t rows, int64_t keys) {
    for (const GemmArgs& g : {a.s(rows, keys), a.dp(rows, keys), a.dq(rows, keys),
                              a.dkv(rows, keys, a.E, a.dy.place), a.dkv(rows, keys, a.D, a.q.place)}) {
      a.gemm_bytes = std::max(a.gemm_bytes, gemm_scratch_bytes(g));
    }
  });
  const int64_t wanted = std::min(ceil_div(kTasks, a.B * a.K), ceil_div(a.S, kPartKeys));
  a.part_keys = round_up(ceil_div(a.S, wanted), a.block_keys());
  a.parts = ceil_div(a.S, a.part_keys);
  a.delta_bytes = align64(static_cast<size_t>(a.B * a.H * a.T * a.item()));
  a.share_bytes = a.parts > 1 ? align64(static_cast<size_t>(a.parts * a.dq_size() * a.item())) : 0;
  a.slot_bytes = 2 * a.scores_bytes() + (a.packs() ? KeyPart::packed_bytes(a) : align64(a.gemm_bytes));
  a.slots = attention_slots(a.B * a.K * a.parts);
  const double scores = static_cast<double>(a.B * a.H) * static_cast<double>(a.T * a.S);
  launch<run_attention_grad>(op, a,
                             {&q, &k, &v, &wide_bias, &wide_mask, &wide_mask2, first ? first : &q,
                              state ? state : &q, &dy, &y, &kept},
                             {&dq, &dk, &dv, &dbias},
                             a.delta_bytes + a.share_bytes + static_cast<size_t>(a.slots) * a.slot_bytes,
                             {.flops = scores * static_cast<double>(6 * a.D + 4 * a.E + 7)});
  return {dq, dk, dv, dbias};
}

}  // namespace lamina
