#include "ops/norm.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/parallel.h"
#include "ops/dispatch.h"
#include "ops/launch.h"
#include "ops/norm_blocks.h"
#include "ops/rows.h"

namespace lamina {

LAMINA_KERNELS(NormKernels, norm_kernels)

const NormKernels& norm_kernel_tables() { return norm_kernels(); }

namespace {

constexpr double kCost = 0.15;  // rough ns per element and pass
// Operations per element.
constexpr double kMomentsFlops = 4;  // sum; difference, square, sum
constexpr double kMoveFlops = 3;     // two products, sum
constexpr double kApplyFlops = 3;    // difference, scale, shift
constexpr double kGradFlops = 9;  // sum; difference, product, sum; then dx: three differences, two products

struct NormArgs {
  DType dtype;
  int64_t M, C;
  double momentum, epsilon;
  bool scales, shifts, moves, training;  // gamma, beta, moving statistics are there
  int64_t blocks() const { return norm_blocks(M); }
  int64_t groups() const { return (C + kNormGroup - 1) / kNormGroup; }
};

// Calls f(first row, end, first channel, end, offset of the block's partial sums) for every block and channel
// group.
template <class F>
void each_block(const NormArgs& a, F f) {
  const int64_t groups = a.groups();
  const double cost = 2 * kCost * static_cast<double>(kNormBlock * std::min(kNormGroup, a.C));
  parallel_for(a.blocks() * groups, grain_for(cost), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t block = i / groups, c0 = i % groups * kNormGroup, row = block * kNormBlock;
      f(row, std::min(row + kNormBlock, a.M), c0, std::min(c0 + kNormGroup, a.C), 2 * block * a.C);
    }
  });
}

// Calls f(c0, c1) for every channel group.
template <class F>
void each_group(const NormArgs& a, F f) {
  const double cost = static_cast<double>(a.blocks() * kNormGroup);
  parallel_for(a.groups(), grain_for(cost + 100), [&](int64_t begin, int64_t end) {
    for (int64_t g = begin; g < end; ++g) f(g * kNormGroup, std::min((g + 1) * kNormGroup, a.C));
  });
}

// Calls f(first row, end) for every block of rows, the last ones first.
template <class F>
void each_rows(const NormArgs& a, F f) {
  const int64_t blocks = a.blocks();
  parallel_for(blocks, grain_for(kCost * static_cast<double>(kNormBlock * a.C)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t i = begin; i < end; ++i) {
                   const int64_t row = backwards(i, blocks) * kNormBlock;
                   f(row, std::min(row + kNormBlock, a.M));
                 }
               });
}

// Reads x, gamma, beta, [moving mean, moving var]; writes y, mean, rstd, [moments: mean and var as double].
template <class T>
Status run_forward(const NormArgs& a, Buffers b) {
  const T *x = b.at<T>(0), *gamma = b.at<T>(1), *beta = b.at<T>(2);
  const T *moving_mean = b.at<T>(3), *moving_var = b.at<T>(4);
  T *y = b.at<T>(5), *mean = b.at<T>(6), *rstd = b.at<T>(7);
  T *scale = static_cast<T*>(b.scratch), *shift = scale + a.C, *partial = shift + a.C;
  if (a.training) {
    each_block(a, [&](int64_t row, int64_t end, int64_t c0, int64_t c1, int64_t at) {
      norm_table<T>().moments(x, a.C, row, end, c0, c1, partial + at, partial + at + a.C);
    });
  }
  each_group(a, [&](int64_t c0, int64_t c1) {
    const Moments moments = a.training ? combine_blocks(partial, a.M, a.C, c0, c1) : Moments();
    for (int64_t c = c0; c < c1; ++c) {
      double m, var;
      if (a.training) {
        m = moments.mean[c - c0];
        var = a.M > 0 ? moments.m2[c - c0] / static_cast<double>(a.M) : 0;
        if (a.moves) b.at<double>(8)[c] = m, b.at<double>(8)[a.C + c] = var;
      } else {
        m = moving_mean[c], var = moving_var[c];
      }
      mean[c] = static_cast<T>(m);
      rstd[c] = static_cast<T>(1 / std::sqrt(var + a.epsilon));
      scale[c] = a.scales ? gamma[c] * rstd[c] : rstd[c];
      shift[c] = a.shifts ? beta[c] : T(0);
    }
  });
  each_rows(a, [&](int64_t begin, int64_t end) {
    norm_table<T>().apply(x, mean, scale, shift, y, a.C, begin, end);
  });
  return {};
}

