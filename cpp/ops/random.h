// Random tensors. `state` is int64 [seed, stream, counter]: element e of a draw is a pure function of the
// state and e (base/random.h), so a draw does not change it; `random_advance` does. All loops are compiled
// once, for the baseline: the same bits on every instruction set.
#pragma once

#include "base/fwd.h"

namespace lamina {

// low + u (high - low), u uniform in [0, 1); below high even where rounding would reach it.
Tensor random_uniform(const Tensor& state, const Shape& shape, DType dtype, double low, double high);
// mean + stddev z, z standard normal.
Tensor random_normal(const Tensor& state, const Shape& shape, DType dtype, double mean, double stddev);
// The same with |z| <= 2: the element's normal, or else the first fit one of its own further normals.
Tensor random_truncated_normal(const Tensor& state, const Shape& shape, DType dtype, double mean,
                               double stddev);
// Integers in [low, high), int32 or int64.
Tensor random_integers(const Tensor& state, const Shape& shape, DType dtype, int64_t low, int64_t high);
// bool, true with the probability given.
Tensor random_bernoulli(const Tensor& state, const Shape& shape, double probability);
// 0 .. n-1 in random order (Fisher and Yates, Durstenfeld 1964), int64.
Tensor random_permutation(const Tensor& state, int64_t n);

// state[2] += n.
void random_advance(const Tensor& state, int64_t n);

// Raises unless state is a contiguous int64 tensor of three elements.
void check_random_state(const char* op, const Tensor& state);

// How many of the 2^32 values of a 32-bit draw count as true.
uint64_t bernoulli_threshold(double probability);

}  // namespace lamina
