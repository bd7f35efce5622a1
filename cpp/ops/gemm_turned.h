// Products of few rows with a B of a few times L2, in slices of K that are gone through in turn forwards and
// backwards: where the same B comes again, what was read last is still in L2. Slices are runs of whole rows:
// columns would share few sets of the cache. Each has sums of its own, added in order, so bits depend on the
// sizes alone.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/parallel.h"
#include "ops/gemm.h"

namespace lamina {

// 1 where B is not turned.
int64_t turned_slices(const GemmArgs& args);
// Of the sums, 64-byte aligned; 0 where B is not turned.
size_t turned_bytes(const GemmArgs& args);

// What a slice is of: the order of a thread's slices, for each call another.
class TurnedOrder {
 public:
  TurnedOrder(int64_t slices, const void* b);
  int64_t operator[](int64_t i) const { return back_ ? i / each_ * each_ + (each_ - 1 - i % each_) : i; }

 private:
  int64_t each_;  // for a thread
  bool back_;
};

// c (+)= the sums of all slices.
void combine_turned(const GemmArgs& args, const float* sums, float* c);

// multiply(s, k, count, c): slice s of K, rows [k, k + count) of B, into c [m, n]. cost: of the whole
// product.
template <class Multiply>
void run_turned(const GemmArgs& g, double cost, const void* b, void* c, void* scratch,
                const Multiply& multiply) {
  const int64_t slices = turned_slices(g);
  const TurnedOrder order(slices, b);
  float* sums = static_cast<float*>(scratch);
  parallel_for(slices, g.grain(cost / static_cast<double>(slices)), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t s = order[i], k = s * g.k / slices;
      multiply(s, k, (s + 1) * g.k / slices - k, sums + s * g.m * g.n);
    }
  });
  combine_turned(g, sums, static_cast<float*>(c));
}

}  // namespace lamina
