#include "ops/concat.h"

#include <cstring>

#include "base/parallel.h"
#include "base/tensor.h"
#include "ops/launch.h"
#include "ops/layout.h"

namespace lamina {
namespace {

constexpr double kCostPerByte = 0.08;  // rough ns: memory bound
constexpr int kMaxInputs = 64;         // of one launch; longer lists are joined in groups

struct ConcatenateArgs {
  int64_t outer, num_inputs, row_bytes;
  int64_t bytes[kMaxInputs];  // of one outer row of each input
};

Status run_concatenate(const ConcatenateArgs& a, Buffers b) {
  char* y = b.at<char>(static_cast<int>(a.num_inputs));
  parallel_for(a.outer, grain_for(kCostPerByte * a.row_bytes + 5.0 * a.num_inputs),
               [&](int64_t begin, int64_t end) {
                 char* to = y + begin * a.row_bytes;
                 for (int64_t o = begin; o < end; ++o) {
                   for (int64_t i = 0; i < a.num_inputs; ++i) {
                     std::memcpy(to, b.at<char>(static_cast<int>(i)) + o * a.bytes[i], a.bytes[i]);
                     to += a.bytes[i];
                   }
                 }
               });
  return {};
}

// Joins contiguous tensors of one type.
Tensor join(const Tensor* xs, int count, int axis, Shape shape) {
  ConcatenateArgs args{1, count, 0, {}};
  const Tensor* reads[kMaxInputs];
  const size_t size = itemsize(xs[0].dtype());
  int64_t inner = 1;
  for (int i = 0; i < axis; ++i) args.outer *= shape[i];
  for (int i = axis + 1; i < shape.rank(); ++i) inner *= shape[i];
  shape[axis] = 0;
  for (int i = 0; i < count; ++i) {
    reads[i] = &xs[i];
    shape[axis] += xs[i].dim(axis);
    args.bytes[i] = xs[i].dim(axis) * inner * static_cast<int64_t>(size);
    args.row_bytes += args.bytes[i];
  }
  Tensor y = Tensor::empty(shape, xs[0].dtype());
  const Tensor* writes[] = {&y};
  const RunFn run = [](const void* a, Buffers b) {
    return run_concatenate(*static_cast<const ConcatenateArgs*>(a), b);
  };
  launch(Launch{
      "concatenate", run, &args, sizeof args, reads, static_cast<size_t>(count), writes, 1, 0, {.flops = 0}});
  return y;
}

}  // namespace

Tensor concatenate(const std::vector<Tensor>& xs, int64_t axis_in) {
  check(!xs.empty(), "concatenate", "needs at least one tensor. Received: an empty list.");
  const int axis = normalize_axis("concatenate", axis_in, xs[0].rank());
  Shape shape = xs[0].shape();
  DType dtype = xs[0].dtype();
  bool symbolic = xs[0].is_symbolic();
  for (size_t k = 1; k < xs.size(); ++k) {
    const Shape& other = xs[k].shape();
    bool fits = other.rank() == shape.rank();
    for (int i = 0; fits && i < shape.rank(); ++i) {
      fits = i == axis || shape[i] == other[i] || shape[i] == kUnknown || other[i] == kUnknown;
    }
    check(fits, "concatenate", "shapes must be equal but for axis ", axis, ". Received: shape ",
          xs[0].shape(), " of tensor 0 and ", other, " of tensor ", k, ".");
    for (int i = 0; i < shape.rank(); ++i) {
      if (i != axis) {
        if (shape[i] == kUnknown) shape[i] = other[i];
      } else if (shape[i] == kUnknown || other[i] == kUnknown) {
        shape[i] = kUnknown;
      } else {
        check(!__builtin_add_overflow(shape[i], other[i], &shape[i]), "concatenate",
              "has more elements than memory can address. Received: ", xs.size(), " tensors.");
      }
    }
    dtype = promote(dtype, xs[k].dtype());
    symbolic |= xs[k].is_symbolic();
  }
  if (symbolic) return Tensor::symbolic(shape, dtype);
  num_elements(shape);  // refuses what would overflow
  std::vector<Tensor> parts;
  parts.reserve(xs.size());
  for (const Tensor& x : xs) parts.push_back(contiguous(cast(x, dtype)));
  while (parts.size() > 1) {
    std::vector<Tensor> joined;
    for (size_t k = 0; k < parts.size(); k += kMaxInputs) {
      const size_t left = parts.size() - k;
      joined.push_back(join(&parts[k], static_cast<int>(left < kMaxInputs ? left : kMaxInputs), axis, shape));
    }
    parts = std::move(joined);
  }
  return xs.size() == 1 ? copy(parts[0]) : parts[0];
}

Tensor pad(const Tensor& x, const Dims& before, const Dims& after, double value) {
  check(before.rank() == x.rank() && after.rank() == x.rank(), "pad",
        "pad_width needs one pair per axis. Received: ", before.rank(), " pairs, x.shape=", x.shape(), ".");
  Shape shape = x.shape();
  for (int i = 0; i < x.rank(); ++i) {
    check(before[i] >= 0 && after[i] >= 0, "pad", "widths must not be negative. Received: (", before[i], ", ",
          after[i], ") for axis ", i, ".");
    if (shape[i] == kUnknown) continue;
    check(!__builtin_add_overflow(shape[i], before[i], &shape[i]) &&
              !__builtin_add_overflow(shape[i], after[i], &shape[i]),
          "pad", "has more elements than memory can address. Received: x.shape=", x.shape(), ".");
  }
  if (x.is_symbolic()) return Tensor::symbolic(shape, x.dtype());
  const Tensor y = full(shape, value, x.dtype());
  Tensor inside = y;
  for (int i = 0; i < x.rank(); ++i) inside = inside.slice(i, before[i], before[i] + x.dim(i), 1);
  if (x.size() > 0) assign(inside, x);
  return y;
}

}  // namespace lamina
