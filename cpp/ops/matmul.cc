#include "ops/matmul.h"

#include <algorithm>
#include <type_traits>

#include "base/parallel.h"
#include "ops/gemm.h"
#include "ops/gemm_tiles.h"
#include "ops/launch.h"
#include "ops/layout.h"

namespace lamina {
namespace {

// A batch of products of this many multiply-adds each is spread over threads product by product; larger ones
// are split inside, one after the other, and share one scratch block.
constexpr double kLargeProduct = 16e6;

struct MatmulArgs {
  GemmArgs gemm;
  int64_t batch = 1;
  int rank = 0;  // leading axes
  int64_t dims[kMaxRank] = {}, a_strides[kMaxRank] = {}, b_strides[kMaxRank] = {};
  size_t scratch = 0;  // bytes of one product

  bool large() const {
    return static_cast<double>(gemm.m) * static_cast<double>(gemm.n) * static_cast<double>(gemm.k) >=
           kLargeProduct;
  }
  int64_t grain() const { return large() ? batch : grain_for(gemm_cost(gemm)); }
  int64_t slots() const {
    const int64_t chunk = chunk_size(batch, grain());
    return chunk > 0 ? (batch + chunk - 1) / chunk : 0;
  }
};

// body(item, a, b): the offsets of every product of items [begin, end), in elements.
template <class Body>
void for_each_product(const MatmulArgs& args, int64_t begin, int64_t end, const Body& body) {
  for (int64_t item = begin; item < end; ++item) {
    int64_t rest = item, a = 0, b = 0;
    for (int axis = args.rank - 1; axis >= 0; --axis) {
      const int64_t i = rest % args.dims[axis];
      rest /= args.dims[axis];
      a += i * args.a_strides[axis];
      b += i * args.b_strides[axis];
    }
    body(item, a, b);
  }
}

Status run_matmul(const MatmulArgs& args, Buffers buffers) {
  const GemmArgs& g = args.gemm;
  const char *a = buffers.at<char>(0), *b = buffers.at<char>(1);
  char* y = buffers.at<char>(2);
  if (args.batch == 1) {
    gemm_run(g, a, b, nullptr, y, buffers.scratch);
    return {};
  }
  const auto item_bytes = static_cast<int64_t>(itemsize(g.dtype));
  const int64_t y_bytes = g.dtype == DType::kInt8 ? 4 : item_bytes;
  const int64_t grain = args.grain(), chunk = chunk_size(args.batch, grain);
  parallel_for(args.batch, grain, [&](int64_t begin, int64_t end) {
    char* scratch = static_cast<char*>(buffers.scratch) + begin / chunk * args.scratch;
    for_each_product(args, begin, end, [&](int64_t item, int64_t a_at, int64_t b_at) {
      gemm_run(g, a + a_at * item_bytes, b + b_at * item_bytes, nullptr, y + item * g.m * g.n * y_bytes,
               scratch);
    });
  });
  return {};
}

// y += a b in unsigned arithmetic of the same width, which wraps; bool is "or" of "and".
template <class T>
void integer_product(const GemmArgs& g, const T* a, const T* b, T* y) {
  using U =
      std::conditional_t<std::is_same_v<T, bool>, std::type_identity<bool>, std::make_unsigned<T>>::type;
  for (int64_t i = 0; i < g.m; ++i) {
    T* row = y + i * g.n;
    std::fill_n(row, g.n, T(0));
    for (int64_t k = 0; k < g.k; ++k) {
      const T x = a[i * g.a_row + k * g.a_col];
      for (int64_t j = 0; j < g.n; ++j) {
        const T w = b[k * g.b_row + j * g.b_col];
        if constexpr (std::is_same_v<T, bool>) {
          row[j] = row[j] || (x && w);
        } else {
          row[j] =
              static_cast<T>(static_cast<U>(row[j]) + static_cast<uint64_t>(x) * static_cast<uint64_t>(w));
        }
      }
    }
  }
}

Status run_integer_matmul(const MatmulArgs& args, Buffers buffers) {
  const GemmArgs& g = args.gemm;
  visit(g.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    if constexpr (std::is_integral_v<T>) {
      parallel_for(args.batch, grain_for(static_cast<double>(g.m * g.n * g.k)),
                   [&](int64_t begin, int64_t end) {
                     for_each_product(args, begin, end, [&](int64_t item, int64_t a_at, int64_t b_at) {
                       integer_product(g, buffers.at<T>(0) + a_at, buffers.at<T>(1) + b_at,
                                       buffers.at<T>(2) + item * g.m * g.n);
                     });
                   });
    }
  });
  return {};
}

// Reads x, w, bias, residual.
struct DenseArgs {
  GemmArgs gemm;
  bool bias, residual;
};

Status run_dense(const DenseArgs& args, Buffers b) {
  const int residual = 2 + args.bias, y = residual + args.residual;
  gemm_run(args.gemm, b.at<void>(0), b.at<void>(1), args.bias ? b.at<void>(2) : nullptr, b.at<void>(y),
           b.scratch, args.residual ? b.at<void>(residual) : nullptr);
  return {};
}

void add_residual_to_dense(void* args) { static_cast<DenseArgs*>(args)->residual = true; }

// Rows per partial sum of db: a constant, so that the bits depend on the sizes alone.
constexpr int64_t kSumRows = 64;

struct DenseGradArgs {
  Activation activation;
  DType dtype;
  int64_t m, n;
  bool masks;  // g is stored
};

Status run_dense_grad(const DenseGradArgs& args, Buffers b) {
  const GemmTypeKernels& kernels = gemm_kernels_of(args.dtype);
  const int64_t m = args.m, n = args.n, blocks = (m + kSumRows - 1) / kSumRows;
  const auto row_bytes = n * static_cast<int64_t>(itemsize(args.dtype));
  const char* dy = b.at<char>(0);
  const char* y = args.masks ? b.at<char>(1) : nullptr;
  char* db = b.at<char>(args.masks ? 2 : 1);
  char* g = args.masks ? b.at<char>(3) : nullptr;
  if (m == 0) std::fill_n(db, row_bytes, char{0});
  char* sums = blocks > 1 ? static_cast<char*>(b.scratch) : db;
  parallel_for(blocks, grain_for(0.3 * static_cast<double>(kSumRows * n)), [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block) {
      const int64_t at = block * kSumRows * row_bytes;
      kernels.grad(args.activation, dy + at, y ? y + at : nullptr, g ? g + at : nullptr,
                   sums + block * row_bytes, std::min(kSumRows, m - block * kSumRows), n);
    }
  });
  if (blocks > 1) kernels.combine(sums, n, blocks, db, n, false);
  return {};
}

