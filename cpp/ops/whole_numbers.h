// Operands that hold whole numbers, in any type: labels, lengths.
#pragma once

#include <cstdio>
#include <type_traits>

#include "base/tensor.h"
#include "ops/launch.h"

namespace lamina {

inline void check_whole(const char* op, const char* name, const Tensor& t) {
  check<TypeError>(t.dtype() != DType::kFloat16 && t.dtype() != DType::kBFloat16 && t.dtype() != DType::kBool,
                   op, name, " must be integers, float32 or float64. Received: ", name, ".dtype=", t.dtype(),
                   ".");
}

// Elements [begin, begin + n) as int32, 0 <= v < high; the first that is no such number is reported by
// `what`.
inline Status read_whole(DType dtype, const void* from, int64_t begin, int64_t n, int64_t high, int32_t* to,
                         const char* what) {
  return visit(dtype, [&](auto tag) -> Status {
    using T = typename decltype(tag)::type;
    if constexpr (std::is_arithmetic_v<T>) {
      const T* v = static_cast<const T*>(from) + begin;
      for (int64_t i = 0; i < n; ++i) {
        const double d = static_cast<double>(v[i]);
        if (!(d >= 0 && d < static_cast<double>(high) && d < 0x1p31) || static_cast<int32_t>(d) != d) {
          return {what, begin + i, d};
        }
        to[i] = static_cast<int32_t>(d);
      }
    }
    return {};
  });
}

// A report's text with one number in it; valid until the thread's next.
inline const char* text_of(const char* format, int64_t value) {
  thread_local char text[240];
  std::snprintf(text, sizeof text, format, static_cast<long long>(value));
  return text;
}

}  // namespace lamina
