// Products C [m, n] (+)= A B of 13 to 128 rows in float32, made of three bfloat16 parts on tiles
// (gemm_split.h has the method), for a B whose rows are contiguous. A is split first and stays in the caches;
// B is split into a ring of a few chunks beside the products of the chunks before, so that its parts are
// never written to memory and read back.
//
// An element of C is the sum over blocks of k in order, so its bits depend on the sizes alone. The parts of B
// are cut off and not rounded, which saves work; those of A, rounded, keep the error free of bias. Elements
// of B are not scaled: what of them would be lost to underflow matters only in a column of elements below
// 2^-63. Such columns, and sums that are not finite, are made again by chains of fma, as are all where A must
// not be split.
#pragma once

#include <cstddef>
#include <cstdint>

namespace lamina {

struct GemmArgs;

// True if this product is better made here; strides of axes of one element are 1.
bool gemm_is_skinny(const GemmArgs& args);

// As gemm_scratch_bytes, gemm_cost and gemm_run, where gemm_is_skinny; without bias and activation.
size_t gemm_skinny_scratch_bytes(const GemmArgs& args);
double gemm_skinny_cost(const GemmArgs& args);
void gemm_skinny_run(const GemmArgs& args, const void* a, const void* b, void* c, void* scratch);

// B is split by chunks of 32 columns of one unit of 32 k, so many chunks ahead of the products:
//
//   chunk: [part][half: 16 columns][16 rows][32 bfloat16], a row pairs (k, k + 16)
inline constexpr int64_t kSkinnyAhead = 2;

// For one thread, k at most 64 blocks of 256. parts_a: of gemm_skinny.cc's size; ring: of so many chunks.
struct GemmSkinny {
  const float *a, *b;
  float* c;
  int64_t m, n, k;
  int64_t a_row, a_col, b_row, c_row;
  uint16_t *parts_a, *ring;
  int64_t chunks;
  bool accumulate;
};

struct GemmSkinnyKernels {
  void (*multiply)(const GemmSkinny&);
};

// Null where the machine has no tiles.
const GemmSkinnyKernels* gemm_skinny_kernels();

}  // namespace lamina
