// a * 2^n for rows without a scaling instruction.
#pragma once

namespace lamina {
namespace {

// 2^n is multiplied in as two halves, so that neither factor overflows and the last step underflows
// gradually. One rounding as long as the first product is normal: |a| near 1, as in exp, and n >= -240
// (float), -2040 (double).
LAMINA_INLINE RawF raw_scale(RawF a, RawF n) {
  const RawI k = raw_to_int(n);
  const RawI half = k >> 1;
  return (a * RawF((half + 127) << 23)) * RawF((k - half + 127) << 23);
}
LAMINA_INLINE RawD raw_scale(RawD a, RawD n) {
  const RawL k = raw_to_int(n);
  const RawL half = k >> 1;
  return (a * RawD((half + 1023) << 52)) * RawD((k - half + 1023) << 52);
}

}  // namespace
}  // namespace lamina
