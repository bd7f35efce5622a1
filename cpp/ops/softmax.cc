#include "ops/softmax.h"

#include "base/parallel.h"
#include "base/tensor.h"
#include "ops/dispatch.h"
#include "ops/launch.h"
#include "ops/layout.h"

namespace lamina {

LAMINA_KERNELS(SoftmaxKernels, softmax_kernels)

namespace {

constexpr double kCost = 0.5;     // rough ns per element
constexpr int64_t kColumns = 64;  // lines of one item where lines run across rows: whole vectors on every row
constexpr double kFlops = 5;      // per element: maximum, difference, exponential, sum, scaling
constexpr double kGradFlops = 4;  // per element: product, sum, difference, product

struct SoftmaxArgs {
  DType dtype;
  bool log;
  int64_t outer, n, inner;
};

const SoftmaxKernels::Pair& kernel(const SoftmaxArgs& a) {
  const auto& table = a.dtype == DType::kFloat32 ? softmax_kernels().f32 : softmax_kernels().f64;
  return table[a.log][a.inner > 1];
}

// call(byte offset, lines) over pieces of the lines.
template <class Call>
void each_piece(const SoftmaxArgs& a, Call call) {
  const size_t size = itemsize(a.dtype);
  if (a.inner == 1) {
    parallel_for(a.outer, grain_for(kCost * a.n + 10),
                 [&](int64_t begin, int64_t end) { call(begin * a.n * size, end - begin); });
    return;
  }
  const int64_t strips = (a.inner - 1) / kColumns + 1;
  parallel_for(a.outer * strips, grain_for(kCost * a.n * kColumns), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t column = i % strips * kColumns, left = a.inner - column;
      call((i / strips * a.n * a.inner + column) * size, left < kColumns ? left : kColumns);
    }
  });
}

Status run_softmax(const SoftmaxArgs& a, Buffers b) {
  each_piece(a, [&, f = kernel(a).forward](int64_t at, int64_t lines) {
    f(b.at<char>(0) + at, lines, a.n, a.inner, b.at<char>(1) + at);
  });
  return {};
}

Status run_softmax_grad(const SoftmaxArgs& a, Buffers b) {
  each_piece(a, [&, f = kernel(a).grad](int64_t at, int64_t lines) {
    f(b.at<char>(0) + at, b.at<char>(1) + at, lines, a.n, a.inner, b.at<char>(2) + at);
  });
  return {};
}

SoftmaxArgs lines(const Tensor& x, int axis, bool log) {
  SoftmaxArgs a{x.dtype(), log, 1, x.dim(axis), 1};
  for (int i = 0; i < axis; ++i) a.outer *= x.dim(i);
  for (int i = axis + 1; i < x.rank(); ++i) a.inner *= x.dim(i);
  return a;
}

Tensor forward(const char* op, const Tensor& x_in, int64_t axis_in, bool log) {
  check_computes(op, x_in.dtype());
  const int axis = normalize_axis(op, axis_in, x_in.rank());
  Tensor y = Tensor::like(x_in.shape(), x_in.dtype(), x_in);
  if (y.is_symbolic() || y.size() == 0) return y;
  const Tensor x = contiguous(x_in);
  launch<run_softmax>(op, lines(x, axis, log), {&x}, {&y}, 0,
                      {.flops = kFlops * static_cast<double>(x.size())});
  return y;
}

Tensor gradient(const char* op, const Tensor& dy_in, const Tensor& y_in, int64_t axis_in, bool log) {
  check_computes(op, y_in.dtype());
  const int axis = normalize_axis(op, axis_in, y_in.rank());
  check(dy_in.shape() == y_in.shape() && dy_in.dtype() == y_in.dtype(), op,
        "the output's gradient must have the output's shape and dtype. Received: dy.shape=", dy_in.shape(),
        " ", dy_in.dtype(), ", output shape=", y_in.shape(), " ", y_in.dtype(), ".");
  Tensor dx = Tensor::like(y_in.shape(), y_in.dtype(), dy_in, y_in);
  if (dx.is_symbolic() || dx.size() == 0) return dx;
  const Tensor dy = contiguous(dy_in), y = contiguous(y_in);
  launch<run_softmax_grad>(op, lines(y, axis, log), {&dy, &y}, {&dx}, 0,
                           {.flops = kGradFlops * static_cast<double>(y.size())});
  return dx;
}

}  // namespace

Tensor softmax(const Tensor& x, int64_t axis) { return forward("softmax", x, axis, false); }
Tensor softmax_grad(const Tensor& dy, const Tensor& y, int64_t axis) {
  return gradient("softmax_grad", dy, y, axis, false);
}
Tensor log_softmax(const Tensor& x, int64_t axis) { return forward("log_softmax", x, axis, true); }
Tensor log_softmax_grad(const Tensor& dy, const Tensor& y, int64_t axis) {
  return gradient("log_softmax_grad", dy, y, axis, true);
}

}  // namespace lamina
