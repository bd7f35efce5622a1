#include "ops/gemm_turned.h"

#include "base/rounding.h"

namespace lamina {
namespace {

// Elements of B: of which L2 keeps a part worth coming back to; of a slice.
constexpr int64_t kMinSize = 512 << 10, kMaxSize = 2 << 20, kSlice = 256 << 10;
constexpr int64_t kMaxRows = 16;  // of more, the sums would take L2
constexpr int64_t kMinTerms = 64;

// Whether this thread goes through B backwards: where it went the other way through the same B before.
bool goes_back(const void* b) {
  thread_local struct {
    const void* b = nullptr;
    bool back = false;
  } before;
  before.back = before.b == b && !before.back;
  before.b = b;
  return before.back;
}

}  // namespace

int64_t turned_slices(const GemmArgs& g) {
  const int64_t size = g.k * g.n, slices = size / kSlice;
  return g.m <= kMaxRows && size >= kMinSize && size <= kMaxSize && g.k >= slices * kMinTerms ? slices : 1;
}

size_t turned_bytes(const GemmArgs& g) {
  const int64_t slices = turned_slices(g);
  return slices == 1 ? 0 : align64(static_cast<size_t>(slices * g.m * g.n) * sizeof(float));
}

TurnedOrder::TurnedOrder(int64_t slices, const void* b)
    : each_(in_parallel() ? slices : ceil_div(slices, num_threads())),
      back_(goes_back(b) && slices % each_ == 0) {}

void combine_turned(const GemmArgs& g, const float* sums, float* c) {
  for (int64_t i = 0; i < g.m; ++i) {
    gemm_kernels_of(g.dtype).combine(sums + i * g.n, g.m * g.n, turned_slices(g), c + i * g.c_row, g.n,
                                     g.accumulate);
  }
}

}  // namespace lamina
