#include "ops/conv2d.h"

#include <algorithm>
#include <cstring>

#include "base/dtype.h"
#include "base/parallel.h"
#include "base/rounding.h"
#include "ops/conv2d_columns.h"
#include "ops/conv2d_depthwise.h"
#include "ops/conv2d_depthwise_tile.h"
#include "ops/conv2d_direct.h"
#include "ops/launch.h"
#include "ops/layout.h"

namespace lamina {
namespace {

struct Conv2dArgs {
  DType dtype;
  int64_t N, H, W, C, OH, OW, F, KH, KW;
  Conv2dWindow window;
  Activation activation;
  MatmulPrecision precision;
  int64_t threads;
  bool has_bias;
  bool has_dz;  // of the layer gradient; dx of the depthwise one
};

// One axis of the input gradient at positions h = step q + phase - pad: the taps that meet them and where.
struct Phase {
  int64_t first_q, count;             // positions q = first_q ... with 0 <= h < H
  int64_t taps, first_tap, tap_step;  // kernel taps first_tap + a tap_step, a < taps
  int64_t start, step;  // output row of position q, tap a counted from the last: q + start + a step
};

// Tap p meets input h at output o where o stride = h + pad - p dilation: with h + pad = stride q + phase the
// taps with p dilation = phase (mod stride) take part, an arithmetic progression.
Phase find_phase(int64_t H, int64_t K, int64_t stride, int64_t dilation, int64_t pad, int64_t phase) {
  Phase r{};
  r.first_q = pad > phase ? (pad - phase + stride - 1) / stride : 0;
  const int64_t first_h = stride * r.first_q + phase - pad;
  r.count = first_h < H ? (H - first_h + stride - 1) / stride : 0;
  r.tap_step = 1;
  r.step = 1;
  int64_t last = -1;
  for (int64_t p = 0; p < K; ++p) {
    if ((p * dilation) % stride != phase) continue;
    if (r.taps == 0) r.first_tap = p;
    if (r.taps == 1) {
      r.tap_step = p - r.first_tap;
      r.step = r.tap_step * dilation / stride;
    }
    ++r.taps;
    last = p;
  }
  if (r.taps > 0) r.start = -(last * dilation - phase) / stride;
  return r;
}

ConvJob forward_job(const Conv2dArgs& a) {
  const Conv2dWindow& v = a.window;
  const int64_t cg = a.C / v.groups, fg = a.F / v.groups;
  return {.n = a.N,
          .h = a.H,
          .w = a.W,
          .c = a.C,
          .oh = a.OH,
          .ow = a.OW,
          .kh = a.KH,
          .kw = a.KW,
          .kc = cg,
          .stride_h = v.stride_h,
          .stride_w = v.stride_w,
          .step_h = v.dilation_h,
          .step_w = v.dilation_w,
          .top = -v.top,
          .left = -v.left,
          .groups = v.groups,
          .fg = fg,
          .y_base = 0,
          .y_image = a.OH * a.OW * a.F,
          .y_row = a.OW * a.F,
          .y_col = a.F,
          .w_base = 0,
          .w_kh = a.KW * cg * a.F,
          .w_kw = cg * a.F,
          .w_k = a.F,
          .w_f = 1,
          .w_group = fg,
          .precision = a.precision,
          .threads = a.threads};
}

// Input pixels of phase (ph, pw) as a dense correlation of dy with the flipped, transposed filters of the
// phase.
ConvJob input_grad_job(const Conv2dArgs& a, int64_t ph, int64_t pw) {
  const Conv2dWindow& v = a.window;
  const int64_t cg = a.C / v.groups, fg = a.F / v.groups;
  const Phase h = find_phase(a.H, a.KH, v.stride_h, v.dilation_h, v.top, ph);
  const Phase w = find_phase(a.W, a.KW, v.stride_w, v.dilation_w, v.left, pw);
  const bool met = h.taps > 0 && w.taps > 0;
  const int64_t first_h = v.stride_h * h.first_q + ph - v.top, first_w = v.stride_w * w.first_q + pw - v.left;
  const int64_t tap = cg * a.F, last_h = h.first_tap + (h.taps - 1) * h.tap_step,
                last_w = w.first_tap + (w.taps - 1) * w.tap_step;
  return {.n = a.N,
          .h = a.OH,
          .w = a.OW,
          .c = a.F,
          .oh = h.count,
          .ow = w.count,
          .kh = met ? h.taps : 0,
          .kw = met ? w.taps : 0,
          .kc = fg,
          .stride_h = 1,
          .stride_w = 1,
          .step_h = h.step,
          .step_w = w.step,
          .top = h.first_q + h.start,
          .left = w.first_q + w.start,
          .groups = v.groups,
          .fg = cg,
          .y_base = (first_h * a.W + first_w) * a.C,
          .y_image = a.H * a.W * a.C,
          .y_row = v.stride_h * a.W * a.C,
          .y_col = v.stride_w * a.C,
          .w_base = met ? (last_h * a.KW + last_w) * tap : 0,
          .w_kh = -h.tap_step * a.KW * tap,
          .w_kw = -w.tap_step * tap,
          .w_k = 1,
          .w_f = a.F,
          .w_group = fg,
          .precision = a.precision,
          .threads = a.threads};
}

// body(job) for every phase that has input pixels.
template <class Body>
void for_phases(const Conv2dArgs& a, Body body) {
  for (int64_t ph = 0; ph < a.window.stride_h; ++ph) {
    for (int64_t pw = 0; pw < a.window.stride_w; ++pw) {
      const ConvJob job = input_grad_job(a, ph, pw);
      if (job.n * job.oh * job.ow * job.fg > 0) body(job);
    }
  }
}

// Of the products, the same forward and for either gradient; taps in the padding count. `per_output` more for
// each output.
Hints conv_hints(const Conv2dArgs& a, int per_output = 0) {
  const double outputs = static_cast<double>(a.N * a.OH * a.OW * a.F);
  const double products = static_cast<double>(a.KH * a.KW * (a.C / a.window.groups));
  return {.flops = outputs * (2 * products + per_output)};
}

Status run_conv2d(const Conv2dArgs& a, Buffers b) {
  run_conv_job(forward_job(a), a.dtype, b.address[0], b.address[1], a.has_bias ? b.address[2] : nullptr,
               a.activation, b.address[2 + a.has_bias], b.scratch);
  return {};
}

void zero(void* p, int64_t bytes) {
  constexpr int64_t kChunk = 1 << 16;
  parallel_for(ceil_div(bytes, kChunk), grain_for(kChunk * 0.1), [&](int64_t begin, int64_t end) {
    std::memset(static_cast<char*>(p) + begin * kChunk, 0,
                static_cast<size_t>(std::min(bytes, end * kChunk) - begin * kChunk));
  });
}

Status run_conv2d_input_grad(const Conv2dArgs& a, Buffers b) {
  if (conv_columns_pay(forward_job(a), a.dtype)) {
    run_conv_columns(forward_job(a), a.dtype, b.address[0], b.address[1], b.address[2], b.scratch);
    return {};
  }
  bool all_met = true;
  for_phases(a, [&](const ConvJob& job) { all_met = all_met && job.depth() > 0; });
  if (!all_met) zero(b.address[2], a.N * a.H * a.W * a.C * static_cast<int64_t>(itemsize(a.dtype)));
  for_phases(a, [&](const ConvJob& job) {
    if (job.depth() == 0) return;
    run_conv_job(job, a.dtype, b.address[0], b.address[1], nullptr, Activation::none, b.address[2],
                 b.scratch);
  });
  return {};
}

Status run_conv2d_weight_grad(const Conv2dArgs& a, Buffers b) {
  run_conv_weight_job(forward_job(a), a.dtype, b.address[0], b.address[1], b.address[2],
                      {Activation::none, nullptr, nullptr, nullptr}, b.scratch);
  return {};
}

// Reads x, dy and, with an activation, y; writes dw, db and, where wanted, dz.
Status run_conv2d_layer_grad(const Conv2dArgs& a, Buffers b) {
  const bool active = a.activation != Activation::none;
  void* const* out = b.address + 2 + active;
  run_conv_weight_job(forward_job(a), a.dtype, b.address[0], b.address[1], out[0],
                      {a.activation, active ? b.address[2] : nullptr, a.has_dz ? out[2] : nullptr, out[1]},
                      b.scratch);
  return {};
}

// Reads x, w, dy and, with an activation, y; writes dw and, where wanted, db and dx.
Status run_conv2d_depthwise_grads(const Conv2dArgs& a, Buffers b) {
  const bool active = a.activation != Activation::none;
  void* const* out = b.address + 3 + active;
  run_depthwise_grads(forward_job(a), a.dtype, b.address[0], b.address[1], b.address[2],
                      a.has_dz ? out[1 + a.has_bias] : nullptr, out[0],
                      {a.activation, active ? b.address[3] : nullptr, nullptr, a.has_bias ? out[1] : nullptr},
                      b.scratch);
  return {};
}

// Output size of one axis; kUnknown stays.
int64_t output_size(const char* op, const char* axis, int64_t size, int64_t kernel, int64_t stride,
                    int64_t dilation, int64_t before, int64_t after) {
  if (size == kUnknown) return kUnknown;
  const int64_t reach = (kernel - 1) * dilation + 1, padded = size + before + after;
  check(reach <= padded, op, "the kernel must fit into the padded input. Received: kernel ", axis, "=",
        kernel, ", dilation=", dilation, " (reaching over ", reach, "), input ", axis, "=", size,
        ", padding=(", before, ", ", after, "). Use padding=\"same\", a smaller kernel, or larger images.");
  return (padded - reach) / stride + 1;
}

bool agree(int64_t a, int64_t b) { return a == kUnknown || b == kUnknown || a == b; }

void check_ranks(const char* op, const Shape& x, const Shape& w) {
  check(x.rank() == 4, op, "needs images of shape (batch, height, width, channels). Received: x.shape=", x,
        ".");
  check(w.rank() == 4, op,
        "needs filters of shape (height, width, channels / groups, filters). Received: w.shape=", w, ".");
}

void check_window(const char* op, const Conv2dWindow& v) {
  constexpr int64_t kLargest = int64_t{1} << 31;  // products of two stay far from overflow
  const auto within = [](int64_t low, std::initializer_list<int64_t> values) {
    return std::ranges::all_of(values, [&](int64_t i) { return i >= low && i < kLargest; });
  };
  check(within(1, {v.stride_h, v.stride_w, v.dilation_h, v.dilation_w, v.groups}), op,
        "strides, dilation and groups must be at least 1. Received: strides=(", v.stride_h, ", ", v.stride_w,
        "), dilation=(", v.dilation_h, ", ", v.dilation_w, "), groups=", v.groups, ".");
  check(within(0, {v.top, v.bottom, v.left, v.right}), op,
        "padding must not be negative. Received: padding=(", v.top, ", ", v.bottom, ", ", v.left, ", ",
        v.right, ").");
}

// Checks everything that needs no dy.
Conv2dArgs make_args(const char* op, const Shape& x, const Shape& w, DType dtype, const Conv2dWindow& v) {
  check_computes(op, dtype);
  check_ranks(op, x, w);
  check_window(op, v);
  check(w[0] >= 1 && w[1] >= 1 && w[2] >= 1 && w[3] >= 0, op,
        "filters must have known sizes of at least 1. Received: w.shape=", w, ".");
  check(w[3] % v.groups == 0, op, "groups must divide the number of filters. Received: filters=", w[3],
        ", groups=", v.groups, ".");
  check(agree(x[3], w[2] * v.groups), op, "the input must have as many channels as the filters take (",
        w[2] * v.groups, "). Received: input channels=", x[3], ", filter channels=", w[2],
        " x groups=", v.groups, ", x.shape=", x, ", w.shape=", w, ".");
  return {.dtype = dtype,
          .N = x[0],
          .H = x[1],
          .W = x[2],
          .C = w[2] * v.groups,
          .OH = output_size(op, "height", x[1], w[0], v.stride_h, v.dilation_h, v.top, v.bottom),
          .OW = output_size(op, "width", x[2], w[1], v.stride_w, v.dilation_w, v.left, v.right),
          .F = w[3],
          .KH = w[0],
          .KW = w[1],
          .window = v,
          .activation = Activation::none,
          .precision = matmul_precision(),
          .threads = num_threads(),
          .has_bias = false,
          .has_dz = false};
}

void check_dy(const char* op, const Conv2dArgs& a, const Tensor& dy) {
  const Shape want = {a.N, a.OH, a.OW, a.F};
  bool same = dy.rank() == 4 && dy.dtype() == a.dtype;
  for (int i = 0; same && i < 4; ++i) same = agree(dy.dim(i), want[i]);
  check(same, op, "dy must have the output's shape and dtype, ", want, " ", a.dtype,
        ". Received: dy.shape=", dy.shape(), " ", dy.dtype(), ".");
}

void check_same_dtype(const char* op, const Tensor& a, const Tensor& b) {
  check<TypeError>(a.dtype() == b.dtype(), op,
                   "needs one dtype for images and filters. Received: ", a.dtype(), " and ", b.dtype(),
                   ". Convert with ops.cast first.");
}

int64_t same_total(int64_t size, int64_t kernel, int64_t stride, int64_t dilation) {
  // Of an unknown size only stride 1 has a fixed answer; symbolic outputs need none.
  const int64_t out = size == kUnknown ? 1 : (size + stride - 1) / stride;
  return std::max<int64_t>((out - 1) * stride + (kernel - 1) * dilation + 1 - (size == kUnknown ? 1 : size),
                           0);
}

}  // namespace

Conv2dWindow conv2d_window(const Shape& x, const Shape& w, const Dims& strides,
                           const std::variant<std::string, Dims>& padding, const Dims& dilation,
                           int64_t groups) {
  check_ranks("conv2d", x, w);
  check(strides.rank() == 2 && dilation.rank() == 2, "conv2d",
        "strides and dilation need one number, or one each for height and width. Received: strides=", strides,
        ", dilation=", dilation, ".");
  Conv2dWindow v{strides[0], strides[1], dilation[0], dilation[1], 0, 0, 0, 0, groups};
  check_window("conv2d", v);
  if (const Dims* sides = std::get_if<Dims>(&padding)) {
    check(sides->rank() == 4, "conv2d",
          "padding needs four numbers, (top, bottom, left, right). Received: padding=", *sides, ".");
    v.top = (*sides)[0];
    v.bottom = (*sides)[1];
    v.left = (*sides)[2];
    v.right = (*sides)[3];
    return v;
  }
  const std::string& name = std::get<std::string>(padding);
  check(name == "valid" || name == "same", "conv2d",
        "padding must be \"valid\", \"same\" or (top, bottom, left, right). Received: padding=\"", name,
        "\".");
  if (name == "valid") return v;
  const int64_t rows = same_total(x[1], w[0], v.stride_h, v.dilation_h);
  const int64_t cols = same_total(x[2], w[1], v.stride_w, v.dilation_w);
  v.top = rows / 2;
  v.bottom = rows - v.top;
  v.left = cols / 2;
  v.right = cols - v.left;
  return v;
}

Tensor conv2d(const Tensor& x_in, const Tensor& w_in, const std::optional<Tensor>& bias_in,
              const Conv2dWindow& window, Activation activation) {
  check_same_dtype("conv2d", x_in, w_in);
  Conv2dArgs args = make_args("conv2d", x_in.shape(), w_in.shape(), x_in.dtype(), window);
  args.activation = activation;
  args.has_bias = bias_in.has_value();
  if (bias_in) {
    check(bias_in->rank() == 1 && agree(bias_in->dim(0), args.F) && bias_in->dtype() == args.dtype, "conv2d",
          "bias must have one value per filter, shape (", args.F, ") ", args.dtype,
          ". Received: bias.shape=", bias_in->shape(), " ", bias_in->dtype(), ".");
  }
  const Shape shape = {args.N, args.OH, args.OW, args.F};
  if (bias_in && bias_in->is_symbolic()) return Tensor::symbolic(shape, args.dtype);
  Tensor y = Tensor::like(shape, args.dtype, x_in, w_in);
  if (y.is_symbolic() || y.size() == 0) return y;
  const Tensor x = contiguous(x_in), w = contiguous(w_in);
  const size_t scratch = conv_job_scratch(forward_job(args), args.dtype);
  const Hints hints = conv_hints(args, args.has_bias + (activation != Activation::none));
  if (!bias_in) {
    launch<run_conv2d>("conv2d", args, {&x, &w}, {&y}, scratch, hints);
  } else {
    const Tensor bias = contiguous(*bias_in);
    launch<run_conv2d>("conv2d", args, {&x, &w, &bias}, {&y}, scratch, hints);
  }
  return y;
}

Tensor conv2d_input_grad(const Tensor& dy_in, const Tensor& w_in, const Shape& x_shape,
                         const Conv2dWindow& window) {
  constexpr const char* op = "conv2d_input_grad";
  check_same_dtype(op, dy_in, w_in);
  const Conv2dArgs args = make_args(op, x_shape, w_in.shape(), dy_in.dtype(), window);
  check_dy(op, args, dy_in);
  Tensor dx = x_shape.has_unknown() ? Tensor::symbolic(x_shape, args.dtype)
                                    : Tensor::like(x_shape, args.dtype, dy_in, w_in);
  if (dx.is_symbolic() || dx.size() == 0) return dx;
  const Tensor dy = contiguous(dy_in), w = contiguous(w_in);
  size_t scratch = 0;
  if (conv_columns_pay(forward_job(args), args.dtype)) {
    scratch = conv_columns_scratch(forward_job(args), args.dtype);
  } else {
    for_phases(args,
               [&](const ConvJob& job) { scratch = std::max(scratch, conv_job_scratch(job, args.dtype)); });
  }
  launch<run_conv2d_input_grad>(op, args, {&dy, &w}, {&dx}, scratch, conv_hints(args));
  return dx;
}

Tensor conv2d_weight_grad(const Tensor& x_in, const Tensor& dy_in, const Shape& w_shape,
                          const Conv2dWindow& window) {
  constexpr const char* op = "conv2d_weight_grad";
  check_same_dtype(op, x_in, dy_in);
  const Conv2dArgs args = make_args(op, x_in.shape(), w_shape, x_in.dtype(), window);
  check_dy(op, args, dy_in);
  Tensor dw = Tensor::like(w_shape, args.dtype, x_in, dy_in);
  if (dw.is_symbolic() || dw.size() == 0) return dw;
  const Tensor x = contiguous(x_in), dy = contiguous(dy_in);
  launch<run_conv2d_weight_grad>(op, args, {&x, &dy}, {&dw},
                                 conv_weight_scratch(forward_job(args), args.dtype, true), conv_hints(args));
  return dw;
}

namespace {

using Gradients = std::tuple<std::optional<Tensor>, Tensor, std::optional<Tensor>>;

// (dz, dw, db) in one pass over dy; dz = dy * f'(y), dy itself without activation, where wanted.
Gradients layer_grad(const Tensor& x_in, const Tensor& dy_in, const Tensor& y_in, Conv2dArgs args,
                     bool want_dz) {
  constexpr const char* op = "conv2d_layer_grad";
  const bool active = args.activation != Activation::none;
  args.has_dz = active && want_dz;
  const Tensor dw =
      Tensor::like({args.KH, args.KW, args.C / args.window.groups, args.F}, args.dtype, x_in, dy_in, y_in);
  const Tensor db = Tensor::like({args.F}, args.dtype, x_in, dy_in, y_in);
  std::optional<Tensor> dz;
  if (want_dz) dz = active ? Tensor::like(dy_in.shape(), args.dtype, x_in, dy_in, y_in) : dy_in;
  if (dw.is_symbolic() || dw.size() == 0) return {dz, dw, db};
  const Tensor x = contiguous(x_in), dy = contiguous(dy_in);
  const size_t scratch = conv_weight_scratch(forward_job(args), args.dtype, !active || want_dz);
  const Hints hints = conv_hints(args, 1 + active);  // the bias's sum, the activation's derivative
  if (!active) {
    launch<run_conv2d_layer_grad>(op, args, {&x, &dy}, {&dw, &db}, scratch, hints);
    return {dz, dw, db};
  }
  const Tensor y = contiguous(y_in);
  if (want_dz) {
    launch<run_conv2d_layer_grad>(op, args, {&x, &dy, &y}, {&dw, &db, &*dz}, scratch, hints);
  } else {
    launch<run_conv2d_layer_grad>(op, args, {&x, &dy, &y}, {&dw, &db}, scratch, hints);
  }
  return {dz, dw, db};
}

// All of them in one pass over dy.
Gradients depthwise_grads(const Tensor& x_in, const Tensor& w_in, const Tensor& dy_in,
                          const std::optional<Tensor>& y_in, Conv2dArgs args, bool want_dx) {
  const bool active = args.activation != Activation::none;
  args.has_bias = y_in.has_value();
  args.has_dz = want_dx;
  const Tensor dw = Tensor::like(w_in.shape(), args.dtype, x_in, w_in, dy_in);
  std::optional<Tensor> dx, db;
  if (want_dx) dx = Tensor::like(x_in.shape(), args.dtype, x_in, w_in, dy_in);
  if (y_in) db = Tensor::like({args.F}, args.dtype, x_in, w_in, dy_in);
  if (dw.is_symbolic()) return {dx, dw, db};
  const Tensor x = contiguous(x_in), w = contiguous(w_in), dy = contiguous(dy_in);
  const Tensor y = active ? contiguous(*y_in) : dy;
  const Tensor* reads[] = {&x, &w, &dy, &y};
  const Tensor* writes[3] = {&dw};
  size_t num_writes = 1;
  if (db) writes[num_writes++] = &*db;
  if (dx) writes[num_writes++] = &*dx;
  const RunFn run = [](const void* a, Buffers b) {
    return run_conv2d_depthwise_grads(*static_cast<const Conv2dArgs*>(a), b);
  };
  Hints hints = conv_hints(args, args.has_bias + active);
  if (dx) hints.flops += conv_hints(args).flops;
  launch(Launch{"conv2d_depthwise_grads", run, &args, sizeof args, reads, 3u + active, writes, num_writes,
                depthwise_grads_scratch(forward_job(args), args.dtype), hints});
  return {dx, dw, db};
}

}  // namespace

Gradients conv2d_grads(const Tensor& x, const Tensor& w, const Tensor& dy, const std::optional<Tensor>& y,
                       const Conv2dWindow& window, Activation activation, bool want_dx) {
  constexpr const char* op = "conv2d_grads";
  check_same_dtype(op, x, dy);
  Conv2dArgs args = make_args(op, x.shape(), w.shape(), x.dtype(), window);
  check_dy(op, args, dy);
  if (y) check_dy(op, args, *y);
  args.activation = activation;
  const ConvJob job = forward_job(args);
  if (is_depthwise(job) && is_depthwise_tiled(job)) return depthwise_grads(x, w, dy, y, args, want_dx);
  if (!y) {
    const Tensor dw = conv2d_weight_grad(x, dy, w.shape(), window);
    return {want_dx ? std::optional(conv2d_input_grad(dy, w, x.shape(), window)) : std::nullopt, dw, {}};
  }
  auto [dz, dw, db] = layer_grad(x, dy, *y, args, want_dx);
  return {want_dx ? std::optional(conv2d_input_grad(*dz, w, x.shape(), window)) : std::nullopt, dw, db};
}

}  // namespace lamina
