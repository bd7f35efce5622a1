#include "ops/gather.h"

#include <cstring>

#include "base/parallel.h"
#include "base/tensor.h"
#include "ops/launch.h"
#include "ops/layout.h"

namespace lamina {

Status read_indices(DType dtype, const void* from, int64_t count, int64_t n, int64_t* to) {
  return visit(dtype, [&](auto tag) -> Status {
    using T = typename decltype(tag)::type;
    if constexpr (std::is_integral_v<T>) {
      const T* p = static_cast<const T*>(from);
      for (int64_t i = 0; i < count; ++i) {
        const int64_t v = static_cast<int64_t>(p[i]), at = v < 0 ? v + n : v;
        if (at < 0 || at >= n) {
          return {"index is out of range of the axis; expected -size <= index < size.", i,
                  static_cast<double>(v)};
        }
        to[i] = at;
      }
    }
    return {};
  });
}

void check_indices(const char* op, const Tensor& indices) {
  check<TypeError>(!is_floating(indices.dtype()) && indices.dtype() != DType::kBool, op,
                   "indices must be integers. Received: indices.dtype=", indices.dtype(),
                   ". Convert with ops.cast(indices, \"int32\") first.");
}

namespace {

constexpr double kCost = 0.3;  // rough ns per element: memory bound

struct GatherArgs {
  DType dtype, index_dtype;
  int64_t outer, n, inner, count;  // count: indices of take, or length of the indices' axis
};

Status run_take(const GatherArgs& a, Buffers b) {
  int64_t* index = static_cast<int64_t*>(b.scratch);
  const Status status = read_indices(a.index_dtype, b.at<char>(1), a.count, a.n, index);
  if (status.what) return status;
  const size_t row = a.inner * itemsize(a.dtype);
  const char* x = b.at<char>(0);
  char* y = b.at<char>(2);
  parallel_for(a.outer * a.count, grain_for(kCost * a.inner + 2), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      std::memcpy(y + i * row, x + (i / a.count * a.n + index[i % a.count]) * row, row);
    }
  });
  return {};
}

// Adds each row of dx's gradients in the order of the indices. A stable counting sort lists them by row: the
// rows are then independent, and dx is written once.
Status run_take_grad(const GatherArgs& a, Buffers b) {
  int64_t *index = static_cast<int64_t*>(b.scratch), *order = index + a.count, *first = order + a.count;
  const Status status = read_indices(a.index_dtype, b.at<char>(1), a.count, a.n, index);
  if (status.what) return status;
  std::memset(first, 0, (a.n + 1) * sizeof(int64_t));
  for (int64_t j = 0; j < a.count; ++j) ++first[index[j]];
  for (int64_t r = 0, total = 0; r <= a.n; ++r) {
    total += first[r];
    first[r] = total;  // one past row r's last place, moved down to its first below
  }
  for (int64_t j = a.count - 1; j >= 0; --j) order[--first[index[j]]] = j;
  visit(a.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    if constexpr (std::is_floating_point_v<T>) {
      const double cost =
          kCost * a.inner * (1 + static_cast<double>(a.count) / static_cast<double>(a.n + 1)) + 2;
      parallel_for(a.outer * a.n, grain_for(cost), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          const int64_t r = i % a.n;
          const T* dy = b.at<T>(0) + i / a.n * a.count * a.inner;
          T* dx = b.at<T>(2) + i * a.inner;
          int64_t at = first[r];
          if (at == first[r + 1]) {
            std::memset(dx, 0, a.inner * sizeof(T));
            continue;
          }
          std::memcpy(dx, dy + order[at] * a.inner, a.inner * sizeof(T));
          while (++at < first[r + 1]) {
            const T* from = dy + order[at] * a.inner;
            for (int64_t c = 0; c < a.inner; ++c) dx[c] += from[c];
          }
        }
      });
    }
  });
  return {};
}

// f(x line, y line, index line) for every (o, i): lines have stride inner.
template <class F>
void each_line(const GatherArgs& a, F f) {
  parallel_for(a.outer * a.inner, grain_for(kCost * (a.n + 3 * a.count)), [&](int64_t begin, int64_t end) {
    for (int64_t line = begin; line < end; ++line) {
      const int64_t o = line / a.inner, i = line % a.inner;
      f(o * a.n * a.inner + i, o * a.count * a.inner + i);
    }
  });
}

