#include "ops/unary.h"

#include "ops/dispatch.h"
#include "ops/integer.h"
#include "ops/launch.h"
#include "ops/ndloop.h"

namespace lamina {

LAMINA_KERNELS(UnaryKernels, unary_kernels)

namespace {

// Rough ns per element of the costliest function, so that 10^4 elements are worth two threads.
constexpr double kCost = 0.5;

struct UnaryArgs {
  Unary op;
  DType dtype;
  double alpha;
  NdLoop<2> loop;  // y, x
};

struct UnaryGradArgs {
  Unary op;
  DType dtype;
  double alpha;
  NdLoop<3> loop;  // dx, dy, s
};

Status run_unary(const UnaryArgs& a, Buffers b) {
  const int op = static_cast<int>(a.op);
  const UnaryFn f = a.dtype == DType::kFloat32   ? unary_kernels().f32[op]
                    : a.dtype == DType::kFloat64 ? unary_kernels().f64[op]
                                                 : integer_unary(a.op, a.dtype);
  const size_t size = itemsize(a.dtype);
  const char* x = b.at<char>(0);
  char* y = b.at<char>(1);
  a.loop.run(kCost, b.items, [&](int64_t n, const int64_t* at, const int64_t* step) {
    f(x + at[1] * size, step[1], y + at[0] * size, n, a.alpha);
  });
  return {};
}

Status run_unary_grad(const UnaryGradArgs& a, Buffers b) {
  const int op = static_cast<int>(a.op);
  const UnaryGradFn f =
      a.dtype == DType::kFloat32 ? unary_kernels().grad_f32[op] : unary_kernels().grad_f64[op];
  const size_t size = itemsize(a.dtype);
  const char *dy = b.at<char>(0), *s = b.at<char>(1);
  char* dx = b.at<char>(2);
  a.loop.run(kCost, b.items, [&](int64_t n, const int64_t* at, const int64_t* step) {
    f(dy + at[1] * size, step[1], s + at[2] * size, step[2], dx + at[0] * size, n, a.alpha);
  });
  return {};
}

}  // namespace

const char* unary_name(Unary op) {
  constexpr const char* kNames[] = {
#define LAMINA_UNARY(name) #name,
#include "ops/unary.def"
#undef LAMINA_UNARY
  };
  return kNames[static_cast<int>(op)];
}

Tensor unary(Unary op, const Tensor& x, double alpha) {
  if (!is_floating(x.dtype())) {
    check<TypeError>(integer_unary(op, x.dtype()) != nullptr, unary_name(op),
                     "needs float32 or float64 values. Received: dtype=", x.dtype(),
                     ". Convert with ops.cast(x, \"float32\") first.");
  } else {
    check_computes(unary_name(op), x.dtype());
  }
  Tensor y = Tensor::like(x.shape(), x.dtype(), x);
  if (y.is_symbolic()) return y;
  const UnaryArgs args{op, x.dtype(), alpha, NdLoop<2>::make(x.shape(), {&y, &x})};
  launch<run_unary>(unary_name(op), args, {&x}, {&y}, 0, args.loop.hints());
  return y;
}

Tensor unary_grad(Unary op, const Tensor& dy, const Tensor& s, double alpha) {
  check_computes(unary_name(op), s.dtype());
  check(dy.shape() == s.shape() && dy.dtype() == s.dtype(), unary_name(op),
        "the output's gradient must have the output's shape and dtype. Received: dy.shape=", dy.shape(), " ",
        dy.dtype(), ", output shape=", s.shape(), " ", s.dtype(), ".");
  Tensor dx = Tensor::like(s.shape(), s.dtype(), dy, s);
  if (dx.is_symbolic()) return dx;
  const UnaryGradArgs args{op, s.dtype(), alpha, NdLoop<3>::make(s.shape(), {&dx, &dy, &s})};
  launch<run_unary_grad>(unary_name(op), args, {&dy, &s}, {&dx}, 0, args.loop.hints());
  return dx;
}

}  // namespace lamina
