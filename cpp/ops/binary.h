// Elementwise arithmetic and comparison of two tensors with NumPy broadcasting: y[i] = f(a[i], b[i]).
// Types meet by Keras' promotion table; divide and power of integers give float32 and integer results as
// Keras does.
#pragma once

#include "base/fwd.h"

namespace lamina {

enum class Binary : int {
#define LAMINA_BINARY(name) name,
#define LAMINA_COMPARE(name) name,
#include "ops/binary.def"
#undef LAMINA_BINARY
#undef LAMINA_COMPARE
  kCount
};
constexpr int kNumBinary = static_cast<int>(Binary::kCount);

// a, b: n elements with the given element steps; y contiguous (bool bytes for comparisons).
using BinaryFn = void (*)(const void* a, int64_t a_step, const void* b, int64_t b_step, void* y, int64_t n);

struct BinaryKernels {
  BinaryFn f32[kNumBinary], f64[kNumBinary];
};

Tensor binary(Binary op, const Tensor& a, const Tensor& b);
const char* binary_name(Binary op);

}  // namespace lamina
