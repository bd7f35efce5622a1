#include "ops/factored.h"

#include <algorithm>

#include "base/parallel.h"
#include "base/tensor.h"
#include "ops/dispatch.h"

namespace lamina {

LAMINA_KERNELS(FactoredKernels, factored_kernels)

namespace {

// Rows whose column sums are one partial result: enough work, and partial results that take at most a
// sixteenth of the gradient.
int64_t block_rows(const Matrices& m) { return std::max<int64_t>(16, 4096 / m.C); }
int64_t blocks_of(const Matrices& m) { return (m.R + block_rows(m) - 1) / block_rows(m); }

}  // namespace

size_t factored_scratch(const Matrices& m) {
  if (m.count * m.R * m.C == 0) return 0;
  return static_cast<size_t>(m.count * (1 + blocks_of(m) * m.C)) * sizeof(double);
}

void factored_moments(const UpdateArgs& a, const Matrices& m, DType dtype, const void* g, void* v, void* r,
                      void* c, void* scratch) {
  if (m.count * m.R * m.C == 0) return;
  const FactoredKernels::Table& f =
      dtype == DType::kFloat32 ? factored_kernels().f32 : factored_kernels().f64;
  const int64_t item = static_cast<int64_t>(itemsize(dtype)), height = block_rows(m), blocks = blocks_of(m);
  double* mean = static_cast<double*>(scratch);
  char* sums = static_cast<char*>(scratch) + m.count * static_cast<int64_t>(sizeof(double));
  const auto at = [&](const void* base, int64_t element) {
    return const_cast<char*>(static_cast<const char*>(base)) + element * item;
  };
  // body(block, first row of all, rows, matrix) over the blocks of all matrices.
  const auto each_block = [&](auto body) {
    parallel_for(m.count * blocks, grain_for(0.3 * static_cast<double>(std::min(height, m.R) * m.C)),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t block = begin; block < end; ++block) {
                     const int64_t matrix = block / blocks, row = block % blocks * height;
                     body(block, matrix * m.R + row, std::min(height, m.R - row), matrix);
                   }
                 });
  };
  each_block([&](int64_t block, int64_t row, int64_t rows, int64_t) {
    f.rows(a, at(g, row * m.C), rows, m.C, at(r, row), at(sums, block * m.C));
  });
  parallel_for(
      m.count, grain_for(0.3 * static_cast<double>(blocks * m.C + m.R)), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          mean[i] =
              f.columns(a, at(sums, i * blocks * m.C), blocks, m.R, m.C, at(r, i * m.R), at(c, i * m.C));
        }
      });
  each_block([&](int64_t, int64_t row, int64_t rows, int64_t matrix) {
    f.outer(at(r, row), mean[matrix], at(c, matrix * m.C), rows, m.C, at(v, row * m.C));
  });
}

}  // namespace lamina
