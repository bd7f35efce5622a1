#include "ops/layout.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/half.h"
#include "base/rounding.h"
#include "ops/dispatch.h"
#include "ops/launch.h"
#include "ops/layout_kernels.h"
#include "ops/ndloop.h"

namespace lamina {

LAMINA_KERNELS(LayoutKernels, layout_kernels)

namespace {

constexpr double kCost = 0.3;  // rough ns per element: memory bound

template <class To, class From>
To convert(From v) {
  if constexpr (std::is_same_v<From, Float16> || std::is_same_v<From, BFloat16>) {
    return convert<To>(to_float(v));
  } else if constexpr (std::is_same_v<To, Float16>) {
    return to_float16(static_cast<float>(v));
  } else if constexpr (std::is_same_v<To, BFloat16>) {
    return to_bfloat16(static_cast<float>(v));
  } else if constexpr (std::is_same_v<To, bool>) {
    return v != From(0);
  } else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
    // Both bounds are powers of two, exact in From: low <= v < high converts.
    constexpr From low = static_cast<From>(std::numeric_limits<To>::min());
    constexpr From high = static_cast<From>(std::numeric_limits<To>::max() / 2 + 1) * From(2);
    if (v != v) return 0;
    if (v < low) return std::numeric_limits<To>::min();
    if (v >= high) return std::numeric_limits<To>::max();
    return static_cast<To>(v);
  } else {
    return static_cast<To>(v);
  }
}

struct CopyArgs {
  DType to, from;
  NdLoop<2> loop;  // dst, src
};

constexpr int log2_size(size_t bytes) { return bytes == 1 ? 0 : bytes == 2 ? 1 : bytes == 4 ? 2 : 3; }

int axis_of_stride_1(const NdLoop<2>& loop, int operand) {
  for (int axis = loop.rank - 1; axis >= 0; --axis) {
    if (loop.strides[operand][axis] == 1) return axis;
  }
  return -1;
}

// Where dst runs along one axis and src along another: blocks of these two, transposed, for each index of the
// rest.
void copy_transposed(const NdLoop<2>& loop, int row_axis, int column_axis, char* dst, const char* src,
                     size_t size) {
  constexpr int64_t kBlock = 256;
  const int64_t rows = loop.dims[row_axis], columns = loop.dims[column_axis];
  const int64_t row_blocks = ceil_div(rows, kBlock), column_blocks = ceil_div(columns, kBlock);
  const int64_t x_stride = loop.strides[1][row_axis], y_stride = loop.strides[0][column_axis];
  const auto transpose = layout_kernels().transpose[log2_size(size)];
  const double cost = kCost * static_cast<double>(std::min(rows, kBlock) * std::min(columns, kBlock));
  const int64_t outer = loop.size / (rows * columns);
  parallel_for(outer * row_blocks * column_blocks, grain_for(cost), [&](int64_t begin, int64_t end) {
    for (int64_t item = begin; item < end; ++item) {
      const int64_t c = item % column_blocks * kBlock, r = item / column_blocks % row_blocks * kBlock;
      int64_t rest = item / (column_blocks * row_blocks), to = r + c * y_stride, from = r * x_stride + c;
      for (int axis = loop.rank - 1; axis >= 0; --axis) {
        if (axis == row_axis || axis == column_axis) continue;
        to += rest % loop.dims[axis] * loop.strides[0][axis];
        from += rest % loop.dims[axis] * loop.strides[1][axis];
        rest /= loop.dims[axis];
      }
      transpose(src + from * static_cast<int64_t>(size), x_stride, std::min(rows - r, kBlock),
                std::min(columns - c, kBlock), dst + to * static_cast<int64_t>(size), y_stride);
    }
  });
}

// n elements that lie side by side in both.
template <class To, class From>
void convert_run(const From* s, To* d, int64_t n) {
  if constexpr (std::is_same_v<From, To>) {
    std::memmove(d, s, n * sizeof(To));
  } else if constexpr (std::is_same_v<From, float> && std::is_same_v<To, BFloat16>) {
    layout_kernels().bf16_of_f32(s, d, n);
  } else if constexpr (std::is_same_v<From, BFloat16> && std::is_same_v<To, float>) {
    layout_kernels().f32_of_bf16(s, d, n);
  } else if constexpr (std::is_same_v<From, float> && std::is_same_v<To, Float16>) {
    layout_kernels().f16_of_f32(s, d, n);
  } else if constexpr (std::is_same_v<From, Float16> && std::is_same_v<To, float>) {
    layout_kernels().f32_of_f16(s, d, n);
  } else {
    for (int64_t i = 0; i < n; ++i) d[i] = convert<To>(s[i]);
  }
}

Status run_copy(const CopyArgs& args, Buffers buffers) {
  visit(args.from, [&](auto from_tag) {
    using From = typename decltype(from_tag)::type;
    visit(args.to, [&](auto to_tag) {
      using To = typename decltype(to_tag)::type;
      const From* src = buffers.at<From>(0);
      To* dst = buffers.at<To>(1);
      if constexpr (std::is_same_v<From, To>) {
        const int rows = axis_of_stride_1(args.loop, 0), columns = axis_of_stride_1(args.loop, 1);
        if (rows >= 0 && columns >= 0 && rows != columns && args.loop.size > 0) {
          return copy_transposed(args.loop, rows, columns, reinterpret_cast<char*>(dst),
                                 reinterpret_cast<const char*>(src), sizeof(To));
        }
      }
      args.loop.run(kCost, buffers.items, [&](int64_t n, const int64_t* at, const int64_t* step) {
        const From* s = src + at[1];
        To* d = dst + at[0];
        if (step[0] == 1 && step[1] == 1) {
          convert_run(s, d, n);
        } else if (step[0] == 1 && step[1] == 0) {
          const To v = convert<To>(*s);
          for (int64_t i = 0; i < n; ++i) d[i] = v;
        } else {
          for (int64_t i = 0; i < n; ++i) d[i * step[0]] = convert<To>(s[i * step[1]]);
        }
      });
    });
  });
  return {};
}

void launch_copy(const char* op, const Tensor& dst, const Tensor& src) {
  const CopyArgs args{dst.dtype(), src.dtype(), NdLoop<2>::make(dst.shape(), {&dst, &src})};
  Hints hints = args.loop.hints();
  hints.flops = 0;
  launch<run_copy>(op, args, {&src}, {&dst}, 0, hints);
}

struct WhereArgs {
  size_t size;
  NdLoop<4> loop;  // y, condition, a, b
};

template <class T>
void where_loop(const WhereArgs& args, Buffers buffers) {
  const uint8_t* c = buffers.at<uint8_t>(0);
  const T *a = buffers.at<T>(1), *b = buffers.at<T>(2);
  T* y = buffers.at<T>(3);
  args.loop.run(kCost, buffers.items, [&](int64_t n, const int64_t* at, const int64_t* step) {
    const uint8_t* ci = c + at[1];
    const T *ai = a + at[2], *bi = b + at[3];
    T* yi = y + at[0];
    const auto whole = [](int64_t s) { return s == 0 || s == 1; };
    if (step[0] == 1 && step[1] == 1 && whole(step[2]) && whole(step[3])) {
      return layout_kernels().where[log2_size(sizeof(T))](ci, ai, step[2], bi, step[3], yi, n);
    }
    for (int64_t i = 0; i < n; ++i) yi[i] = ci[i * step[1]] ? ai[i * step[2]] : bi[i * step[3]];
  });
}

Status run_where(const WhereArgs& args, Buffers buffers) {
  switch (args.size) {
    case 1:
      where_loop<uint8_t>(args, buffers);
      break;
    case 2:
      where_loop<uint16_t>(args, buffers);
      break;
    case 4:
      where_loop<uint32_t>(args, buffers);
      break;
    default:
      where_loop<uint64_t>(args, buffers);
      break;
  }
  return {};
}

struct WholeArgs {
  DType from;
  int64_t n;
};

Status run_whole(const WholeArgs& args, Buffers buffers) {
  Status status;
  visit(args.from, [&](auto tag) {
    using From = typename decltype(tag)::type;
    const From* x = buffers.at<From>(0);
    int64_t* y = buffers.at<int64_t>(1);
    for (int64_t i = 0; i < args.n && !status.what; ++i) {
      y[i] = convert<int64_t>(x[i]);
      const double value = convert<double>(x[i]);
      if (static_cast<double>(y[i]) != value) status = {"indices must be whole numbers.", i, value};
    }
  });
  return status;
}

struct FullArgs {
  DType dtype;
  int64_t n;
  double value;
};

Status run_full(const FullArgs& args, Buffers buffers) {
  visit(args.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    T* y = buffers.at<T>(0);
    const T v = convert<T>(args.value);
    parallel_for(args.n, grain_for(kCost), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) y[i] = v;
    });
  });
  return {};
}

