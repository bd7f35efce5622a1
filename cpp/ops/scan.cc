#include "ops/scan.h"

#include <algorithm>
#include <type_traits>

#include "base/parallel.h"
#include "ops/launch.h"
#include "ops/layout.h"

namespace lamina {
namespace {

constexpr double kCost = 1.5;     // rough ns per element: one addition waits for the other
constexpr int64_t kColumns = 64;  // lines of one item where lines run across rows

struct ScanArgs {
  DType dtype;
  bool product, reverse;
  int64_t outer, n, inner;
};

template <class T>
using Running = std::conditional_t<std::is_floating_point_v<T>, double, uint64_t>;

// Calls f(offset of the first element, lines) for strips of lines.
template <class F>
void each_strip(const ScanArgs& a, F f) {
  const int64_t width = std::min(a.inner, kColumns), strips = a.inner > 0 ? (a.inner - 1) / kColumns + 1 : 0;
  parallel_for(a.outer * strips, grain_for(kCost * static_cast<double>(a.n * width)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t i = begin; i < end; ++i) {
                   const int64_t column = i % strips * kColumns;
                   f(i / strips * a.n * a.inner + column, std::min(kColumns, a.inner - column));
                 }
               });
}

template <class T, bool kProduct>
void scan_lines(const T* x, T* y, int64_t n, int64_t step, int64_t lines) {
  using R = Running<T>;
  R running[kColumns];
  std::fill(running, running + lines, kProduct ? R(1) : R(0));
  for (int64_t i = 0; i < n; ++i, x += step, y += step) {
    for (int64_t c = 0; c < lines; ++c) {
      running[c] = kProduct ? running[c] * static_cast<R>(x[c]) : running[c] + static_cast<R>(x[c]);
      y[c] = static_cast<T>(running[c]);
    }
  }
}

// One line of neighbours: sums within groups wait for nothing outside of them, so that only one addition in
// eight waits for the one before. Not for T = double, where a group's own sum may overflow and the whole not.
template <class T, bool kProduct>
void scan_line(const T* x, T* y, int64_t n, int64_t step) {
  using R = Running<T>;
  constexpr int64_t kGroup = 8;
  const auto join = [](R a, R b) { return kProduct ? a * b : a + b; };
  R before = kProduct ? R(1) : R(0);
  int64_t i = 0;
  for (; i + kGroup <= n; i += kGroup) {
    R local[kGroup];
    local[0] = static_cast<R>(x[i * step]);
    for (int64_t j = 1; j < kGroup; ++j) local[j] = join(local[j - 1], static_cast<R>(x[(i + j) * step]));
    for (int64_t j = 0; j < kGroup; ++j) y[(i + j) * step] = static_cast<T>(join(before, local[j]));
    before = join(before, local[kGroup - 1]);
  }
  for (; i < n; ++i) {
    before = join(before, static_cast<R>(x[i * step]));
    y[i * step] = static_cast<T>(before);
  }
}

Status run_scan(const ScanArgs& a, Buffers b) {
  visit(a.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    if constexpr (std::is_arithmetic_v<T> && !std::is_same_v<T, bool>) {
      if (a.inner == 1 && !std::is_same_v<T, double>) {
        const auto scan = a.product ? &scan_line<T, true> : &scan_line<T, false>;
        parallel_for(a.outer, grain_for(kCost * static_cast<double>(a.n)), [&](int64_t begin, int64_t end) {
          for (int64_t line = begin; line < end; ++line) {
            const int64_t first = line * a.n + (a.reverse ? a.n - 1 : 0);
            scan(b.at<T>(0) + first, b.at<T>(1) + first, a.n, a.reverse ? -1 : 1);
          }
        });
        return;
      }
      const auto scan = a.product ? &scan_lines<T, true> : &scan_lines<T, false>;
      each_strip(a, [&](int64_t at, int64_t lines) {
        const int64_t first = at + (a.reverse ? (a.n - 1) * a.inner : 0);
        scan(b.at<T>(0) + first, b.at<T>(1) + first, a.n, a.reverse ? -a.inner : a.inner, lines);
      });
    }
  });
  return {};
}

