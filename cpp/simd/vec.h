// SIMD vectors for kernels: Vec<T> and Mask<T> for T in {float, double, int32_t, int64_t}, one register each.
//
// Included only by *.kernel.cc files. The row macro (-DLAMINA_ROW_<row>) picks the register width and the
// header of primitives; everything lives in an anonymous namespace, so the rows of one kernel never share a
// symbol.
//
//   for (int64_t i = 0; i < n; i += VecF::kLanes) {
//     const int k = lanes_at<float>(n, i);                        // kLanes, or fewer at the end
//     max(VecF::load(x + i, k), 0.0f).store(y + i, k);            // scalars broadcast
//   }
//
// A new ISA is one header with the primitives of vec_portable.h (names raw_*) and one branch below.
#pragma once

#include <cstdint>

#define LAMINA_INLINE inline __attribute__((always_inline))

#if defined(LAMINA_ROW_avx512) || defined(LAMINA_ROW_avx512_bf16) || defined(LAMINA_ROW_amx)
#define LAMINA_VEC_BYTES 64
#elif defined(LAMINA_ROW_avx2)
#define LAMINA_VEC_BYTES 32
#else
#define LAMINA_VEC_BYTES 16
#endif
#if LAMINA_VEC_BYTES == 64 || defined(LAMINA_ROW_neon)
#define LAMINA_VEC_REGISTERS 32
#else
#define LAMINA_VEC_REGISTERS 16
#endif

namespace lamina {
namespace {

constexpr int kVecBytes = LAMINA_VEC_BYTES;
constexpr int kVecRegisters = LAMINA_VEC_REGISTERS;

using RawF = float __attribute__((vector_size(LAMINA_VEC_BYTES)));
using RawD = double __attribute__((vector_size(LAMINA_VEC_BYTES)));
using RawI = int32_t __attribute__((vector_size(LAMINA_VEC_BYTES)));
using RawL = int64_t __attribute__((vector_size(LAMINA_VEC_BYTES)));
using RawU32 = uint32_t __attribute__((vector_size(LAMINA_VEC_BYTES)));
using RawU64 = uint64_t __attribute__((vector_size(LAMINA_VEC_BYTES)));

// Raw: the register. Arith: the same lanes, of a type whose overflow wraps. Int: the integer of equal width.
template <class R, class A, class I>
struct VecTypes {
  using Raw = R;
  using Arith = A;
  using Int = I;
};
template <class T>
struct VecTraits;
template <>
struct VecTraits<float> : VecTypes<RawF, RawF, int32_t> {};
template <>
struct VecTraits<double> : VecTypes<RawD, RawD, int64_t> {};
template <>
struct VecTraits<int32_t> : VecTypes<RawI, RawU32, int32_t> {};
template <>
struct VecTraits<int64_t> : VecTypes<RawL, RawU64, int64_t> {};

template <class T>
constexpr bool kIsFloat = false;
template <>
constexpr bool kIsFloat<float> = true;
template <>
constexpr bool kIsFloat<double> = true;

}  // namespace
}  // namespace lamina

#if LAMINA_VEC_BYTES == 64
#include "vec_avx512.h"
#elif LAMINA_VEC_BYTES == 32
#include "vec_avx2.h"
#elif defined(LAMINA_ROW_neon)
#include "vec_neon.h"
#else
#include "vec_portable.h"
#endif

namespace lamina {
namespace {

// One truth value per lane of Vec<T>.
template <class T>
struct Mask {
  using Raw = MaskRaw<T>;
  Raw v;

  LAMINA_INLINE Mask(Raw raw) : v(raw) {}
  // The first n lanes, 0 <= n <= kLanes.
  static LAMINA_INLINE Mask first(int n) { return raw_first<T>(n); }

  friend LAMINA_INLINE Mask operator&(Mask a, Mask b) { return Raw(a.v & b.v); }
  friend LAMINA_INLINE Mask operator|(Mask a, Mask b) { return Raw(a.v | b.v); }
  friend LAMINA_INLINE Mask operator!(Mask a) { return Raw(~a.v); }
  friend LAMINA_INLINE bool any(Mask a) { return raw_any(a.v); }
  friend LAMINA_INLINE bool all(Mask a) { return !raw_any(Raw(~a.v)); }
};

template <class T>
struct Vec {
  using Raw = typename VecTraits<T>::Raw;
  using Arith = typename VecTraits<T>::Arith;
  using Int = typename VecTraits<T>::Int;
  using M = Mask<T>;
  static constexpr int kLanes = kVecBytes / static_cast<int>(sizeof(T));
  static constexpr bool kFloat = kIsFloat<T>;
  Raw v;