// Fills in the one -1 of `shape` from the element count n of x.
Shape infer_shape(const Tensor& x, const Shape& wanted) {
  Shape shape = wanted;
  int unknown = -1;
  int64_t known = 1;
  for (int i = 0; i < shape.rank(); ++i) {
    if (shape[i] != -1) {
      check(shape[i] >= 0 && !__builtin_mul_overflow(known, shape[i], &known), "reshape",
            "shape must have sizes >= 0, or -1 once. Received: shape=", wanted, ", x.shape=", x.shape(), ".");
      continue;
    }
    check(unknown < 0, "reshape", "only one size can be inferred. Received: shape=", wanted, ".");
    unknown = i;
  }
  const int64_t n = x.size();
  if (n == kUnknown) return shape;  // symbolic: -1 stays unknown
  if (unknown >= 0) {
    check(known != 0 ? n % known == 0 : n == 0, "reshape", "the sizes do not divide the ", n,
          " elements. Received: x.shape=", x.shape(), ", shape=", wanted, ".");
    shape[unknown] = known != 0 ? n / known : 0;
  } else {
    check(n == known, "reshape", "needs as many elements as x has (", n, ", not ", known,
          "). Received: x.shape=", x.shape(), ", shape=", wanted, ".");
  }
  return shape;
}

}  // namespace