// The operands of a product, with their batch axes in front.
struct Operands {
  Tensor a, b;
  Shape batch, y;
};

Operands meet(const Tensor& x1, const Tensor& x2) {
  const Shape &s1 = x1.shape(), &s2 = x2.shape();
  const int r1 = s1.rank(), r2 = s2.rank();
  check(r1 > 0 && r2 > 0, "matmul", "needs at least one axis in each operand. Received: x1.shape=", s1,
        ", x2.shape=", s2, ". Use multiply for scalars.");
  const int64_t k1 = s1.back(), k2 = s2[r2 == 1 ? 0 : r2 - 2];
  check(k1 == k2 || k1 == kUnknown || k2 == kUnknown, "matmul", "the last axis of x1 (", k1,
        ") must match the ", r2 == 1 ? "only axis" : "second-to-last axis", " of x2 (", k2,
        "). Received: x1.shape=", s1, ", x2.shape=", s2, ". A transpose of one operand may be missing.");
  Operands o{x1, x2, {}, {}};
  if (r1 == 1) o.a = x1.view(x1.offset(), {1, s1[0]}, {0, x1.strides()[0]});
  if (r2 == 1) o.b = x2.view(x2.offset(), {s2[0], 1}, {x2.strides()[0], 0});
  Shape lead_a = o.a.shape(), lead_b = o.b.shape();
  for (int i = 0; i < 2; ++i) {
    lead_a.erase(lead_a.rank() - 1);
    lead_b.erase(lead_b.rank() - 1);
  }
  o.batch = lead_a == lead_b ? lead_a : broadcast_shapes("matmul", lead_a, lead_b);
  o.y = o.batch;
  if (r1 > 1) o.y.push_back(s1[r1 - 2]);
  if (r2 > 1) o.y.push_back(s2[r2 - 1]);
  return o;
}

// Strides of the batch axes, 0 where broadcast.
void batch_strides(const Tensor& x, const Shape& batch, int64_t* strides) {
  const int lead = x.rank() - 2, skip = batch.rank() - lead;
  for (int i = 0; i < batch.rank(); ++i) {
    strides[i] = i < skip || x.dim(i - skip) == 1 ? 0 : x.strides()[i - skip];
  }
}