  LAMINA_INLINE Vec() : v{} {}
  LAMINA_INLINE Vec(T x) : v(raw_broadcast(x)) {}
  LAMINA_INLINE Vec(Raw raw) : v(raw) {}

  // Any alignment. With n (0 <= n <= kLanes) memory past p[n - 1] is never touched; lanes past n load as
  // zero.
  static LAMINA_INLINE Vec load(const T* p) {
    Vec r;
    __builtin_memcpy(&r.v, p, sizeof r.v);
    return r;
  }
  static LAMINA_INLINE Vec load(const T* p, int n) { return n == kLanes ? load(p) : Vec(raw_load(p, n)); }
  // p[0], p[stride], ...: n elements, stride in elements and of any sign.
  static LAMINA_INLINE Vec load_strided(const T* p, int64_t stride, int n = kLanes) {
    return raw_load_strided(p, stride, n);
  }
  // base[index[i]]; 64-bit types use the first kLanes lanes of index.
  static LAMINA_INLINE Vec gather(const T* base, Vec<int32_t> index) { return raw_gather(base, index.v); }
  static LAMINA_INLINE Vec iota() {
    constexpr T kIota[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    return load(kIota);
  }
  LAMINA_INLINE void store(T* p) const { __builtin_memcpy(p, &v, sizeof v); }
  LAMINA_INLINE void store(T* p, int n) const {
    if (n == kLanes) {
      store(p);
    } else {
      raw_store(p, v, n);
    }
  }
  LAMINA_INLINE T operator[](int i) const { return v[i]; }

  // Integer lanes wrap on overflow.
  friend LAMINA_INLINE Vec operator+(Vec a, Vec b) { return Raw(Arith(a.v) + Arith(b.v)); }
  friend LAMINA_INLINE Vec operator-(Vec a, Vec b) { return Raw(Arith(a.v) - Arith(b.v)); }
  friend LAMINA_INLINE Vec operator*(Vec a, Vec b) { return Raw(Arith(a.v) * Arith(b.v)); }
  friend LAMINA_INLINE Vec operator/(Vec a, Vec b) { return Raw(a.v / b.v); }
  friend LAMINA_INLINE Vec operator-(Vec a) { return Raw(-Arith(a.v)); }
  LAMINA_INLINE Vec& operator+=(Vec b) { return *this = *this + b; }
  LAMINA_INLINE Vec& operator-=(Vec b) { return *this = *this - b; }
  LAMINA_INLINE Vec& operator*=(Vec b) { return *this = *this * b; }
  LAMINA_INLINE Vec& operator/=(Vec b) { return *this = *this / b; }

  friend LAMINA_INLINE M operator<(Vec a, Vec b) { return raw_lt(a.v, b.v); }
  friend LAMINA_INLINE M operator<=(Vec a, Vec b) { return raw_le(a.v, b.v); }
  friend LAMINA_INLINE M operator>(Vec a, Vec b) { return raw_lt(b.v, a.v); }
  friend LAMINA_INLINE M operator>=(Vec a, Vec b) { return raw_le(b.v, a.v); }
  friend LAMINA_INLINE M operator==(Vec a, Vec b) { return raw_eq(a.v, b.v); }
  friend LAMINA_INLINE M operator!=(Vec a, Vec b) { return !M(raw_eq(a.v, b.v)); }
  friend LAMINA_INLINE Vec select(M m, Vec a, Vec b) { return raw_select(m.v, a.v, b.v); }  // m ? a : b

  // a < b ? a : b and a > b ? a : b: one instruction; a NaN in either gives b.
  friend LAMINA_INLINE Vec min_or_second(Vec a, Vec b) { return raw_min(a.v, b.v); }
  friend LAMINA_INLINE Vec max_or_second(Vec a, Vec b) { return raw_max(a.v, b.v); }
  // As NumPy's minimum and maximum: a NaN in either argument gives NaN.
  friend LAMINA_INLINE Vec min(Vec a, Vec b) {
    if constexpr (kFloat) return select(a != a, a, min_or_second(a, b));
    return min_or_second(a, b);
  }
  friend LAMINA_INLINE Vec max(Vec a, Vec b) {
    if constexpr (kFloat) return select(a != a, a, max_or_second(a, b));
    return max_or_second(a, b);
  }
  // min(max(x, lo), hi) for bounds that are not NaN; a NaN in x stays.
  friend LAMINA_INLINE Vec clamp(Vec x, Vec lo, Vec hi) { return min_or_second(hi, max_or_second(lo, x)); }
  friend LAMINA_INLINE Vec abs(Vec a) {
    if constexpr (kFloat) {
      return Raw(RawInt(a.v) & ~RawInt(sign_bit()));
    } else {
      return max(a, -a);
    }
  }

  // a * b + c and c - a * b: one rounding where the row has a fused multiply-add, two in the baseline.
  friend LAMINA_INLINE Vec fma(Vec a, Vec b, Vec c) requires kFloat { return raw_fma(a.v, b.v, c.v); }
  friend LAMINA_INLINE Vec fnma(Vec a, Vec b, Vec c) requires kFloat { return raw_fnma(a.v, b.v, c.v); }
  friend LAMINA_INLINE Vec sqrt(Vec a) requires kFloat { return raw_sqrt(a.v); }
  friend LAMINA_INLINE Vec round_even(Vec a) requires kFloat { return raw_round_even(a.v); }
  friend LAMINA_INLINE Vec floor(Vec a) requires kFloat { return raw_floor(a.v); }
  friend LAMINA_INLINE Vec copysign(Vec magnitude, Vec sign) requires kFloat {
    const RawInt s = RawInt(sign_bit());
    return Raw((RawInt(magnitude.v) & ~s) | (RawInt(sign.v) & s));
  }
  // a * 2^n for integral n, with gradual underflow; n within +-252 (float) or +-2044 (double).
  friend LAMINA_INLINE Vec scale_by_power(Vec a, Vec n) requires kFloat { return raw_scale(a.v, n.v); }

  friend LAMINA_INLINE Vec operator&(Vec a, Vec b) requires(!kFloat) { return Raw(a.v & b.v); }
  friend LAMINA_INLINE Vec operator|(Vec a, Vec b) requires(!kFloat) { return Raw(a.v | b.v); }
  friend LAMINA_INLINE Vec operator^(Vec a, Vec b) requires(!kFloat) { return Raw(a.v ^ b.v); }
  friend LAMINA_INLINE Vec operator~(Vec a) requires(!kFloat) { return Raw(~a.v); }
  // Shifts by 0 <= n < bits; >> keeps the sign, shift_right_logical fills with zeros.
  friend LAMINA_INLINE Vec operator<<(Vec a, int n) requires(!kFloat) { return Raw(Arith(a.v) << n); }
  friend LAMINA_INLINE Vec operator>>(Vec a, int n) requires(!kFloat) { return Raw(a.v >> n); }
  friend LAMINA_INLINE Vec shift_right_logical(Vec a, int n) requires(!kFloat) {
    return Raw(Arith(a.v) >> n);
  }

  // Trees of fixed order: halves, quarters, ... The bits depend on the row alone.
  friend LAMINA_INLINE T reduce_add(Vec a) {
    return reduce(
        a, [](Vec x, Vec y) __attribute__((always_inline)) { return x + y; });
  }
  friend LAMINA_INLINE T reduce_max(Vec a) {
    return reduce(
        a, [](Vec x, Vec y) __attribute__((always_inline)) { return max(x, y); });
  }
  friend LAMINA_INLINE T reduce_min(Vec a) {
    return reduce(
        a, [](Vec x, Vec y) __attribute__((always_inline)) { return min(x, y); });
  }
  // op must be commutative and associative up to rounding.
  template <class Op>
  static LAMINA_INLINE T reduce(Vec a, Op op) {
    if constexpr (kVecBytes >= 64) a = op(a, Vec(Raw(raw_swap<32>(RawI(a.v)))));
    if constexpr (kVecBytes >= 32) a = op(a, Vec(Raw(raw_swap<16>(RawI(a.v)))));
    a = op(a, Vec(Raw(raw_swap<8>(RawI(a.v)))));
    if constexpr (sizeof(T) == 4) a = op(a, Vec(Raw(raw_swap<4>(RawI(a.v)))));
    return a.v[0];
  }

 private:
  using RawInt = typename VecTraits<Int>::Raw;
  static LAMINA_INLINE Raw sign_bit() { return raw_broadcast(T(-0.0)); }
};

using VecF = Vec<float>;
using VecD = Vec<double>;
using VecI = Vec<int32_t>;
using VecL = Vec<int64_t>;

// The same bits as lanes of another type.
template <class To, class From>
LAMINA_INLINE Vec<To> bit_cast(Vec<From> a) {
  return typename Vec<To>::Raw(a.v);
}

// Round to nearest even; int32 for |x| < 2^31, int64 for |x| < 2^51. And back, exact for |x| <= 2^24 and
// 2^51.
LAMINA_INLINE VecI to_int(VecF a) { return raw_to_int(a.v); }
LAMINA_INLINE VecL to_int(VecD a) { return raw_to_int(a.v); }
LAMINA_INLINE VecF to_float(VecI a) { return raw_to_float(a.v); }
LAMINA_INLINE VecD to_float(VecL a) { return raw_to_float(a.v); }

// Unsigned 32 x 32 -> 64 bit products of the even lanes: lane i of the result is a[2 i] b[2 i].
LAMINA_INLINE VecL multiply_even(VecI a, VecI b) { return raw_multiply_even(a.v, b.v); }

// Lanes to process at position i of n: kLanes, or what is left.
template <class T>
LAMINA_INLINE int lanes_at(int64_t n, int64_t i) {
  return n - i < Vec<T>::kLanes ? static_cast<int>(n - i) : Vec<T>::kLanes;
}

// f(i, n) for every vector of [begin, end), n lanes from i: whole ones, then the tail by the same body.
template <class T, class F>
LAMINA_INLINE void along(int64_t begin, int64_t end, F f) {
  constexpr int kLanes = Vec<T>::kLanes;
  int64_t i = begin;
  for (; i + kLanes <= end; i += kLanes) f(i, kLanes);
  if (i < end) f(i, static_cast<int>(end - i));
}
template <class T, class F>
LAMINA_INLINE void along(int64_t n, F f) {
  along<T>(0, n, f);
}

// f of each lane, f a scalar function: for what has no vector form.
template <class T, class F>
LAMINA_INLINE Vec<T> map_lanes(Vec<T> a, F f) {
  T lanes[Vec<T>::kLanes];
  a.store(lanes);
  for (int i = 0; i < Vec<T>::kLanes; ++i) lanes[i] = f(lanes[i]);
  return Vec<T>::load(lanes);
}

// bfloat16 (the upper half of a float) and IEEE half in memory, float in registers. Stores round to nearest
// even and keep NaN a quiet NaN.
LAMINA_INLINE VecF load_bf16(const uint16_t* p, int n = VecF::kLanes) {
  return bit_cast<float>(VecI(raw_load_u16(p, n)) << 16);
}
LAMINA_INLINE void store_bf16(uint16_t* p, VecF a, int n = VecF::kLanes) {
  const VecI bits = bit_cast<int32_t>(a);
  const VecI rounded = bits + 0x7fff + (shift_right_logical(bits, 16) & 1);
  const VecI quiet = bits | 0x00400000;
  const VecF r = select(a != a, bit_cast<float>(quiet), bit_cast<float>(rounded));
  raw_store_u16(p, shift_right_logical(bit_cast<int32_t>(r), 16).v, n);
}
LAMINA_INLINE VecF load_f16(const uint16_t* p, int n = VecF::kLanes) { return raw_load_f16(p, n); }
LAMINA_INLINE void store_f16(uint16_t* p, VecF a, int n = VecF::kLanes) { raw_store_f16(p, a.v, n); }

// Asks for the cache line of p, for reading, into all levels.
LAMINA_INLINE void prefetch(const void* p) { __builtin_prefetch(p, 0, 3); }
LAMINA_INLINE void prefetch_far(const void* p) { __builtin_prefetch(p, 0, 2); }  // not to the first cache
// The same for the line of element i where a line begins at it: once for the vectors that share one. The
// address may lie anywhere.
template <class T>
LAMINA_INLINE void prefetch_line(const T* p, int64_t i) {
  constexpr int64_t kLine = 64 / sizeof(T);
  if (kVecBytes == 64 || i % kLine == 0) prefetch(p + i);
}

// Elements ahead of the one at hand that loops over flat arrays ask for: a kilobyte. What comes from the
// third cache level takes longer than the processor sees ahead in a loop of many operations.
template <class T>
constexpr int64_t kFlatAhead = 1024 / sizeof(T);

// Scalar minimum and maximum, in place of <algorithm>'s.
template <class T>
LAMINA_INLINE T simd_min(T a, T b) {
  return b < a ? b : a;
}
template <class T>
LAMINA_INLINE T simd_max(T a, T b) {
  return a < b ? b : a;
}

}  // namespace
}  // namespace lamina
