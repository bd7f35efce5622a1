// Tensor = storage + offset + shape + strides + dtype. Views are free. Knows nothing of ops or gradients.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "base/dtype.h"
#include "base/shape.h"

namespace lamina {

// Reference-counted bytes, 64-byte aligned where allocated here; borrowed memory may have any alignment.
struct Storage {
  std::atomic<uint32_t> refs{1};
  std::atomic<bool> recorded{false};  // an open recording holds this id and must hear of its end
  bool readonly = false;              // borrowed read-only memory
  std::atomic<int32_t> exports{0};    // live views given out (NumPy, DLPack)
  std::atomic<uint64_t> version{0};   // counts writes after the first
  uint64_t id = 0;                    // unique in the process
  void* data = nullptr;
  size_t bytes = 0;
  void (*release)(void* owner) = nullptr;  // for borrowed memory; null means the caching allocator's
  void* owner = nullptr;
};

// Set by the plan layer; called when a storage marked `recorded` dies.
extern void (*storage_died)(uint64_t id);

class StoragePtr {
 public:
  StoragePtr() = default;
  explicit StoragePtr(Storage* adopted) : p_(adopted) {}
  StoragePtr(const StoragePtr& o) : p_(o.p_) {
    if (p_) p_->refs.fetch_add(1, std::memory_order_relaxed);
  }
  StoragePtr(StoragePtr&& o) noexcept : p_(std::exchange(o.p_, nullptr)) {}
  StoragePtr& operator=(StoragePtr o) noexcept {
    std::swap(p_, o.p_);
    return *this;
  }
  ~StoragePtr() {
    if (p_ && p_->refs.fetch_sub(1, std::memory_order_acq_rel) == 1) destroy(p_);
  }
  Storage* get() const { return p_; }
  Storage* operator->() const { return p_; }
  explicit operator bool() const { return p_ != nullptr; }

  static StoragePtr allocate(size_t bytes);
  static StoragePtr borrow(void* data, size_t bytes, bool readonly, void* owner, void (*release)(void*));

 private:
  static void destroy(Storage* p);
  Storage* p_ = nullptr;
};

class Tensor {
 public:
  Tensor() = default;
  Tensor(StoragePtr storage, int64_t offset, const Shape& shape, const Strides& strides, DType dtype)
      : storage_(std::move(storage)), offset_(offset), shape_(shape), strides_(strides), dtype_(dtype) {}

  // Uninitialised contiguous memory. Sizes are checked for overflow before anything is allocated.
  static Tensor empty(const Shape& shape, DType dtype);
  // Dtype and shape (dimensions may be kUnknown), no storage: ops check and infer, launches do nothing.
  static Tensor symbolic(const Shape& shape, DType dtype);
  // What an op returns: symbolic where any input is, else empty.
  template <class... In>
  static Tensor like(const Shape& shape, DType dtype, const In&... inputs) {
    return (inputs.is_symbolic() || ...) ? symbolic(shape, dtype) : empty(shape, dtype);
  }

  const Shape& shape() const { return shape_; }
  const Strides& strides() const { return strides_; }
  int64_t dim(int axis) const { return shape_[axis]; }
  int rank() const { return shape_.rank(); }
  int64_t size() const { return num_elements(shape_); }
  DType dtype() const { return dtype_; }
  int64_t offset() const { return offset_; }  // in elements
  size_t byte_offset() const { return static_cast<size_t>(offset_) * itemsize(dtype_); }
  const StoragePtr& storage() const { return storage_; }
  bool is_symbolic() const { return !storage_; }
  bool is_contiguous() const;
  void* data() const { return static_cast<char*>(storage_->data) + byte_offset(); }
  template <class T>
  T* data() const {
    return static_cast<T*>(data());
  }

  // Views: same storage, no launch. `view` is unchecked; the others raise in the house form.
  Tensor view(int64_t offset, const Shape& shape, const Strides& strides) const {
    return Tensor(storage_, offset, shape, strides, dtype_);
  }
  Tensor transpose(const Dims& axes) const;  // axes is a permutation
  Tensor expand(const Shape& shape) const;   // size-1 axes repeat with stride 0
  Tensor slice(int axis, int64_t start, int64_t stop, int64_t step) const;  // 0 <= start, step != 0, in range
  Tensor with_unit_axes(const Shape& shape) const;  // any strides: drops and inserts axes of size 1
  Tensor flatten_view(const Shape& shape) const;    // contiguous tensors only: same bytes, new shape

 private:
  StoragePtr storage_;
  int64_t offset_ = 0;
  Shape shape_;
  Strides strides_;
  DType dtype_ = DType::kFloat32;
};

}  // namespace lamina
