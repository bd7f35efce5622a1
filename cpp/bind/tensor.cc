// _core.Tensor: metadata, views, and exchange with the buffer protocol and DLPack. No arithmetic.
#include <pybind11/stl.h>

#include <cstring>

#include "base/half.h"
#include "bind/module.h"
#include "ops/layout.h"
#include "ops/optimizer_group.h"
#include "plan/recording.h"

namespace py = pybind11;

namespace lamina {
namespace {

const char* buffer_format(DType t) {
  constexpr const char* kFormats[] = {"?", "B",     "b", "i", sizeof(long) == 8 ? "l" : "q",
                                      "e", nullptr, "f", "d"};
  return kFormats[static_cast<int>(t)];
}

// The dtype of a buffer in native byte order; raises for types that Lamina does not have.
DType dtype_of_format(const char* format, Py_ssize_t size) {
  const char* f = format ? format : "B";
  if (*f == '@' || *f == '=' || (*f == '<' && std::endian::native == std::endian::little)) ++f;
  if (f[0] != '\0' && f[1] == '\0') {
    switch (*f) {
      case '?':
        return DType::kBool;
      case 'B':
        return DType::kUInt8;
      case 'b':
        return DType::kInt8;
      case 'i':
      case 'l':
      case 'q':
        if (size == 4) return DType::kInt32;
        if (size == 8) return DType::kInt64;
        break;
      case 'e':
        return DType::kFloat16;
      case 'f':
        return DType::kFloat32;
      case 'd':
        return DType::kFloat64;
    }
  }
  fail<TypeError>("convert_to_tensor",
                  "has no type for these values; expected a bool, int8, uint8, int32, int64 ",
                  "or float array in native byte order. Received: buffer format '", format, "'.");
}

struct Buffer {
  explicit Buffer(py::handle source) {
    if (PyObject_GetBuffer(source.ptr(), &view, PyBUF_FORMAT | PyBUF_STRIDES) != 0)
      throw py::error_already_set();
  }
  ~Buffer() { PyBuffer_Release(&view); }
  Buffer(const Buffer&) = delete;
  Py_buffer view;
};

Tensor wrap(const Py_buffer& v, StoragePtr storage, int64_t offset) {
  const DType dtype = dtype_of_format(v.format, v.itemsize);
  Shape shape;
  Strides strides;
  for (int i = 0; i < v.ndim; ++i) {
    shape.push_back(v.shape[i]);
    check(v.strides[i] % v.itemsize == 0, "from_numpy",
          "strides must be whole elements; copy the array first. Received: stride of ", v.strides[i],
          " bytes.");
    strides.push_back(v.strides[i] / v.itemsize);
  }
  return Tensor(std::move(storage), offset, shape, strides, dtype);
}

// Byte range of a strided buffer relative to its first element: [low, high).
std::pair<int64_t, int64_t> extent(const Py_buffer& v) {
  int64_t low = 0, high = v.itemsize;
  for (int i = 0; i < v.ndim; ++i) {
    if (v.shape[i] == 0) return {0, 0};
    (v.strides[i] < 0 ? low : high) += (v.shape[i] - 1) * v.strides[i];
  }
  return {low, high};
}

// Borrows the exporter's memory for as long as the tensor lives.
Tensor from_buffer(py::handle source) {
  auto buffer = std::make_unique<Buffer>(source);
  const auto [low, high] = extent(buffer->view);
  const Py_buffer& v = buffer->view;
  check(reinterpret_cast<uintptr_t>(v.buf) % v.itemsize == 0 && low % v.itemsize == 0, "from_numpy",
        "memory must lie at whole elements; copy the array first. Received: address=", v.buf,
        ", itemsize=", v.itemsize, ".");
  // From here on the storage owns the buffer, also when wrap raises.
  StoragePtr storage = StoragePtr::borrow(static_cast<char*>(v.buf) + low, high - low, v.readonly,
                                          buffer.release(), [](void* owner) {
                                            py::gil_scoped_acquire gil;
                                            delete static_cast<Buffer*>(owner);
                                          });
  return wrap(v, std::move(storage), -low / v.itemsize);
}

// A contiguous copy; the source may have any strides, alignment and be read-only.
Tensor copy_buffer(py::handle source) {
  const RecordingPaused paused;  // to an open recording the values are a constant
  Buffer buffer(source);
  const Py_buffer& v = buffer.view;
  const auto [low, high] = extent(v);
  bool whole = true;
  for (int i = 0; i < v.ndim; ++i) whole = whole && v.strides[i] % v.itemsize == 0;
  const bool aligned = reinterpret_cast<uintptr_t>(v.buf) % v.itemsize == 0;
  if (whole && aligned) {
    StoragePtr storage =
        StoragePtr::borrow(static_cast<char*>(v.buf) + low, high - low, true, nullptr, [](void*) {});
    return copy(wrap(v, std::move(storage), -low / v.itemsize));
  }
  Shape shape;
  for (int i = 0; i < v.ndim; ++i) shape.push_back(v.shape[i]);
  Tensor t = Tensor::empty(shape, dtype_of_format(v.format, v.itemsize));
  if (t.size() > 0 && PyBuffer_ToContiguous(t.data(), &buffer.view, t.size() * v.itemsize, 'C') != 0) {
    throw py::error_already_set();
  }
  t.storage()->version = 1;  // written once, though not by a launch
  return t;
}

// Views handed out keep the storage through the exporting tensor object; counted so that plans leave them in
// place.
py::buffer_info export_buffer(Tensor& t) {
  check(!t.is_symbolic(), "numpy",
        "a symbolic tensor has a shape and a dtype but no values. Received: shape=", t.shape(), ".");
  const char* format = buffer_format(t.dtype());
  check<TypeError>(format != nullptr, "numpy", "NumPy has no ", t.dtype(),
                   "; convert with ops.cast(x, \"float32\") first. Received: dtype=", t.dtype(), ".");
  about_to_read(t);
  t.storage()->exports.fetch_add(1, std::memory_order_relaxed);
  std::vector<py::ssize_t> shape(t.shape().begin(), t.shape().end()), strides;
  for (int64_t s : t.strides()) strides.push_back(s * static_cast<int64_t>(itemsize(t.dtype())));
  return py::buffer_info(t.data(), itemsize(t.dtype()), format, t.rank(), shape, strides, /*readonly=*/true);
}

py::object item(const Tensor& t) {
  check(!t.is_symbolic(), "item", "a symbolic tensor has no value. Received: shape=", t.shape(), ".");
  check<TypeError>(t.size() == 1, "item",
                   "only a tensor of one element has a Python value. Received: shape=", t.shape(), ".");
  about_to_read(t);
  return visit(t.dtype(), [&](auto tag) -> py::object {
    using T = typename decltype(tag)::type;
    T value;
    std::memcpy(&value, t.data(), sizeof(T));
    if constexpr (std::is_same_v<T, Float16> || std::is_same_v<T, BFloat16>) {
      return py::float_(to_float(value));
    } else {
      return py::cast(value);
    }
  });
}

// A Python scalar as a 0-d tensor.
Tensor scalar(py::handle value, DType dtype) {
  const RecordingPaused paused;
  Tensor t = Tensor::empty({}, dtype);
  t.storage()->version = 1;
  switch (dtype) {
    case DType::kFloat32:
      *t.data<float>() = static_cast<float>(value.cast<double>());
      return t;
    case DType::kFloat64:
      *t.data<double>() = value.cast<double>();
      return t;
    case DType::kInt32:
    case DType::kInt64:
    case DType::kBool: {
      Tensor wide = Tensor::empty({}, DType::kInt64);
      *wide.data<int64_t>() = value.cast<int64_t>();
      return cast(wide, dtype);
    }
    default: {
      Tensor wide = Tensor::empty({}, DType::kFloat64);
      *wide.data<double>() = value.cast<double>();
      return cast(wide, dtype);
    }
  }
}

uint64_t version_sum(const py::args& tensors) {
  uint64_t sum = 0;
  for (py::handle h : tensors) {
    const Tensor& t = py::cast<const Tensor&>(h);
    if (!t.is_symbolic()) sum += t.storage()->version.load(std::memory_order_relaxed);
  }
  return sum;
}

}  // namespace

void bind_tensor(py::module_& m) {
  py::class_<Tensor>(m, "Tensor", py::buffer_protocol())
      .def_buffer(&export_buffer)
      .def_property_readonly("shape", &Tensor::shape)
      .def_property_readonly("strides", &Tensor::strides)
      .def_property_readonly("dtype", &Tensor::dtype)
      .def_property_readonly("ndim", &Tensor::rank)
      .def_property_readonly("size", &Tensor::size)
      .def_property_readonly("nbytes", [](const Tensor& t) { return t.size() * itemsize(t.dtype()); })
      .def_property_readonly("is_symbolic", &Tensor::is_symbolic)
      .def_property_readonly("is_contiguous", &Tensor::is_contiguous)
      .def_property_readonly("address",
                             [](const Tensor& t) {
                               return t.is_symbolic() ? uintptr_t{0} : reinterpret_cast<uintptr_t>(t.data());
                             })
      .def_property_readonly("storage_id",
                             [](const Tensor& t) { return t.is_symbolic() ? 0 : t.storage()->id; })
      .def_property_readonly(
          "version", [](const Tensor& t) { return t.is_symbolic() ? 0 : t.storage()->version.load(); })
      .def_property_readonly(
          "exports", [](const Tensor& t) { return t.is_symbolic() ? 0 : t.storage()->exports.load(); })
      .def("transpose", &Tensor::transpose)
      .def("expand", &Tensor::expand)
      .def("slice", &Tensor::slice)
      .def("item", &item);
  m.def("symbolic", &Tensor::symbolic, py::arg("shape"), py::arg("dtype"));
  m.def("from_buffer", &from_buffer);
  m.def("copy_buffer", &copy_buffer);
  m.def("view_as", &Tensor::with_unit_axes);
  m.def("same_meta",
        [](const Tensor& a, const Tensor& b) { return a.dtype() == b.dtype() && a.shape() == b.shape(); });
  m.def("first_unlike", &first_unlike);
  m.def("scalar", &scalar);
  m.def("version_sum", &version_sum);
}

}  // namespace lamina
