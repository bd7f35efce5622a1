#include "ops/group_norm.h"

#include <algorithm>
#include <cmath>

#include "base/parallel.h"
#include "ops/launch.h"
#include "ops/norm_blocks.h"
#include "ops/rows.h"

namespace lamina {
namespace {

constexpr double kCost = 0.15;                       // rough ns per element and pass
constexpr int64_t kCached = 1 << 20;                 // bytes of a sample that its second pass finds in cache
constexpr double kForwardFlops = 7, kGradFlops = 9;  // operations per element

struct GroupNormArgs {
  DType dtype;
  int64_t B, S, C, G;
  double epsilon;
  bool scales, shifts;  // gamma, beta are there
  int64_t blocks() const { return norm_blocks(S); }
  int64_t width() const { return C / G; }
  double count() const { return static_cast<double>(S * width()); }
};

// Samples [begin, end).
struct Samples {
  int64_t begin, end;
  int64_t count() const { return end - begin; }
};

// Calls f(samples) with one sample after the other where `operands` of them stay in cache, else with all.
template <class T, class F>
void each_samples(const GroupNormArgs& a, int64_t operands, F f) {
  const int64_t bytes = operands * a.S * a.C * static_cast<int64_t>(sizeof(T));
  if (bytes > kCached) return f(Samples{0, a.B});
  const double cost = 3 * kCost * static_cast<double>(operands * a.S * a.C);
  parallel_for(a.B, grain_for(cost + 100), [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) f(Samples{b, b + 1});
  });
}

// Calls f(sample, its block, first row of x, end) for every block of the samples.
template <class F>
void each_block(const GroupNormArgs& a, Samples samples, F f) {
  const double rows = static_cast<double>(std::min(kNormBlock, a.S));
  parallel_for(samples.count() * a.blocks(), grain_for(2 * kCost * rows * static_cast<double>(a.C) + 20),
               [&](int64_t begin, int64_t end) {
                 for (int64_t i = begin; i < end; ++i) {
                   const int64_t b = samples.begin + i / a.blocks(), block = i % a.blocks(),
                                 row = b * a.S + block * kNormBlock;
                   f(b, block, row, std::min(row + kNormBlock, (b + 1) * a.S));
                 }
               });
}

// Calls f(c0, c1) for strips of at most kNormGroup channels of [begin, end).
template <class F>
void each_strip(int64_t begin, int64_t end, F f) {
  for (int64_t c = begin; c < end; c += kNormGroup) f(c, std::min(c + kNormGroup, end));
}

// Calls f(sample, first channel, end) for every `width` channels of the samples.
template <class F>
void each_channels(const GroupNormArgs& a, Samples samples, int64_t width, F f) {
  const int64_t parts = (a.C + width - 1) / width;
  parallel_for(samples.count() * parts, grain_for(2 * static_cast<double>(a.blocks() * width) + 30),
               [&](int64_t begin, int64_t end) {
                 for (int64_t i = begin; i < end; ++i) {
                   const int64_t c = i % parts * width;
                   f(samples.begin + i / parts, c, std::min(c + width, a.C));
                 }
               });
}

// Reads x, gamma, beta; writes y, mean, rstd.
template <class T>
Status run_forward(const GroupNormArgs& a, Buffers b) {
  const T *x = b.at<T>(0), *gamma = b.at<T>(1), *beta = b.at<T>(2);
  T *y = b.at<T>(3), *mean = b.at<T>(4), *rstd = b.at<T>(5);
  // Per sample and channel: its mean and squares about it, in float64.
  double *means = static_cast<double*>(b.scratch), *squares = means + a.B * a.C;
  T *scale = reinterpret_cast<T*>(squares + a.B * a.C), *shift = scale + a.B * a.C, *partial = shift + a.C;
  for (int64_t c = 0; c < a.C; ++c) shift[c] = a.shifts ? beta[c] : T(0);
  each_samples<T>(a, 1, [&](Samples samples) {
    each_block(a, samples, [&](int64_t sample, int64_t block, int64_t row, int64_t end) {
      T* sum = partial + 2 * (sample * a.blocks() + block) * a.C;
      each_strip(0, a.C, [&](int64_t c0, int64_t c1) {
        norm_table<T>().moments(x, a.C, row, end, c0, c1, sum, sum + a.C);
      });
    });
    each_channels(a, samples, kNormGroup, [&](int64_t sample, int64_t begin, int64_t end) {
      const Moments moments = combine_blocks(partial + 2 * sample * a.blocks() * a.C, a.S, a.C, begin, end);
      std::copy_n(moments.mean, end - begin, means + sample * a.C + begin);
      std::copy_n(moments.m2, end - begin, squares + sample * a.C + begin);
    });
    each_channels(a, samples, a.width(), [&](int64_t sample, int64_t begin, int64_t end) {
      const double *mean_of = means + sample * a.C, *squares_of = squares + sample * a.C;
      double m = 0, m2 = 0;
      for (int64_t c = begin; c < end; ++c) m += mean_of[c];
      m /= static_cast<double>(a.width());
      for (int64_t c = begin; c < end; ++c) {
        const double d = mean_of[c] - m;
        m2 += squares_of[c] + d * d * static_cast<double>(a.S);
      }
      const T r = static_cast<T>(1 / std::sqrt(m2 / a.count() + a.epsilon));
      for (int64_t c = begin; c < end; ++c) {
        const int64_t at = sample * a.C + c;
        mean[at] = static_cast<T>(m);
        rstd[at] = r;
        scale[at] = a.scales ? gamma[c] * r : r;
      }
    });
    each_block(a, samples, [&](int64_t sample, int64_t, int64_t row, int64_t end) {
      norm_table<T>().apply(x, mean + sample * a.C, scale + sample * a.C, shift, y, a.C, row, end);
    });
  });
  return {};
}

// Reads dy, x, gamma, mean, rstd; writes dx, dgamma, dbeta.
template <class T>
Status run_grad(const GroupNormArgs& args, Buffers buffers) {
  const T *dy = buffers.at<T>(0), *x = buffers.at<T>(1), *gamma = buffers.at<T>(2), *mean = buffers.at<T>(3),
          *rstd = buffers.at<T>(4);
  T *dx = buffers.at<T>(5), *dgamma = buffers.at<T>(6), *dbeta = buffers.at<T>(7);
  const int64_t C = args.C, blocks = args.blocks(), per_sample = args.B * C;
  // dx = dy a - b - (x - mean) k, per sample and channel; sums of dy and dy (x - mean) in float64.
  double *sum_dy = static_cast<double*>(buffers.scratch), *sum_dyx = sum_dy + per_sample;
  T *a = reinterpret_cast<T*>(sum_dyx + per_sample), *b = a + per_sample, *k = b + per_sample,
    *partial = k + per_sample;
  each_samples<T>(args, 2, [&](Samples samples) {
    each_block(args, samples, [&](int64_t sample, int64_t block, int64_t row, int64_t end) {
      T* sum = partial + 2 * (sample * blocks + block) * C;
      each_strip(0, C, [&](int64_t c0, int64_t c1) {
        norm_table<T>().grad_sums(dy, x, mean + sample * C, C, row, end, c0, c1, sum, sum + C);
      });
    });
    each_channels(args, samples, kNormGroup, [&](int64_t sample, int64_t begin, int64_t end) {
      double *s = sum_dy + sample * C, *sx = sum_dyx + sample * C;
      std::fill(s + begin, s + end, 0), std::fill(sx + begin, sx + end, 0);
      const T* from = partial + 2 * sample * blocks * C;
      for (int64_t block = 0; block < blocks; ++block, from += 2 * C) {
        for (int64_t c = begin; c < end; ++c) s[c] += from[c], sx[c] += from[C + c];
      }
    });
    each_channels(args, samples, args.width(), [&](int64_t sample, int64_t begin, int64_t end) {
      double sum_g = 0, sum_gx = 0;
      for (int64_t c = begin; c < end; ++c) {
        const double scale = args.scales ? gamma[c] : 1;
        sum_g += scale * sum_dy[sample * C + c];
        sum_gx += scale * sum_dyx[sample * C + c];
      }
      const double r = rstd[sample * C + begin];
      for (int64_t c = begin; c < end; ++c) {
        const int64_t at = sample * C + c;
        a[at] = args.scales ? gamma[c] * rstd[at] : rstd[at];
        b[at] = static_cast<T>(r * sum_g / args.count());
        k[at] = static_cast<T>(r * r * r * sum_gx / args.count());
      }
    });
    each_block(args, samples, [&](int64_t sample, int64_t, int64_t row, int64_t end) {
      const int64_t at = sample * C;
      norm_table<T>().grad(dy, x, mean + at, a + at, b + at, k + at, dx, C, row, end);
    });
  });
  for (int64_t c = 0; c < C; ++c) {
    double s = 0, sx = 0;
    for (int64_t at = c; at < per_sample; at += C) s += sum_dy[at], sx += sum_dyx[at] * rstd[at];
    dbeta[c] = static_cast<T>(s);
    dgamma[c] = static_cast<T>(sx);
  }
  return {};
}

GroupNormArgs make_args(const char* op, const Tensor& x, int64_t groups, int axis) {
  check_computes(op, x.dtype());
  check(axis != 0, op,
        "axis 0 holds the samples; the channels' must be another. Received: axis=0, x.shape=", x.shape(),
        ".");
  const int64_t C = x.dim(axis);
  check(C != kUnknown, op, "the channel axis must have a known size. Received: x.shape=", x.shape(),
        ", axis=", axis, ".");
  check(groups > 0 && C % groups == 0 && C >= groups, op,
        "the number of groups must divide the number of channels. Received: groups=", groups,
        ", channels=", C, ".");
  GroupNormArgs a{};
  a.dtype = x.dtype();
  a.B = x.dim(0), a.C = C, a.G = groups;
  a.S = product_of(x, {0, axis}, true);
  return a;
}

void check_channels(const char* op, const char* name, const Tensor* t, const GroupNormArgs& a) {
  if (!t) return;
  check(t->shape() == Shape{a.C} && t->dtype() == a.dtype, op, name, " must hold one ", a.dtype,
        " per channel, shape (", a.C, ",). Received: ", name, ".shape=", t->shape(), " ", t->dtype(), ".");
}

size_t values(const GroupNormArgs& a, int64_t per_sample, int64_t more) {
  return static_cast<size_t>(num_elements({a.B, per_sample + 2 * a.blocks(), a.C}) + more);
}

// Bytes of two float64 per sample and channel.
size_t sums(const GroupNormArgs& a) {
  return static_cast<size_t>(num_elements({2, a.B, a.C})) * sizeof(double);
}

template <class F>
void by_type(DType t, F f) {
  t == DType::kFloat32 ? f(TypeTag<float>{}) : f(TypeTag<double>{});
}

}  // namespace