Status run_take_along_axis(const GatherArgs& a, Buffers b) {
  int64_t* index = static_cast<int64_t*>(b.scratch);
  const Status status = read_indices(a.index_dtype, b.at<char>(1), a.outer * a.count * a.inner, a.n, index);
  if (status.what) return status;
  visit(a.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    each_line(a, [&](int64_t x_at, int64_t y_at) {
      for (int64_t j = 0; j < a.count; ++j) {
        const int64_t at = y_at + j * a.inner;
        b.at<T>(2)[at] = b.at<T>(0)[x_at + index[at] * a.inner];
      }
    });
  });
  return {};
}

Status run_take_along_axis_grad(const GatherArgs& a, Buffers b) {
  int64_t* index = static_cast<int64_t*>(b.scratch);
  const Status status = read_indices(a.index_dtype, b.at<char>(1), a.outer * a.count * a.inner, a.n, index);
  if (status.what) return status;
  visit(a.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    if constexpr (std::is_floating_point_v<T>) {
      each_line(a, [&](int64_t x_at, int64_t y_at) {
        T* dx = b.at<T>(2) + x_at;
        for (int64_t r = 0; r < a.n; ++r) dx[r * a.inner] = 0;
        for (int64_t j = 0; j < a.count; ++j) {
          const int64_t at = y_at + j * a.inner;
          dx[index[at] * a.inner] += b.at<T>(0)[at];
        }
      });
    }
  });
  return {};
}

struct OneHotArgs {
  DType dtype, index_dtype;
  int64_t outer, n, inner;
};

Status run_one_hot(const OneHotArgs& a, Buffers b) {
  visit(a.index_dtype, [&](auto index_tag) {
    using I = typename decltype(index_tag)::type;
    visit(a.dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      if constexpr (std::is_integral_v<I> && std::is_arithmetic_v<T>) {
        const I* index = b.at<I>(0);
        T* y = b.at<T>(1);
        parallel_for(a.outer, grain_for(kCost * a.n * a.inner + 2), [&](int64_t begin, int64_t end) {
          std::memset(static_cast<void*>(y + begin * a.n * a.inner), 0,
                      (end - begin) * a.n * a.inner * sizeof(T));
          for (int64_t at = begin * a.inner; at < end * a.inner; ++at) {
            const int64_t c = static_cast<int64_t>(index[at]);
            if (c >= 0 && c < a.n) y[(at / a.inner * a.n + c) * a.inner + at % a.inner] = T(1);
          }
        });
      }
    });
  });
  return {};
}

GatherArgs make_args(DType dtype, const Shape& x, int axis, const Tensor& indices, int64_t count) {
  GatherArgs a{dtype, indices.dtype(), 1, x[axis], 1, count};
  for (int i = 0; i < axis; ++i) a.outer *= x[i];
  for (int i = axis + 1; i < x.rank(); ++i) a.inner *= x[i];
  return a;
}

size_t index_bytes(const char* op, int64_t elements) {
  size_t bytes = 0;
  check(!__builtin_mul_overflow(static_cast<size_t>(elements), sizeof(int64_t), &bytes), op,
        "has more indices than memory can address. Received: ", elements, " indices.");
  return bytes;
}

Shape taken_shape(const Shape& x, const Shape& indices, int axis) {
  Shape shape;
  for (int i = 0; i < axis; ++i) shape.push_back(x[i]);
  for (int64_t d : indices) shape.push_back(d);
  for (int i = axis + 1; i < x.rank(); ++i) shape.push_back(x[i]);
  return shape;
}

void check_gradient(const char* op, const Tensor& dy, const Shape& y_shape) {
  check_computes(op, dy.dtype());
  check(dy.is_symbolic() || dy.shape() == y_shape, op, "the output's gradient must have the output's shape ",
        y_shape, ". Received: dy.shape=", dy.shape(), ".");
}

// The indices' shape must be x's but for the axis, size 1 meeting any size.
void check_along(const char* op, const Shape& x, const Shape& indices, int axis) {
  bool fits = x.rank() == indices.rank();
  for (int i = 0; fits && i < x.rank(); ++i) {
    fits = i == axis || x[i] == indices[i] || x[i] == kUnknown || indices[i] == kUnknown;
  }
  check(fits, op, "indices must have x's shape but for the axis. Received: indices.shape=", indices,
        ", x.shape=", x, ", axis=", axis, ".");
}

}  // namespace

