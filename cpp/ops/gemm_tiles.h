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

// Panels of `count` rows or columns w, element (w, k) at src[w * w_step + k * k_step], one of the steps 1;
// units of k outside, panels inside. Panel p goes to dst + p * panel_bytes.
struct GemmTilesPack {
  const void* src;
  void* dst;
  int64_t count, k;
  int64_t w_step, k_step;
  int64_t panel_bytes;
  bool of_a;
};

// C[m, n] = A[m, k] B[k, n] for up to kTilesPanel rows and kTilesColumns columns. packed_a: null where A's
// rows lie along k and are packed here.
struct GemmTilesBlock {
  const void *a, *packed_a, *packed_b;
  void* c;
  int64_t m, n, k;
  int64_t a_row, c_row;
};

struct GemmTilesTypeKernels {
  void (*pack)(const GemmTilesPack&);
  void (*multiply)(const GemmTilesBlock&);
};

struct GemmTilesKernels {
  GemmTilesTypeKernels bf16, int8;
};

}  // namespace lamina
