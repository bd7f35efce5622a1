// float32 <-> float16 and bfloat16, round to nearest even; NaN stays a (quiet) NaN.
#pragma once

#include <bit>
#include <cstdint>

#include "base/dtype.h"

namespace lamina {

inline float to_float(BFloat16 v) { return std::bit_cast<float>(uint32_t{v.bits} << 16); }

inline BFloat16 to_bfloat16(float v) {
  const uint32_t u = std::bit_cast<uint32_t>(v);
  if (v != v) return {static_cast<uint16_t>((u >> 16) | 0x40)};
  return {static_cast<uint16_t>((u + 0x7fff + ((u >> 16) & 1)) >> 16)};
}

// binary16: sign 1, exponent 5 (bias 15), fraction 10.
inline float to_float(Float16 v) {
  const uint32_t sign = uint32_t{v.bits} >> 15 << 31, exponent = v.bits >> 10 & 31, fraction = v.bits & 1023;
  if (exponent == 0) {  // zero and subnormals: fraction * 2^-24
    const float magnitude = static_cast<float>(fraction) * 0x1p-24f;
    return sign ? -magnitude : magnitude;
  }
  const uint32_t biased = exponent == 31 ? 255 : exponent + 112;
  const uint32_t quiet = exponent == 31 && fraction ? 0x400000 : 0;
  return std::bit_cast<float>(sign | biased << 23 | quiet | fraction << 13);
}

inline Float16 to_float16(float v) {
  const uint32_t u = std::bit_cast<uint32_t>(v), sign = u >> 16 & 0x8000, a = u & 0x7fffffff;
  if (a > 0x7f800000) return {static_cast<uint16_t>(sign | 0x7e00)};
  if (a >= 0x477ff000) return {static_cast<uint16_t>(sign | 0x7c00)};  // rounds to 2^16 or more
  if (a < 0x38800000) {                                                // below 2^-14: in units of 2^-24
    const float scaled = std::bit_cast<float>(a) * 0x1p24f;
    const float magic = 0x1p23f;  // adding it rounds to an integer, half to even
    return {static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(scaled + magic) & 0x7ff))};
  }
  const uint32_t rounded = a + 0xfff + (a >> 13 & 1);
  return {static_cast<uint16_t>(sign | (rounded - 0x38000000) >> 13)};
}

}  // namespace lamina
