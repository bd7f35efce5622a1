#include "ops/reduce.h"

#include <cstring>

#include "base/parallel.h"
#include "base/tensor.h"
#include "ops/dispatch.h"
#include "ops/launch.h"
#include "ops/layout.h"

namespace lamina {

LAMINA_KERNELS(ReduceKernels, reduce_kernels)

namespace {

constexpr double kCost = 0.1;           // rough ns per element read
constexpr int64_t kRowBlock = 16384;    // elements of a row that one partial covers
constexpr int64_t kColumnRows = 64;     // rows that one partial covers: two chains of 32
constexpr int64_t kColumnBlock = 1024;  // columns of one item
constexpr int64_t kNarrow = 64;         // fewer columns than this are widened by laying rows side by side
constexpr int kMaxPasses = 24;

constexpr const char* kNames[] = {"sum", "prod", "max", "min"};

int64_t blocks(int64_t n, int64_t block) { return n / block + (n % block != 0); }

// [outer, n, inner] -> [outer, partials, inner]; each outer slab has n * inner + tail elements, the tail
// elements being the beginning of one more row.
struct Pass {
  int64_t outer, n, inner, tail, partials;
  int64_t y_size() const { return outer * partials * inner; }
};

struct ReduceArgs {
  Fold fold;
  DType dtype;
  bool divides;
  bool empty;  // nothing to fold: y is the neutral value
  int num_passes;
  double divisor;
  int64_t y_size;
  size_t odd_scratch;  // byte offset of the partials of odd passes, after those of even ones
  Pass pass[kMaxPasses];
};

void add_pass(ReduceArgs& args, const Pass& pass) { args.pass[args.num_passes++] = pass; }

// Partials of partials, until one is left.
void plan_run(ReduceArgs& args, int64_t outer, int64_t n, int64_t inner) {
  const int64_t block = inner == 1 ? kRowBlock : kColumnRows;
  do {
    const int64_t partials = blocks(n, block);
    add_pass(args, {outer, n, inner, 0, partials});
    n = partials;
  } while (n > 1);
}

// One run of reduced axes. [n, inner] with small inner is read as [n / g, g * inner] first.
void plan(ReduceArgs& args, int64_t outer, int64_t n, int64_t inner) {
  const int64_t g = inner > 1 && inner < kNarrow ? 2 * kNarrow / inner : 1;
  if (g == 1 || n < 8 * g) return plan_run(args, outer, n, inner);
  const int64_t wide = n / g, tail = n % g * inner, partials = blocks(wide, kColumnRows);
  add_pass(args, {outer, wide, g * inner, tail, partials});
  if (partials > 1) plan_run(args, outer, partials, g * inner);
  plan_run(args, outer, g, inner);
}

void run_rows(const Pass& p, FoldRowsFn f, const char* x, char* y, size_t size) {
  if (p.partials == 1) {
    parallel_for(p.outer, grain_for(kCost * p.n + 2), [&](int64_t begin, int64_t end) {
      f(x + begin * p.n * size, p.n, end - begin, p.n, y + begin * size);
    });
    return;
  }
  parallel_for(p.outer * p.partials, grain_for(kCost * kRowBlock), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t at = i % p.partials * kRowBlock, left = p.n - at;
      f(x + (i / p.partials * p.n + at) * size, 0, 1, left < kRowBlock ? left : kRowBlock, y + i * size);
    }
  });
}

void run_columns(const Pass& p, FoldColumnsFn f, const char* x, char* y, size_t size) {
  const int64_t strips = blocks(p.inner, kColumnBlock), slab = p.n * p.inner + p.tail;
  const double cost = kCost * (p.n < kColumnRows ? p.n : kColumnRows) *
                      static_cast<double>(p.inner < kColumnBlock ? p.inner : kColumnBlock);
  parallel_for(p.outer * p.partials * strips, grain_for(cost + 5), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t column = i % strips * kColumnBlock, partial = i / strips;
      const int64_t outer = partial / p.partials, row = partial % p.partials * kColumnRows;
      const int64_t rows = p.n - row < kColumnRows ? p.n - row : kColumnRows;
      const int64_t columns = p.inner - column < kColumnBlock ? p.inner - column : kColumnBlock;
      const int64_t tail = row + rows == p.n ? p.tail - column : 0;
      f(x + (outer * slab + row * p.inner + column) * size, p.inner, rows, columns, tail,
        y + (partial * p.inner + column) * size);
    }
  });
}