Tensor cast(const Tensor& x, DType dtype) {
  if (x.dtype() == dtype) return x;
  Tensor y = Tensor::like(x.shape(), dtype, x);
  if (!y.is_symbolic()) launch_copy("cast", y, x);
  return y;
}

Tensor one_hot_indices(const Tensor& x_in) {
  const Tensor y = Tensor::like(x_in.shape(), DType::kInt64, x_in);
  if (y.is_symbolic()) return y;
  const Tensor x = contiguous(x_in);
  launch<run_whole>("one_hot", WholeArgs{x.dtype(), x.size()}, {&x}, {&y}, 0, {.flops = 0});
  return y;
}

Tensor copy(const Tensor& x) {
  Tensor y = Tensor::like(x.shape(), x.dtype(), x);
  if (!y.is_symbolic()) launch_copy("copy", y, x);
  return y;
}

Tensor contiguous(const Tensor& x) { return x.is_contiguous() ? x : copy(x); }

Tensor reshape(const Tensor& x, const Shape& wanted) {
  const Shape shape = infer_shape(x, wanted);
  if (x.is_symbolic()) return Tensor::symbolic(shape, x.dtype());
  return contiguous(x).flatten_view(shape);
}

void assign(const Tensor& dst, const Tensor& src) {
  check(!dst.is_symbolic() && !src.is_symbolic(), "assign",
        "needs values, not symbolic tensors. Received: variable.shape=", dst.shape(),
        ", value.shape=", src.shape(), ".");
  Tensor value = src.shape() == dst.shape() ? src : src.expand(dst.shape());
  // A view of the same memory in another order must be read before it is written over.
  const auto begin = [](const Tensor& t) { return static_cast<const char*>(t.storage()->data); };
  const auto end = [&](const Tensor& t) { return begin(t) + t.storage()->bytes; };
  if (begin(value) < end(dst) && begin(dst) < end(value)) value = copy(value);
  launch_copy("assign", dst, value);
}

Tensor where(const Tensor& condition, const Tensor& a_in, const Tensor& b_in) {
  check<TypeError>(condition.dtype() == DType::kBool, "where",
                   "condition must be bool. Received: dtype=", condition.dtype(), ".");
  const DType dtype = promote(a_in.dtype(), b_in.dtype());
  const Shape shape =
      broadcast_shapes("where", condition.shape(), broadcast_shapes("where", a_in.shape(), b_in.shape()));
  Tensor y = Tensor::like(shape, dtype, condition, a_in, b_in);
  if (y.is_symbolic()) return y;
  const Tensor c = condition.expand(shape), a = cast(a_in, dtype).expand(shape),
               b = cast(b_in, dtype).expand(shape);
  const WhereArgs args{itemsize(dtype), NdLoop<4>::make(shape, {&y, &c, &a, &b})};
  launch<run_where>("where", args, {&c, &a, &b}, {&y}, 0, args.loop.hints());
  return y;
}

Tensor full(const Shape& shape, double value, DType dtype) {
  Tensor y = shape.has_unknown() ? Tensor::symbolic(shape, dtype) : Tensor::empty(shape, dtype);
  if (!y.is_symbolic()) launch<run_full>("full", FullArgs{dtype, y.size(), value}, {}, {&y}, 0, {.flops = 0});
  return y;
}

}  // namespace lamina
