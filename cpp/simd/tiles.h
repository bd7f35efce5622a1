// AMX tiles: eight registers of 16 rows of 64 bytes. Only for kernels of the row amx.
//
//   const TileScope scope;              // configures all tiles as 16 x 64 bytes; releases them at its end
//   tile_zero<0>();
//   tile_load<1>(a);                    // [16][32] bfloat16
//   tile_load<2>(b);                    // [16][16][2] bfloat16: row p holds b[k = 2p], b[k = 2p + 1] side by
//   side tile_dot_bf16<0, 1, 2>();           // float32 C[i][j] += sum_k a[i][k] b[k][j] tile_store<0>(c);
//
// A product of two bfloat16 is exact in float32. tile_dot_bf16 adds the even and the odd k of a tile in a
// chain of fma each, then both sums to C; denormals count as zero (Intel SDM volume 2, TDPBF16PS). The order
// of k within a tile is free as long as both operands have the same.
#pragma once

#include <cstdint>

#include "simd/vec.h"

namespace lamina {
namespace {

constexpr int kTileRows = 16;
constexpr int kTileBytes = 1024;

class TileScope {
 public:
  LAMINA_INLINE TileScope() {
    struct alignas(64) {
      uint8_t palette = 1, start_row = 0, reserved[14] = {};
      uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
      uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
    } config;
    __asm__ volatile("ldtilecfg %0" ::"m"(config));
  }
  LAMINA_INLINE ~TileScope() { __asm__ volatile("tilerelease" ::: "memory"); }
  TileScope(const TileScope&) = delete;
  TileScope& operator=(const TileScope&) = delete;
};

template <int t>
LAMINA_INLINE void tile_zero() {
  __asm__ volatile("tilezero %%tmm%c0" ::"i"(t));
}
// step: bytes from one row to the next.
template <int t>
LAMINA_INLINE void tile_load(const void* p, int64_t step = 64) {
  __asm__ volatile("tileloadd (%1,%2,1), %%tmm%c0" ::"i"(t), "r"(p), "r"(step) : "memory");
}
// For what is read once and should leave the first cache to others.
template <int t>
LAMINA_INLINE void tile_stream(const void* p, int64_t step = 64) {
  __asm__ volatile("tileloaddt1 (%1,%2,1), %%tmm%c0" ::"i"(t), "r"(p), "r"(step) : "memory");
}
template <int t>
LAMINA_INLINE void tile_store(void* p, int64_t step = 64) {
  __asm__ volatile("tilestored %%tmm%c0, (%1,%2,1)" ::"i"(t), "r"(p), "r"(step) : "memory");
}
template <int c, int a, int b>
LAMINA_INLINE void tile_dot_bf16() {
  __asm__ volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(c), "i"(a), "i"(b));
}
// int32 C[i][j] += sum_k a[i][k] b[k][j] modulo 2^32, a [16][64] and b [16][16][4] int8.
template <int c, int a, int b>
LAMINA_INLINE void tile_dot_int8() {
  __asm__ volatile("tdpbssd %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(c), "i"(a), "i"(b));
}

// As store_bf16 in one instruction; denormals become zero.
LAMINA_INLINE void store_rounded(uint16_t* p, VecF a, int n) {
  _mm256_mask_storeu_epi16(p, static_cast<__mmask16>(raw_first<float>(n)),
                           __m256i(_mm512_cvtneps_pbh(__m512(a.v))));
}

// Pairs (p[i], q[i]) for i = 0 .. 15 and for 16 .. 31.
LAMINA_INLINE void interleave_u16(const uint16_t* p, const uint16_t* q, VecI& low, VecI& high) {
  const __m512i first = _mm512_set_epi16(47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8, 39, 7,
                                         38, 6, 37, 5, 36, 4, 35, 3, 34, 2, 33, 1, 32, 0);
  const __m512i second = _mm512_add_epi16(first, _mm512_set1_epi16(16));
  const __m512i a = _mm512_loadu_si512(p), b = _mm512_loadu_si512(q);
  low = RawI(_mm512_permutex2var_epi16(a, first, b));
  high = RawI(_mm512_permutex2var_epi16(a, second, b));
}

// n <= 16 bytes as the low bytes of words.
LAMINA_INLINE VecI load_bytes(const int8_t* p, int n) {
  return RawI(_mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(raw_first<int32_t>(n), p)));
}

// The upper halves of a and b side by side, b above: shifted and merged in one instruction.
LAMINA_INLINE VecI upper_halves(VecI a, VecI b) {
  const __m512i down = _mm512_set4_epi32(0x0f0e, 0x0b0a, 0x0706, 0x0302);  // bytes 2 and 3 to 0 and 1
  return RawI(_mm512_mask_shuffle_epi8(__m512i(b.v), 0x3333333333333333, __m512i(a.v), down));
}

}  // namespace
}  // namespace lamina
