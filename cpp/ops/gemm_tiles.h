// Products on tiles (AMX) of what tiles multiply as it is: bfloat16, summed in float32 and rounded once, and
// int8, summed in int32 exactly (modulo 2^32).
//
// A panel is 32 rows of A, or columns of B, by units of 32 (bfloat16) or 64 (int8) k, as tiles ready to load;
// w elements of one 32-bit word, w = 2 or 4, lie 16 apart:
//
//   panel: [unit of k][half: 16 of the panel][16 rows][16 words]
//   A: row = row of A,       word i = (k = i, i + 16, ...)
//   B: row = i in 0 .. 15,   words (k = i, i + 16, ...) of 16 columns
//
// An element of C is the sum over k in the unit's order, all of K in one register, or block by block with the
// sums in memory; cut by the sizes alone, so bits do not depend on threads.
#pragma once

#include <cstddef>
#include <cstdint>

namespace lamina {

struct GemmArgs;
enum class DType : uint8_t;

// True if the machine has tiles and they multiply this type: bfloat16 -> bfloat16, int8 -> int32.
bool gemm_has_tiles(DType dtype);

// As in gemm.h, for such types; no bias, activation or accumulation. In each operand one of the strides is 1.
size_t gemm_tiles_scratch_bytes(const GemmArgs& args);
double gemm_tiles_cost(const GemmArgs& args);
void gemm_tiles_run(const GemmArgs& args, const void* a, const void* b, void* c, void* scratch);

inline constexpr int64_t kTilesPanel = 32;
inline constexpr int64_t kTilesUnitBytes = 64;  // of k

// Bytes of one panel over k.
constexpr int64_t tiles_panel_bytes(int64_t k, int64_t item) {
  return (k * item + kTilesUnitBytes - 1) / kTilesUnitBytes * kTilesUnitBytes * kTilesPanel;
}

// One panel: `count` rows or columns w, element (w, k) at src[w * w_step + k * k_step], one of the steps 1.
struct GemmTilesPack {
  const void* src;
  void* dst;
  int64_t count, k;
  int64_t w_step, k_step;
  bool of_a;
};

// C[m, n] (+)= A[m, k] B[k, n], m at most a panel; k at most block_k. sums: what the blocks of K before gave,
// and where the result goes if it is not the last; [32 rows][sums_row] of 32-bit words.
struct GemmTilesBlock {
  const void *a, *packed_b;
  void *sums, *c;
  int64_t m, n, k;
  int64_t a_row, a_col, c_row, sums_row;
  bool first, last;
};

struct GemmTilesTypeKernels {
  void (*pack)(const GemmTilesPack&);
  void (*multiply)(const GemmTilesBlock&);
};

struct GemmTilesKernels {
  int64_t block_bytes;  // of K at a time: items * itemsize
  GemmTilesTypeKernels bf16, int8;
};

}  // namespace lamina