const ReduceKernels::Pair& kernel(Fold fold, DType dtype) {
  const ReduceKernels& k = reduce_kernels();
  const int i = static_cast<int>(fold);
  return dtype == DType::kFloat32   ? k.f32[i]
         : dtype == DType::kFloat64 ? k.f64[i]
         : dtype == DType::kInt32   ? k.i32[i]
                                    : k.i64[i];
}

Status run_reduce(const ReduceArgs& args, Buffers buffers) {
  const size_t size = itemsize(args.dtype);
  char *y = buffers.at<char>(1), *scratch = static_cast<char*>(buffers.scratch);
  if (args.empty) {
    visit(args.dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      if constexpr (std::is_arithmetic_v<T>) {
        T* out = reinterpret_cast<T*>(y);
        for (int64_t i = 0; i < args.y_size; ++i) out[i] = args.fold == Fold::kProd ? T(1) : T(0);
      }
    });
  }
  const ReduceKernels::Pair& f = kernel(args.fold, args.dtype);
  const char* x = buffers.at<char>(0);
  for (int i = 0; i < args.num_passes; ++i) {
    const Pass& p = args.pass[i];
    char* out = i + 1 == args.num_passes ? y : scratch + (i % 2 ? args.odd_scratch : 0);
    if (p.inner == 1) {
      run_rows(p, f.rows, x, out, size);
    } else {
      run_columns(p, f.columns, x, out, size);
    }
    x = out;
  }
  if (args.divides) {
    const auto divide =
        args.dtype == DType::kFloat32 ? reduce_kernels().divide_f32 : reduce_kernels().divide_f64;
    parallel_for(args.y_size, grain_for(kCost),
                 [&](int64_t begin, int64_t end) { divide(y + begin * size, end - begin, args.divisor); });
  }
  return {};
}

unsigned axis_mask(const char* op, const Axes& axes, int rank) {
  if (!axes) return (1u << rank) - 1;
  unsigned mask = 0;
  for (int64_t axis : *axes) {
    const unsigned bit = 1u << normalize_axis(op, axis, rank);
    check(!(mask & bit), op, "an axis is named twice. Received: axis=", *axes, ".");
    mask |= bit;
  }
  return mask;
}

// Runs of kept and reduced axes, then passes over the reduced ones from the last to the first.
void plan_all(ReduceArgs& args, const Shape& shape, unsigned mask) {
  int64_t dims[kMaxRank];
  bool reduced[kMaxRank];
  int runs = 0;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    if (shape[axis] == 1) continue;
    const bool r = mask >> axis & 1;
    if (runs > 0 && reduced[runs - 1] == r) {
      dims[runs - 1] *= shape[axis];
    } else {
      dims[runs] = shape[axis];
      reduced[runs++] = r;
    }
  }
  int64_t inner = 1;
  for (int i = runs - 1; i >= 0; --i) {
    if (!reduced[i]) {
      inner *= dims[i];
      continue;
    }
    int64_t outer = 1;
    for (int j = 0; j < i; ++j) outer *= dims[j];
    plan(args, outer, dims[i], inner);
  }
  if (args.num_passes == 0) add_pass(args, {1, 1, inner, 0, 1});  // nothing is reduced: a copy
}

Tensor reduce(const char* op, Fold fold, const Tensor& x_in, unsigned mask, const Shape& shape,
              bool divides) {
  Tensor y = Tensor::like(shape, x_in.dtype(), x_in);
  if (y.is_symbolic()) return y;
  const Tensor x = contiguous(x_in);
  int64_t count = 1;
  for (int axis = 0; axis < x.rank(); ++axis) count *= mask >> axis & 1 ? x.dim(axis) : 1;
  ReduceArgs args;
  args.fold = fold;
  args.dtype = x.dtype();
  args.divides = divides;
  args.divisor = static_cast<double>(count);
  args.empty = count == 0;
  args.num_passes = 0;
  args.y_size = y.size();
  args.odd_scratch = 0;
  check(count > 0 || args.y_size == 0 || fold == Fold::kSum || fold == Fold::kProd, op,
        "is not defined over no elements; expected a size of at least 1 along the reduced axes. Received: "
        "x.shape=",
        x.shape(), ".");
  size_t scratch = 0;
  if (count > 0 && args.y_size > 0) {
    plan_all(args, x.shape(), mask);
    if (args.num_passes > 1) {
      args.odd_scratch = (args.pass[0].y_size() * itemsize(args.dtype) + 63) / 64 * 64;
      scratch = args.odd_scratch;
      if (args.num_passes > 2) scratch += args.pass[1].y_size() * itemsize(args.dtype);
    }
  }
  const double flops = static_cast<double>(x.size() + (divides ? y.size() : 0));
  launch<run_reduce>(op, args, {&x}, {&y}, scratch, {.flops = flops});
  return y;
}

