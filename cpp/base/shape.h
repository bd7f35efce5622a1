// Shapes and strides of up to kMaxRank axes, kept inline. A dimension of a symbolic tensor may be kUnknown
// (None).
#pragma once

#include <cstdint>
#include <initializer_list>
#include <ostream>

#include "base/error.h"

namespace lamina {

constexpr int kMaxRank = 8;
constexpr int64_t kUnknown = -1;

class Dims {
 public:
  Dims() = default;
  Dims(std::initializer_list<int64_t> values) {
    for (int64_t v : values) push_back(v);
  }
  Dims(int rank, int64_t value) : rank_(rank) {
    for (int i = 0; i < rank; ++i) at_[i] = value;
  }

  int rank() const { return rank_; }
  int64_t operator[](int axis) const { return at_[axis]; }
  int64_t& operator[](int axis) { return at_[axis]; }
  const int64_t* begin() const { return at_; }
  const int64_t* end() const { return at_ + rank_; }
  int64_t back() const { return at_[rank_ - 1]; }

  void push_back(int64_t v) {
    check(rank_ < kMaxRank, "shape", "a tensor has at most ", kMaxRank, " axes. Received: one more.");
    at_[rank_++] = v;
  }
  void erase(int axis) {
    for (int i = axis; i + 1 < rank_; ++i) at_[i] = at_[i + 1];
    --rank_;
  }
  void insert(int axis, int64_t v) {
    push_back(v);
    for (int i = rank_ - 1; i > axis; --i) at_[i] = at_[i - 1];
    at_[axis] = v;
  }
  bool operator==(const Dims& other) const {
    if (rank_ != other.rank_) return false;
    for (int i = 0; i < rank_; ++i) {
      if (at_[i] != other.at_[i]) return false;
    }
    return true;
  }
  bool has_unknown() const {
    for (int64_t d : *this) {
      if (d == kUnknown) return true;
    }
    return false;
  }

 private:
  int64_t at_[kMaxRank];
  int rank_ = 0;
};

using Shape = Dims;
using Strides = Dims;  // in elements

std::ostream& operator<<(std::ostream& out, const Dims& dims);  // "(2, None, 3)"

// Product of the dimensions; raises where it does not fit 2^59 elements, before anything is allocated.
// kUnknown where a dimension is unknown.
int64_t num_elements(const Shape& shape);

Strides contiguous_strides(const Shape& shape);

// Maps -rank <= axis < rank to 0 <= axis < rank; raises IndexError otherwise.
int normalize_axis(const char* op, int64_t axis, int rank);

// NumPy broadcasting of two shapes; an unknown dimension meets 1 or unknown as unknown, and n as n.
Shape broadcast_shapes(const char* op, const Shape& a, const Shape& b);

}  // namespace lamina
