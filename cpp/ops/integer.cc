#include "ops/integer.h"

#include "base/dtype.h"
#include "ops/binary_functors.h"

namespace lamina {
namespace {

template <class T>
BinaryFn binary_of(Binary op) {
  switch (op) {
#define LAMINA_BINARY(name) \
  case Binary::name:        \
    return binary_loop<name##_op, T>;
#define LAMINA_COMPARE LAMINA_BINARY
#include "ops/binary.def"
#undef LAMINA_BINARY
#undef LAMINA_COMPARE
    case Binary::kCount:
      break;
  }
  return nullptr;
}

// bool arithmetic is logic: add and maximum are or, multiply and minimum are and.
struct or_op {
  template <class T>
  static T apply(T a, T b) {
    return a | b;
  }
};
struct and_op {
  template <class T>
  static T apply(T a, T b) {
    return a & b;
  }
};
BinaryFn bool_binary(Binary op) {
  switch (op) {
    case Binary::add:
    case Binary::maximum:
      return binary_loop<or_op, uint8_t>;
    case Binary::multiply:
    case Binary::minimum:
      return binary_loop<and_op, uint8_t>;
    case Binary::equal:
      return binary_loop<equal_op, uint8_t>;
    case Binary::not_equal:
      return binary_loop<not_equal_op, uint8_t>;
    case Binary::less:
      return binary_loop<less_op, uint8_t>;
    case Binary::less_equal:
      return binary_loop<less_equal_op, uint8_t>;
    case Binary::greater:
      return binary_loop<greater_op, uint8_t>;
    case Binary::greater_equal:
      return binary_loop<greater_equal_op, uint8_t>;
    default:
      return nullptr;
  }
}

template <class T, class F>
void unary_loop(const void* x, int64_t step, void* y, int64_t n, F f) {
  for (int64_t i = 0; i < n; ++i) static_cast<T*>(y)[i] = f(static_cast<const T*>(x)[i * step]);
}
template <class T>
UnaryFn unary_of(Unary op) {
  using U = typename Wrapping<T>::type;
  switch (op) {
    case Unary::abs:
      return [](const void* x, int64_t s, void* y, int64_t n, double) {
        unary_loop<T>(x, s, y, n, [](T v) { return static_cast<T>(v < 0 ? U(0) - U(v) : U(v)); });
      };
    case Unary::negative:
      return [](const void* x, int64_t s, void* y, int64_t n, double) {
        unary_loop<T>(x, s, y, n, [](T v) { return static_cast<T>(U(0) - U(v)); });
      };
    case Unary::square:
      return [](const void* x, int64_t s, void* y, int64_t n, double) {
        unary_loop<T>(x, s, y, n, [](T v) { return static_cast<T>(U(v) * U(v)); });
      };
    case Unary::sign:
      return [](const void* x, int64_t s, void* y, int64_t n, double) {
        unary_loop<T>(x, s, y, n, [](T v) { return static_cast<T>((v > 0) - (v < 0)); });
      };
    case Unary::relu:
      return [](const void* x, int64_t s, void* y, int64_t n, double) {
        unary_loop<T>(x, s, y, n, [](T v) { return v > 0 ? v : T(0); });
      };
    case Unary::floor:
    case Unary::ceil:
    case Unary::round:
      return [](const void* x, int64_t s, void* y, int64_t n, double) {
        unary_loop<T>(x, s, y, n, [](T v) { return v; });
      };
    default:
      return nullptr;
  }
}

}  // namespace

BinaryFn integer_binary(Binary op, DType dtype) {
  switch (dtype) {
    case DType::kBool:
      return bool_binary(op);
    case DType::kUInt8:
      return binary_of<uint8_t>(op);
    case DType::kInt8:
      return binary_of<int8_t>(op);
    case DType::kInt32:
      return binary_of<int32_t>(op);
    case DType::kInt64:
      return binary_of<int64_t>(op);
    default:
      return nullptr;
  }
}

UnaryFn integer_unary(Unary op, DType dtype) {
  switch (dtype) {
    case DType::kUInt8:
      return unary_of<uint8_t>(op);
    case DType::kInt8:
      return unary_of<int8_t>(op);
    case DType::kInt32:
      return unary_of<int32_t>(op);
    case DType::kInt64:
      return unary_of<int64_t>(op);
    default:
      return nullptr;
  }
}

}  // namespace lamina
