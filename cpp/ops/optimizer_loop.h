// For kernels of optimiser updates: the gradient and parameter as a rule sees them, one vector at a time.
#pragma once

#include "ops/optimizer.h"
#include "simd/math.h"

namespace lamina {
namespace {

// Plain: gradients are neither scaled nor clipped, parameters do not decay.
template <class T, bool kPlain>
struct Scalars {
  explicit LAMINA_INLINE Scalars(const UpdateArgs& a)
      : decay(static_cast<T>(a.decay)), scale(static_cast<T>(a.scale)), clip(static_cast<T>(a.clip)) {}
  LAMINA_INLINE Vec<T> gradient(const T* g, int n) const {
    if constexpr (kPlain) return Vec<T>::load(g, n);
    return clamp(Vec<T>::load(g, n) * scale, -clip, clip);
  }
  LAMINA_INLINE Vec<T> decayed(const T* p, int n) const {
    const Vec<T> v = Vec<T>::load(p, n);
    return kPlain ? v : fnma(v, decay, v);
  }
  Vec<T> decay, scale, clip;
};

inline bool is_plain(const UpdateArgs& a) { return a.scale == 1 && a.decay == 0 && a.clip == kInfF; }

// The slots at the vector at hand.
template <class T>
struct Slots {
  LAMINA_INLINE Vec<T> load(int s) const { return Vec<T>::load(base[s] + i, n); }
  LAMINA_INLINE void store(int s, Vec<T> v) const { v.store(base[s] + i, n); }
  T* const* base;
  int64_t i;
  int n;
};

// body(offset, elements) for every vector of n, the last one partial.
template <class T, class Body>
LAMINA_INLINE void each_vector(int64_t n, Body body) {
  constexpr int kLanes = Vec<T>::kLanes;
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) body(i, kLanes);
  if (i < n) body(i, static_cast<int>(n - i));
}

// body(g, p, slots, offset, elements) for every vector.
template <class T, bool kPlain, class Body>
LAMINA_INLINE void each_update(const UpdateArgs& a, const void* g_, void* p_, void* const* s, int64_t n,
                               Body body) {
  const Scalars<T, kPlain> scalars(a);
  const T* g = static_cast<const T*>(g_);
  T* p = static_cast<T*>(p_);
  T* const base[3] = {static_cast<T*>(s[0]), static_cast<T*>(s[1]), static_cast<T*>(s[2])};
  each_vector<T>(
      n, [&](int64_t i, int k) __attribute__((always_inline)) {
        body(scalars.gradient(g + i, k), scalars.decayed(p + i, k), Slots<T>{base, i, k}, p + i, k);
      });
}

// p = rule(g, p, slots) for every element; Rule is made of UpdateArgs.
template <class T, class Rule, bool kPlain>
void update_loop(const UpdateArgs& a, const void* g_, void* p_, void* const* s_, int64_t n) {
  const Rule rule(a);
  each_update<T, kPlain>(
      a, g_, p_, s_,
      n, [&](Vec<T> g, Vec<T> p, const Slots<T>& s, T* to, int k) __attribute__((always_inline)) {
        rule(g, p, s).store(to, k);
      });
}

template <class T, class Rule>
LAMINA_INLINE void update(const UpdateArgs& a, const void* g, void* p, void* const* s, int64_t n) {
  (is_plain(a) ? update_loop<T, Rule, true> : update_loop<T, Rule, false>)(a, g, p, s, n);
}

}  // namespace
}  // namespace lamina