std::tuple<Tensor, Tensor, Tensor> group_norm(const Tensor& x_in, const Tensor* gamma, const Tensor* beta,
                                              int64_t groups, int axis_in, double epsilon) {
  const int axis = normalize_axis("group_norm", axis_in, x_in.rank());
  GroupNormArgs a = make_args("group_norm", x_in, groups, axis);
  check_channels("group_norm", "gamma", gamma, a);
  check_channels("group_norm", "beta", beta, a);
  a.epsilon = epsilon, a.scales = gamma != nullptr, a.shifts = beta != nullptr;
  if (x_in.is_symbolic() || (gamma && gamma->is_symbolic()) || (beta && beta->is_symbolic())) {
    const Tensor stats = Tensor::symbolic({a.B, a.C}, a.dtype);
    return {Tensor::symbolic(x_in.shape(), a.dtype), stats, stats};
  }
  const Tensor x = to_rows(x_in, {axis}), y = Tensor::empty(x.shape(), a.dtype);
  const Tensor mean = Tensor::empty({a.B, a.C}, a.dtype), rstd = Tensor::empty({a.B, a.C}, a.dtype);
  if (x.size() > 0) {
    const Tensor g = operand(gamma, x), b = operand(beta, x);
    by_type(a.dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      launch<run_forward<T>>("group_norm", a, {&x, &g, &b}, {&y, &mean, &rstd},
                             sums(a) + values(a, 1, a.C) * sizeof(T),
                             {.flops = kForwardFlops * static_cast<double>(x.size())});
    });
  }
  return {from_rows(y, {axis}), mean, rstd};
}

