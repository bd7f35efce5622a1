// Counter-based random numbers: Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy
// as 1, 2, 3", SC 2011). A draw is a pure function of (seed, stream, counter, element): nothing depends on
// threads, order or instruction set.
//
// Everything is `static inline` over plain data, so that kernels may include it without emitting weak
// symbols.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

namespace lamina {

// The four words of one Philox block. 32-bit draws: element e is word e % 4 of block e / 4. 64-bit draws:
// element e is words 2 (e % 2) (low half) and 2 (e % 2) + 1 (high half) of block e / 2.
struct Bits128 {
  uint32_t word[4];
};

// The bijection itself: ten rounds over a 128-bit counter under a 64-bit key.
static inline Bits128 philox4x32(Bits128 counter, uint32_t key0, uint32_t key1) {
  uint32_t* c = counter.word;
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53u} * c[0];
    const uint64_t p1 = uint64_t{0xCD9E8D57u} * c[2];
    const uint32_t c1 = c[1], c3 = c[3];
    c[0] = static_cast<uint32_t>(p1 >> 32) ^ c1 ^ key0;
    c[1] = static_cast<uint32_t>(p1);
    c[2] = static_cast<uint32_t>(p0 >> 32) ^ c3 ^ key1;
    c[3] = static_cast<uint32_t>(p0);
    key0 += 0x9E3779B9u;  // golden ratio
    key1 += 0xBB67AE85u;  // sqrt(3) - 1
  }
  return counter;
}

// Block number `block` of the draw (seed, stream, counter). The key is the seed; the 128-bit counter is laid
// out as
//   bits   0..47 block     48..95 counter     96..127 stream
// so block and counter must stay below 2^48 (2.8e14): higher bits would be dropped.
static inline Bits128 philox(uint64_t seed, uint32_t stream, uint64_t counter, uint64_t block) {
  const Bits128 c = {{static_cast<uint32_t>(block),
                      static_cast<uint32_t>((block >> 32 & 0xFFFF) | (counter & 0xFFFF) << 16),
                      static_cast<uint32_t>(counter >> 16), stream}};
  return philox4x32(c, static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32));
}

// The 64-bit draw made of words 2 half and 2 half + 1 of a block; half is 0 or 1.
static inline uint64_t bits64(const Bits128& b, int half) {
  return b.word[2 * half] | uint64_t{b.word[2 * half + 1]} << 32;
}

// [0, 1) with 24 and 53 random bits: every value is exact.
static inline float uniform_float(uint32_t bits) { return static_cast<float>(bits >> 8) * 0x1p-24f; }
static inline double uniform_double(uint64_t bits) { return static_cast<double>(bits >> 11) * 0x1p-53; }

// [0, range), range >= 1: high half of the product (Lemire, "Fast random integer generation in an interval",
// 2019) without rejection; no value's probability is off by more than 2^-64.
static inline uint64_t uniform_below(uint64_t bits, uint64_t range) {
  __extension__ using Wide = unsigned __int128;
  return static_cast<uint64_t>(Wide{bits} * range >> 64);
}

// log(u) for u in (0, 1], relative error below 1e-15. With u = m 2^e, m in [sqrt(1/2), sqrt(2)):
// log u = e log 2 + 2 atanh((m - 1) / (m + 1)), by the odd series of atanh.
static inline double log_unit(double u) {
  const uint64_t bits = std::bit_cast<uint64_t>(u);
  // The threshold on the mantissa bits is sqrt(2): above it the exponent goes up by one and m is halved.
  const uint64_t up = (bits & 0xFFFFFFFFFFFFFu) >= 0x6A09E667F3BCDu;
  const double e = static_cast<double>(static_cast<int64_t>((bits >> 52) + up) - 1023);
  const double m = std::bit_cast<double>((bits & 0xFFFFFFFFFFFFFu) | (0x3FFu - up) << 52);
  const double s = (m - 1) / (m + 1), t = s * s;
  double p = 1.0 / 23;
  for (int k = 21; k >= 3; k -= 2) p = p * t + 1.0 / k;
  return e * 0.69314718055994530942 + 2 * (s + s * t * p);
}

struct NormalPair {
  double z0, z1;
};

// Two independent standard normals (Box and Muller, 1958): sqrt(-2 log u1) (cos, sin)(2 pi u2), u1 in (0, 1],
// u2 in [0, 1). Uses + - * / and sqrt only, so that without contraction the bits are those of any IEEE
// machine.
static inline NormalPair box_muller(double u1, double u2) {
  const double radius = std::sqrt(-2 * log_unit(u1));
  const int quarter = static_cast<int>(4 * u2 + 0.5);            // nearest multiple of a quarter turn
  const double x = (u2 - 0.25 * quarter) * 6.28318530717958648;  // [-pi/4, pi/4]
  const double t = x * x;
  double s = 1, c = 1;  // Taylor, nested: 1 - t/(2*3) (1 - t/(4*5) (...)) and 1 - t/(1*2) (1 - t/(3*4) (...))
  for (int k = 16; k >= 2; k -= 2) {
    s = 1 - s * t / (k * (k + 1));
    c = 1 - c * t / (k * (k - 1));
  }
  s *= x;
  const double cos_turn = quarter & 1 ? -s : c, sin_turn = quarter & 1 ? c : s;
  const double sign = quarter & 2 ? -radius : radius;
  return {sign * cos_turn, sign * sin_turn};
}

// Two float32 normals from two words. (a + 1/2) 2^-32 never is 0 or 1: |z| <= 6.77.
static inline NormalPair normal_pair(uint32_t a, uint32_t b) {
  return box_muller((a + 0.5) * 0x1p-32, b * 0x1p-32);
}

// Two float64 normals from two 64-bit draws: |z| <= 8.58.
static inline NormalPair normal_pair(uint64_t a, uint64_t b) {
  return box_muller(1 - uniform_double(a), uniform_double(b));
}

}  // namespace lamina
