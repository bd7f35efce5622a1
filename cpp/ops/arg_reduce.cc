#include "ops/arg_reduce.h"

#include "base/parallel.h"
#include "base/tensor.h"
#include "ops/dispatch.h"
#include "ops/launch.h"
#include "ops/layout.h"

namespace lamina {

LAMINA_KERNELS(ArgReduceKernels, arg_reduce_kernels)

namespace {

constexpr double kCost = 0.2;     // rough ns per element
constexpr int64_t kColumns = 64;  // lines of one item where lines run across rows

struct ArgReduceArgs {
  DType dtype;
  bool min;
  int64_t outer, n, inner;
};

Status run_arg_reduce(const ArgReduceArgs& a, Buffers b) {
  const ArgReduceKernels& k = arg_reduce_kernels();
  const auto& table = a.dtype == DType::kFloat32   ? k.f32
                      : a.dtype == DType::kFloat64 ? k.f64
                      : a.dtype == DType::kInt32   ? k.i32
                                                   : k.i64;
  const ArgFn f = table[a.min][a.inner > 1];
  const size_t size = itemsize(a.dtype);
  const char* x = b.at<char>(0);
  int32_t* y = b.at<int32_t>(1);
  if (a.inner == 1) {
    parallel_for(a.outer, grain_for(kCost * a.n + 10), [&](int64_t begin, int64_t end) {
      f(x + begin * a.n * size, end - begin, a.n, 1, y + begin);
    });
    return {};
  }
  const int64_t strips = (a.inner - 1) / kColumns + 1;
  parallel_for(a.outer * strips, grain_for(kCost * a.n * kColumns), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t outer = i / strips, column = i % strips * kColumns, left = a.inner - column;
      f(x + (outer * a.n * a.inner + column) * size, left < kColumns ? left : kColumns, a.n, a.inner,
        y + outer * a.inner + column);
    }
  });
  return {};
}

Tensor arg_reduce(const char* op, bool min, const Tensor& x_in, std::optional<int64_t> axis, bool keepdims) {
  const DType t = x_in.dtype();
  if (is_floating(t)) check_computes(op, t);
  if (!is_floating(t) && itemsize(t) == 1)
    return arg_reduce(op, min, cast(x_in, DType::kInt32), axis, keepdims);
  ArgReduceArgs args{t, min, 1, 1, 1};
  Shape shape;
  if (axis) {
    const int reduced = normalize_axis(op, *axis, x_in.rank());
    for (int i = 0; i < x_in.rank(); ++i) {
      (i < reduced ? args.outer : i == reduced ? args.n : args.inner) *= x_in.dim(i);
      if (i != reduced || keepdims) shape.push_back(i == reduced ? 1 : x_in.dim(i));
    }
  } else {
    if (keepdims) shape = Shape(x_in.rank(), 1);
    args.n = x_in.size();
  }
  Tensor y = Tensor::like(shape, DType::kInt32, x_in);
  if (y.is_symbolic()) return y;
  check(args.n > 0 || y.size() == 0, op,
        "is not defined over no elements; expected a size of at least 1 along the axis. Received: x.shape=",
        x_in.shape(), ".");
  check(args.n <= INT32_MAX, op,
        "has more elements than an int32 index can count. Received: x.shape=", x_in.shape(), ".");
  if (y.size() == 0) return y;
  const Tensor x = contiguous(x_in);
  launch<run_arg_reduce>(op, args, {&x}, {&y}, 0, {.flops = static_cast<double>(x.size())});
  return y;
}

}  // namespace

Tensor argmax(const Tensor& x, std::optional<int64_t> axis, bool keepdims) {
  return arg_reduce("argmax", false, x, axis, keepdims);
}
Tensor argmin(const Tensor& x, std::optional<int64_t> axis, bool keepdims) {
  return arg_reduce("argmin", true, x, axis, keepdims);
}

}  // namespace lamina
