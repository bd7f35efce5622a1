// y = kept ? x * scale : 0, with Philox run on kLanes blocks side by side: c[w][i] is word w of block i.
#include "ops/dropout.h"

#include "simd/vec.h"

namespace lamina {
namespace {

constexpr int kBlocks = kDropoutBlock / 4;

// The 64 draws of kBlocks consecutive blocks, in element order; the same words as philox() of base/random.h. The loops
// over blocks stay rolled so that the compiler vectorises them (32 x 32 -> 64 bit products).
LAMINA_INLINE void draws(const int64_t* state, uint64_t first, uint32_t* bits) {
  const uint64_t seed = static_cast<uint64_t>(state[0]), counter = static_cast<uint64_t>(state[2]);
  uint32_t c0[kBlocks], c1[kBlocks], c2[kBlocks], c3[kBlocks];
#pragma GCC unroll 1
  for (int i = 0; i < kBlocks; ++i) {
    const uint64_t block = first + i;
    c0[i] = static_cast<uint32_t>(block);
    c1[i] = static_cast<uint32_t>((block >> 32 & 0xFFFF) | (counter & 0xFFFF) << 16);
    c2[i] = static_cast<uint32_t>(counter >> 16);
    c3[i] = static_cast<uint32_t>(state[1]);
  }
  uint32_t key0 = static_cast<uint32_t>(seed), key1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
#pragma GCC unroll 1
  for (int i = 0; i < kBlocks; ++i) {
      const uint64_t p0 = uint64_t{0xD2511F53u} * c0[i], p1 = uint64_t{0xCD9E8D57u} * c2[i];
      c0[i] = static_cast<uint32_t>(p1 >> 32) ^ c1[i] ^ key0;
      c1[i] = static_cast<uint32_t>(p1);
      c2[i] = static_cast<uint32_t>(p0 >> 32) ^ c3[i] ^ key1;
      c3[i] = static_cast<uint32_t>(p0);
    }
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
#pragma GCC unroll 1
  for (int i = 0; i < kBlocks; ++i) {
    bits[4 * i] = c0[i];
    bits[4 * i + 1] = c1[i];
    bits[4 * i + 2] = c2[i];
    bits[4 * i + 3] = c3[i];
  }
}

template <class T>
void dropout(const void* x_, void* y_, int64_t begin, int64_t end, const int64_t* state, uint32_t last,
             double scale_) {
  const T* x = static_cast<const T*>(x_);
  T* y = static_cast<T*>(y_);
  const T scale = static_cast<T>(scale_);
  for (int64_t at = begin; at < end; at += kDropoutBlock) {
    uint32_t bits[kDropoutBlock];
    draws(state, static_cast<uint64_t>(at) / 4, bits);
    const int64_t n = end - at < kDropoutBlock ? end - at : kDropoutBlock;
    for (int64_t i = 0; i < n; ++i) y[at + i] = bits[i] <= last ? x[at + i] * scale : T(0);
  }
}

}  // namespace

namespace LAMINA_ROW {
extern const DropoutKernels dropout_kernels;
const DropoutKernels dropout_kernels = {dropout<float>, dropout<double>};
}  // namespace LAMINA_ROW
}  // namespace lamina
