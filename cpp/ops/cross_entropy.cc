#include "ops/cross_entropy.h"

#include <cstdio>

#include "base/parallel.h"
#include "base/tensor.h"
#include "ops/dispatch.h"
#include "ops/launch.h"
#include "ops/layout.h"

namespace lamina {

LAMINA_KERNELS(CrossEntropyKernels, cross_entropy_kernels)

namespace {

constexpr double kCost = 0.6;  // rough ns per element
constexpr const char* kNames[] = {"sparse_categorical_crossentropy", "categorical_crossentropy",
                                  "binary_crossentropy"};

// Operations per element, [kind][from_logits]: from logits a softmax, its sum or its difference to the
// target; from probabilities the normalisation, and for a class id one element of each row.
constexpr double kFlops[3][2] = {{1, 4}, {5, 7}, {7, 8}};
constexpr double kGradFlops[3][2] = {{1, 5}, {8, 8}, {5, 5}};

struct CrossEntropyArgs {
  CrossEntropy kind;
  DType dtype, target_dtype;
  bool from_logits, ignores;
  int64_t ignore_class, rows, n;
};

const CrossEntropyKernels::Pair& kernel(const CrossEntropyArgs& a) {
  const auto& table = a.dtype == DType::kFloat32 ? cross_entropy_kernels().f32 : cross_entropy_kernels().f64;
  return table[static_cast<int>(a.kind)][a.from_logits];
}

// Classes as int64, -1 where ignored; the first bad one is reported.
Status read_classes(const CrossEntropyArgs& a, const void* target, int64_t* classes) {
  return visit(a.target_dtype, [&](auto tag) -> Status {
    using T = typename decltype(tag)::type;
    if constexpr (std::is_arithmetic_v<T>) {
      const T* t = static_cast<const T*>(target);
      for (int64_t i = 0; i < a.rows; ++i) {
        const T v = t[i];
        const bool ignored = a.ignores && static_cast<double>(v) == static_cast<double>(a.ignore_class);
        if (!ignored && !(v >= T(0) && static_cast<double>(v) < static_cast<double>(a.n))) {
          thread_local char text[80];
          std::snprintf(text, sizeof text, "label is out of range; expected 0 <= label < %lld.",
                        static_cast<long long>(a.n));
          return {text, i, static_cast<double>(v)};
        }
        classes[i] = ignored ? -1 : static_cast<int64_t>(v);
        if (!ignored && static_cast<T>(classes[i]) != v) {
          return {"label is not a whole number; expected the index of a class.", i, static_cast<double>(v)};
        }
      }
    }
    return {};
  });
}

Hints hints_of(const CrossEntropyArgs& a, const double (&per_element)[3][2]) {
  return {.flops = per_element[static_cast<int>(a.kind)][a.from_logits] * static_cast<double>(a.rows * a.n)};
}

double row_cost(const CrossEntropyArgs& a) { return kCost * static_cast<double>(a.n) + 10; }

size_t target_bytes(const CrossEntropyArgs& a) {
  return a.kind == CrossEntropy::kSparse ? sizeof(int64_t) : a.n * itemsize(a.dtype);
}

Status run_cross_entropy(const CrossEntropyArgs& a, Buffers b) {
  const char* target = b.at<char>(0);
  if (a.kind == CrossEntropy::kSparse) {
    const Status status = read_classes(a, target, static_cast<int64_t*>(b.scratch));
    if (status.what) return status;
    target = static_cast<char*>(b.scratch);
  }
  const size_t row = a.n * itemsize(a.dtype), step = target_bytes(a);
  const size_t loss = a.kind == CrossEntropy::kBinary ? row : itemsize(a.dtype);
  parallel_for(a.rows, grain_for(row_cost(a)), [&, f = kernel(a).forward](int64_t begin, int64_t end) {
    f(b.at<char>(1) + begin * row, target + begin * step, end - begin, a.n, b.at<char>(2) + begin * loss);
  });
  return {};
}

Status run_cross_entropy_grad(const CrossEntropyArgs& a, Buffers b) {
  const char* target = b.at<char>(0);
  if (a.kind == CrossEntropy::kSparse) {
    const Status status = read_classes(a, target, static_cast<int64_t*>(b.scratch));
    if (status.what) return status;
    target = static_cast<char*>(b.scratch);
  }
  const size_t row = a.n * itemsize(a.dtype), step = target_bytes(a);
  const size_t dy = a.kind == CrossEntropy::kBinary ? row : itemsize(a.dtype);
  parallel_for(a.rows, grain_for(row_cost(a)), [&, f = kernel(a).grad](int64_t begin, int64_t end) {
    f(b.at<char>(1) + begin * row, target + begin * step, b.at<char>(2) + begin * dy, end - begin, a.n,
      b.at<char>(3) + begin * row);
  });
  return {};
}

bool may_equal(const Shape& a, const Shape& b) {
  bool equal = a.rank() == b.rank();
  for (int i = 0; equal && i < a.rank(); ++i) equal = a[i] == b[i] || a[i] == kUnknown || b[i] == kUnknown;
  return equal;
}

Shape loss_shape(CrossEntropy kind, const Tensor& output) {
  Shape shape = output.shape();
  if (kind != CrossEntropy::kBinary) shape.erase(shape.rank() - 1);
  return shape;
}

// Checks the operands and gives the target in the shape and type that the kernels read.
Tensor check_operands(CrossEntropy kind, const Tensor& target, const Tensor& output) {
  const char* op = kNames[static_cast<int>(kind)];
  check_computes(op, output.dtype());
  check(kind == CrossEntropy::kBinary || output.rank() > 0, op,
        "output needs a class axis. Received: output.shape=", output.shape(), ".");
  if (kind != CrossEntropy::kSparse) {
    check(may_equal(target.shape(), output.shape()), op,
          "target and output must have the same shape. Received: target.shape=", target.shape(),
          ", output.shape=", output.shape(), ".",
          kind == CrossEntropy::kCategorical ? " Integer labels go to sparse_categorical_crossentropy." : "");
    return contiguous(cast(target, output.dtype()));
  }
  check<TypeError>(target.dtype() != DType::kFloat16 && target.dtype() != DType::kBFloat16, op,
                   "target must be integers, float32 or float64. Received: target.dtype=", target.dtype(),
                   ".");
  const Shape want = loss_shape(kind, output);
  Shape shape = target.shape();
  if (shape.rank() == output.rank() && shape.rank() > 0 && shape.back() == 1) shape.erase(shape.rank() - 1);
  check(
      may_equal(shape, want), op,
      "target must have the shape of output without its class axis. Received: target.shape=", target.shape(),
      ", output.shape=", output.shape(), ". One-hot targets go to categorical_crossentropy.");
  return contiguous(target);
}

CrossEntropyArgs make_args(CrossEntropy kind, const Tensor& target, const Tensor& output, bool from_logits,
                           std::optional<int64_t> ignore_class) {
  const int64_t n = output.rank() > 0 ? output.shape().back() : 1;
  // Elementwise work is cut by elements.
  const int64_t width = kind == CrossEntropy::kBinary ? 1 : n;
  return {kind,
          output.dtype(),
          target.dtype(),
          from_logits,
          ignore_class.has_value(),
          ignore_class.value_or(0),
          width > 0 ? output.size() / width : num_elements(loss_shape(kind, output)),
          width};
}

size_t scratch_bytes(const CrossEntropyArgs& a) {
  return a.kind == CrossEntropy::kSparse ? static_cast<size_t>(a.rows) * sizeof(int64_t) : 0;
}

Tensor forward(CrossEntropy kind, const Tensor& target_in, const Tensor& output_in, bool from_logits,
               std::optional<int64_t> ignore_class = {}) {
  const Tensor target = check_operands(kind, target_in, output_in);
  Tensor loss = Tensor::like(loss_shape(kind, output_in), output_in.dtype(), target, output_in);
  if (loss.is_symbolic()) return loss;
  const char* op = kNames[static_cast<int>(kind)];
  const Tensor output = contiguous(output_in);
  const CrossEntropyArgs args = make_args(kind, target, output, from_logits, ignore_class);
  check(args.n > 0 || args.rows == 0, op, "needs at least one class. Received: output.shape=", output.shape(),
        ".");
  launch<run_cross_entropy>(op, args, {&target, &output}, {&loss}, scratch_bytes(args),
                            hints_of(args, kFlops));
  return loss;
}

Tensor gradient(CrossEntropy kind, const Tensor& dy_in, const Tensor& target_in, const Tensor& output_in,
                bool from_logits, std::optional<int64_t> ignore_class = {}) {
  const char* op = kNames[static_cast<int>(kind)];
  const Tensor target = check_operands(kind, target_in, output_in);
  check(may_equal(dy_in.shape(), loss_shape(kind, output_in)) && dy_in.dtype() == output_in.dtype(), op,
        "the loss's gradient must have the loss's shape and dtype. Received: dy.shape=", dy_in.shape(), " ",
        dy_in.dtype(), ", output.shape=", output_in.shape(), " ", output_in.dtype(), ".");
  Tensor dx = Tensor::like(output_in.shape(), output_in.dtype(), dy_in, target, output_in);
  if (dx.is_symbolic()) return dx;
  const Tensor output = contiguous(output_in), dy = contiguous(dy_in);
  const CrossEntropyArgs args = make_args(kind, target, output, from_logits, ignore_class);
  launch<run_cross_entropy_grad>(op, args, {&target, &output, &dy}, {&dx}, scratch_bytes(args),
                                 hints_of(args, kGradFlops));
  return dx;
}

}  // namespace

Tensor sparse_categorical_crossentropy(const Tensor& target, const Tensor& output, bool from_logits,
                                       std::optional<int64_t> ignore_class) {
  return forward(CrossEntropy::kSparse, target, output, from_logits, ignore_class);
}
Tensor sparse_categorical_crossentropy_grad(const Tensor& dy, const Tensor& target, const Tensor& output,
                                            bool from_logits, std::optional<int64_t> ignore_class) {
  return gradient(CrossEntropy::kSparse, dy, target, output, from_logits, ignore_class);
}
Tensor categorical_crossentropy(const Tensor& target, const Tensor& output, bool from_logits) {
  return forward(CrossEntropy::kCategorical, target, output, from_logits);
}
Tensor categorical_crossentropy_grad(const Tensor& dy, const Tensor& target, const Tensor& output,
                                     bool from_logits) {
  return gradient(CrossEntropy::kCategorical, dy, target, output, from_logits);
}
Tensor binary_crossentropy(const Tensor& target, const Tensor& output, bool from_logits) {
  return forward(CrossEntropy::kBinary, target, output, from_logits);
}
Tensor binary_crossentropy_grad(const Tensor& dy, const Tensor& target, const Tensor& output,
                                bool from_logits) {
  return gradient(CrossEntropy::kBinary, dy, target, output, from_logits);
}

}  // namespace lamina