// Reads dy, x; writes dx: s on the way back, its product with y[i - 1] on the way forth.
template <class T>
Status run_cumprod_grad(const ScanArgs& a, Buffers b) {
  each_strip(a, [&](int64_t at, int64_t lines) {
    const T *dy = b.at<T>(0) + at, *x = b.at<T>(1) + at;
    T* dx = b.at<T>(2) + at;
    double running[kColumns] = {};
    for (int64_t i = a.n - 1; i >= 0; --i) {
      for (int64_t c = 0; c < lines; ++c) {
        const int64_t here = i * a.inner + c;
        running[c] = dy[here] + (i + 1 < a.n ? x[here + a.inner] * running[c] : 0);
        dx[here] = static_cast<T>(running[c]);
      }
    }
    std::fill(running, running + lines, 1.0);
    for (int64_t i = 0; i < a.n; ++i) {
      for (int64_t c = 0; c < lines; ++c) {
        const int64_t here = i * a.inner + c;
        dx[here] = static_cast<T>(running[c] * dx[here]);
        running[c] *= x[here];
      }
    }
  });
  return {};
}

ScanArgs make_args(const Tensor& x, int axis, bool product, bool reverse) {
  ScanArgs a{x.dtype(), product, reverse, 1, x.dim(axis), 1};
  for (int i = 0; i < axis; ++i) a.outer *= x.dim(i);
  for (int i = axis + 1; i < x.rank(); ++i) a.inner *= x.dim(i);
  return a;
}

Tensor scan(const char* op, const Tensor& x_in, int64_t axis_in, bool product, bool reverse) {
  if (is_floating(x_in.dtype())) check_computes(op, x_in.dtype());
  const int axis = normalize_axis(op, axis_in, x_in.rank());
  if (x_in.dtype() == DType::kBool) return scan(op, cast(x_in, DType::kInt32), axis, product, reverse);
  Tensor y = Tensor::like(x_in.shape(), x_in.dtype(), x_in);
  if (y.is_symbolic() || y.size() == 0) return y;
  const Tensor x = contiguous(x_in);
  launch<run_scan>(op, make_args(x, axis, product, reverse), {&x}, {&y});
  return y;
}

}  // namespace

Tensor cumsum(const Tensor& x, int64_t axis, bool reverse) { return scan("cumsum", x, axis, false, reverse); }
Tensor cumprod(const Tensor& x, int64_t axis) { return scan("cumprod", x, axis, true, false); }

Tensor cumprod_grad(const Tensor& dy_in, const Tensor& x_in, int64_t axis_in) {
  check_computes("cumprod_grad", x_in.dtype());
  const int axis = normalize_axis("cumprod_grad", axis_in, x_in.rank());
  check(dy_in.shape() == x_in.shape() && dy_in.dtype() == x_in.dtype(), "cumprod_grad",
        "the output's gradient must have x's shape and dtype. Received: dy.shape=", dy_in.shape(), " ",
        dy_in.dtype(), ", x.shape=", x_in.shape(), " ", x_in.dtype(), ".");
  Tensor dx = Tensor::like(x_in.shape(), x_in.dtype(), dy_in, x_in);
  if (dx.is_symbolic() || dx.size() == 0) return dx;
  const Tensor dy = contiguous(dy_in), x = contiguous(x_in);
  const ScanArgs a = make_args(x, axis, true, false);
  const Hints hints{.flops = 4 * static_cast<double>(x.size())};
  if (a.dtype == DType::kFloat32) {
    launch<run_cumprod_grad<float>>("cumprod_grad", a, {&dy, &x}, {&dx}, 0, hints);
  } else {
    launch<run_cumprod_grad<double>>("cumprod_grad", a, {&dy, &x}, {&dx}, 0, hints);
  }
  return dx;
}

}  // namespace lamina
