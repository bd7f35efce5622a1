// Products C [m, n] (+)= A B whose B is packed once and multiplied with several A: float32 by parts where
// gemm_split.h has it that way, else in fma. For ops that go through blocks or steps; sizes as in gemm.h.
// Columns are split over threads, or stay in the caller that is a chunk of a parallel_for. Bits depend on the
// sizes alone.
#pragma once

#include <cstddef>

#include "ops/gemm.h"
#include "ops/gemm_split.h"

namespace lamina {

class GemmPacked {
 public:
  GemmPacked() = default;
  // g.m: rows of most of the products to come; decides on the way, as all of g. k, n > 0.
  explicit GemmPacked(const GemmArgs& g) : GemmPacked(g, gemm_splits(g)) {}
  // By parts or not; `splits` only where gemm_split_prepacks.
  GemmPacked(const GemmArgs& g, bool splits);

  size_t bytes() const { return bytes_; }  // of a packed B of g.k by g.n
  bool splits() const { return splits_; }
  // Packs B of k by n, at most those of the constructor.
  void pack(const void* b, int64_t k, int64_t n, void* packed);
  // The parts of the B packed last; null where it is not in parts, or has elements that must not be split.
  const uint16_t* parts() const;
  // With the B packed last.
  void multiply(const void* a, int64_t m, bool accumulate, void* c) const;

 private:
  GemmArgs g_;
  bool splits_ = false;  // else fma
  size_t bytes_ = 0;
  const void* b_ = nullptr;
  void* packed_ = nullptr;
};

}  // namespace lamina
