#include "ops/recurrent.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/parallel.h"
#include "base/rounding.h"
#include "base/tensor.h"
#include "ops/dispatch.h"
#include "ops/gemm.h"
#include "ops/gemm_packed.h"
#include "ops/launch.h"
#include "ops/layout.h"

namespace lamina {

LAMINA_KERNELS(RecurrentKernels, recurrent_kernels)

namespace {

constexpr int64_t kGates[3] = {1, 4, 3};
constexpr int64_t kBlock = 16;                // samples that go through all steps by themselves
constexpr int64_t kWeightBytes = 1 << 20;     // of W; beyond, all samples go together
constexpr int64_t kPackedSteps = 3;           // on which packing W pays
constexpr int64_t kRowsInPlace = 16;          // up to so many, fma takes W as it lies (gemm_rows.h)
constexpr double kCost[3] = {0.8, 3.0, 2.5};  // rough ns of a unit's functions

struct RecurrentArgs {
  DType dtype;
  RecurrentKind kind;
  Activation activation;
  bool reverse, masked, biased;
  int64_t T, B, U;
  GemmArgs gemm;                   // of a block of samples
  size_t packed_bytes;             // scratch: of W packed for all steps, or 0,
  size_t gemm_bytes, block_bytes;  // of one product, of one block of samples

  int k() const { return static_cast<int>(kind); }
  int64_t G() const { return kGates[k()]; }
  int64_t width() const { return G() * U; }
  bool together() const { return U * width() * static_cast<int64_t>(itemsize(dtype)) > kWeightBytes; }
  int64_t rows() const { return together() ? B : kBlock; }
  int64_t blocks() const { return B == 0 ? 0 : (B + rows() - 1) / rows(); }
  bool lstm() const { return kind == RecurrentKind::lstm; }
  size_t scratch_bytes() const { return packed_bytes + static_cast<size_t>(blocks()) * block_bytes; }
  double step_cost(int64_t n) const { return kCost[k()] * static_cast<double>(n * U) + gemm_cost(gemm); }
  const RecurrentKernels::Table& table() const {
    return dtype == DType::kFloat32 ? recurrent_kernels().f32 : recurrent_kernels().f64;
  }
};

// Where things of one launch lie, in bytes; null stays null.
struct At {
  size_t item;
  char* operator()(const void* base, int64_t elements) const {
    return base ? static_cast<char*>(const_cast<void*>(base)) + elements * static_cast<int64_t>(item)
                : nullptr;
  }
};

// h W, or its gradient: W packed for all steps at the head of the scratch, or taken as it lies.
class Product {
 public:
  Product(const RecurrentArgs& a, const void* w, void* scratch)
      : g_(a.gemm), w_(w), packs_(a.packed_bytes > 0) {
    if (!packs_) return;
    packed_ = GemmPacked(g_, gemm_split_prepacks(g_));
    packed_.pack(w, g_.k, g_.n, scratch);
  }
  // Of n samples.
  void operator()(int64_t n, const void* h, void* s, void* scratch) const {
    if (packs_) return packed_.multiply(h, n, g_.accumulate, s);
    GemmArgs g = g_;
    g.m = n;
    gemm_run(g, h, w_, nullptr, s, scratch);
  }

