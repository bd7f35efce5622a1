#include "ops/slice_assign.h"

#include <cstring>

#include "base/error.h"
#include "base/parallel.h"
#include "base/tensor.h"
#include "ops/launch.h"
#include "ops/layout.h"

namespace lamina {
namespace {

struct SliceAssignArgs {
  int64_t outer, size, n, inner;  // dst [outer, size, inner], src [outer, n, inner], inner in bytes
};

// Reads src, at, dst (what is not written stays); writes dst.
Status run_slice_assign(const SliceAssignArgs& a, Buffers b) {
  const int64_t at = *b.at<int64_t>(1);
  if (at < 0 || at > a.size - a.n) {
    return {"the slice reaches beyond the tensor; its place is", 0, static_cast<double>(at)};
  }
  const char* src = b.at<char>(0);
  char* dst = b.at<char>(3);
  const int64_t bytes = a.n * a.inner;
  parallel_for(a.outer, grain_for(0.1 * static_cast<double>(bytes)), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      std::memcpy(dst + (i * a.size + at) * a.inner, src + i * bytes, static_cast<size_t>(bytes));
    }
  });
  return {};
}

}  // namespace

void slice_assign(const Tensor& dst, const Tensor& src_in, int axis, const Tensor& at) {
  const char* op = "slice_assign";
  check(!dst.is_symbolic() && !src_in.is_symbolic() && dst.is_contiguous() && dst.dtype() == src_in.dtype() &&
            dst.rank() == src_in.rank() && axis >= 0 && axis < dst.rank() && at.size() == 1 &&
            at.dtype() == DType::kInt64,
        op, "needs a contiguous tensor, values of its dtype and rank, and one int64. Received: tensor.shape=",
        dst.shape(), " ", dst.dtype(), ", values.shape=", src_in.shape(), " ", src_in.dtype(),
        ", axis=", axis, ".");
  SliceAssignArgs a{1, dst.dim(axis), src_in.dim(axis), static_cast<int64_t>(itemsize(dst.dtype()))};
  for (int i = 0; i < dst.rank(); ++i) {
    check(i == axis ? a.n <= a.size : dst.dim(i) == src_in.dim(i), op,
          "values must fit the tensor. Received: tensor.shape=", dst.shape(),
          ", values.shape=", src_in.shape(), ", axis=", axis, ".");
    (i < axis ? a.outer : a.inner) *= i == axis ? 1 : dst.dim(i);
  }
  const Tensor src = contiguous(src_in);
  launch<run_slice_assign>(op, a, {&src, &at, &dst}, {&dst}, 0, {.flops = 0});
}

}  // namespace lamina
