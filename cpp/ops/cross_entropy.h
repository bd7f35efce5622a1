// Cross-entropies of predictions x along the last axis [rows, n], from logits or from probabilities:
//
//   categorical  -sum_j t_j log p_j     sparse: the same for t one-hot, given as the index of its 1
//   binary       -t log p - (1 - t) log(1 - p), elementwise
//
// From logits p is softmax (sigmoid) and the losses are evaluated through log-sum-exp. From probabilities p
// is clip(x / sum x, eps, 1 - eps) (binary: clip(x, eps, 1 - eps)) with eps = 1e-7, as Keras 3 computes it,
// and clipped values have no gradient.
#pragma once

#include <cstdint>
#include <optional>

#include "base/fwd.h"

namespace lamina {

// target: int64 class of each row (negative: the row is left out, loss 0), or values like x. loss: one per
// row, for binary one per element.
using CrossEntropyFn = void (*)(const void* x, const void* target, int64_t rows, int64_t n, void* loss);
using CrossEntropyGradFn = void (*)(const void* x, const void* target, const void* dy, int64_t rows,
                                    int64_t n, void* dx);

enum class CrossEntropy : int { kSparse, kCategorical, kBinary };

struct CrossEntropyKernels {
  struct Pair {
    CrossEntropyFn forward;
    CrossEntropyGradFn grad;
  } f32[3][2], f64[3][2];  // [CrossEntropy][from_logits]
};

// target: classes 0 <= target < n, any integer type or integral floats, shape of output without its last axis
// (or with 1 there). Rows whose class is ignore_class give loss 0 and no gradient.
Tensor sparse_categorical_crossentropy(const Tensor& target, const Tensor& output, bool from_logits,
                                       std::optional<int64_t> ignore_class);
Tensor sparse_categorical_crossentropy_grad(const Tensor& dy, const Tensor& target, const Tensor& output,
                                            bool from_logits, std::optional<int64_t> ignore_class);

// target: shape of output, cast to its type.
Tensor categorical_crossentropy(const Tensor& target, const Tensor& output, bool from_logits);
Tensor categorical_crossentropy_grad(const Tensor& dy, const Tensor& target, const Tensor& output,
                                     bool from_logits);
Tensor binary_crossentropy(const Tensor& target, const Tensor& output, bool from_logits);
Tensor binary_crossentropy_grad(const Tensor& dy, const Tensor& target, const Tensor& output,
                                bool from_logits);

}  // namespace lamina
