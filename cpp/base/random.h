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

// log(u) for normal u in (0, 1], relative error below 1e-15. With u = m 2^e, m in [sqrt(1/2), sqrt(2)):
// log u = e log 2 + 2 atanh((m - 1) / (m + 1)), by the odd series of atanh.
static inline double log_unit(double u) {
  const uint64_t bits = std::bit_cast<uint64_t>(u);
  // The threshold on the mantissa bits is sqrt(2): adding what it lacks to 2^52 carries into the exponent.
  const uint64_t up = ((bits & 0xFFFFFFFFFFFFFu) + (0x10000000000000u - 0x6A09E667F3BCDu)) >> 52;
  // 2^52 + n is n in the low bits of a double, for n below 2^52.
  const double e = std::bit_cast<double>(((bits >> 52) + up) | 0x4330000000000000u) - (0x1p52 + 1023);
  const double m = std::bit_cast<double>((bits & 0xFFFFFFFFFFFFFu) | (0x3FFu - up) << 52);
  const double s = (m - 1) / (m + 1), t = s * s;
  constexpr double kOdd[] = {1.0 / 21, 1.0 / 19, 1.0 / 17, 1.0 / 15, 1.0 / 13,
                             1.0 / 11, 1.0 / 9,  1.0 / 7,  1.0 / 5,  1.0 / 3};
  double p = 1.0 / 23;
  for (double c : kOdd) p = p * t + c;
  return e * 0.69314718055994530942 + 2 * (s + s * t * p);
}

struct NormalPair {
  double z0, z1;
};

// Two independent standard normals (Box and Muller, 1958): sqrt(-2 log u1) (cos, sin)(2 pi u2), u1 in (0, 1],
// u2 in [0, 1). Uses + - * / and sqrt and operations on bits only: without contraction the bits are those of
// any IEEE machine, and a loop over it becomes one over vectors.
static inline NormalPair box_muller(double u1, double u2) {
  const double radius = std::sqrt(-2 * log_unit(u1));
  const double shifted = 4 * u2 + 0x1p52;  // the nearest multiple of a quarter turn, in the low bits
  const uint64_t quarter = std::bit_cast<uint64_t>(shifted);
  const double x = (u2 - 0.25 * (shifted - 0x1p52)) * 6.28318530717958648;  // [-pi/4, pi/4]
  const double t = x * x;
  // Taylor, nested: 1 - t/(2*3) (1 - t/(4*5) (...)) and 1 - t/(1*2) (1 - t/(3*4) (...)), k from 16 down.
  constexpr double kSin[] = {1.0 / (16 * 17), 1.0 / (14 * 15), 1.0 / (12 * 13), 1.0 / (10 * 11),
                             1.0 / (8 * 9),   1.0 / (6 * 7),   1.0 / (4 * 5),   1.0 / (2 * 3)};
  constexpr double kCos[] = {1.0 / (16 * 15), 1.0 / (14 * 13), 1.0 / (12 * 11), 1.0 / (10 * 9),
                             1.0 / (8 * 7),   1.0 / (6 * 5),   1.0 / (4 * 3),   1.0 / (2 * 1)};
  double s = 1, c = 1;
  for (int k = 0; k < 8; ++k) {
    s = 1 - s * (t * kSin[k]);
    c = 1 - c * (t * kCos[k]);
  }
  s *= x;
  // A quarter turn: (c, s) to (-s, c); half of one changes both signs.
  const uint64_t odd = -(quarter & 1), half = (quarter & 2) << 62;
  const uint64_t sine = std::bit_cast<uint64_t>(s), cosine = std::bit_cast<uint64_t>(c);
  const uint64_t minus_sine = sine ^ uint64_t { 1 } << 63;
  const double z0 = std::bit_cast<double>(((minus_sine & odd) | (cosine & ~odd)) ^ half);
  const double z1 = std::bit_cast<double>(((cosine & odd) | (sine & ~odd)) ^ half);
  return {radius * z0, radius * z1};
}

// Box and Muller's two numbers of two float32 normals from two words: (a + 1/2) 2^-32 never is 0 or 1, |z|
// <= 6.77.
static inline void normal_uniforms(uint32_t a, uint32_t b, double* u1, double* u2) {
  *u1 = (a + 0.5) * 0x1p-32, *u2 = b * 0x1p-32;
}
// Of two float64 normals from two 64-bit draws: |z| <= 8.58.
static inline void normal_uniforms(uint64_t a, uint64_t b, double* u1, double* u2) {
  *u1 = 1 - uniform_double(a), *u2 = uniform_double(b);
}

template <class Word>
static inline NormalPair normal_pair(Word a, Word b) {
  double u1, u2;
  normal_uniforms(a, b, &u1, &u2);
  return box_muller(u1, u2);
}

}  // namespace lamina
