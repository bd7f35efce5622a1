#include "ops/attention.h"

#include "ops/attention.kernel.h"
#include "simd/math.h"

namespace lamina {
namespace {

LAMINA_INLINE void ask_ahead(const AttentionBlock& b, int64_t i) {
  for (const AttentionBlock::Ahead& a : b.ahead) {
    for (int64_t r = i * a.each; r < simd_min(a.rows, (i + 1) * a.each); ++r) {
      for (int64_t at = 0; at < a.bytes; at += 64) __builtin_prefetch(a.data + r * a.row + at, 0, 2);
    }
  }
}

template <class T>
void weights(const AttentionBlock& b, void* scores, int64_t row, void* maximum_, void* sum_,
             void* correction_) {
  using V = Vec<T>;
  T *s = static_cast<T*>(scores), *maximum = static_cast<T*>(maximum_), *sum = static_cast<T*>(sum_),
    *correction = static_cast<T*>(correction_);
  alignas(64) T added[kAttentionQueries], keep[kAttentionLongKeys];
  const bool plain = b.plain() && b.scale > 0;
  const T unseen = static_cast<T>(kUnseen);
  for (int64_t i = 0; i < b.rows; ++i, s += row) {
    ask_ahead(b, i);
    V scale(plain ? static_cast<T>(b.scale) : T(1));
    if (!plain) prepare(b, i, s);
    const V peaks = fold<T, PeakFold>(
        b.keys, [&](int64_t j, int k) __attribute__((always_inline)) {
          return keep_first(V::load(s + j, k), k, V(kLowest<T>));
        });
    const T before = maximum[i], peak = simd_max(unseen, reduce_max(peaks * scale)),
            top = simd_max(before, peak);
    if (plain && peak == unseen) {  // all are -infinity or NaN, which prepare tells apart
      prepare(b, i, s);
      scale = V(T(1));
    }
    if (b.state) draw_row(b, i, keep);
    const V shift(-top);
    const auto weight = [&](int64_t j, int k) __attribute__((always_inline)) {
      const V p = exp(fma(V::load(s + j, k), scale, shift));
      (b.state ? p * V::load(keep + j) : p).store(s + j, k);
      return keep_first(p, k, V(0));
    };
    added[i] = reduce_add(fold<T, AddFold>(b.keys, weight));
    maximum[i] = top;
    correction[i] = before - top;
  }
  along<T>(b.rows, [&](int64_t i, int k) {
    const V factor = exp(V::load(correction + i, k));
    factor.store(correction + i, k);
    fma(V::load(sum + i, k), factor, V::load(added + i, k)).store(sum + i, k);
  });
}

template <class T>
void rescale(void* o, int64_t row, int64_t rows, int64_t size, const void* factor) {
  using V = Vec<T>;
  for (int64_t i = 0; i < rows; ++i) {
    const T f = static_cast<const T*>(factor)[i];
    if (f == T(1)) continue;
    T* y = static_cast<T*>(o) + i * row;
    along<T>(size, [&](int64_t j, int k) { (V::load(y + j, k) * V(f)).store(y + j, k); });
  }
}

template <class T>
void finish(void* o, int64_t row, int64_t rows, int64_t size, const void* maximum, const void* sum, void* lse,
            bool zero_unseen) {
  using V = Vec<T>;
  const T *top = static_cast<const T*>(maximum), *total = static_cast<const T*>(sum);
  for (int64_t i = 0; i < rows; ++i) {
    T* y = static_cast<T*>(o) + i * row;
    const bool zero = zero_unseen && top[i] <= static_cast<T>(kUnseen) && total[i] >= 0;  // NaN stays
    const V by(T(1) / total[i]);
    along<T>(size, [&](int64_t j, int k) { (zero ? V(0) : V::load(y + j, k) * by).store(y + j, k); });
  }
  const V unseen(static_cast<T>(kUnseen));
  along<T>(rows, [&](int64_t i, int k) {
    const V m = V::load(top + i, k), t = V::load(total + i, k), all = m + log(t);
    select((m <= unseen) & (t >= V(T(0))), V(kLowest<T>), all).store(static_cast<T*>(lse) + i, k);
  });
}

template <class T>
void delta(const void* dy, int64_t dy_row, const void* y, int64_t y_row, int64_t rows, int64_t size,
           void* delta) {
  using V = Vec<T>;
  constexpr int64_t kRowsAhead = 8, kLine = 64 / sizeof(T);
  for (int64_t i = 0; i < rows; ++i) {
    const T *a = static_cast<const T*>(dy) + i * dy_row, *b = static_cast<const T*>(y) + i * y_row;
    for (int64_t j = 0; j < size; j += kLine) {
      prefetch(a + kRowsAhead * dy_row + j);
      prefetch(b + kRowsAhead * y_row + j);
    }
    static_cast<T*>(delta)[i] = reduce_add(fold<T, AddFold>(
        size, [&](int64_t j, int k)
                  __attribute__((always_inline)) { return V::load(a + j, k) * V::load(b + j, k); }));
  }
}

template <class T>
void grad(const AttentionBlock& b, void* scores, void* dp_, int64_t row, const void* lse_, const void* delta_,
          double unseen, void* dbias_, int64_t dbias_row) {
  using V = Vec<T>;
  T *s = static_cast<T*>(scores), *dp = static_cast<T*>(dp_), *dbias = static_cast<T*>(dbias_);
  const T *lse = static_cast<const T*>(lse_), *delta = static_cast<const T*>(delta_);
  alignas(64) T keep[kAttentionLongKeys];
  const bool plain = b.plain();
  const V scale(plain ? static_cast<T>(b.scale) : T(1)), out(static_cast<T>(b.scale));
  for (int64_t i = 0; i < b.rows; ++i, s += row, dp += row) {
    ask_ahead(b, i);
    if (b.state) draw_row(b, i, keep);
    const bool sees = lse[i] != kLowest<T>;
    if (sees && !plain) prepare(b, i, s);
    const V shift(-lse[i]), center(delta[i]), alike(static_cast<T>(unseen));
    along<T>(
        b.keys, [&](int64_t j, int k) __attribute__((always_inline)) {
          const V p = sees ? exp(fma(V::load(s + j, k), scale, shift)) : alike;
          V d = V::load(dp + j, k), kept = p;
          if (b.state) {
            const V by = V::load(keep + j);
            kept = p * by;
            d *= by;
          }
          d = sees ? p * (d - center) : V(0);
          kept.store(s + j, k);
          (d * out).store(dp + j, k);
          if (dbias) d.store(dbias + i * dbias_row + j, k);
        });
  }
}

template <class T>
constexpr AttentionKernels::Table kTable = {weights<T>, rescale<T>, finish<T>, delta<T>, grad<T>};

}  // namespace

namespace LAMINA_ROW {
extern const AttentionKernels attention_kernels;
const AttentionKernels attention_kernels = {kTable<float>, kTable<double>};
}  // namespace LAMINA_ROW
}  // namespace lamina
