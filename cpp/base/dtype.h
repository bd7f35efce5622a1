// Element types, Keras 3's promotion table, and one visitor from the enum to the C++ type.
#pragma once

#include <cstddef>
#include <cstdint>
#include <ostream>

#include "base/error.h"

namespace lamina {

// Storage-only types: values are widened to float32 before any arithmetic.
struct Float16 {
  uint16_t bits;
};
struct BFloat16 {
  uint16_t bits;
};

enum class DType : uint8_t { kBool, kUInt8, kInt8, kInt32, kInt64, kFloat16, kBFloat16, kFloat32, kFloat64 };

constexpr const char* dtype_name(DType t) {
  constexpr const char* kNames[] = {"bool",    "uint8",    "int8",    "int32",  "int64",
                                    "float16", "bfloat16", "float32", "float64"};
  return kNames[static_cast<int>(t)];
}
constexpr size_t itemsize(DType t) {
  constexpr size_t kSizes[] = {1, 1, 1, 4, 8, 2, 2, 4, 8};
  return kSizes[static_cast<int>(t)];
}
constexpr bool is_floating(DType t) { return t >= DType::kFloat16; }
inline std::ostream& operator<<(std::ostream& out, DType t) { return out << dtype_name(t); }

template <class T>
constexpr DType dtype_of();
template <>
constexpr DType dtype_of<bool>() {
  return DType::kBool;
}
template <>
constexpr DType dtype_of<uint8_t>() {
  return DType::kUInt8;
}
template <>
constexpr DType dtype_of<int8_t>() {
  return DType::kInt8;
}
template <>
constexpr DType dtype_of<int32_t>() {
  return DType::kInt32;
}
template <>
constexpr DType dtype_of<int64_t>() {
  return DType::kInt64;
}
template <>
constexpr DType dtype_of<Float16>() {
  return DType::kFloat16;
}
template <>
constexpr DType dtype_of<BFloat16>() {
  return DType::kBFloat16;
}
template <>
constexpr DType dtype_of<float>() {
  return DType::kFloat32;
}
template <>
constexpr DType dtype_of<double>() {
  return DType::kFloat64;
}

template <class T>
struct TypeTag {
  using type = T;
};

// Calls f(TypeTag<T>{}) with the C++ type of `t`.
template <class F>
decltype(auto) visit(DType t, F&& f) {
  switch (t) {
    case DType::kBool:
      return f(TypeTag<bool>{});
    case DType::kUInt8:
      return f(TypeTag<uint8_t>{});
    case DType::kInt8:
      return f(TypeTag<int8_t>{});
    case DType::kInt32:
      return f(TypeTag<int32_t>{});
    case DType::kInt64:
      return f(TypeTag<int64_t>{});
    case DType::kFloat16:
      return f(TypeTag<Float16>{});
    case DType::kBFloat16:
      return f(TypeTag<BFloat16>{});
    case DType::kFloat32:
      return f(TypeTag<float>{});
    case DType::kFloat64:
      break;
  }
  return f(TypeTag<double>{});
}

// Keras 3's result_type for two arrays, within the types above: integers widen, any float beats any integer,
// float16 with bfloat16 gives float32, int8 with uint8 gives int32 (there is no int16).
constexpr DType promote(DType a, DType b) {
  if (a == b) return a;
  const DType low = a < b ? a : b, high = a < b ? b : a;
  if (low == DType::kUInt8 && high == DType::kInt8) return DType::kInt32;
  if (low == DType::kFloat16 && high == DType::kBFloat16) return DType::kFloat32;
  return high;
}

// Arithmetic on the types that kernels compute in; others raise with the remedy.
inline void check_computes(const char* op, DType t) {
  check<TypeError>(t == DType::kFloat32 || t == DType::kFloat64, op,
                   "needs float32 or float64 values. Received: dtype=", t,
                   ". Convert with ops.cast(x, \"float32\") first.");
}

}  // namespace lamina
