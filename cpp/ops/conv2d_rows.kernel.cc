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
  const int64_t s1 = s.pixel, s3 = 3 * s1, tap = s.kc * kNr;
  const int left = s.left, end = P + KW - 1 - s.right;
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
          const int m = q % 3;
          if (q > 0 && m == 0) {
            p += s3;
            asm("" : "+r"(p));  // else every address gets a register of its own
          }
          if (q < KW - 1 && q < left) continue;  // outside the image
          if (q >= P && q >= end) continue;
          const VecF x(p[m * s1]);
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
  put_tile<float, kNv, R * P, P>(
      s.result, acc,
      count * P, [&](int i) __attribute__((always_inline)) { return s.outs[first + i / P] + i % P * s.out; });
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

constexpr int64_t kAhead = 8;  // pixels of the source that memory is asked for ahead

// CH channels of all taps of a row, see conv2d_rows.h.
template <int KW, int CH>
void weight_tile(const ConvRowWeights& s, int64_t channel) {
  constexpr int kLanes = VecF::kLanes, kNr = kNv * kLanes;
  const int last = s.n - (kNv - 1) * kLanes;
  float* dw = static_cast<float*>(s.dw) + channel * s.dw_row;
  if (s.add) {
    for (int j = 0; j < KW; ++j) {
      for (int i = 0; i < CH; ++i) {
        for (int v = 0; v < kNv; ++v) prefetch(dw + j * s.dw_tap + i * s.dw_row + v * kLanes);
      }
    }
  }
  const int64_t step = s.pixel, ahead = kAhead * step;
  VecF acc[KW][CH][kNv];
  for (int64_t r = 0; r < s.count; ++r) {
    const float* x = static_cast<const float*>(s.a) + s.rows[r] + channel;
    const float* dz = static_cast<const float*>(s.dz) + s.outs[r];
    VecF z[KW][kNv];  // of the output that tap j of column t sees, t - j
    const auto next = [&]() __attribute__((always_inline)) {
#pragma GCC unroll 8
      for (int j = KW - 1; j > 0; --j) {
#pragma GCC unroll 2
        for (int v = 0; v < kNv; ++v) z[j][v] = z[j - 1][v];
      }
    };
    const auto load = [&]() __attribute__((always_inline)) {
#pragma GCC unroll 2
      for (int v = 0; v < kNv; ++v) z[0][v] = VecF::load(dz + v * kLanes);
      dz += kNr;
    };
    // One column of the source, and the taps [low, high] of it that outputs see.
    const auto column = [&](int low, int high) __attribute__((always_inline)) {
      prefetch(x + ahead);
#pragma GCC unroll 4
      for (int i = 0; i < CH; ++i) {
        const VecF value(x[i]);
#pragma GCC unroll 8
        for (int j = 0; j < KW; ++j) {
          if (j < low || j > high) continue;
#pragma GCC unroll 2
          for (int v = 0; v < kNv; ++v) acc[j][i][v] = fma(value, z[j][v], acc[j][i][v]);
        }
      }
      x += step;
    };
      // Columns t of the padded source; t < left and t >= left + w are padding.
#pragma GCC unroll 8
    for (int t = 0; t < KW - 1; ++t) {
      next();
      load();
      if (t >= s.left) column(0, t);
    }
    int64_t t = s.ow - KW + 1;
    do {
      next();
      load();
      column(0, KW - 1);
    } while (--t > 0);
    const int64_t end = s.left + s.w - s.ow;
#pragma GCC unroll 8
    for (int e = 0; e < KW - 1; ++e) {
      next();
      if (e < end) column(e + 1, KW - 1);
    }
  }
#pragma GCC unroll 8
  for (int j = 0; j < KW; ++j) {
#pragma GCC unroll 4
    for (int i = 0; i < CH; ++i) {
#pragma GCC unroll 2
      for (int v = 0; v < kNv; ++v) {
        const int lanes = v + 1 < kNv ? kLanes : last;
        float* to = dw + j * s.dw_tap + i * s.dw_row + v * kLanes;
        (s.add ? VecF::load(to, lanes) + acc[j][i][v] : acc[j][i][v]).store(to, lanes);
      }
    }
  }
}

template <int KW, int CH>
LAMINA_INLINE void weight_of(const ConvRowWeights& s) {
  int64_t k = 0;
  for (; k + CH <= s.channels; k += CH) weight_tile<KW, CH>(s, k);
  if constexpr (CH > 2) {
    if (s.channels - k == 3) return weight_tile<KW, 3>(s, k);  // an image's
  }
  for (; k < s.channels; ++k) weight_tile<KW, 1>(s, k);
}

void weight(const ConvRowWeights& s) {
  if constexpr (most_pixels(3) > 0) s.taps == 3 ? weight_of<3, 4>(s) : weight_of<5, 2>(s);
}

}  // namespace

namespace LAMINA_ROW {
extern const ConvRowKernels conv_row_kernels;
const ConvRowKernels conv_row_kernels = {
    {0, 0, most_pixels(2), most_pixels(3), 0, most_pixels(5)}, block, weight};
}  // namespace LAMINA_ROW
}  // namespace lamina