std::tuple<Tensor, Tensor, Tensor> group_norm_grad(const Tensor& dy_in, const Tensor& x_in,
                                                   const Tensor* gamma, const Tensor& mean,
                                                   const Tensor& rstd, int64_t groups, int axis_in) {
  const int axis = normalize_axis("group_norm_grad", axis_in, x_in.rank());
  GroupNormArgs a = make_args("group_norm_grad", x_in, groups, axis);
  check_channels("group_norm_grad", "gamma", gamma, a);
  a.scales = gamma != nullptr;
  check(dy_in.shape() == x_in.shape() && dy_in.dtype() == x_in.dtype(), "group_norm_grad",
        "the output's gradient must have x's shape and dtype. Received: dy.shape=", dy_in.shape(), " ",
        dy_in.dtype(), ", x.shape=", x_in.shape(), " ", x_in.dtype(), ".");
  if (dy_in.is_symbolic() || x_in.is_symbolic()) {
    const Tensor channels = Tensor::symbolic({a.C}, a.dtype);
    return {Tensor::symbolic(x_in.shape(), a.dtype), channels, channels};
  }
  const Tensor dy = to_rows(dy_in, {axis}), x = to_rows(x_in, {axis}), g = operand(gamma, x);
  const Tensor dx = Tensor::empty(x.shape(), a.dtype);
  const Tensor dgamma = Tensor::empty({a.C}, a.dtype), dbeta = Tensor::empty({a.C}, a.dtype);
  by_type(a.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    launch<run_grad<T>>("group_norm_grad", a, {&dy, &x, &g, &mean, &rstd}, {&dx, &dgamma, &dbeta},
                        sums(a) + values(a, 3, 0) * sizeof(T),
                        {.flops = kGradFlops * static_cast<double>(x.size())});
  });
  return {from_rows(dx, {axis}), dgamma, dbeta};
}

}  // namespace lamina