// Reads the moments; writes the moving mean and variance: moving * momentum + moment * (1 - momentum). A
// launch of its own, so that a captured step can put it behind all that may still fail.
template <class T>
Status run_move(const NormArgs& a, Buffers b) {
  for (int k = 0; k < 2; ++k) {
    const double* moment = b.at<double>(0) + k * a.C;
    T* moving = b.at<T>(1 + k);
    for (int64_t c = 0; c < a.C; ++c) {
      moving[c] = static_cast<T>(moving[c] * a.momentum + moment[c] * (1 - a.momentum));
    }
  }
  return {};
}

// Reads dy, x, gamma, mean, rstd; writes dx, dgamma, dbeta.
template <class T>
Status run_grad(const NormArgs& args, Buffers buffers) {
  const T *dy = buffers.at<T>(0), *x = buffers.at<T>(1), *gamma = buffers.at<T>(2), *mean = buffers.at<T>(3),
          *rstd = buffers.at<T>(4);
  T *dx = buffers.at<T>(5), *dgamma = buffers.at<T>(6), *dbeta = buffers.at<T>(7);
  const int64_t C = args.C;
  // dx = dy a - b - (x - mean) k
  T *a = static_cast<T*>(buffers.scratch), *b = a + C, *k = b + C, *partial = k + C;
  each_block(args, [&](int64_t row, int64_t end, int64_t c0, int64_t c1, int64_t at) {
    norm_table<T>().grad_sums(dy, x, mean, C, row, end, c0, c1, partial + at, partial + at + C);
  });
  each_group(args, [&](int64_t c0, int64_t c1) {
    double sums[2][kNormGroup] = {};
    for (int64_t block = 0; block < args.blocks(); ++block) {
      const T* part = partial + 2 * block * C + c0;
      for (int64_t c = 0; c < c1 - c0; ++c) {
        sums[0][c] += part[c];
        sums[1][c] += part[c + C];
      }
    }
    const double count = args.training ? static_cast<double>(args.M) : INFINITY;  // inference: b = k = 0
    for (int64_t c = c0; c < c1; ++c) {
      const double r = rstd[c], sum_dy = sums[0][c - c0], sum_dyxhat = sums[1][c - c0] * r;
      dbeta[c] = static_cast<T>(sum_dy);
      dgamma[c] = static_cast<T>(sum_dyxhat);
      a[c] = args.scales ? gamma[c] * rstd[c] : rstd[c];
      b[c] = static_cast<T>(a[c] * sum_dy / count);
      k[c] = static_cast<T>(a[c] * sum_dyxhat * r / count);
    }
  });
  each_rows(args, [&](int64_t begin, int64_t end) {
    norm_table<T>().grad(dy, x, mean, a, b, k, dx, C, begin, end);
  });
  return {};
}

NormArgs norm_args(const char* op, const Tensor& x, int axis) {
  check_computes(op, x.dtype());
  check(x.dim(axis) != kUnknown, op, "the channel axis must have a known size. Received: x.shape=", x.shape(),
        ", axis=", axis, ".");
  NormArgs a{};
  a.dtype = x.dtype();
  a.C = x.dim(axis);
  a.M = product_of(x, {axis}, true);
  return a;
}

void check_channels(const char* op, const char* name, const Tensor& t, const NormArgs& a) {
  check(t.shape() == Shape{a.C} && t.dtype() == a.dtype, op, name, " must hold one ", a.dtype,
        " per channel, shape (", a.C, ",). Received: ", name, ".shape=", t.shape(), " ", t.dtype(), ".");
}

// Bytes of `vectors` rows of C values and two per block.
size_t scratch_bytes(const NormArgs& a, int64_t vectors, bool partials) {
  const int64_t per_channel = vectors + (partials ? 2 * a.blocks() : 0);
  return static_cast<size_t>(num_elements({per_channel, a.C})) * itemsize(a.dtype);
}

}  // namespace

