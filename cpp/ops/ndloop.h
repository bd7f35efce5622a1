// Walks several strided operands over one shape: axes that run together are merged, work is cut by
// parallel_for, and `inner` gets runs along the last merged axis. Every element is computed on its own, so
// cuts never change a bit.
#pragma once

#include <cstdint>

#include "base/parallel.h"
#include "base/tensor.h"
#include "ops/launch.h"

namespace lamina {

template <int N>
struct NdLoop {
  int rank = 0;
  int64_t size = 0;
  int64_t dims[kMaxRank] = {};
  int64_t strides[N][kMaxRank] = {};  // in elements of each operand

  // Operands must already have `shape` (expand them first).
  static NdLoop make(const Shape& shape, const Tensor* const (&operands)[N]) {
    NdLoop loop;
    loop.size = num_elements(shape);
    for (int axis = 0; axis < shape.rank(); ++axis) {
      if (shape[axis] == 1) continue;
      bool merges = loop.rank > 0;
      for (int i = 0; merges && i < N; ++i) {
        merges = loop.strides[i][loop.rank - 1] == operands[i]->strides()[axis] * shape[axis];
      }
      const int at = merges ? loop.rank - 1 : loop.rank++;
      loop.dims[at] = merges ? loop.dims[at] * shape[axis] : shape[axis];
      for (int i = 0; i < N; ++i) loop.strides[i][at] = operands[i]->strides()[axis];
    }
    if (loop.rank == 0) {
      loop.rank = 1;
      loop.dims[0] = loop.size;  // 1, or 0 where some axis is empty
    }
    return loop;
  }

  // Itemwise where one run covers the shape and what is written (operand 0 here, the last of the launch) is
  // walked element by element. Operands 1.. are the launch's reads in order.
  Hints hints() const {
    if (rank != 1 || (strides[0][0] != 1 && size > 1)) return {};
    uint64_t unit = uint64_t{1} << (N - 1);
    for (int i = 1; i < N; ++i) unit |= uint64_t{strides[i][0] == 1 || size <= 1} << (i - 1);
    return {size, unit};
  }

  // inner(n, offsets, strides): n elements from offsets[i], step strides[i]. cost: rough ns per element.
  template <class Inner>
  void run(double cost, Items items, Inner&& inner) const {
    if (size == 0) return;
    if (rank == 1) {
      const auto body = [&](int64_t begin, int64_t end) {
        int64_t offset[N], step[N];
        for (int i = 0; i < N; ++i) {
          step[i] = strides[i][0];
          offset[i] = begin * step[i];
        }
        inner(end - begin, offset, step);
      };
      if (items.all()) {
        parallel_for(size, grain_for(cost), body);
      } else {
        body(items.begin, items.end);
      }
      return;
    }
    parallel_for(size, grain_for(cost), [&](int64_t begin, int64_t end) {
      int64_t index[kMaxRank], offset[N] = {}, step[N];
      int64_t rest = begin;
      for (int axis = rank - 1; axis >= 0; --axis) {
        index[axis] = rest % dims[axis];
        rest /= dims[axis];
        for (int i = 0; i < N; ++i) offset[i] += index[axis] * strides[i][axis];
      }
      for (int i = 0; i < N; ++i) step[i] = strides[i][rank - 1];
      for (int64_t at = begin; at < end;) {
        const int last = rank - 1;
        const int64_t left = dims[last] - index[last], n = left < end - at ? left : end - at;
        inner(n, offset, step);
        at += n;
        index[last] += n;
        for (int i = 0; i < N; ++i) offset[i] += n * step[i];
        for (int axis = last; axis > 0 && index[axis] == dims[axis]; --axis) {
          for (int i = 0; i < N; ++i) offset[i] += strides[i][axis - 1] - dims[axis] * strides[i][axis];
          index[axis] = 0;
          ++index[axis - 1];
        }
      }
    });
  }
};

}  // namespace lamina
