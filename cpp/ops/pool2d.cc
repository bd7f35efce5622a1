#include "ops/pool2d.h"

#include "base/parallel.h"
#include "base/tensor.h"
#include "ops/dispatch.h"
#include "ops/launch.h"
#include "ops/layout.h"

namespace lamina {

LAMINA_KERNELS(Pool2dKernels, pool2d_kernels)

namespace {

constexpr double kCost = 0.1;  // rough ns per window cell

bool is_grad(Pool2dOp op) {
  return op == Pool2dOp::average_grad || op == Pool2dOp::max_grad8 || op == Pool2dOp::max_grad32;
}

// Buffers: in, [index where it is read], out, [index where it is written].
Status run_pool2d(const Pool2dArgs& a, Buffers b) {
  if (a.C == 0) return {};
  const int op = static_cast<int>(a.op);
  const Pool2dFn f = a.dtype == DType::kFloat32 ? pool2d_kernels().f32[op] : pool2d_kernels().f64[op];
  const bool reads_index = a.op >= Pool2dOp::max_grad8;
  const bool writes_index = a.op == Pool2dOp::max_index8 || a.op == Pool2dOp::max_index32;
  void* index = reads_index ? b.at<void>(1) : writes_index ? b.at<void>(2) : nullptr;
  void* out = b.at<void>(reads_index ? 2 : 1);
  const bool grad = is_grad(a.op);
  const double cells = static_cast<double>(a.OW * a.C) * (grad ? a.kw : a.kh * a.kw);
  parallel_for(a.N * (grad ? a.H : a.OH), grain_for(kCost * cells),
               [&](int64_t begin, int64_t end) { f(a, b.at<void>(0), index, out, begin, end); });
  return {};
}

// One for each cell of each window: a comparison or an addition. A maximum's gradient and its picking touch
// one cell of a window.
Hints hints_of(const Pool2dArgs& a) {
  const int64_t cells = a.op < Pool2dOp::max_grad8 ? a.kh * a.kw : 1;
  return {.flops = static_cast<double>(a.N * a.OH * a.OW * a.C * cells)};
}

// Output length along one axis; *before gets the cells missing in front.
int64_t pooled(const char* op, const char* axis, int64_t size, int64_t k, int64_t stride, bool same,
               int64_t* before) {
  *before = 0;
  if (size == kUnknown) return kUnknown;
  if (!same) {
    check(size >= k, op, "the pool is larger than the image; expected pool_size <= ", axis,
          " with padding=\"valid\". Received: ", axis, "=", size, ", pool_size=", k,
          ". Use a smaller pool, or padding=\"same\".");
    return (size - k) / stride + 1;
  }
  const int64_t out = size / stride + (size % stride != 0);
  if (out == 0) return 0;
  const int64_t missing = (out - 1) * stride + k - size;
  *before = missing > 0 ? missing / 2 : 0;
  return out;
}

// Numbers are printed one by one: a shape would show -1 as None.
void check_sizes(const char* op, const char* name, const Dims& d) {
  constexpr int64_t kMax = int64_t{1} << 30;
  check(d.rank() == 2, op, name, " must be two integers, for height and width. Received: ", d.rank(),
        " of them.");
  check(d[0] >= 1 && d[1] >= 1 && d[0] <= kMax && d[1] <= kMax, op, name,
        " must be two positive integers. Received: ", name, "=(", d[0], ", ", d[1], ").");
}

Pool2dArgs geometry(const char* op, const Shape& x, DType dtype, const Dims& pool, const Dims& strides,
                    bool same) {
  check_computes(op, dtype);
  check(x.rank() == 4, op, "needs an image batch (batch, height, width, channels). Received: x.shape=", x,
        ".");
  check_sizes(op, "pool_size", pool);
  check_sizes(op, "strides", strides);
  Pool2dArgs a{};
  a.dtype = dtype;
  a.N = x[0], a.H = x[1], a.W = x[2], a.C = x[3];
  a.kh = pool[0], a.kw = pool[1], a.sh = strides[0], a.sw = strides[1];
  a.OH = pooled(op, "height", a.H, a.kh, a.sh, same, &a.top);
  a.OW = pooled(op, "width", a.W, a.kw, a.sw, same, &a.left);
  return a;
}

Shape y_shape(const Pool2dArgs& a) { return {a.N, a.OH, a.OW, a.C}; }

void check_dy(const char* op, const Tensor& dy, const Pool2dArgs& a) {
  check(dy.shape() == y_shape(a), op, "the output's gradient must have the output's shape ", y_shape(a),
        ". Received: dy.shape=", dy.shape(), ".");
}

bool small_index(const Pool2dArgs& a) { return a.kh * a.kw <= 256; }
DType index_dtype(const Pool2dArgs& a) { return small_index(a) ? DType::kUInt8 : DType::kInt32; }

void check_index(const char* op, const Tensor& index, const Pool2dArgs& a) {
  check(index.shape() == y_shape(a) && index.dtype() == index_dtype(a), op, "index must be ", index_dtype(a),
        " of the output's shape ", y_shape(a),
        ", as max_pool2d_index gives it. Received: index.shape=", index.shape(), " ", index.dtype(), ".");
}

Tensor forward(const char* op, Pool2dOp kind, const Tensor& x_in, const Dims& pool, const Dims& strides,
               bool same) {
  Pool2dArgs a = geometry(op, x_in.shape(), x_in.dtype(), pool, strides, same);
  a.op = kind;
  Tensor y = Tensor::like(y_shape(a), x_in.dtype(), x_in);
  if (y.is_symbolic()) return y;
  const Tensor x = contiguous(x_in);
  launch<run_pool2d>(op, a, {&x}, {&y}, 0, hints_of(a));
  return y;
}

}  // namespace

Tensor average_pool2d(const Tensor& x, const Dims& pool, const Dims& strides, bool same) {
  return forward("average_pool2d", Pool2dOp::average, x, pool, strides, same);
}

Tensor average_pool2d_grad(const Tensor& dy_in, const Shape& x_shape, const Dims& pool, const Dims& strides,
                           bool same) {
  Pool2dArgs a = geometry("average_pool2d_grad", x_shape, dy_in.dtype(), pool, strides, same);
  check_dy("average_pool2d_grad", dy_in, a);
  a.op = Pool2dOp::average_grad;
  Tensor dx = Tensor::like(x_shape, dy_in.dtype(), dy_in);
  if (dx.is_symbolic()) return dx;
  const Tensor dy = contiguous(dy_in);
  launch<run_pool2d>("average_pool2d_grad", a, {&dy}, {&dx}, 0, hints_of(a));
  return dx;
}

Tensor max_pool2d(const Tensor& x, const Dims& pool, const Dims& strides, bool same) {
  return forward("max_pool2d", Pool2dOp::max, x, pool, strides, same);
}

std::pair<Tensor, Tensor> max_pool2d_index(const Tensor& x_in, const Dims& pool, const Dims& strides,
                                           bool same) {
  Pool2dArgs a = geometry("max_pool2d", x_in.shape(), x_in.dtype(), pool, strides, same);
  a.op = small_index(a) ? Pool2dOp::max_index8 : Pool2dOp::max_index32;
  Tensor y = Tensor::like(y_shape(a), x_in.dtype(), x_in);
  Tensor index = Tensor::like(y_shape(a), index_dtype(a), x_in);
  if (y.is_symbolic()) return {y, index};
  const Tensor x = contiguous(x_in);
  launch<run_pool2d>("max_pool2d", a, {&x}, {&y, &index}, 0, hints_of(a));
  return {y, index};
}

Tensor max_pool2d_grad(const Tensor& dy_in, const Tensor& index_in, const Shape& x_shape, const Dims& pool,
                       const Dims& strides, bool same) {
  Pool2dArgs a = geometry("max_pool2d_grad", x_shape, dy_in.dtype(), pool, strides, same);
  check_dy("max_pool2d_grad", dy_in, a);
  check_index("max_pool2d_grad", index_in, a);
  a.op = small_index(a) ? Pool2dOp::max_grad8 : Pool2dOp::max_grad32;
  Tensor dx = Tensor::like(x_shape, dy_in.dtype(), dy_in, index_in);
  if (dx.is_symbolic()) return dx;
  const Tensor dy = contiguous(dy_in), index = contiguous(index_in);
  launch<run_pool2d>("max_pool2d_grad", a, {&dy, &index}, {&dx}, 0, hints_of(a));
  return dx;
}

Tensor max_pool2d_pick(const Tensor& x_in, const Tensor& index_in, const Dims& pool, const Dims& strides,
                       bool same) {
  Pool2dArgs a = geometry("max_pool2d_pick", x_in.shape(), x_in.dtype(), pool, strides, same);
  check_index("max_pool2d_pick", index_in, a);
  a.op = small_index(a) ? Pool2dOp::max_pick8 : Pool2dOp::max_pick32;
  Tensor y = Tensor::like(y_shape(a), x_in.dtype(), x_in, index_in);
  if (y.is_symbolic()) return y;
  const Tensor x = contiguous(x_in), index = contiguous(index_in);
  launch<run_pool2d>("max_pool2d_pick", a, {&x, &index}, {&y}, 0, hints_of(a));
  return y;
}

}  // namespace lamina
