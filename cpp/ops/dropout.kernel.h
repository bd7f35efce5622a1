// Philox run on a vector of blocks at once: lane i of c0 .. c3 holds the words of block i. For kernels that
// drop.
#pragma once

#include "ops/dropout.h"
#include "simd/vec.h"

namespace lamina {
namespace {

constexpr int kDrawBlocks = kDropoutBlock / 4;

struct Product {
  VecI high, low;
};

// All lanes of a * b as unsigned, in halves: even and odd lanes are multiplied apart.
LAMINA_INLINE Product multiply(VecI a, VecI b) {
  const VecL low_half(0xffffffff);
  const VecL even = multiply_even(a, b);
  const VecL odd = multiply_even(bit_cast<int32_t>(shift_right_logical(bit_cast<int64_t>(a), 32)), b);
  return {bit_cast<int32_t>(shift_right_logical(even, 32) | (odd & ~low_half)),
          bit_cast<int32_t>((even & low_half) | (odd << 32))};
}

// The draws of kDrawBlocks consecutive blocks in element order, the same words as philox() of base/random.h.
// Several vectors of blocks go through each round together, to hide the latency of the products.
LAMINA_INLINE void draws(const int64_t* state, uint64_t first, uint32_t* bits) {
  constexpr int kVectors = kDrawBlocks / VecI::kLanes;
  const uint64_t seed = static_cast<uint64_t>(state[0]), counter = static_cast<uint64_t>(state[2]);
  // first is a multiple of kDrawBlocks, so that adding a lane number to its low word never carries.
  VecI c0[kVectors], c1[kVectors], c2[kVectors], c3[kVectors];
  for (int v = 0; v < kVectors; ++v) {
    c0[v] = VecI(static_cast<int32_t>(first + v * VecI::kLanes)) + VecI::iota();
    c1[v] = VecI(static_cast<int32_t>((first >> 32 & 0xFFFF) | (counter & 0xFFFF) << 16));
    c2[v] = VecI(static_cast<int32_t>(counter >> 16));
    c3[v] = VecI(static_cast<int32_t>(state[1]));
  }
  uint32_t key0 = static_cast<uint32_t>(seed), key1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      const Product p0 = multiply(c0[v], static_cast<int32_t>(0xD2511F53u));
      const Product p1 = multiply(c2[v], static_cast<int32_t>(0xCD9E8D57u));
      c0[v] = p1.high ^ c1[v] ^ VecI(static_cast<int32_t>(key0));
      c1[v] = p1.low;
      c2[v] = p0.high ^ c3[v] ^ VecI(static_cast<int32_t>(key1));
      c3[v] = p0.low;
    }
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  int32_t words[4][kDrawBlocks];
  for (int v = 0; v < kVectors; ++v) {
    c0[v].store(words[0] + v * VecI::kLanes);
    c1[v].store(words[1] + v * VecI::kLanes);
    c2[v].store(words[2] + v * VecI::kLanes);
    c3[v].store(words[3] + v * VecI::kLanes);
  }
#pragma GCC unroll 1
  for (int i = 0; i < kDrawBlocks; ++i) {
    for (int w = 0; w < 4; ++w) bits[4 * i + w] = static_cast<uint32_t>(words[w][i]);
  }
}

}  // namespace
}  // namespace lamina