Tensor reduce_axes(const char* op, Fold fold, const Tensor& x, const Axes& axes, bool keepdims,
                   bool divides = false) {
  const unsigned mask = axis_mask(op, axes, x.rank());
  Shape shape;
  for (int axis = 0; axis < x.rank(); ++axis) {
    if (!(mask >> axis & 1)) {
      shape.push_back(x.dim(axis));
    } else if (keepdims) {
      shape.push_back(1);
    }
  }
  return reduce(op, fold, x, mask, shape, divides);
}

bool is_small_integer(DType t) { return t == DType::kBool || t == DType::kInt8 || t == DType::kUInt8; }

Tensor fold_any_type(Fold fold, const Tensor& x, const Axes& axes, bool keepdims) {
  const char* op = kNames[static_cast<int>(fold)];
  if (is_floating(x.dtype())) check_computes(op, x.dtype());
  if (!is_small_integer(x.dtype())) return reduce_axes(op, fold, x, axes, keepdims);
  const Tensor y = reduce_axes(op, fold, cast(x, DType::kInt32), axes, keepdims);
  return fold == Fold::kMax || fold == Fold::kMin ? cast(y, x.dtype()) : y;
}

// Truth values as 0 and 1; over no elements any is false and all is true.
Tensor fold_truth(const char* op, Fold fold, const Tensor& x, const Axes& axes, bool keepdims) {
  const Tensor truth = cast(cast(x, DType::kBool), DType::kInt32);
  const Fold when_empty = fold == Fold::kMax ? Fold::kSum : Fold::kProd;
  const bool empty = !x.is_symbolic() && x.size() == 0;
  return cast(reduce_axes(op, empty ? when_empty : fold, truth, axes, keepdims), DType::kBool);
}

}  // namespace

Tensor sum(const Tensor& x, const Axes& axes, bool keepdims) {
  return fold_any_type(Fold::kSum, x, axes, keepdims);
}
Tensor prod(const Tensor& x, const Axes& axes, bool keepdims) {
  return fold_any_type(Fold::kProd, x, axes, keepdims);
}
Tensor max(const Tensor& x, const Axes& axes, bool keepdims) {
  return fold_any_type(Fold::kMax, x, axes, keepdims);
}
Tensor min(const Tensor& x, const Axes& axes, bool keepdims) {
  return fold_any_type(Fold::kMin, x, axes, keepdims);
}
Tensor any(const Tensor& x, const Axes& axes, bool keepdims) {
  return fold_truth("any", Fold::kMax, x, axes, keepdims);
}
Tensor all(const Tensor& x, const Axes& axes, bool keepdims) {
  return fold_truth("all", Fold::kMin, x, axes, keepdims);
}

Tensor mean(const Tensor& x, const Axes& axes, bool keepdims) {
  if (is_floating(x.dtype())) {
    check_computes("mean", x.dtype());
    return reduce_axes("mean", Fold::kSum, x, axes, keepdims, true);
  }
  // 32- and 64-bit integers need more than float32's 24 bits.
  const DType wide = is_small_integer(x.dtype()) ? DType::kFloat32 : DType::kFloat64;
  return cast(reduce_axes("mean", Fold::kSum, cast(x, wide), axes, keepdims, true), DType::kFloat32);
}

Tensor sum_to(const Tensor& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  const int lead = x.rank() - shape.rank();
  bool fits = lead >= 0;
  unsigned mask = 0;
  for (int axis = 0; fits && axis < x.rank(); ++axis) {
    if (axis < lead || (shape[axis - lead] == 1 && x.dim(axis) != 1)) {
      mask |= 1u << axis;
    } else {
      const int64_t a = shape[axis - lead], b = x.dim(axis);
      fits = a == b || a == kUnknown || b == kUnknown;
    }
  }
  check(fits, "sum_to", "shape must broadcast to x.shape. Received: shape=", shape, ", x.shape=", x.shape(),
        ".");
  check_computes("sum_to", x.dtype());
  return reduce("sum_to", Fold::kSum, x, mask, shape, false);
}

}  // namespace lamina