// Leading axes of x as one axis with one stride, copying only where the memory does not allow it.
Tensor flatten_rows(const Tensor& x) {
  if (x.rank() == 2) return x;
  const int last = x.rank() - 1;
  if (x.size() == 0) {
    int64_t rows = 1;
    for (int i = 0; i < last; ++i) rows *= x.dim(i);
    return x.view(x.offset(), {rows, x.dim(last)}, {x.dim(last), 1});
  }
  int64_t rows = 1, step = 0;
  for (int i = last - 1; i >= 0; --i) {
    if (x.dim(i) == 1) continue;
    if (rows == 1) {
      step = x.strides()[i];
    } else if (x.strides()[i] != step * rows) {
      return flatten_rows(contiguous(x));
    }
    rows *= x.dim(i);
  }
  return x.view(x.offset(), {rows, x.dim(last)}, {step, x.strides()[last]});
}

// Of the last two axes one lies element by element, as tiles need it; a copy where none does.
Tensor along_an_axis(const Tensor& x) {
  const int last = x.rank() - 1;
  for (int axis : {last, last - 1}) {
    if (x.strides()[axis] == 1 || x.dim(axis) == 1) return x;
  }
  return contiguous(x);
}

GemmArgs gemm_args(const Tensor& a, const Tensor& b) {
  const int i = a.rank() - 2, j = b.rank() - 2;
  return {.dtype = a.dtype(),
          .precision = matmul_precision(),
          .m = a.dim(i),
          .n = b.dim(j + 1),
          .k = a.dim(i + 1),
          .a_row = a.strides()[i],
          .a_col = a.strides()[i + 1],
          .b_row = b.strides()[j],
          .b_col = b.strides()[j + 1],
          .c_row = b.dim(j + 1)};
}

void launch_product(const Tensor& a, const Tensor& b, const Tensor& y) {
  const DenseArgs args{gemm_args(a, b), false, false};
  Hints hints{.flops = gemm_flops(args.gemm)};
  if (!gemm_has_tiles(a.dtype())) hints.add_residual = add_residual_to_dense;
  launch<run_dense>("matmul", args, {&a, &b}, {&y}, gemm_scratch_bytes(args.gemm), hints);
}

}  // namespace

Tensor matmul(const Tensor& x1, const Tensor& x2) {
  DType dtype = promote(x1.dtype(), x2.dtype());
  const bool tiles = x1.dtype() == x2.dtype() && gemm_has_tiles(dtype);
  if (x1.dtype() == DType::kInt8 && x2.dtype() == DType::kInt8) dtype = DType::kInt32;
  if (!tiles) {
    if (dtype == DType::kFloat16 || dtype == DType::kBFloat16) {
      return cast(matmul(cast(x1, DType::kFloat32), cast(x2, DType::kFloat32)), dtype);
    }
    if (x1.dtype() != dtype) return matmul(cast(x1, dtype), x2);
    if (x2.dtype() != dtype) return matmul(x1, cast(x2, dtype));
  }
  const bool product = tiles || is_floating(dtype);  // else a loop over integers
  if (product && x1.rank() == 2 && x2.rank() == 2 && x1.dim(1) == x2.dim(0) && !x1.is_symbolic() &&
      !x2.is_symbolic()) {  // in small products every copy of a shape counts
    const Tensor y = Tensor::empty({x1.dim(0), x2.dim(1)}, dtype);
    if (tiles) {
      launch_product(along_an_axis(x1), along_an_axis(x2), y);
    } else {
      launch_product(x1, x2, y);
    }
    return y;
  }
  Operands o = meet(x1, x2);
  Tensor y = Tensor::like(o.y, dtype, x1, x2);
  if (y.is_symbolic()) return y;
  if (tiles) {
    o.a = along_an_axis(o.a);
    o.b = along_an_axis(o.b);
  }
  if (product && o.b.rank() == 2 && o.a.rank() > 1) {
    const Tensor a = flatten_rows(o.a);  // one product for the whole batch
    launch_product(tiles ? along_an_axis(a) : a, o.b, y);
    return y;
  }
  MatmulArgs args;
  args.gemm = gemm_args(o.a, o.b);
  args.batch = num_elements(o.batch);
  args.rank = o.batch.rank();
  std::copy(o.batch.begin(), o.batch.end(), args.dims);
  batch_strides(o.a, o.batch, args.a_strides);
  batch_strides(o.b, o.batch, args.b_strides);
  const Hints hints{.flops = gemm_flops(args.gemm) * static_cast<double>(args.batch)};
  if (!product) {
    launch<run_integer_matmul>("matmul", args, {&o.a, &o.b}, {&y}, 0, hints);
    return y;
  }
  args.scratch = args.batch > 0 ? gemm_scratch_bytes(args.gemm) : 0;
  size_t scratch = 0;
  check(!__builtin_mul_overflow(args.scratch, static_cast<size_t>(args.slots()), &scratch), "matmul",
        "the product does not fit memory. Received: x1.shape=", x1.shape(), ", x2.shape=", x2.shape(), ".");
  launch<run_matmul>("matmul", args, {&o.a, &o.b}, {&y}, scratch, hints);
  return y;
}

