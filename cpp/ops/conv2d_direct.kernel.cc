// Register tiles of convolution: MR rows x NV vectors of accumulators over `depth` products, see
// conv2d_direct.h.
#include "ops/conv2d_direct.h"

#include "ops/conv2d_tile.kernel.h"

namespace lamina {
namespace {

constexpr int kNv = 2;  // vectors per panel
// Pixels (or taps) per tile: 28 + 2 + 1 of 32 registers, or 12 + 2 + 1 of 16.
constexpr int kMrTwo = kVecRegisters == 32 ? 14 : 6;
// Where each has an address of its own: of one vector as many as x86 has registers for addresses, since a
// second load for each would take as long as the products.
template <int NV>
constexpr int kMr = NV == 1 && kVecBytes == 64 ? 9 : kMrTwo;
// Where one address serves all.
template <int NV>
constexpr int kMrDense = NV == 1 && kVecRegisters == 16 ? 12 : kMrTwo;
constexpr int kMrSmall = kVecRegisters == 32 ? 6 : 3;  // for what is left over

// The address of pixel i of a tile: anywhere, or at equal distances from three registers.
template <class T, int MR, bool kEven>
struct TileRows {
  int64_t rows[kEven ? 1 : MR], step = 0;

  LAMINA_INLINE TileRows(const int64_t* pixels, int count) {
    if constexpr (kEven) {
      rows[0] = pixels[0];
      step = pixels[1] - pixels[0];
    } else {
      for (int i = 0; i < MR; ++i) rows[i] = pixels[i < count ? i : count - 1];  // computed, not stored
    }
  }
};

// acc[i][v] += sum_k a[rows[i] + k] * b[k][v], k < depth
template <class T, int NV, int MR, bool kEven, bool kStream>
LAMINA_INLINE void multiply(const T* a, const TileRows<T, MR, kEven>& tile, int64_t depth, const T* b,
                            const T*& later, int64_t later_step, Vec<T> (&acc)[MR][NV]) {
  constexpr int kLanes = Vec<T>::kLanes;
  const int64_t s1 = tile.step, s3 = 3 * s1, s5 = 5 * s1, s10 = 10 * s1;
  if constexpr (kEven) a += tile.rows[0];
  for (const T* end = a + depth; a < end; ++a) {
    const T *p5 = a + s5, *p10 = a + s10;
    if constexpr (kEven) asm("" : "+r"(p5), "+r"(p10));  // else every row gets an addition of its own
    if constexpr (kStream) {
      prefetch(later);
      later += later_step;
    }
    Vec<T> bk[NV];
#pragma GCC unroll 2
    for (int v = 0; v < NV; ++v) bk[v] = Vec<T>::load(b + v * kLanes);
    b += kNv * kLanes;
#pragma GCC unroll 14
    for (int i = 0; i < MR; ++i) {
      const T* at = a;
      if constexpr (kEven) {
        const T* base = i < 5 ? a : i < 10 ? p5 : p10;
        const int j = i % 5;
        at = j == 0 ? base : j == 1 ? base + s1 : j == 2 ? base + 2 * s1 : j == 3 ? base + s3 : base + 4 * s1;
      } else {
        at = a + tile.rows[i];
      }
      const Vec<T> x(*at);
#pragma GCC unroll 2
      for (int v = 0; v < NV; ++v) acc[i][v] = fma(x, bk[v], acc[i][v]);
    }
  }
}

// `count` = MR or MR - 1 pixels.
template <class T, int NV, int MR, bool kEven, bool kStream = false>
void pixel_tile(const ConvBlock& s, int64_t first, int count) {
  constexpr int kLanes = Vec<T>::kLanes;
  const T *a = static_cast<const T*>(s.a), *b = static_cast<const T*>(s.b);
  const TileRows<T, MR, kEven> rows(s.pixels + first, count);
  // What the next tile is the first to see: at its last tap.
  const int64_t last_k = s.runs.first + (s.runs.count - 1) * s.runs.step + s.runs.length - 1;
  const T* later = kStream ? a + s.pixels[first + MR] + s.taps[last_k] : nullptr;
  Vec<T> acc[MR][NV];
  for (int64_t r = 0; r < s.runs.count; ++r) {
    const int64_t begin = s.runs.first + r * s.runs.step, end = begin + s.runs.length;
    for (int64_t k = begin; k < end; k += s.segment) {
      multiply<T, NV, MR, kEven, kStream>(a + s.taps[k], rows, s.segment, b + k * kNv * kLanes, later,
                                          s.stream, acc);
    }
  }
  put_tile<T, NV, MR, MR - 1>(s.result, acc, count, [&](int i) { return s.outs[first + i]; });
}

// The pixels left, at most MR, in the smallest tile that holds them.
template <class T, int NV, int MR>
LAMINA_INLINE void pixels_left(const ConvBlock& s, int64_t first, int left) {
  if constexpr (MR > 2) {
    if (left < MR - 1) return pixels_left<T, NV, MR - 2>(s, first, left);
  }
  pixel_tile<T, NV, MR, false>(s, first, left);
}

LAMINA_INLINE bool evenly_spaced(const int64_t* pixels, int n) {
  const int64_t step = pixels[1] - pixels[0];
  int64_t off = 0;
  for (int i = 2; i < n; ++i) off |= (pixels[i] - pixels[i - 1]) ^ step;
  return off == 0;
}

template <class T, int NV>
LAMINA_INLINE void full_tile(const ConvBlock& s, int64_t i) {
  constexpr int kMost = kMr<NV>;
  if constexpr (kMost > 9) {
    if (evenly_spaced(s.pixels + i, kMost)) {
      if (s.stream > 0) return pixel_tile<T, NV, kMost, true, true>(s, i, kMost);
      return pixel_tile<T, NV, kMost, true, false>(s, i, kMost);
    }
  }
  // Where tiles are small, for one tap alone: asking costs as much as the products.
  constexpr int64_t kLeast = kMost > 9 ? 1 : 64 / sizeof(T);
  if (s.stream >= kLeast) return pixel_tile<T, NV, kMost, false, true>(s, i, kMost);
  pixel_tile<T, NV, kMost, false, false>(s, i, kMost);
}

template <class T, int NV>
void block(const ConvBlock& s) {
  constexpr int kMost = kMr<NV>;
  for (int64_t i = 0; i < s.count;) {
    const int64_t left = s.count - i;
    if (left < 2 * kMost && left != kMost) {  // the last two about equal: tiles of two pixels wait for sums
      const int n = static_cast<int>(left <= kMost ? left : (left + 1) / 2);
      pixels_left<T, NV, kMost>(s, i, n);
      i += n;
      continue;
    }
    full_tile<T, NV>(s, i);
    i += kMost;
  }
  if (s.result.past_caches) stream_fence();
}

template <class T, int NV>
void pack_grad(const ConvGradPack& s) {
  constexpr int kLanes = Vec<T>::kLanes;
  T* db = static_cast<T*>(s.db);
  const int last = s.n - (NV - 1) * kLanes;
  Vec<T> sum[NV];
  const auto run = [&](auto f, int last) __attribute__((always_inline)) {
    const T *dy = static_cast<const T*>(s.dy), *y = static_cast<const T*>(s.y);
    T *dz = static_cast<T*>(s.dz), *packed = static_cast<T*>(s.packed);
    for (int64_t i = 0; i < s.count; ++i) {
#pragma GCC unroll 2
      for (int v = 0; v < NV; ++v) {
        const int lanes = v + 1 < NV ? kLanes : last;
        const int64_t at = s.outs[i] + v * kLanes;
        Vec<T> d = Vec<T>::load(dy + at, lanes);
        if constexpr (f.value != Activation::none) {
          d = activate_grad<f.value>(d, Vec<T>::load(y + at, lanes));
          if (dz != nullptr) d.store(dz + at, lanes);
        }
        d.store(packed + (i * kNv + v) * kLanes);
        sum[v] += d;
      }
    }
  };
  with_activation(s.activation, [&](auto f) {
    if constexpr (f.value == Activation::none || f.value == Activation::relu) {
      if (last == kLanes) return run(f, kLanes);
    }
    run(f, last);
  });
  for (int v = 0; db != nullptr && v < NV; ++v) {
    const int lanes = v + 1 < NV ? kLanes : last;
    (Vec<T>::load(db + v * kLanes, lanes) + sum[v]).store(db + v * kLanes, lanes);
  }
}

// dw[k][f] (+)= sum_m a[pixels[m] + taps[k]] dz[rows[m] + f] for `count` <= MR products k; dense: from k on.
template <class T, int NV, int MR, bool kDense, bool kInOrder = false>
void weight_tile(const ConvWeightBlock& s, const int64_t* k, int count) {
  constexpr int kLanes = Vec<T>::kLanes;
  const int last = s.n - (NV - 1) * kLanes;
  const T* a = static_cast<const T*>(s.a) + (kDense ? s.taps[k[0]] : 0);
  const T* dz = static_cast<const T*>(s.dz);
  T* dw = static_cast<T*>(s.dw);
  int64_t from[MR], out[MR];
  for (int i = 0; i < MR; ++i) {  // rows past count repeat the last one and are not stored
    const int64_t at = kDense ? k[0] + (i < count ? i : count - 1) : k[i < count ? i : count - 1];
    from[i] = kDense ? 0 : s.taps[at];
    out[i] = at * s.dw_row;
    if (s.add) {
      for (int v = 0; v < NV; ++v) prefetch(dw + out[i] + v * kLanes);
    }
  }
  // Dense rows past count: what follows in the source may lie outside of it.
  const int over = kDense && count < MR ? 1 : 0;
  Vec<T> acc[MR][NV];
  const int64_t *pixels = s.pixels, *rows = s.rows;
  for (int64_t m = 0; m < s.count; ++m) {
    const T* p = a + pixels[m];
    const T* b = dz + (kInOrder ? m * kNv * kLanes : rows[m]);
    asm("" : "+r"(p), "+r"(b));        // one register each: else every row gets an addition of its own
    if constexpr (kDense && MR > 6) {  // of fewer each takes longer than the products
      const T* later = a + pixels[m + kConvAhead];
      prefetch(later);
      prefetch(later + MR - 1);  // mostly in another line
    }
    Vec<T> bm[NV];
#pragma GCC unroll 2
    for (int v = 0; v < NV; ++v) bm[v] = Vec<T>::load(b + v * kLanes);
#pragma GCC unroll 14
    for (int i = 0; i < MR; ++i) {
      const Vec<T> x(kDense ? (i + 1 < MR ? p[i] : p[i - over]) : p[from[i]]);
#pragma GCC unroll 2
      for (int v = 0; v < NV; ++v) acc[i][v] = fma(x, bm[v], acc[i][v]);
    }
  }
  const auto store = [&](bool add, int last) __attribute__((always_inline)) {
#pragma GCC unroll 14
    for (int i = 0; i < MR; ++i) {
      if (i >= count) break;
#pragma GCC unroll 2
      for (int v = 0; v < NV; ++v) {
        const int lanes = v + 1 < NV ? kLanes : last;
        T* to = dw + out[i] + v * kLanes;
        (add ? Vec<T>::load(to, lanes) + acc[i][v] : acc[i][v]).store(to, lanes);
      }
    }
  };
  if (last < kLanes) return store(s.add, last);
  s.add ? store(true, kLanes) : store(false, kLanes);
}

// The products k .. k + left of a run, left < MR + 2, in one tile.
template <class T, int NV, int MR>
LAMINA_INLINE void weight_rest(const ConvWeightBlock& s, int64_t k, int left) {
  if (left >= MR - 1) return weight_tile<T, NV, MR, true>(s, &k, left);
  if constexpr (MR > 2) weight_rest<T, NV, MR - 2>(s, k, left);
}

template <class T, int NV>
void weight_dense(const ConvWeightBlock& s) {
  constexpr int kMost = kMrDense<NV>;
  for (int64_t r = 0; r < s.runs.count; ++r) {
    int64_t k = s.runs.first + r * s.runs.step;
    const int64_t end = k + s.runs.length;
    for (; end - k >= kMost; k += kMost) {
      if (s.in_order) {
        weight_tile<T, NV, kMost, true, true>(s, &k, kMost);
      } else {
        weight_tile<T, NV, kMost, true, false>(s, &k, kMost);
      }
    }
    if (k < end) weight_rest<T, NV, kMost>(s, k, static_cast<int>(end - k));
  }
}

// Tiles go on from one run into the next.
template <class T, int NV>
void weight_sparse(const ConvWeightBlock& s) {
  int64_t k[kMr<NV>];
  const int64_t depth = s.runs.count * s.runs.length;
  int64_t run = 0, at = 0;
  for (int64_t j = 0; j < depth;) {
    const int count = static_cast<int>(simd_min<int64_t>(kMr<NV>, depth - j));
    for (int i = 0; i < count; ++i) {
      k[i] = s.runs.first + run * s.runs.step + at;
      if (++at < s.runs.length) continue;
      at = 0;
      ++run;
    }
    j += count;
    if (count > kMrSmall) {
      weight_tile<T, NV, kMr<NV>, false>(s, k, count);
    } else {
      weight_tile<T, NV, kMrSmall, false>(s, k, count);
    }
  }
}

template <class T>
void any_block(const ConvBlock& s) {
  s.result.n <= Vec<T>::kLanes ? block<T, 1>(s) : block<T, 2>(s);
}
template <class T>
void any_pack_grad(const ConvGradPack& s) {
  s.n <= Vec<T>::kLanes ? pack_grad<T, 1>(s) : pack_grad<T, 2>(s);
}
template <class T>
void any_weight(const ConvWeightBlock& s) {
  if (s.dense) return s.n <= Vec<T>::kLanes ? weight_dense<T, 1>(s) : weight_dense<T, 2>(s);
  s.n <= Vec<T>::kLanes ? weight_sparse<T, 1>(s) : weight_sparse<T, 2>(s);
}

}  // namespace

namespace LAMINA_ROW {
extern const ConvKernels conv_kernels;
const ConvKernels conv_kernels = {kNv * VecF::kLanes, kNv* VecD::kLanes,    any_block<float>,
                                  any_block<double>,  any_pack_grad<float>, any_pack_grad<double>,
                                  any_weight<float>,  any_weight<double>};
}  // namespace LAMINA_ROW
}  // namespace lamina
