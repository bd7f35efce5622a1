// Products on tiles (AMX) of what tiles multiply as it is: bfloat16, summed in float32 and rounded once, and
// int8, summed in int32 exactly (modulo 2^32).
//
// A unit of k is 64 bytes: 32 bfloat16 or 64 int8. A row of A over a unit is one of a tile as it lies, 16
// words of w = 2 or 4 elements. B is packed, panels of 32 columns as tiles ready to load:
//
//   panel: [unit of k][half: 16 columns][i < 16][word: (k = w i, w i + 1, ...) of one column]
//
// An element of C is the sum over units of k in order, whatever else is cut, so bits do not depend on
// threads.
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

inline constexpr int64_t kTilesPanel = 32, kTilesColumns = 512;
inline constexpr int64_t kTilesUnitBytes = 64;  // of k

// Bytes of one panel over k.
constexpr int64_t tiles_panel_bytes(int64_t k, int64_t item) {
  return (k * item + kTilesUnitBytes - 1) / kTilesUnitBytes * kTilesUnitBytes * kTilesPanel;
}

// Panels of n columns of B over k, B(p, j) = src[p * row + j * col], one of the steps 1.
struct GemmTilesPack {
  const void* src;
  void* dst;
  int64_t n, k;
  int64_t row, col;
};

// Rows of A out of its columns, A(i, p) = a[i + p * col], `row_bytes` apart, zeros up to a whole unit of k.
struct GemmTilesTurn {
  const void* a;
  void* dst;
  int64_t m, k, col, row_bytes;
};

// C[m, n] = A[m, k] B[k, n] for up to kTilesColumns columns, A(i, p) = a[i * a_row + p].
struct GemmTilesBlock {
  const void *a, *packed_b;
  void* c;
  int64_t m, n, k;
  int64_t a_row, c_row;
};

struct GemmTilesTypeKernels {
  void (*pack)(const GemmTilesPack&);
  void (*turn)(const GemmTilesTurn&);
  void (*multiply)(const GemmTilesBlock&);
};

struct GemmTilesKernels {
  GemmTilesTypeKernels bf16, int8;
};

}  // namespace lamina
