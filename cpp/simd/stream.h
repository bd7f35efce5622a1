// Stores past the caches: for results larger than any cache, whose lines need not be read before they are
// written.
#pragma once

#include "vec.h"

namespace lamina {
namespace {

// p is a multiple of the register's size; neighbouring stores fill lines of 64 bytes. Other threads see them
// after stream_fence(). Registers of 16 bytes, a quarter of a line, are stored as usual.
LAMINA_INLINE void stream(float* p, Vec<float> x) {
#if LAMINA_VEC_BYTES == 64
  _mm512_stream_ps(p, x.v);
#elif LAMINA_VEC_BYTES == 32
  _mm256_stream_ps(p, x.v);
#else
  x.store(p);
#endif
}

LAMINA_INLINE void stream_fence() {
#if LAMINA_VEC_BYTES >= 32
  _mm_sfence();
#endif
}

}  // namespace
}  // namespace lamina