Tensor take(const Tensor& x_in, const Tensor& indices_in, int64_t axis_in) {
  check_indices("take", indices_in);
  const int axis = normalize_axis("take", axis_in, x_in.rank());
  const Shape shape = taken_shape(x_in.shape(), indices_in.shape(), axis);
  Tensor y = Tensor::like(shape, x_in.dtype(), x_in, indices_in);
  if (y.is_symbolic()) return y;
  const Tensor x = contiguous(x_in), indices = contiguous(indices_in);
  const GatherArgs args = make_args(x.dtype(), x.shape(), axis, indices, indices.size());
  launch<run_take>("take", args, {&x, &indices}, {&y}, index_bytes("take", args.count), {.flops = 0});
  return y;
}

Tensor take_grad(const Tensor& dy_in, const Tensor& indices_in, const Shape& x_shape, int64_t axis_in) {
  check_indices("take_grad", indices_in);
  const int axis = normalize_axis("take_grad", axis_in, x_shape.rank());
  check_gradient("take_grad", dy_in, taken_shape(x_shape, indices_in.shape(), axis));
  if (x_shape.has_unknown()) return Tensor::symbolic(x_shape, dy_in.dtype());
  Tensor dx = Tensor::like(x_shape, dy_in.dtype(), dy_in, indices_in);
  if (dx.is_symbolic()) return dx;
  const Tensor dy = contiguous(dy_in), indices = contiguous(indices_in);
  const GatherArgs args = make_args(dy.dtype(), x_shape, axis, indices, indices.size());
  launch<run_take_grad>("take_grad", args, {&dy, &indices}, {&dx},
                        index_bytes("take_grad", 2 * args.count + args.n + 1),
                        {.flops = static_cast<double>(dy.size())});
  return dx;
}

Tensor take_along_axis(const Tensor& x_in, const Tensor& indices_in, int64_t axis_in) {
  check_indices("take_along_axis", indices_in);
  const int axis = normalize_axis("take_along_axis", axis_in, x_in.rank());
  check_along("take_along_axis", x_in.shape(), indices_in.shape(), axis);
  Tensor y = Tensor::like(indices_in.shape(), x_in.dtype(), x_in, indices_in);
  if (y.is_symbolic()) return y;
  const Tensor x = contiguous(x_in), indices = contiguous(indices_in);
  const GatherArgs args = make_args(x.dtype(), x.shape(), axis, indices, indices.dim(axis));
  launch<run_take_along_axis>("take_along_axis", args, {&x, &indices}, {&y},
                              index_bytes("take_along_axis", indices.size()), {.flops = 0});
  return y;
}

Tensor take_along_axis_grad(const Tensor& dy_in, const Tensor& indices_in, const Shape& x_shape,
                            int64_t axis_in) {
  check_indices("take_along_axis_grad", indices_in);
  const int axis = normalize_axis("take_along_axis_grad", axis_in, x_shape.rank());
  check_along("take_along_axis_grad", x_shape, indices_in.shape(), axis);
  check_gradient("take_along_axis_grad", dy_in, indices_in.shape());
  if (x_shape.has_unknown()) return Tensor::symbolic(x_shape, dy_in.dtype());
  Tensor dx = Tensor::like(x_shape, dy_in.dtype(), dy_in, indices_in);
  if (dx.is_symbolic()) return dx;
  const Tensor dy = contiguous(dy_in), indices = contiguous(indices_in);
  const GatherArgs args = make_args(dy.dtype(), x_shape, axis, indices, indices.dim(axis));
  launch<run_take_along_axis_grad>("take_along_axis_grad", args, {&dy, &indices}, {&dx},
                                   index_bytes("take_along_axis_grad", indices.size()),
                                   {.flops = static_cast<double>(dy.size())});
  return dx;
}

Tensor one_hot(const Tensor& indices_in, int64_t num_classes, int64_t axis_in, DType dtype) {
  check_indices("one_hot", indices_in);
  check<TypeError>(dtype != DType::kFloat16 && dtype != DType::kBFloat16, "one_hot",
                   "dtype must be float32, float64, an integer type or bool. Received: dtype=", dtype, ".");
  check(num_classes > 0, "one_hot", "num_classes must be positive. Received: num_classes=", num_classes, ".");
  const int axis = normalize_axis("one_hot", axis_in, indices_in.rank() + 1);
  Shape shape = indices_in.shape();
  shape.insert(axis, num_classes);
  Tensor y = Tensor::like(shape, dtype, indices_in);
  if (y.is_symbolic()) return y;
  const Tensor indices = contiguous(indices_in);
  const GatherArgs a = make_args(dtype, shape, axis, indices, 0);
  launch<run_one_hot>("one_hot", OneHotArgs{dtype, indices.dtype(), a.outer, a.n, a.inner}, {&indices}, {&y},
                      0, {.flops = 0});
  return y;
}

}  // namespace lamina
