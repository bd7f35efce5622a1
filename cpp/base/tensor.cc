#include "base/tensor.h"

#include "base/allocator.h"

namespace lamina {

void (*storage_died)(uint64_t id) = nullptr;

namespace {
uint64_t next_storage_id() {
  static std::atomic<uint64_t> next{1};
  return next.fetch_add(1, std::memory_order_relaxed);
}
}  // namespace

StoragePtr StoragePtr::allocate(size_t bytes) {
  void* data = lamina::allocate(bytes);
  auto* s = new Storage;
  s->id = next_storage_id();
  s->data = data;
  s->bytes = bytes;
  return StoragePtr(s);
}

StoragePtr StoragePtr::borrow(void* data, size_t bytes, bool readonly, void* owner, void (*release)(void*)) {
  auto* s = new Storage;
  s->id = next_storage_id();
  s->data = data;
  s->bytes = bytes;
  s->readonly = readonly;
  s->owner = owner;
  s->release = release;
  return StoragePtr(s);
}

void StoragePtr::destroy(Storage* p) {
  if (p->recorded.load(std::memory_order_relaxed) && storage_died) storage_died(p->id);
  if (p->release) {
    p->release(p->owner);
  } else {
    deallocate(p->data, p->bytes);
  }
  delete p;
}

Tensor Tensor::empty(const Shape& shape, DType dtype) {
  const int64_t n = num_elements(shape);
  check(n != kUnknown, "empty", "needs a known shape. Received: shape=", shape, ".");
  size_t bytes = 0;
  check(!__builtin_mul_overflow(static_cast<size_t>(n), itemsize(dtype), &bytes), "empty",
        "has more bytes than memory can address. Received: shape=", shape, ", dtype=", dtype, ".");
  return Tensor(StoragePtr::allocate(bytes), 0, shape, contiguous_strides(shape), dtype);
}

Tensor Tensor::symbolic(const Shape& shape, DType dtype) {
  num_elements(shape);  // refuses negative and overflowing shapes
  return Tensor(StoragePtr(), 0, shape, Strides(shape.rank(), 0), dtype);
}

bool Tensor::is_contiguous() const {
  if (is_symbolic()) return true;
  int64_t step = 1;
  for (int i = rank() - 1; i >= 0; --i) {
    if (shape_[i] == 0) return true;
    if (shape_[i] != 1 && strides_[i] != step) return false;
    step *= shape_[i];
  }
  return true;
}

Tensor Tensor::transpose(const Dims& axes) const {
  check(axes.rank() == rank(), "transpose", "axes must name every axis once. Received: axes=", axes,
        ", x.shape=", shape_, ".");
  Shape shape(rank(), 0);
  Strides strides(rank(), 0);
  unsigned seen = 0;
  for (int i = 0; i < rank(); ++i) {
    const int a = normalize_axis("transpose", axes[i], rank());
    check(!(seen >> a & 1), "transpose", "axes must name every axis once. Received: axes=", axes, ".");
    seen |= 1u << a;
    shape[i] = shape_[a];
    strides[i] = strides_[a];
  }
  return view(offset_, shape, strides);
}

Tensor Tensor::expand(const Shape& shape) const {
  check(shape.rank() >= rank(), "broadcast_to", "cannot drop axes. Received: x.shape=", shape_,
        ", shape=", shape, ".");
  check(num_elements(shape) != kUnknown || is_symbolic(), "broadcast_to",
        "needs a known shape. Received: shape=", shape, ".");
  Strides strides(shape.rank(), 0);
  const int lead = shape.rank() - rank();
  for (int i = 0; i < rank(); ++i) {
    check(shape_[i] == shape[lead + i] || shape_[i] == 1, "broadcast_to",
          "only axes of size 1 can grow. Received: x.shape=", shape_, ", shape=", shape, ".");
    strides[lead + i] = shape_[i] == shape[lead + i] ? strides_[i] : 0;
  }
  return view(offset_, shape, strides);
}

Tensor Tensor::slice(int axis, int64_t start, int64_t stop, int64_t step) const {
  Shape shape = shape_;
  Strides strides = strides_;
  const int64_t span = step > 0 ? stop - start : start - stop, pace = step > 0 ? step : -step;
  shape[axis] = shape_[axis] == kUnknown ? kUnknown : span > 0 ? (span + pace - 1) / pace : 0;
  strides[axis] *= step;
  return view(shape[axis] == 0 ? offset_ : offset_ + start * strides_[axis], shape, strides);
}

Tensor Tensor::with_unit_axes(const Shape& shape) const {
  Strides strides(shape.rank(), 0);
  int from = 0;
  for (int i = 0; i < shape.rank(); ++i) {
    if (shape[i] == 1) continue;
    while (from < rank() && shape_[from] == 1) ++from;
    check(from < rank() && shape_[from] == shape[i], "view",
          "only axes of size 1 may come and go. Received: x.shape=", shape_, ", shape=", shape, ".");
    strides[i] = strides_[from++];
  }
  while (from < rank() && shape_[from] == 1) ++from;
  check(from == rank(), "view", "only axes of size 1 may come and go. Received: x.shape=", shape_,
        ", shape=", shape, ".");
  return view(offset_, shape, strides);
}

Tensor Tensor::flatten_view(const Shape& shape) const {
  return view(offset_, shape, contiguous_strides(shape));
}

}  // namespace lamina
