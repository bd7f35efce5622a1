// C = f(A B + bias) + residual, or C += A B: A [M, K], B [K, N] with any strides, C [M, N] with contiguous
// rows, bias [N], residual [M, N] with rows as far apart as C's, float32 and float64.
//
// The five loops of BLIS around a micro-kernel that keeps a tile of C in registers (Goto & van de Geijn 2008,
// Van Zee & van de Geijn 2015). An element of C is a chain of fma over k inside one block of K, the blocks
// added in order, so its bits depend on K (and, where K is split, on M and N), never on threads or on how C
// is cut.
//
// For ops that multiply inside their own run_<op>: gemm_scratch_bytes() where the launch is made, then
// gemm_run() from anywhere: it splits over threads, or runs in the caller when that is already a chunk of a
// parallel_for.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/parallel.h"
#include "ops/activation.h"

namespace lamina {

enum class DType : uint8_t;

// What a float32 product may be made of; accumulation is in float32 always.
//   highest   fma in float32
//   high      an error no larger than that, from parts of bfloat16 where that is faster (gemm_split.h)
//   medium    two parts: about 16 bits of each operand
//   low       operands rounded to bfloat16
// Without hardware for parts all are as `highest`.
enum class MatmulPrecision : uint8_t { highest, high, medium, low };

// Of the process, for ops to come; `high` at first.
MatmulPrecision matmul_precision();
void set_matmul_precision(MatmulPrecision precision);

struct GemmArgs {
  DType dtype{};  // float32 or float64; what gemm_tiles.h has where the machine has tiles
  MatmulPrecision precision = MatmulPrecision::highest;
  int64_t m = 0, n = 0, k = 0;
  int64_t a_row = 0, a_col = 0;  // A(i, k) at a[i * a_row + k * a_col]
  int64_t b_row = 0, b_col = 0;  // B(k, j) at b[k * b_row + j * b_col]
  int64_t c_row = 0;             // C(i, j) at c[i * c_row + j]
  bool accumulate = false;       // C += A B; then bias, activation and residual see the sum
  Activation activation = Activation::none;
  bool cold = false;          // B comes from memory however small it is: a single row asks for it ahead
  double worth = kGrainCost;  // of a loop for a second thread, set by gemm_run

  int64_t grain(double cost_per_item) const { return grain_for(cost_per_item * (kGrainCost / worth)); }
};

// In this scope (of one thread) products are steps of a sequence: what one core has just written would be
// fetched by the other, so a second thread must be worth more than for a product by itself.
class ProductSequence {
 public:
  ProductSequence();
  ~ProductSequence();
  ProductSequence(const ProductSequence&) = delete;
  ProductSequence& operator=(const ProductSequence&) = delete;

 private:
  bool before_;
};

// Of the product alone, a multiply-add two.
inline double gemm_flops(const GemmArgs& args) {
  return 2.0 * static_cast<double>(args.m) * static_cast<double>(args.n) * static_cast<double>(args.k);
}

// Bytes of scratch, 64-byte aligned, that gemm_run needs; depends on the arguments alone. Often 0 for small
// sizes.
size_t gemm_scratch_bytes(const GemmArgs& args);

// bias, residual: null for none. C overlaps none of the others. K = 0 gives f(bias) + residual. The residual
// is added to what would be stored without it: the bits of a product and a sum.
void gemm_run(const GemmArgs& args, const void* a, const void* b, const void* bias, void* c, void* scratch,
              const void* residual = nullptr);

// Rough nanoseconds on one thread, for parallel_for grains.
double gemm_cost(const GemmArgs& args);

// What one call of a kernel multiplies: C[m, n] (+)= A[m, k] B[k, n], A in panels of `rows` rows, B in panels
// of `cols` columns. Operands in place and packed differ in their strides only:
//
//   packed A: panel p at a + p * a_panel, element (i, k) at [k * rows + i]
//   packed B: panel p at b + p * b_panel, element (k, j) at [k * cols + j], zeros up to a whole vector
struct GemmBlock {
  const void *a, *b, *bias, *residual;
  void* c;
  int64_t m, n, k;
  int64_t a_panel, a_row, a_col;  // a_row or a_col is 1
  int64_t b_panel, b_row;
  int64_t c_row;
  int32_t rows, cols;
  bool accumulate;  // add to C instead of overwriting it
  bool last;        // apply bias (unless null), activation and residual (unless null)
  Activation activation;
};

// Panels of `width` vectors-to-be out of a matrix whose element (w, k) is src[w * w_step + k * k_step], w <
// count: panel p holds [k][width] elements at dst + p * width * k. Lanes past count are zero up to the next
// multiple of `pad`.
struct GemmPack {
  const void* src;
  void* dst;
  int64_t count, k;
  int64_t w_step, k_step;
  int32_t width, pad;
};

struct GemmTypeKernels {
  int32_t lanes;        // elements per vector
  int32_t rows, cols;   // the register tile of large products
  int32_t narrow_cols;  // columns of the tiles below
  int32_t unit_rows;    // rows at a time where A's columns are contiguous and read in place
  int32_t direct_rows;  // the same for A's rows
  int32_t few_rows;     // up to so many rows, a tile may have 2 * narrow_cols columns
  bool masked_loads;    // partial vectors load at full speed: B may be read in place for any n
  void (*pack)(const GemmPack&);
  void (*multiply)(const GemmBlock&);
  // g = dy * f'(y) (g null: not stored), sums[n] = column sums of g, over m rows; all rows contiguous of
  // length n.
  void (*grad)(Activation f, const void* dy, const void* y, void* g, void* sums, int64_t m, int64_t n);
  // y[i] = sum over b < blocks of parts[b * stride + i], i < n, in order of b; added to y where accumulate.
  void (*combine)(const void* parts, int64_t stride, int64_t blocks, void* y, int64_t n, bool accumulate);
  // c = f(c + bias) + residual on m rows.
  void (*finish)(Activation f, const void* bias, const void* residual, void* c, int64_t c_row, int64_t m,
                 int64_t n);
};

struct GemmKernels {
  GemmTypeKernels f32, f64;
};

const GemmTypeKernels& gemm_kernels_of(DType dtype);

}  // namespace lamina