 private:
  GemmArgs g_;
  const void* w_;
  bool packs_;
  GemmPacked packed_;
};

// body(first sample, samples) on every block: as chunks of their own, or one after the other.
template <class Body>
void for_blocks(const RecurrentArgs& a, const Body& body) {
  const auto run = [&](int64_t block) {
    const int64_t first = block * a.rows();
    body(block, first, std::min(a.rows(), a.B - first));
  };
  if (a.together()) return run(0);
  parallel_for(a.blocks(), grain_for(static_cast<double>(a.T) * a.step_cost(a.rows())),
               [&](int64_t begin, int64_t end) {
                 for (int64_t block = begin; block < end; ++block) run(block);
               });
}

// f(first row, rows): the samples of a block, split where the block is all there is.
template <class F>
void for_rows(const RecurrentArgs& a, int64_t n, const F& f) {
  if (!a.together()) return f(0, n);
  parallel_for(n, grain_for(kCost[a.k()] * static_cast<double>(a.U)),
               [&](int64_t begin, int64_t end) { f(begin, end - begin); });
}

// Reads x, w, bias, h0, c0, mask; writes y, c, gates. Scratch: per block s and the product's own.
Status run_forward(const RecurrentArgs& a, Buffers b) {
  const At at{itemsize(a.dtype)};
  const char *x = b.at<char>(0), *w = b.at<char>(1), *h0 = b.at<char>(3), *c0 = b.at<char>(4);
  const void* bias = a.biased ? b.at<char>(2) : nullptr;
  const bool* mask = a.masked ? b.at<bool>(5) : nullptr;
  char *y = b.at<char>(6), *c = a.lstm() ? b.at<char>(7) : nullptr;
  char* gates = a.kind == RecurrentKind::rnn ? nullptr : b.at<char>(8);
  const Product multiply(a, w, b.scratch);
  for_blocks(a, [&](int64_t block, int64_t first, int64_t n) {
    char* s = static_cast<char*>(b.scratch) + a.packed_bytes + static_cast<size_t>(block) * a.block_bytes;
    void* product_scratch = s + (a.block_bytes - a.gemm_bytes);
    const size_t bytes = static_cast<size_t>(n * a.U) * at.item;
    std::memcpy(at(y, first * a.U), at(h0, first * a.U), bytes);
    if (c) std::memcpy(at(c, first * a.U), at(c0, first * a.U), bytes);
    for (int64_t t = 0; t < a.T; ++t) {
      const int64_t source = (a.reverse ? a.T - 1 - t : t) * a.B + first, before = (t * a.B + first) * a.U,
                    after = before + a.B * a.U;
      multiply(n, at(y, before), s, product_scratch);
      for_rows(a, n, [&](int64_t r, int64_t rows) {
        a.table().step[a.k()]({rows, a.U, a.activation, at(x, (source + r) * a.width()), at(s, r * a.width()),
                               bias, mask ? mask + source + r : nullptr, at(y, before + r * a.U),
                               at(c, before + r * a.U), at(y, after + r * a.U), at(c, after + r * a.U),
                               at(gates, (t * a.B + first + r) * 4 * a.U)});
      });
    }
    if (c) std::memcpy(at(y, ((a.T + 1) * a.B + first) * a.U), at(c, (a.T * a.B + first) * a.U), bytes);
  });
  return {};
}

// Reads dy, y, c, gates, w (w^T where it is not packed), mask; writes dx, ds, dh0, dc0. Scratch: the
// product's, for each block.
Status run_grad(const RecurrentArgs& a, Buffers b) {
  const At at{itemsize(a.dtype)};
  const char *dy = b.at<char>(0), *y = b.at<char>(1), *c = a.lstm() ? b.at<char>(2) : nullptr;
  const char *gates = a.kind == RecurrentKind::rnn ? nullptr : b.at<char>(3), *w = b.at<char>(4);
  const bool* mask = a.masked ? b.at<bool>(5) : nullptr;
  char *dx = b.at<char>(6), *ds = a.kind == RecurrentKind::gru ? b.at<char>(7) : nullptr;
  char *dh0 = b.at<char>(8), *dc0 = a.lstm() ? b.at<char>(9) : nullptr;
  const Product multiply(a, w, b.scratch);
  for_blocks(a, [&](int64_t block, int64_t first, int64_t n) {
    char* scratch =
        static_cast<char*>(b.scratch) + a.packed_bytes + static_cast<size_t>(block) * a.block_bytes;
    char *dh = at(dh0, first * a.U), *dc = at(dc0, first * a.U);
    const size_t bytes = static_cast<size_t>(n * a.U) * at.item;
    std::memset(dh, 0, bytes);
    if (dc) std::memcpy(dc, at(dy, ((a.T + 1) * a.B + first) * a.U), bytes);
    for (int64_t t = a.T - 1; t >= 0; --t) {
      const int64_t source = (a.reverse ? a.T - 1 - t : t) * a.B + first, before = (t * a.B + first) * a.U,
                    after = before + a.B * a.U;
      for_rows(a, n, [&](int64_t r, int64_t rows) {
        a.table().grad[a.k()]({rows, a.U, a.activation, mask ? mask + source + r : nullptr,
                               at(dy, after + r * a.U), at(y, before + r * a.U), at(c, before + r * a.U),
                               at(y, after + r * a.U), at(c, after + r * a.U),
                               at(gates, (t * a.B + first + r) * 4 * a.U), at(dh, r * a.U), at(dc, r * a.U),
                               at(dx, (source + r) * a.width()), at(ds, (source + r) * a.width())});
      });
      multiply(n, at(ds ? ds : dx, source * a.width()), dh, scratch);
    }
    // What reached h0 itself: y begins with it.
    const char* direct = at(dy, first * a.U);
    if (a.dtype == DType::kFloat32) {
      for (int64_t i = 0; i < n * a.U; ++i)
        reinterpret_cast<float*>(dh)[i] += reinterpret_cast<const float*>(direct)[i];
    } else {
      for (int64_t i = 0; i < n * a.U; ++i)
        reinterpret_cast<double*>(dh)[i] += reinterpret_cast<const double*>(direct)[i];
    }
  });
  return {};
}

RecurrentArgs make_args(RecurrentKind kind, DType dtype, int64_t T, int64_t B, int64_t U,
                        Activation activation, bool reverse, const Tensor* mask, bool gradient) {
  RecurrentArgs a{};
  a.dtype = dtype, a.kind = kind, a.activation = activation, a.reverse = reverse;
  a.masked = mask != nullptr;
  a.T = T, a.B = B, a.U = U;
  const int64_t in = gradient ? a.width() : U, out = gradient ? U : a.width();
  a.gemm = {.dtype = dtype,
            .precision = matmul_precision(),
            .m = a.rows(),
            .n = out,
            .k = in,
            .a_row = in,
            .a_col = 1,
            .b_row = out,
            .b_col = 1,
            .c_row = out,
            .accumulate = gradient};
  if (T >= kPackedSteps) {
    GemmArgs packed = a.gemm;
    packed.m = std::min(B, a.rows());
    if (gradient) packed.b_row = 1, packed.b_col = a.width();  // W itself: W^T need not be written first
    const GemmPacked weights(packed, gemm_split_prepacks(packed));
    if (weights.splits() || (a.together() && packed.m > kRowsInPlace)) {
      a.packed_bytes = weights.bytes();
      a.gemm = packed;
    }
  }
  GemmArgs last = a.gemm;  // of fewer samples
  last.m = B - (a.blocks() - 1) * a.rows();
  if (a.packed_bytes == 0)
    a.gemm_bytes = align64(std::max(gemm_scratch_bytes(a.gemm), gemm_scratch_bytes(last)));
  const size_t s = gradient ? 0 : align64(static_cast<size_t>(a.rows() * a.width()) * itemsize(dtype));
  a.block_bytes = s + a.gemm_bytes;
  return a;
}

void check_like(const char* op, const char* name, const Tensor& t, const Shape& shape, DType dtype) {
  check(t.shape() == shape && t.dtype() == dtype, op, name, " must be ", dtype, " of shape ", shape,
        ". Received: ", name, ".shape=", t.shape(), " ", t.dtype(), ".");
}

}  // namespace

std::tuple<Tensor, Tensor, Tensor> recurrent(RecurrentKind kind, const Tensor& x, const Tensor& w,
                                             const Tensor* bias, const Tensor& h0, const Tensor* c0,
                                             const Tensor* mask, Activation activation, bool reverse) {
  const char* op = recurrent_name(kind);
  const int64_t G = kGates[static_cast<int>(kind)];
  check_computes(op, x.dtype());
  check(x.rank() == 3 && w.rank() == 2, op,
        "needs projected inputs [steps, batch, gates * units] and a kernel [units, gates * units]. Received: "
        "x.shape=",
        x.shape(), ", kernel.shape=", w.shape(), ".");
  const int64_t T = x.dim(0), B = x.dim(1), U = w.dim(0);
  check_like(op, "kernel", w, {U, G * U}, x.dtype());
  check_like(op, "x", x, {T, B, G * U}, x.dtype());
  check_like(op, "h0", h0, {B, U}, x.dtype());
  check((c0 != nullptr) == (kind == RecurrentKind::lstm), op, "an lstm, and only it, has a state c0.");
  if (c0) check_like(op, "c0", *c0, {B, U}, x.dtype());
  if (bias) check_like(op, "bias", *bias, {G * U}, x.dtype());
  if (mask) check_like(op, "mask", *mask, {T, B}, DType::kBool);
  const Shape y_shape{T + 1 + (c0 != nullptr), B, U}, c_shape{c0 ? T + 1 : 0, B, U},
      gates_shape{kind == RecurrentKind::rnn ? 0 : T, B, 4 * U};
  if (x.is_symbolic() || h0.is_symbolic()) {
    return {Tensor::symbolic(y_shape, x.dtype()), Tensor::symbolic(c_shape, x.dtype()),
            Tensor::symbolic(gates_shape, x.dtype())};
  }
  RecurrentArgs a = make_args(kind, x.dtype(), T, B, U, activation, reverse, mask, false);
  a.biased = bias != nullptr;
  const Tensor y = Tensor::empty(y_shape, x.dtype()), c = Tensor::empty(c_shape, x.dtype()),
               gates = Tensor::empty(gates_shape, x.dtype());
  if (y.size() > 0) {
    const Tensor xs = contiguous(x), ws = contiguous(w), hs = contiguous(h0), cs = c0 ? contiguous(*c0) : hs,
                 bs = bias ? contiguous(*bias) : hs, ms = mask ? contiguous(*mask) : hs;
    const double flops = 2.0 * static_cast<double>(T * B * U) * static_cast<double>(G * U);
    launch<run_forward>(op, a, {&xs, &ws, &bs, &hs, &cs, &ms}, {&y, &c, &gates}, a.scratch_bytes(),
                        {.flops = flops});
  }
  return {y, c, gates};
}

std::tuple<Tensor, Tensor, Tensor, Tensor> recurrent_grad(RecurrentKind kind, const Tensor& dy,
                                                          const Tensor& y, const Tensor& c,
                                                          const Tensor& gates, const Tensor& w,
                                                          const Tensor* mask, Activation activation,
                                                          bool reverse) {
  const char* op = kind == RecurrentKind::rnn    ? "rnn_grad"
                   : kind == RecurrentKind::lstm ? "lstm_grad"
                                                 : "gru_grad";
  const bool lstm = kind == RecurrentKind::lstm;
  const int64_t G = kGates[static_cast<int>(kind)], T = y.dim(0) - 1 - lstm, B = y.dim(1), U = y.dim(2);
  check_like(op, "dy", dy, y.shape(), y.dtype());
  const Tensor none = Tensor::empty({0}, y.dtype());
  const Tensor dx = Tensor::empty({T, B, G * U}, y.dtype()),
               ds = kind == RecurrentKind::gru ? Tensor::empty({T, B, G * U}, y.dtype()) : none,
               dh0 = Tensor::empty({B, U}, y.dtype()), dc0 = lstm ? Tensor::empty({B, U}, y.dtype()) : none;
  const RecurrentArgs a = make_args(kind, y.dtype(), T, B, U, activation, reverse, mask, true);
  if (y.size() > 0) {
    const Tensor dys = contiguous(dy), ws = contiguous(a.packed_bytes > 0 ? w : w.transpose({1, 0})),
                 ms = mask ? contiguous(*mask) : dys;
    const double flops = 2.0 * static_cast<double>(T * B * U) * static_cast<double>(G * U);
    launch<run_grad>(op, a, {&dys, &y, &c, &gates, &ws, &ms}, {&dx, &ds, &dh0, &dc0}, a.scratch_bytes(),
                     {.flops = flops});
  }
  return {dx, kind == RecurrentKind::gru ? ds : dx, dh0, dc0};
}

}  // namespace lamina