std::tuple<Tensor, Tensor, Tensor> batch_norm(const Tensor& x_in, const Tensor* gamma, const Tensor* beta,
                                              const Tensor* moving_mean, const Tensor* moving_var,
                                              int axis_in, double momentum, double epsilon, bool training) {
  const int axis = normalize_axis("batch_norm", axis_in, x_in.rank());
  NormArgs a = norm_args("batch_norm", x_in, axis);
  const std::pair<const char*, const Tensor*> operands[] = {
      {"gamma", gamma}, {"beta", beta}, {"moving_mean", moving_mean}, {"moving_variance", moving_var}};
  for (const auto& [name, t] : operands) {
    if (t) check_channels("batch_norm", name, *t, a);
  }
  a.moves = moving_mean && moving_var;
  check(training || a.moves, "batch_norm",
        "inference needs moving_mean and moving_variance. Received: None.");
  a.momentum = momentum, a.epsilon = epsilon, a.training = training;
  a.scales = gamma != nullptr, a.shifts = beta != nullptr;
  bool symbolic = x_in.is_symbolic();
  for (const auto& [name, t] : operands) symbolic |= t && t->is_symbolic();
  if (symbolic) {
    const Tensor channels = Tensor::symbolic({a.C}, a.dtype);
    return {Tensor::symbolic(x_in.shape(), a.dtype), channels, channels};
  }
  Tensor mean = Tensor::empty({a.C}, a.dtype), rstd = Tensor::empty({a.C}, a.dtype);
  const Tensor x = to_rows(x_in, {axis});
  const Tensor y = Tensor::empty(x.shape(), a.dtype);
  const Tensor g = operand(gamma, x), b = operand(beta, x);
  a.moves = a.moves && (!training || a.M > 0);
  check(!training || !a.moves || (moving_mean->is_contiguous() && moving_var->is_contiguous()), "batch_norm",
        "moving statistics are written in place and must be contiguous. Received: a strided view.");
  const double per_element = kApplyFlops + (training ? kMomentsFlops : 0);
  const Hints hints{.flops = per_element * static_cast<double>(x.size())};
  const auto go = [&](auto tag) {
    using T = typename decltype(tag)::type;
    if (training && a.moves) {
      const Tensor moments = Tensor::empty({2, a.C}, DType::kFloat64);
      launch<run_forward<T>>("batch_norm", a, {&x, &g, &b, &x, &x}, {&y, &mean, &rstd, &moments},
                             scratch_bytes(a, 2, true), hints);
      launch<run_move<T>>("batch_norm_moving", a, {&moments}, {moving_mean, moving_var}, 0,
                          {.flops = kMoveFlops * static_cast<double>(2 * a.C)});
    } else if (training) {
      launch<run_forward<T>>("batch_norm", a, {&x, &g, &b, &x, &x}, {&y, &mean, &rstd},
                             scratch_bytes(a, 2, true), hints);
    } else {
      const Tensor mm = contiguous(*moving_mean), mv = contiguous(*moving_var);
      launch<run_forward<T>>("batch_norm", a, {&x, &g, &b, &mm, &mv}, {&y, &mean, &rstd},
                             scratch_bytes(a, 2, false), hints);
    }
  };
  a.dtype == DType::kFloat32 ? go(TypeTag<float>{}) : go(TypeTag<double>{});
  return {from_rows(y, {axis}), mean, rstd};
}

std::tuple<Tensor, Tensor, Tensor> batch_norm_grad(const Tensor& dy_in, const Tensor& x_in,
                                                   const Tensor* gamma, const Tensor& mean,
                                                   const Tensor& rstd, int axis_in, bool training) {
  const char* op = "batch_norm_grad";
  const int axis = normalize_axis(op, axis_in, x_in.rank());
  NormArgs a = norm_args(op, x_in, axis);
  check(dy_in.shape() == x_in.shape() && dy_in.dtype() == x_in.dtype(), op,
        "the output's gradient must have the input's shape and dtype. Received: dy.shape=", dy_in.shape(),
        " ", dy_in.dtype(), ", x.shape=", x_in.shape(), " ", x_in.dtype(), ".");
  if (gamma) check_channels(op, "gamma", *gamma, a);
  check_channels(op, "mean", mean, a);
  check_channels(op, "rstd", rstd, a);
  a.scales = gamma != nullptr, a.training = training;
  const Tensor dgamma = Tensor::like({a.C}, a.dtype, x_in, dy_in, mean, gamma ? *gamma : mean);
  if (dgamma.is_symbolic()) return {Tensor::symbolic(x_in.shape(), a.dtype), dgamma, dgamma};
  const Tensor dbeta = Tensor::empty({a.C}, a.dtype);
  const Tensor x = to_rows(x_in, {axis}), dy = to_rows(dy_in, {axis});
  const Tensor dx = Tensor::empty(x.shape(), a.dtype);
  const Tensor g = operand(gamma, x);
  const auto go = [&](auto tag) {
    using T = typename decltype(tag)::type;
    launch<run_grad<T>>(op, a, {&dy, &x, &g, &mean, &rstd}, {&dx, &dgamma, &dbeta}, scratch_bytes(a, 3, true),
                        {.flops = kGradFlops * static_cast<double>(x.size())});
  };
  a.dtype == DType::kFloat32 ? go(TypeTag<float>{}) : go(TypeTag<double>{});
  return {from_rows(dx, {axis}), dgamma, dbeta};
}

}  // namespace lamina
