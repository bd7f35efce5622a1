// Dropout (Srivastava et al., 2014): y = x / (1 - rate) where kept, else 0; element e is kept where the
// 32-bit draw e of `state` (base/random.h) is below (1 - rate) 2^32. No mask is stored: the gradient draws it
// again from the copy of the state that the forward launch hands back.
//   dx = dy / (1 - rate) where kept, else 0
#pragma once

#include <utility>

#include "base/fwd.h"

namespace lamina {

struct DropoutKernels {
  // Elements [begin, end) of n; begin is a multiple of kDropoutBlock. Kept where the draw is <= last.
  using Fn = void (*)(const void* x, void* y, int64_t begin, int64_t end, const int64_t* state, uint32_t last,
                      double scale);
  Fn f32, f64;
};
constexpr int64_t kDropoutBlock = 64;

// (y, copy of state), both written by one launch. 0 <= rate < 1.
std::pair<Tensor, Tensor> dropout(const Tensor& x, const Tensor& state, double rate);
// state: the copy from the forward call. Its own gradient is itself.
Tensor dropout_grad(const Tensor& dy, const Tensor& state, double rate);

}  // namespace lamina
