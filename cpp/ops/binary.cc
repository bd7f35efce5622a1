#include "ops/binary.h"

#include "ops/dispatch.h"
#include "ops/integer.h"
#include "ops/launch.h"
#include "ops/layout.h"
#include "ops/ndloop.h"

namespace lamina {

LAMINA_KERNELS(BinaryKernels, binary_kernels)

namespace {

constexpr double kCost = 0.3;  // rough ns per element: memory bound

struct BinaryArgs {
  Binary op;
  DType dtype;
  NdLoop<3> loop;  // y, a, b
};

bool compares(Binary op) { return op >= Binary::equal; }

BinaryFn kernel(Binary op, DType dtype) {
  const int i = static_cast<int>(op);
  if (dtype == DType::kFloat32) return binary_kernels().f32[i];
  if (dtype == DType::kFloat64) return binary_kernels().f64[i];
  return integer_binary(op, dtype);
}

Status run_binary(const BinaryArgs& args, Buffers buffers) {
  const BinaryFn f = kernel(args.op, args.dtype);
  const size_t size = itemsize(args.dtype), y_size = compares(args.op) ? 1 : size;
  const char *a = buffers.at<char>(0), *b = buffers.at<char>(1);
  char* y = buffers.at<char>(2);
  args.loop.run(kCost, buffers.items, [&](int64_t n, const int64_t* at, const int64_t* step) {
    f(a + at[1] * size, step[1], b + at[2] * size, step[2], y + at[0] * y_size, n);
  });
  return {};
}

// The type that `op` computes in. Only true division leaves the integers.
DType compute_dtype(Binary op, DType a, DType b) {
  const DType t = promote(a, b);
  return op == Binary::divide && !is_floating(t) ? DType::kFloat32 : t;
}

}  // namespace

const char* binary_name(Binary op) {
  constexpr const char* kNames[] = {
#define LAMINA_BINARY(name) #name,
#define LAMINA_COMPARE(name) #name,
#include "ops/binary.def"
#undef LAMINA_BINARY
#undef LAMINA_COMPARE
  };
  return kNames[static_cast<int>(op)];
}

Tensor binary(Binary op, const Tensor& a_in, const Tensor& b_in) {
  const char* name = binary_name(op);
  const DType dtype = compute_dtype(op, a_in.dtype(), b_in.dtype());
  check<TypeError>(kernel(op, dtype) != nullptr, name,
                   "is not defined for this type. Received: dtype=", dtype,
                   ". Convert with ops.cast(x, \"float32\") first.");
  if (a_in.dtype() != dtype) return binary(op, cast(a_in, dtype), b_in);
  if (b_in.dtype() != dtype) return binary(op, a_in, cast(b_in, dtype));
  const Shape shape =
      a_in.shape() == b_in.shape() ? a_in.shape() : broadcast_shapes(name, a_in.shape(), b_in.shape());
  Tensor y = Tensor::like(shape, compares(op) ? DType::kBool : dtype, a_in, b_in);
  if (y.is_symbolic()) return y;
  const Tensor a = a_in.expand(shape), b = b_in.expand(shape);
  const BinaryArgs args{op, dtype, NdLoop<3>::make(shape, {&y, &a, &b})};
  Hints hints = args.loop.hints();
  hints.is_sum =
      op == Binary::add && is_floating(dtype) && hints.is_unit(0) && hints.is_unit(1) && hints.is_unit(2);
  launch<run_binary>(name, args, {&a, &b}, {&y}, 0, hints);
  return y;
}

}  // namespace lamina
