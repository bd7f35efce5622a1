#include "ops/gemm_dots.h"

#include "simd/transpose.h"
#include "simd/vec.h"

namespace lamina {
namespace {

// The sums of kLanes vectors as one vector, in order. Each round halves the number of vectors: after it, v[i]
// holds what is left of v[i] and v[i + half] in turn.
template <class T>
LAMINA_INLINE Vec<T> sums_of(Vec<T>* v) {
  constexpr int kLanes = Vec<T>::kLanes;
#pragma GCC unroll 4
  for (int half = kLanes / 2; half > 0; half /= 2) {
#pragma GCC unroll 8
    for (int i = 0; i < half; ++i) {
      Vec<T> low, high;
      interleave(v[i], v[i + half], low, high, std::make_integer_sequence<int, kLanes>());
      v[i] = low + high;
    }
  }
  return v[0];
}

// F of the few by G = kLanes / F of the many: kLanes sums, which become one vector.
template <class T, int F>
void dots_of(const GemmDots& g) {
  using V = Vec<T>;
  constexpr int kLanes = V::kLanes, G = kLanes / F;
  const T *few = static_cast<const T*>(g.few), *many = static_cast<const T*>(g.many);
  for (int64_t j = 0; j < g.num_many; j += G) {
    const int64_t last_j = simd_min<int64_t>(G, g.num_many - j) - 1;
    const T* y[G];  // past the last: the last again
#pragma GCC unroll 16
    for (int s = 0; s < G; ++s) y[s] = many + (j + simd_min<int64_t>(s, last_j)) * g.many_row;
    for (int64_t i = 0; i < g.num_few; i += F) {
      const int64_t last_i = simd_min<int64_t>(F, g.num_few - i) - 1;
      const T* x[F];
#pragma GCC unroll 4
      for (int r = 0; r < F; ++r) x[r] = few + (i + simd_min<int64_t>(r, last_i)) * g.few_row;
      V sum[kLanes];
      const bool asks = g.far && i == 0;
      const auto add = [&](int64_t k, int lanes) __attribute__((always_inline)) {
        V of_x[F];
#pragma GCC unroll 4
        for (int r = 0; r < F; ++r) of_x[r] = V::load(x[r] + k, lanes);
#pragma GCC unroll 16
        for (int s = 0; s < G; ++s) {
          const V of_y = V::load(y[s] + k, lanes);
          if (asks) prefetch(y[s] + G * g.many_row + k);  // where this row's prefetcher does not go
#pragma GCC unroll 4
          for (int r = 0; r < F; ++r) sum[r * G + s] = fma(of_x[r], of_y, sum[r * G + s]);
        }
      };
      int64_t k = 0;
      for (; k + kLanes <= g.k; k += kLanes) add(k, kLanes);
      if (k < g.k) add(k, static_cast<int>(g.k - k));
      T out[kLanes];
      sums_of(sum).store(out);
      T* c = static_cast<T*>(g.c) + i * g.c_few + j * g.c_many;
      if (last_i == F - 1 && last_j == G - 1 && g.c_many == 1 && !g.accumulate) {
#pragma GCC unroll 4
        for (int r = 0; r < F; ++r) __builtin_memcpy(c + r * g.c_few, out + r * G, G * sizeof(T));
        continue;
      }
      for (int64_t r = 0; r <= last_i; ++r) {
        for (int64_t s = 0; s <= last_j; ++s) {
          T& to = c[r * g.c_few + s * g.c_many];
          to = g.accumulate ? to + out[r * G + s] : out[r * G + s];
        }
      }
    }
  }
}

// One row with many that come from beyond the caches: kStreams of them at a time, each asked for kFar bytes
// ahead, so that reads wait for each other less and prefetchers have few streams to follow.
template <class T>
void dots_far(const GemmDots& g) {
  using V = Vec<T>;
  constexpr int kLanes = V::kLanes, kStreams = kLanes < 4 ? kLanes : 4;
  constexpr int64_t kFar = 512 / sizeof(T), kLine = 64 / sizeof(T);
  const T *few = static_cast<const T*>(g.few), *many = static_cast<const T*>(g.many);
  for (int64_t j = 0; j < g.num_many; j += kLanes) {
    V sum[kLanes];
    const int count = lanes_at<T>(g.num_many, j);
#pragma GCC unroll 4
    for (int q = 0; q < kLanes; q += kStreams) {
      const T* y[kStreams];
#pragma GCC unroll 4
      for (int s = 0; s < kStreams; ++s) y[s] = many + (j + simd_min(q + s, count - 1)) * g.many_row;
      V of_q[kStreams];
      int64_t k = 0;
      for (; k + kLine <= g.k; k += kLine) {
        const int64_t ahead = k + kFar < g.k ? k + kFar : kStreams * g.many_row + k + kFar - g.k;
#pragma GCC unroll 4
        for (int s = 0; s < kStreams; ++s) {
          prefetch(y[s] + ahead);
#pragma GCC unroll 4
          for (int64_t i = k; i < k + kLine; i += kLanes) {
            of_q[s] = fma(V::load(few + i), V::load(y[s] + i), of_q[s]);
          }
        }
      }
      for (; k < g.k; k += kLanes) {
        const int lanes = lanes_at<T>(g.k, k);
#pragma GCC unroll 4
        for (int s = 0; s < kStreams; ++s) {
          of_q[s] = fma(V::load(few + k, lanes), V::load(y[s] + k, lanes), of_q[s]);
        }
      }
#pragma GCC unroll 4
      for (int s = 0; s < kStreams; ++s) sum[q + s] = of_q[s];
    }
    T out[kLanes];
    sums_of(sum).store(out);
    T* c = static_cast<T*>(g.c) + j * g.c_many;
    for (int s = 0; s < count; ++s) {
      T& to = c[s * g.c_many];
      to = g.accumulate ? to + out[s] : out[s];
    }
  }
}

template <class T>
void dots(const GemmDots& g) {
  if (g.num_few == 1 && g.far) return dots_far<T>(g);
  if (g.num_few == 1) return dots_of<T, 1>(g);
  if constexpr (Vec<T>::kLanes >= 4) {
    if (g.num_few > 2) return dots_of<T, 4>(g);
  }
  dots_of<T, 2>(g);
}

}  // namespace

namespace LAMINA_ROW {
extern const GemmDotsKernels gemm_dots_kernels;
const GemmDotsKernels gemm_dots_kernels = {dots<float>, dots<double>};
}  // namespace LAMINA_ROW
}  // namespace lamina
