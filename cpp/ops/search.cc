#include "ops/search.h"

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "base/parallel.h"
#include "ops/launch.h"
#include "ops/layout.h"

namespace lamina {
namespace {

constexpr double kStepCost = 3;   // rough ns per halving
constexpr double kCountCost = 2;  // rough ns per element

struct SearchArgs {
  DType dtype;
  bool right;
  int64_t n, count;
};

// NumPy's order: NaN after all numbers.
template <class T>
bool before(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) return a < b || (b != b && a == a);
  return a < b;
}

Status run_searchsorted(const SearchArgs& a, Buffers b) {
  visit(a.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    if constexpr (std::is_arithmetic_v<T>) {
      const T *first = b.at<T>(0), *last = first + a.n;
      const double cost = kStepCost * std::log2(static_cast<double>(a.n + 2));
      parallel_for(a.count, grain_for(cost), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          const T v = b.at<T>(1)[i];
          const T* at = a.right ? std::upper_bound(first, last, v, before<T>)
                                : std::lower_bound(first, last, v, before<T>);
          b.at<int32_t>(2)[i] = static_cast<int32_t>(at - first);
        }
      });
    }
  });
  return {};
}

struct CountArgs {
  DType dtype, weight_dtype;
  bool weighs;
  int64_t rows, n, length;
};

// Reads x, weights; writes y. Scratch: per row, sums in float64 or uint64.
template <class T, class W>
void count_rows(const CountArgs& a, Buffers b) {
  using Sum = std::conditional_t<std::is_floating_point_v<W>, double, uint64_t>;
  parallel_for(a.rows, grain_for(kCountCost * static_cast<double>(a.n + a.length)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t row = begin; row < end; ++row) {
                   const T* x = b.at<T>(0) + row * a.n;
                   const W* weights = b.at<W>(1) + row * a.n;
                   Sum* sums = static_cast<Sum*>(b.scratch) + row * a.length;
                   std::fill(sums, sums + a.length, Sum(0));
                   for (int64_t i = 0; i < a.n; ++i) {
                     sums[static_cast<int64_t>(x[i])] += a.weighs ? static_cast<Sum>(weights[i]) : Sum(1);
                   }
                   W* y = b.at<W>(2) + row * a.length;
                   for (int64_t v = 0; v < a.length; ++v) y[v] = static_cast<W>(sums[v]);
                 }
               });
}

Status run_bincount(const CountArgs& a, Buffers b) {
  return visit(a.dtype, [&](auto tag) -> Status {
    using T = typename decltype(tag)::type;
    if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
      const T* x = b.at<T>(0);
      for (int64_t i = 0; i < a.rows * a.n; ++i) {
        const int64_t v = static_cast<int64_t>(x[i]);
        if (v < 0 || v >= a.length) {
          return {"value is out of range; expected 0 <= value < length.", i, static_cast<double>(v)};
        }
      }
      visit(a.weight_dtype, [&](auto weight_tag) {
        using W = typename decltype(weight_tag)::type;
        if constexpr (std::is_arithmetic_v<W> && (sizeof(W) >= 4)) count_rows<T, W>(a, b);
      });
    }
    return {};
  });
}

}  // namespace

Tensor searchsorted(const Tensor& sequence_in, const Tensor& values_in, bool right) {
  check(sequence_in.rank() == 1, "searchsorted",
        "the sorted sequence must have one axis. Received: sorted_sequence.shape=", sequence_in.shape(), ".");
  const DType dtype = promote(sequence_in.dtype(), values_in.dtype());
  if (is_floating(dtype)) check_computes("searchsorted", dtype);
  Tensor y = Tensor::like(values_in.shape(), DType::kInt32, sequence_in, values_in);
  if (y.is_symbolic() || y.size() == 0) return y;
  check(sequence_in.size() <= INT32_MAX, "searchsorted",
        "has more elements than an int32 index can count. Received: sorted_sequence.shape=",
        sequence_in.shape(), ".");
  const Tensor sequence = contiguous(cast(sequence_in, dtype)), values = contiguous(cast(values_in, dtype));
  launch<run_searchsorted>("searchsorted", SearchArgs{dtype, right, sequence.size(), values.size()},
                           {&sequence, &values}, {&y}, 0, {.flops = 0});
  return y;
}

Tensor bincount(const Tensor& x_in, const Tensor* weights_in, int64_t length) {
  check(x_in.rank() == 1 || x_in.rank() == 2, "bincount",
        "x must have one or two axes. Received: x.shape=", x_in.shape(), ".");
  check<TypeError>(!is_floating(x_in.dtype()) && x_in.dtype() != DType::kBool, "bincount",
                   "x must hold integers. Received: x.dtype=", x_in.dtype(),
                   ". Convert with ops.cast(x, \"int32\") first.");
  check(length >= 0, "bincount", "minlength must not be negative. Received: minlength=", length, ".");
  DType dtype = weights_in ? promote(x_in.dtype(), weights_in->dtype()) : DType::kInt32;
  if (dtype < DType::kInt32) dtype = DType::kInt32;
  if (is_floating(dtype)) check_computes("bincount", dtype);
  check(!weights_in || weights_in->shape() == x_in.shape(), "bincount",
        "weights must have x's shape. Received: weights.shape=", weights_in ? weights_in->shape() : Shape(),
        ", x.shape=", x_in.shape(), ".");
  Shape shape = x_in.shape();
  shape[x_in.rank() - 1] = length;
  Tensor y = weights_in ? Tensor::like(shape, dtype, x_in, *weights_in) : Tensor::like(shape, dtype, x_in);
  if (y.is_symbolic()) return y;
  const Tensor x = contiguous(x_in), weights = weights_in ? contiguous(cast(*weights_in, dtype)) : x;
  const int64_t rows = x.rank() == 2 ? x.dim(0) : 1;
  launch<run_bincount>("bincount",
                       CountArgs{x.dtype(), dtype, weights_in != nullptr, rows, x.dim(x.rank() - 1), length},
                       {&x, &weights}, {&y}, static_cast<size_t>(num_elements({rows, length})) * 8,
                       {.flops = static_cast<double>(x.size())});
  return y;
}

}  // namespace lamina
