// float32 products on bfloat16 tiles (AMX): each operand becomes a sum of P bfloat16 parts, a = a1 + a2 + a3,
// and the products of parts that matter are added in float32:
//
//   P = 3 ("high")     a1 b1 + (a1 b2 + a2 b1) + (a1 b3 + a2 b2 + a3 b1)     what is left out is below 2^-22
//   |a| |b| P = 2 ("medium")   a1 b1 + (a1 b2 + a2 b1)                               below 2^-14 |a| |b| P =
//   1 ("low")      a1 b1                                                 below 2^-7 |a| |b|
//
// (Henry, Tang & Heinecke 2019, "Leveraging the bfloat16 artificial intelligence datatype for
// higher-precision computations"). Three parts hold all 24 bits of a float. The hardware adds 32 products to
// a float32 accumulator with one rounding there, where a chain of fma has 32: with P = 3 the error is below
// the chain's.
//
// Operands are multiplied by 2^32 on the way in and results by 2^-64, so that no part of a normal number that
// could matter is lost to underflow. Blocks with an element beyond 2^24, an infinity or a NaN (found while
// they are split) are multiplied by chains of fma instead, with IEEE results. Blocks are cut by the sizes
// alone, so bits do not depend on threads.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ops/activation.h"

namespace lamina {

struct GemmArgs;
enum class MatmulPrecision : uint8_t;

// Parts of an operand at this precision; 0 where products are not split.
int split_parts(MatmulPrecision precision);

// True if this product is better made of parts: the machine has tiles, the precision allows it, and the sizes
// are worth splitting the operands.
bool gemm_splits(const GemmArgs& args);

// As gemm_scratch_bytes, gemm_cost and gemm_run, where gemm_splits. k > 0.
size_t gemm_split_scratch_bytes(const GemmArgs& args);
double gemm_split_cost(const GemmArgs& args);
void gemm_split_run(const GemmArgs& args, const float* a, const float* b, const float* bias, float* c,
                    void* scratch, const float* residual = nullptr);

// Products with one B, split once (its bytes: gemm_split_packed_bytes). m of `args` is that of a product;
// gemm_split_prepacks: whether products of so many rows gain from it, where gemm_splits may say no.
bool gemm_split_prepacks(const GemmArgs& args);
size_t gemm_split_packed_bytes(const GemmArgs& args);
void gemm_split_pack(const GemmArgs& args, const float* b, void* packed);
bool gemm_split_fits(const GemmArgs& args, const void* packed);  // no element must not be split
void gemm_split_run_packed(const GemmArgs& args, const float* a, const float* b, const void* packed,
                           const float* bias, float* c);

// Split operands lie in panels of 32 rows of A or columns of B, by units of 32 k, as tiles ready to load:
//
//   panel: [unit of k][part][half: 16 of the panel][16 rows][32 bfloat16]
//   A: row = row of A,       pairs (k, k + 16) for k = 0 .. 15
//   B: row = k in 0 .. 15,   pairs (k, k + 16) of one column each
inline constexpr int64_t kSplitPanel = 32;
inline constexpr int64_t kSplitUnit = 32;

// Elements of one panel over k.
constexpr int64_t split_panel_size(int parts, int64_t k) {
  return (k + kSplitUnit - 1) / kSplitUnit * parts * kSplitPanel * kSplitUnit;
}

// One panel of B over k: `count` columns, element (k, j) at src[k * row + j * col], one of the steps 1.
struct GemmSplitPack {
  const float* src;
  uint16_t* dst;
  int64_t count, k;
  int64_t row, col;
};

// C[m, n] (+)= A[m, k] B[k, n] for one thread.
struct GemmSplitBlock {
  const float *a, *b, *bias, *residual;
  const uint16_t*
      packed_b;  // blocks of K of block_k, each `panels` panels; the block's columns begin with first_panel
  const bool* fits_b;  // [block of K][panels]: as pack_b returned
  int64_t first_panel, panels;
  float* c;
  int64_t m, n, k;
  int64_t a_row, a_col, b_row, b_col, c_row;
  bool accumulate, last;
  bool past_caches;  // C is written once, in whole lines, and larger than the caches
  Activation activation;
};

struct GemmSplitKernels {
  int64_t block_k;
  // [parts - 1]. pack_b: true if the panel has no element that must not be split.
  bool (*pack_b[3])(const GemmSplitPack&);
  void (*multiply[3])(const GemmSplitBlock&);
};

// Null where the machine has no tiles.
const GemmSplitKernels* gemm_split_kernels();

}  // namespace lamina
