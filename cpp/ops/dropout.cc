#include "ops/dropout.h"

#include <algorithm>

#include "base/parallel.h"
#include "base/tensor.h"
#include "ops/dispatch.h"
#include "ops/launch.h"
#include "ops/layout.h"
#include "ops/random.h"

namespace lamina {

LAMINA_KERNELS(DropoutKernels, dropout_kernels)

namespace {

constexpr double kCost = 1.0;  // rough ns per element: ten Philox rounds for four

struct DropoutArgs {
  DType dtype;
  int64_t size;
  double rate;
};

// Reads x, state; writes y and, in the forward pass, the copy of state.
template <bool kForward>
Status run_dropout(const DropoutArgs& a, Buffers b) {
  const DropoutKernels::Fn f = a.dtype == DType::kFloat32 ? dropout_kernels().f32 : dropout_kernels().f64;
  const int64_t* state = b.at<const int64_t>(1);
  if (kForward) std::copy_n(state, 3, b.at<int64_t>(3));
  const uint32_t last = static_cast<uint32_t>(std::max<uint64_t>(bernoulli_threshold(1 - a.rate), 1) - 1);
  const int64_t blocks = (a.size + kDropoutBlock - 1) / kDropoutBlock;
  parallel_for(blocks, grain_for(kCost * kDropoutBlock), [&](int64_t begin, int64_t end) {
    f(b.at<void>(0), b.at<void>(2), begin * kDropoutBlock, std::min(end * kDropoutBlock, a.size), state, last,
      1 / (1 - a.rate));
  });
  return {};
}

// The scaling; the draw is integers.
Hints hints_of(const DropoutArgs& a) { return {.flops = static_cast<double>(a.size)}; }

DropoutArgs dropout_args(const char* op, const Tensor& x, const Tensor& state, double rate) {
  check_computes(op, x.dtype());
  check_random_state(op, state);
  check(rate >= 0 && rate < 1, op, "the rate must be at least 0 and below 1. Received: rate=", rate, ".");
  return {x.dtype(), x.is_symbolic() ? 0 : x.size(), rate};
}

}  // namespace

std::pair<Tensor, Tensor> dropout(const Tensor& x_in, const Tensor& state, double rate) {
  const DropoutArgs args = dropout_args("dropout", x_in, state, rate);
  Tensor y = Tensor::like(x_in.shape(), x_in.dtype(), x_in, state);
  Tensor copied = Tensor::like({3}, DType::kInt64, x_in, state);
  if (y.is_symbolic()) return {y, copied};
  const Tensor x = contiguous(x_in);
  launch<run_dropout<true>>("dropout", args, {&x, &state}, {&y, &copied}, 0, hints_of(args));
  return {y, copied};
}

Tensor dropout_grad(const Tensor& dy_in, const Tensor& state, double rate) {
  const DropoutArgs args = dropout_args("dropout_grad", dy_in, state, rate);
  Tensor dx = Tensor::like(dy_in.shape(), dy_in.dtype(), dy_in, state);
  if (dx.is_symbolic()) return dx;
  const Tensor dy = contiguous(dy_in);
  launch<run_dropout<false>>("dropout_grad", args, {&dy, &state}, {&dx}, 0, hints_of(args));
  return dx;
}

}  // namespace lamina
