#include "ops/layer_norm.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/parallel.h"
#include "ops/dispatch.h"
#include "ops/launch.h"
#include "ops/rows.h"

namespace lamina {

LAMINA_KERNELS(LayerNormKernels, layer_norm_kernels)

namespace {

constexpr double kCost = 0.15;  // rough ns per element
// Operations per element.
constexpr double kForwardFlops = 8;  // sum; difference, square, sum; difference, scale, scale, shift
constexpr double kGradFlops = 14;    // product, difference, product, two sums; then dx and the sums over rows
// A block of rows has at most kBlockRows of them and kBlockValues values; the sums of all blocks then take at
// most half of x's memory.
constexpr int64_t kBlockRows = 128, kBlockValues = 1 << 16, kLeastRows = 4;
constexpr int64_t kGroup = 64;  // columns of one item where the blocks' sums are added up

struct LayerNormArgs {
  DType dtype;
  bool rms, scales, shifts;  // gamma, beta are there
  int64_t M, N;
  double epsilon;
  bool residual = false;  // of the gradient
  int64_t block() const {
    return std::clamp(kBlockValues / std::max<int64_t>(N, 1), kLeastRows, kBlockRows) / kLeastRows *
           kLeastRows;
  }
  int64_t blocks() const { return (M + block() - 1) / block(); }
};

template <class T>
const LayerNormKernels::Table& table(bool rms) {
  if constexpr (sizeof(T) == 4) return layer_norm_kernels().f32[rms];
  return layer_norm_kernels().f64[rms];
}

// Reads x, gamma, beta; writes y, mean, rstd.
template <class T>
Status run_forward(const LayerNormArgs& a, Buffers b) {
  parallel_for(a.M, grain_for(2 * kCost * static_cast<double>(a.N) + 20), [&](int64_t begin, int64_t end) {
    table<T>(a.rms).forward(b.at<T>(0) + begin * a.N, a.scales ? b.at<T>(1) : nullptr,
                            a.shifts ? b.at<T>(2) : nullptr, end - begin, a.N, a.epsilon,
                            b.at<T>(3) + begin * a.N, a.rms ? nullptr : b.at<T>(4) + begin,
                            b.at<T>(5) + begin);
  });
  return {};
}

// out[c] = the blocks' sums in order, `stride` apart.
template <class T>
void add_blocks(const LayerNormArgs& a, const T* partial, int64_t stride, T* out) {
  const double cost = static_cast<double>(a.blocks() * kGroup);
  parallel_for((a.N + kGroup - 1) / kGroup, grain_for(cost + 20), [&](int64_t begin, int64_t end) {
    for (int64_t c0 = begin * kGroup; c0 < std::min(a.N, end * kGroup); c0 += kGroup) {
      const int64_t n = std::min(kGroup, a.N - c0);
      double sums[kGroup] = {};
      for (int64_t b = 0; b < a.blocks(); ++b) {
        const T* from = partial + b * stride + c0;
        for (int64_t c = 0; c < n; ++c) sums[c] += from[c];
      }
      for (int64_t c = 0; c < n; ++c) out[c0 + c] = static_cast<T>(sums[c]);
    }
  });
}

// Reads dy, x, gamma, mean, rstd, residual; writes dx, dgamma, dbeta. Scratch: per block, its sums for dgamma
// and dbeta.
template <class T>
Status run_grad(const LayerNormArgs& a, Buffers b) {
  const int64_t vectors = a.scales + a.shifts, stride = vectors * a.N, block = a.block();
  T* partial = static_cast<T*>(b.scratch);
  const T* residual = a.residual ? b.at<T>(5) : nullptr;
  const int dx = 5 + a.residual;
  parallel_for(a.blocks(), grain_for(4 * kCost * static_cast<double>(a.N * block)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t i = begin; i < end; ++i) {
                   const int64_t row = i * block, at = row * a.N;
                   T* sums = partial + i * stride;
                   if (vectors) std::memset(sums, 0, static_cast<size_t>(stride) * sizeof(T));
                   table<T>(a.rms).grad(b.at<T>(0) + at, b.at<T>(1) + at, a.scales ? b.at<T>(2) : nullptr,
                                        a.rms ? nullptr : b.at<T>(3) + row, b.at<T>(4) + row,
                                        residual ? residual + at : nullptr, std::min(block, a.M - row), a.N,
                                        b.at<T>(dx) + at, a.scales ? sums : nullptr,
                                        a.shifts ? sums + (vectors - 1) * a.N : nullptr);
                 }
               });
  if (a.scales) add_blocks(a, partial, stride, b.at<T>(dx + 1));
  if (a.shifts) add_blocks(a, partial + (vectors - 1) * a.N, stride, b.at<T>(dx + 2));
  return {};
}

void add_residual_to_grad(void* args) { static_cast<LayerNormArgs*>(args)->residual = true; }

Dims sorted_axes(const char* op, const Dims& axes, int rank) {
  check(axes.rank() > 0, op, "needs at least one axis. Received: axis=().");
  Dims sorted;
  for (int64_t axis : axes) sorted.push_back(normalize_axis(op, axis, rank));
  for (int i = 1; i < sorted.rank(); ++i) {
    for (int j = i; j > 0 && sorted[j] < sorted[j - 1]; --j) std::swap(sorted[j], sorted[j - 1]);
  }
  for (int i = 1; i < sorted.rank(); ++i) {
    check(sorted[i] != sorted[i - 1], op, "an axis is named twice. Received: axes=", sorted, ".");
  }
  return sorted;
}

Shape sizes_along(const Tensor& x, const Dims& axes) {
  Shape shape;
  for (int64_t axis : axes) shape.push_back(x.dim(static_cast<int>(axis)));
  return shape;
}

LayerNormArgs make_args(const char* op, const Tensor& x, const Dims& axes, bool rms) {
  check_computes(op, x.dtype());
  return {x.dtype(), rms, false, false, product_of(x, axes, true), product_of(x, axes, false), 0};
}

void check_weight(const char* op, const char* name, const Tensor* t, const Tensor& x, const Shape& shape) {
  if (!t) return;
  check(!shape.has_unknown(), op, "normalised axes must have known sizes. Received: x.shape=", x.shape(),
        ".");
  check(t->shape() == shape && t->dtype() == x.dtype(), op, name, " must hold one ", x.dtype(),
        " per place along the normalised axes, shape ", shape, ". Received: ", name, ".shape=", t->shape(),
        " ", t->dtype(), ".");
}

template <class F>
void by_type(DType t, F f) {
  t == DType::kFloat32 ? f(TypeTag<float>{}) : f(TypeTag<double>{});
}

}  // namespace

