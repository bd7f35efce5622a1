// Register tiles whose taps share what they load, see conv2d_rows.h.
#include "ops/conv2d_rows.h"

#include "ops/conv2d_tile.kernel.h"

namespace lamina {
namespace {

constexpr int kNv = 2;  // vectors per panel, as in conv2d_direct.kernel.cc

// Pixels of a tile, beside the filters of all taps and one broadcast.
constexpr int most_pixels(int taps) {
  const bool pays = kVecRegisters == 32 && (taps == 2 || taps == 3 || taps == 5);
  return pays ? (kVecRegisters - 1 - kNv * taps) / kNv : 0;
}

// R pieces of P pixels: of narrow ones two, or sums would wait for each other. `count` <= R are stored.
template <int KW, int R, int P>
void row_tile(const ConvRowBlock& s, int64_t first, int count) {
  constexpr int kLanes = VecF::kLanes, kNr = kNv * kLanes;
  const int64_t* starts = s.starts + first;
  const int64_t s1 = s.pixel, s3 = 3 * s1, s5 = 5 * s1, tap = s.kc * kNr;
  const int64_t next = R == 2 && count == 2 ? starts[1] - starts[0] : 0;
  const float *a = static_cast<const float*>(s.a), *b = static_cast<const float*>(s.b);
  // What the next pieces are the first to see: their last row of taps.
  const float* later = a + starts[count] + (s.tap_rows - 1) * s.tap_row;
  VecF acc[R * P][kNv];
  a += starts[0];
  for (int64_t r = 0; r < s.tap_rows; ++r, a += s.tap_row, b += (KW - 1) * tap) {
    for (int64_t k = 0; k < s.kc; ++k, b += kNr) {
      prefetch(later);
      if constexpr (R == 2) prefetch(later + next);
      later += s.stream;
      VecF w[KW][kNv];
#pragma GCC unroll 8
      for (int j = 0; j < KW; ++j) {
#pragma GCC unroll 2
        for (int v = 0; v < kNv; ++v) w[j][v] = VecF::load(b + j * tap + v * kLanes);
      }
      const float* piece = a + k;
#pragma GCC unroll 2
      for (int i = 0; i < R; ++i, piece += next) {
        const float* p = piece;
#pragma GCC unroll 16
        for (int q = 0; q < P + KW - 1; ++q) {
          const int m = q % 5;
          if (q > 0 && m == 0) {
            p += s5;
            asm("" : "+r"(p));  // else every fifth address gets a register of its own
          }
          const float* at = m == 0 ? p : m == 1 ? p + s1 : m == 2 ? p + 2 * s1 : m == 3 ? p + s3 : p + 4 * s1;
          const VecF x(*at);
#pragma GCC unroll 8
          for (int j = 0; j < KW; ++j) {
            if (q - j < 0 || q - j >= P) continue;
#pragma GCC unroll 2
            for (int v = 0; v < kNv; ++v) acc[i * P + q - j][v] = fma(x, w[j][v], acc[i * P + q - j][v]);
          }
        }
      }
    }
  }
  put_tile<float, kNv, R * P, P>(s.result, acc, count * P, [&](int i) __attribute__((always_inline)) {
    return s.outs[first + i / P] + i % P * s.out;
  });
}

template <int KW, int P>
void pieces(const ConvRowBlock& s) {
  constexpr int R = 2 * P <= most_pixels(KW) ? 2 : 1;
  for (int64_t i = 0; i < s.count; i += R) {
    row_tile<KW, R, P>(s, i, static_cast<int>(simd_min<int64_t>(R, s.count - i)));
  }
  if (s.result.past_caches) stream_fence();
}

template <int KW, int P = kLeastPiece>
void block_of(const ConvRowBlock& s) {
  if constexpr (P <= most_pixels(KW)) {
    if (s.width == P) return pieces<KW, P>(s);
    block_of<KW, P + 1>(s);
  }
}

void block(const ConvRowBlock& s) {
  if (s.taps == 2) return block_of<2>(s);
  if (s.taps == 3) return block_of<3>(s);
  block_of<5>(s);
}

}  // namespace

namespace LAMINA_ROW {
extern const ConvRowKernels conv_row_kernels;
const ConvRowKernels conv_row_kernels = {{0, 0, most_pixels(2), most_pixels(3), 0, most_pixels(5)}, block};
}  // namespace LAMINA_ROW
}  // namespace lamina
