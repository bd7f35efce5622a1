// The functors of binary.def for any arithmetic type, and the loop over them. Included by the float kernels
// (per ISA row) and by the integer ops, inside an anonymous namespace; the compiler vectorises the loops.
#pragma once

#include <cmath>
#include <cstdint>
#include <type_traits>

#include "ops/binary.h"

namespace lamina {
namespace {

// Integers wrap: their arithmetic is done in an unsigned type at least as wide as int, where overflow is
// defined.
template <class T>
struct Wrapping {
  using type = T;
};
template <class T>
requires std::is_integral_v<T>
struct Wrapping<T> {
  using type = std::make_unsigned_t<decltype(T() + T())>;
};

struct add_op {
  template <class T, class W = typename Wrapping<T>::type>
  static T apply(T a, T b) {
    return static_cast<T>(static_cast<W>(a) + static_cast<W>(b));
  }
};
struct subtract_op {
  template <class T, class W = typename Wrapping<T>::type>
  static T apply(T a, T b) {
    return static_cast<T>(static_cast<W>(a) - static_cast<W>(b));
  }
};
struct multiply_op {
  template <class T, class W = typename Wrapping<T>::type>
  static T apply(T a, T b) {
    return static_cast<T>(static_cast<W>(a) * static_cast<W>(b));
  }
};
struct divide_op {  // floating types only; integers are cast before
  template <class T>
  static T apply(T a, T b) {
    if constexpr (std::is_floating_point_v<T>) return a / b;
    return 0;
  }
};
struct floor_divide_op {  // rounds toward minus infinity; integer division by 0 gives 0, as NumPy does
  template <class T>
  static T apply(T a, T b) {
    if constexpr (std::is_floating_point_v<T>) {
      return __builtin_floor(a / b);
    } else {
      if (b == 0) return 0;
      if (std::is_signed_v<T> && b == T(-1)) return T(0) - a;  // the smallest value over -1 must not trap
      const T q = a / b;
      return q - ((a % b != 0) && ((a < 0) != (b < 0)));
    }
  }
};
struct mod_op {  // sign of the divisor, as Python
  template <class T>
  static T apply(T a, T b) {
    if constexpr (std::is_floating_point_v<T>) {
      const T r = __builtin_fmod(a, b);
      return r != 0 && ((r < 0) != (b < 0)) ? r + b : r;
    } else {
      if (b == 0 || (std::is_signed_v<T> && b == T(-1))) return 0;
      const T r = a % b;
      return r != 0 && ((r < 0) != (b < 0)) ? r + b : r;
    }
  }
};
struct power_op {
  template <class T>
  static T apply(T a, T b) {
    if constexpr (std::is_same_v<T, float>) {
      return __builtin_powf(a, b);
    } else if constexpr (std::is_same_v<T, double>) {
      return __builtin_pow(a, b);
    } else {
      using W = typename Wrapping<T>::type;
      W y = 1, base = static_cast<W>(a);
      for (T e = b; e > 0; e >>= 1, base *= base) {
        if (e & 1) y *= base;
      }
      return b < 0 ? 0 : static_cast<T>(y);
    }
  }
};
struct maximum_op {
  template <class T>
  static T apply(T a, T b) {
    return a > b || a != a ? a : b;
  }
};
struct minimum_op {
  template <class T>
  static T apply(T a, T b) {
    return a < b || a != a ? a : b;
  }
};
struct equal_op {
  template <class T>
  static bool apply(T a, T b) {
    return a == b;
  }
};
struct not_equal_op {
  template <class T>
  static bool apply(T a, T b) {
    return a != b;
  }
};
struct less_op {
  template <class T>
  static bool apply(T a, T b) {
    return a < b;
  }
};
struct less_equal_op {
  template <class T>
  static bool apply(T a, T b) {
    return a <= b;
  }
};
struct greater_op {
  template <class T>
  static bool apply(T a, T b) {
    return a > b;
  }
};
struct greater_equal_op {
  template <class T>
  static bool apply(T a, T b) {
    return a >= b;
  }
};

// The four common step patterns get loops of their own, so that each vectorises.
template <class Op, class T>
void binary_loop(const void* a_, int64_t a_step, const void* b_, int64_t b_step, void* y_, int64_t n) {
  using Y = decltype(Op::apply(T(), T()));
  const T *a = static_cast<const T*>(a_), *b = static_cast<const T*>(b_);
  Y* y = static_cast<Y*>(y_);
  if (a_step == 1 && b_step == 1) {
    // Three streams: what comes a kilobyte later is asked for, a line of each at a time.
    constexpr int64_t kLine = 64 / sizeof(T), kStrip = 4 * kLine, kAhead = 16 * kLine;
    int64_t i = 0;
    for (; i + kStrip <= n; i += kStrip) {
      for (int64_t k = kAhead; k < kAhead + kStrip; k += kLine) {
        __builtin_prefetch(a + i + k);
        __builtin_prefetch(b + i + k);
        __builtin_prefetch(y + i + k);
      }
      for (int64_t k = i; k < i + kStrip; ++k) y[k] = Op::apply(a[k], b[k]);
    }
    for (; i < n; ++i) y[i] = Op::apply(a[i], b[i]);
  } else if (a_step == 1 && b_step == 0) {
    const T b0 = *b;
    for (int64_t i = 0; i < n; ++i) y[i] = Op::apply(a[i], b0);
  } else if (a_step == 0 && b_step == 1) {
    const T a0 = *a;
    for (int64_t i = 0; i < n; ++i) y[i] = Op::apply(a0, b[i]);
  } else {
    for (int64_t i = 0; i < n; ++i) y[i] = Op::apply(a[i * a_step], b[i * b_step]);
  }
}

}  // namespace
}  // namespace lamina