std::tuple<Tensor, Tensor, Tensor> layer_norm(const Tensor& x_in, const Tensor* gamma, const Tensor* beta,
                                              const Dims& axes_in, double epsilon, bool rms) {
  const char* op = rms ? "rms_normalization" : "layer_normalization";
  const Dims axes = sorted_axes(op, axes_in, x_in.rank());
  LayerNormArgs a = make_args(op, x_in, axes, rms);
  a.scales = gamma != nullptr, a.shifts = beta != nullptr, a.epsilon = epsilon;
  const Shape weights = sizes_along(x_in, axes);
  check_weight(op, rms ? "scale" : "gamma", gamma, x_in, weights);
  check_weight(op, "beta", beta, x_in, weights);
  if (x_in.is_symbolic() || (gamma && gamma->is_symbolic()) || (beta && beta->is_symbolic())) {
    const Tensor stats = Tensor::symbolic({a.M}, a.dtype);
    return {Tensor::symbolic(x_in.shape(), a.dtype), stats, stats};
  }
  const Tensor x = to_rows(x_in, axes), y = Tensor::empty(x.shape(), a.dtype);
  const Tensor mean = Tensor::empty({rms ? 0 : a.M}, a.dtype), rstd = Tensor::empty({a.M}, a.dtype);
  if (x.size() > 0) {
    const Tensor g = operand(gamma, x), b = operand(beta, x);
    by_type(a.dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      launch<run_forward<T>>(op, a, {&x, &g, &b}, {&y, &mean, &rstd}, 0,
                             {.flops = kForwardFlops * static_cast<double>(x.size())});
    });
  }
  return {from_rows(y, axes), mean, rstd};
}

std::tuple<Tensor, Tensor, Tensor> layer_norm_grad(const Tensor& dy_in, const Tensor& x_in,
                                                   const Tensor* gamma, const Tensor& mean,
                                                   const Tensor& rstd, const Dims& axes_in, bool rms,
                                                   bool shifts) {
  const char* op = rms ? "rms_normalization_grad" : "layer_normalization_grad";
  const Dims axes = sorted_axes(op, axes_in, x_in.rank());
  LayerNormArgs a = make_args(op, x_in, axes, rms);
  a.scales = gamma != nullptr, a.shifts = shifts;
  check(dy_in.shape() == x_in.shape() && dy_in.dtype() == x_in.dtype(), op,
        "the output's gradient must have x's shape and dtype. Received: dy.shape=", dy_in.shape(), " ",
        dy_in.dtype(), ", x.shape=", x_in.shape(), " ", x_in.dtype(), ".");
  const Shape weights = sizes_along(x_in, axes);
  check_weight(op, rms ? "scale" : "gamma", gamma, x_in, weights);
  const Tensor none = Tensor::empty({0}, a.dtype);
  if (dy_in.is_symbolic() || x_in.is_symbolic()) {
    const Tensor of_weights = Tensor::symbolic(weights, a.dtype);
    return {Tensor::symbolic(x_in.shape(), a.dtype), gamma ? of_weights : none, shifts ? of_weights : none};
  }
  const Tensor dy = to_rows(dy_in, axes), x = to_rows(x_in, axes), g = operand(gamma, x);
  const Tensor dx = Tensor::empty(x.shape(), a.dtype);
  const Tensor dgamma = gamma ? Tensor::empty(weights, a.dtype) : none;
  const Tensor dbeta = shifts ? Tensor::empty(weights, a.dtype) : none;
  if (a.N > 0) {
    const size_t scratch =
        static_cast<size_t>(num_elements({a.blocks(), a.scales + a.shifts, a.N})) * itemsize(a.dtype);
    by_type(a.dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      launch<run_grad<T>>(
          op, a, {&dy, &x, &g, &mean, &rstd}, {&dx, &dgamma, &dbeta}, scratch,
          {.flops = kGradFlops * static_cast<double>(x.size()), .add_residual = add_residual_to_grad});
    });
  }
  return {from_rows(dx, axes), dgamma, dbeta};
}

}  // namespace lamina
