#include "test_simd.h"

#include "simd/math.h"
#include "simd/vec.h"

namespace lamina {
namespace {

#define LAMINA_CASE(name, expression)                         \
  {                                                           \
    name, [](const T* pa, const T* pb, const T* pc, T* out) { \
      [[maybe_unused]] const V a = V::load(pa);               \
      [[maybe_unused]] const V b = V::load(pb);               \
      [[maybe_unused]] const V c = V::load(pc);               \
      const V r = expression;                                 \
      r.store(out);                                           \
    }                                                         \
  }
#define LAMINA_COMMON_CASES                                                                                  \
  LAMINA_CASE("broadcast", V(pa[0])), LAMINA_CASE("zero", V()), LAMINA_CASE("iota", V::iota()),              \
      LAMINA_CASE("add", a + b), LAMINA_CASE("sub", a - b), LAMINA_CASE("mul", a* b),                        \
      LAMINA_CASE("neg", -a), LAMINA_CASE("min", min(a, b)), LAMINA_CASE("max", max(a, b)),                  \
      LAMINA_CASE("min_or_second", min_or_second(a, b)), LAMINA_CASE("max_or_second", max_or_second(a, b)),  \
      LAMINA_CASE("clamp", clamp(a, T(-2), T(3))), LAMINA_CASE("abs", abs(a)),                               \
      LAMINA_CASE("lt", select(a < b, V(1), V(0))), LAMINA_CASE("le", select(a <= b, V(1), V(0))),           \
      LAMINA_CASE("gt", select(a > b, V(1), V(0))), LAMINA_CASE("ge", select(a >= b, V(1), V(0))),           \
      LAMINA_CASE("eq", select(a == b, V(1), V(0))), LAMINA_CASE("ne", select(a != b, V(1), V(0))),          \
      LAMINA_CASE("select", select(a < b, b, c)), LAMINA_CASE("and", select((a < b) & (b < c), V(1), V(0))), \
      LAMINA_CASE("or", select((a < b) | (b < c), V(1), V(0))),                                              \
      LAMINA_CASE("not", select(!(a < b), V(1), V(0)))

template <class T>
struct Cases {
  using V = Vec<T>;
  static constexpr VecCase<T> kList[] = {
      LAMINA_COMMON_CASES,          LAMINA_CASE("bit_and", a& b),
      LAMINA_CASE("bit_or", a | b), LAMINA_CASE("bit_xor", a ^ b),
      LAMINA_CASE("bit_not", ~a),   LAMINA_CASE("shl", a << 5),
      LAMINA_CASE("shr", a >> 5),   LAMINA_CASE("shr_logical", shift_right_logical(a, 5)),
  };
};
template <class T>
requires kIsFloat<T>
struct Cases<T> {
  using V = Vec<T>;
  static LAMINA_INLINE V power(V b) { return select(b == b, clamp(round_even(b), T(-160), T(160)), V(0)); }
  static constexpr VecCase<T> kList[] = {
      LAMINA_COMMON_CASES,
      LAMINA_CASE("div", a / b),
      LAMINA_CASE("fma", fma(a, b, c)),
      LAMINA_CASE("fnma", fnma(a, b, c)),
      LAMINA_CASE("sqrt", sqrt(a)),
      LAMINA_CASE("round_even", round_even(a)),
      LAMINA_CASE("floor", floor(a)),
      LAMINA_CASE("copysign", copysign(a, b)),
      LAMINA_CASE("scale_by_power", scale_by_power(a, power(b))),
      LAMINA_CASE("bit_cast", bit_cast<T>(bit_cast<typename V::Int>(a))),
      LAMINA_CASE("map_lanes", map_lanes(a, [](T v) { return v + T(1); })),
  };
};

template <class T>
constexpr VecTests<T> vec_tests() {
  using V = Vec<T>;
  return {
      .lanes = V::kLanes,
      .cases = Cases<T>::kList,
      .num_cases = sizeof(Cases<T>::kList) / sizeof(VecCase<T>),
      .load = [](const T* p, int n, T* out) { V::load(p, n).store(out); },
      .store = [](const T* full, T* p, int n) { V::load(full).store(p, n); },
      .load_strided = [](const T* p, int64_t stride, int n,
                         T* out) { V::load_strided(p, stride, n).store(out); },
      .gather = [](const T* base, const int32_t* index,
                   T* out) { V::gather(base, VecI::load(index)).store(out); },
      .first = [](int n, T* out) { select(Mask<T>::first(n), V(1), V(0)).store(out); },
      .any_less = [](const T* a, const T* b) { return any(V::load(a) < V::load(b)); },
      .all_less = [](const T* a, const T* b) { return all(V::load(a) < V::load(b)); },
      .reduce_add = [](const T* a) { return reduce_add(V::load(a)); },
      .reduce_max = [](const T* a) { return reduce_max(V::load(a)); },
      .reduce_min = [](const T* a) { return reduce_min(V::load(a)); },
  };
}

#define LAMINA_LOOP(name, T)                          \
  [](const T* x, T* y, int64_t n) {                   \
    for (int64_t i = 0; i < n; i += Vec<T>::kLanes) { \
      const int k = lanes_at<T>(n, i);                \
      name(Vec<T>::load(x + i, k)).store(y + i, k);   \
    }                                                 \
  }
#define LAMINA_MATH(name) \
  { #name, LAMINA_LOOP(name, float), LAMINA_LOOP(name, double) }

constexpr SimdTests::Math kMath[] = {
    LAMINA_MATH(exp),  LAMINA_MATH(expm1),   LAMINA_MATH(log),      LAMINA_MATH(log1p),
    LAMINA_MATH(tanh), LAMINA_MATH(sigmoid), LAMINA_MATH(softplus), LAMINA_MATH(erf),
};

// Lambdas in the initialiser of an exported object would be weak symbols; here they are internal.
constexpr SimdTests kTests = {
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
    .fused = true,
#else
    .fused = false,
#endif
    .f32 = vec_tests<float>(),
    .f64 = vec_tests<double>(),
    .i32 = vec_tests<int32_t>(),
    .i64 = vec_tests<int64_t>(),
    .to_int32 = [](const float* a, int32_t* out) { to_int(VecF::load(a)).store(out); },
    .to_int64 = [](const double* a, int64_t* out) { to_int(VecD::load(a)).store(out); },
    .to_float32 = [](const int32_t* a, float* out) { to_float(VecI::load(a)).store(out); },
    .to_float64 = [](const int64_t* a, double* out) { to_float(VecL::load(a)).store(out); },
    .load_bf16 = [](const uint16_t* p, int n, float* out) { load_bf16(p, n).store(out); },
    .store_bf16 = [](const float* full, uint16_t* p, int n) { store_bf16(p, VecF::load(full), n); },
    .load_f16 = [](const uint16_t* p, int n, float* out) { load_f16(p, n).store(out); },
    .store_f16 = [](const float* full, uint16_t* p, int n) { store_f16(p, VecF::load(full), n); },
    .math = kMath,
    .num_math = sizeof kMath / sizeof kMath[0],
};

}  // namespace

namespace LAMINA_ROW {
extern const SimdTests simd_tests;
const SimdTests simd_tests = kTests;
}  // namespace LAMINA_ROW
}  // namespace lamina