Tensor dense(const Tensor& x, const Tensor& w, const Tensor* bias, Activation activation) {
  const DType dtype = x.dtype();
  check_computes("dense", dtype);
  check(x.rank() > 0 && w.rank() == 2 && w.dtype() == dtype, "dense",
        "needs x [..., K] and w [K, N] of one dtype. Received: x.shape=", x.shape(), " ", dtype,
        ", w.shape=", w.shape(), " ", w.dtype(), ".");
  check(x.shape().back() == w.dim(0) || x.shape().back() == kUnknown, "dense", "the last axis of x (",
        x.shape().back(), ") must match the first axis of w (", w.dim(0), "). Received: x.shape=", x.shape(),
        ", w.shape=", w.shape(), ". Was the layer built for another input?");
  check(!bias || (bias->rank() == 1 && bias->dim(0) == w.dim(1) && bias->dtype() == dtype), "dense",
        "the bias must have one value per unit, [", w.dim(1), "] ", dtype,
        ". Received: bias.shape=", bias ? bias->shape() : Shape(), ".");
  Shape shape = x.shape();
  shape[x.rank() - 1] = w.dim(1);
  Tensor y = bias ? Tensor::like(shape, dtype, x, w, *bias) : Tensor::like(shape, dtype, x, w);
  if (y.is_symbolic()) return y;
  // How a product is cut follows from strides, and bits should not depend on views.
  const Tensor rows = contiguous(x), b = contiguous(w);
  const Tensor a = x.rank() == 1 ? rows.view(rows.offset(), {1, x.dim(0)}, {0, 1}) : flatten_rows(rows);
  DenseArgs args{gemm_args(a, b), bias != nullptr, false};
  args.gemm.activation = activation;
  const size_t scratch = gemm_scratch_bytes(args.gemm);
  // The bias and the activation are one operation for each output.
  const int epilogue = (bias != nullptr) + (activation != Activation::none);
  const Hints hints{.flops = gemm_flops(args.gemm) + static_cast<double>(epilogue * y.size()),
                    .add_residual = add_residual_to_dense};
  if (bias) {
    const Tensor shift = contiguous(*bias);
    launch<run_dense>("dense", args, {&a, &b, &shift}, {&y}, scratch, hints);
  } else {
    launch<run_dense>("dense", args, {&a, &b}, {&y}, scratch, hints);
  }
  return y;
}

std::tuple<Tensor, Tensor> dense_grad(const Tensor& dy_in, const Tensor& y_in, Activation activation) {
  const DType dtype = dy_in.dtype();
  check_computes("dense_grad", dtype);
  check(dy_in.rank() > 0 && dy_in.shape() == y_in.shape() && y_in.dtype() == dtype, "dense_grad",
        "dy must have the output's shape and dtype. Received: dy.shape=", dy_in.shape(), " ", dtype,
        ", y.shape=", y_in.shape(), " ", y_in.dtype(), ".");
  const int64_t n = dy_in.shape().back();
  const bool masks = activation != Activation::none;
  const Tensor g = masks ? Tensor::like(dy_in.shape(), dtype, dy_in, y_in) : dy_in;
  const Tensor db = Tensor::like({n}, dtype, dy_in, y_in);
  if (db.is_symbolic()) return {g, db};
  const Tensor dy = contiguous(dy_in);
  const int64_t m = n > 0 ? dy.size() / n : 0, blocks = (m + kSumRows - 1) / kSumRows;
  const DenseGradArgs args{activation, dtype, m, n, masks};
  const size_t scratch = blocks > 1 ? static_cast<size_t>(blocks * n) * itemsize(dtype) : 0;
  // The sum, and the activation's derivative.
  const Hints hints{.flops = static_cast<double>((1 + masks) * dy.size())};
  if (masks) {
    const Tensor y = contiguous(y_in);
    launch<run_dense_grad>("dense_grad", args, {&dy, &y}, {&db, &g}, scratch, hints);
  } else {
    launch<run_dense_grad>("dense_grad", args, {&dy}, {&db}, scratch, hints);
  }
  return {g, db};
}

}  // namespace lamina
