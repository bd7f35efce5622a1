// Ops along chosen axes: x as rows with those axes last, and operands that may be missing.
#pragma once

#include "base/tensor.h"
#include "ops/layout.h"

namespace lamina {

// The permutation that brings `axes` (sorted) to the end, or (inverse) back.
inline Dims axes_last(int rank, const Dims& axes, bool inverse) {
  const auto chosen = [&](int i) {
    for (int64_t a : axes) {
      if (a == i) return true;
    }
    return false;
  };
  Dims order;
  for (int i = 0; i < rank; ++i) {
    if (!chosen(i)) order.push_back(i);
  }
  for (int64_t a : axes) order.push_back(a);
  if (!inverse) return order;
  Dims back(rank, 0);
  for (int i = 0; i < rank; ++i) back[static_cast<int>(order[i])] = i;
  return back;
}

inline bool are_last(int rank, const Dims& axes) { return axes.rank() == 0 || axes[0] == rank - axes.rank(); }

// x with `axes` (sorted) last, contiguous; and what was computed from it with the axes where they were.
inline Tensor to_rows(const Tensor& x, const Dims& axes) {
  return contiguous(are_last(x.rank(), axes) ? x : x.transpose(axes_last(x.rank(), axes, false)));
}
inline Tensor from_rows(const Tensor& y, const Dims& axes) {
  return are_last(y.rank(), axes) ? y : y.transpose(axes_last(y.rank(), axes, true));
}

// Product of x's sizes, along `axes` or along all others; kUnknown where one is.
inline int64_t product_of(const Tensor& x, const Dims& axes, bool others) {
  int64_t n = 1;
  for (int i = 0; i < x.rank(); ++i) {
    bool chosen = false;
    for (int64_t a : axes) chosen |= a == i;
    if (chosen != others) n = x.dim(i) == kUnknown || n == kUnknown ? kUnknown : n * x.dim(i);
  }
  return n;
}

// What stands in a launch for an operand that may be missing; flags in the arguments say so.
inline Tensor operand(const Tensor* t, const Tensor& instead) { return t ? contiguous(*t) : instead; }

}  // namespace lamina
