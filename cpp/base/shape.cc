#include "base/shape.h"

namespace lamina {

std::ostream& operator<<(std::ostream& out, const Dims& dims) {
  out << '(';
  for (int i = 0; i < dims.rank(); ++i) {
    if (i) out << ", ";
    if (dims[i] == kUnknown) {
      out << "None";
    } else {
      out << dims[i];
    }
  }
  return out << (dims.rank() == 1 ? ",)" : ")");
}

namespace {
constexpr int64_t kLargestSize = int64_t{1} << 59;  // elements of 8 bytes: 2^62 bytes
}

int64_t num_elements(const Shape& shape) {
  // As in NumPy the other sizes of a zero-size shape count too: strides and the gradients' shapes are made of
  // them.
  int64_t n = 1;
  bool fits = true, zero = false, unknown = false;
  for (int64_t d : shape) {
    unknown |= d == kUnknown;
    zero |= d == 0;
    if (d == kUnknown || d == 0) continue;
    check(d > 0, "shape", "dimensions must not be negative. Received: shape=", shape, ".");
    fits = fits && !__builtin_mul_overflow(n, d, &n) && n <= kLargestSize;
  }
  check(fits, "shape", "has more elements than memory can address. Received: shape=", shape, ".");
  return unknown ? kUnknown : zero ? 0 : n;
}

Strides contiguous_strides(const Shape& shape) {
  Strides strides(shape.rank(), 1);
  uint64_t step = 1;  // may wrap for a zero-size shape, where no stride is ever used
  for (int i = shape.rank() - 1; i >= 0; --i) {
    strides[i] = static_cast<int64_t>(step);
    step *= shape[i] > 1 ? static_cast<uint64_t>(shape[i]) : 1;
  }
  return strides;
}

int normalize_axis(const char* op, int64_t axis, int rank) {
  check<IndexError>(axis >= -rank && axis < rank, op, "axis is out of range; expected ", -rank, " <= axis < ",
                    rank, ". Received: axis=", axis, " for a tensor of ", rank, " axes.");
  return static_cast<int>(axis < 0 ? axis + rank : axis);
}

Shape broadcast_shapes(const char* op, const Shape& a, const Shape& b) {
  const int rank = a.rank() > b.rank() ? a.rank() : b.rank();
  Shape out(rank, 1);
  for (int i = 1; i <= rank; ++i) {
    const int64_t da = i <= a.rank() ? a[a.rank() - i] : 1, db = i <= b.rank() ? b[b.rank() - i] : 1;
    check(da == db || da == 1 || db == 1 || da == kUnknown || db == kUnknown, op,
          "shapes do not broadcast; sizes of axis ", -i, " must be equal or 1. Received: x1.shape=", a,
          ", x2.shape=", b, ".");
    // Unknown meets 1 as unknown and a known size n > 1 as n.
    out[rank - i] = da == 1 ? db : (db == 1 || da != kUnknown) ? da : db;
  }
  return out;
}

}  // namespace lamina
