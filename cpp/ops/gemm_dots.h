// Products C [m, n] (+)= A B of a few rows (columns) with a large matrix whose elements lie along k, as in
// y = x w^T and in a matrix times a vector: bound by reading the matrix, which is read once, where it lies.
//
// An element of C is a dot product in vectors along k: a lane is a chain of fma over every kLanes-th k, and
// the lanes are added as a tree. The few are copied where they do not lie along k as well.
#pragma once

#include <cstddef>
#include <cstdint>

namespace lamina {

struct GemmArgs;

// True if this product is better made of dot products; strides of axes of one element are 1.
bool gemm_is_dots(const GemmArgs& args);

// As gemm_scratch_bytes, gemm_cost and gemm_run, where gemm_is_dots; without what follows the product. k > 0.
size_t gemm_dots_scratch_bytes(const GemmArgs& args);
double gemm_dots_cost(const GemmArgs& args);
void gemm_dots_run(const GemmArgs& args, const void* a, const void* b, void* c, void* scratch);

// C(i, j) (+)= sum over k of few[i * few_row + k] many[j * many_row + k], at c[i * c_few + j * c_many].
struct GemmDots {
  const void *few, *many;
  void* c;
  int64_t num_few, num_many, k;
  int64_t few_row, many_row, c_few, c_many;
  bool accumulate;
  bool far;  // the many come from beyond the caches
};

struct GemmDotsKernels {
  void (*f32)(const GemmDots&);
  void (*f64)(const GemmDots&);
};

}  // namespace lamina
