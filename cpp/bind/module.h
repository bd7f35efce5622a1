// The binding's parts; each registers its functions and classes.
#pragma once

#include <pybind11/pybind11.h>

#include "base/tensor.h"
#include "ops/activation.h"
#include "ops/recurrent.h"

namespace lamina {

void bind_tensor(pybind11::module_& m);
void bind_ops(pybind11::module_& m);
void bind_plan(pybind11::module_& m);

// Asks the capture under way whether `t` may be read by Python now; it may answer with an exception.
void about_to_read(const Tensor& t);

}  // namespace lamina

namespace pybind11::detail {

// DType travels as its name, e.g. "float32".
template <>
struct type_caster<lamina::DType> {
  PYBIND11_TYPE_CASTER(lamina::DType, const_name("str"));
  bool load(handle src, bool) {
    if (!PyUnicode_Check(src.ptr())) return false;
    Py_ssize_t n = 0;
    const char* text = PyUnicode_AsUTF8AndSize(src.ptr(), &n);
    for (int i = 0; text && i <= static_cast<int>(lamina::DType::kFloat64); ++i) {
      value = static_cast<lamina::DType>(i);
      if (std::string_view(text, n) == lamina::dtype_name(value)) return true;
    }
    return false;
  }
  static handle cast(lamina::DType t, return_value_policy, handle) {
    static PyObject* names[9] = {};
    PyObject*& name = names[static_cast<int>(t)];
    if (!name) name = PyUnicode_InternFromString(lamina::dtype_name(t));
    return handle(name).inc_ref();
  }
};

// Activation travels as its name, none as None.
template <>
struct type_caster<lamina::Activation> {
  PYBIND11_TYPE_CASTER(lamina::Activation, const_name("str | None"));
  bool load(handle src, bool) {
    value = lamina::Activation::none;
    if (src.is_none()) return true;
    if (!PyUnicode_Check(src.ptr())) return false;
    for (int i = 0; i <= static_cast<int>(lamina::Activation::tanh); ++i) {
      value = static_cast<lamina::Activation>(i);
      if (PyUnicode_CompareWithASCIIString(src.ptr(), lamina::activation_name(value)) == 0) return true;
    }
    return false;
  }
  static handle cast(lamina::Activation f, return_value_policy, handle) {
    return PyUnicode_FromString(lamina::activation_name(f));
  }
};

// RecurrentKind travels as its name.
template <>
struct type_caster<lamina::RecurrentKind> {
  PYBIND11_TYPE_CASTER(lamina::RecurrentKind, const_name("str"));
  bool load(handle src, bool) {
    if (!PyUnicode_Check(src.ptr())) return false;
    for (int i = 0; i <= static_cast<int>(lamina::RecurrentKind::gru); ++i) {
      value = static_cast<lamina::RecurrentKind>(i);
      if (PyUnicode_CompareWithASCIIString(src.ptr(), lamina::recurrent_name(value)) == 0) return true;
    }
    return false;
  }
};

// Shapes and axes travel as tuples; None is an unknown dimension, -1 passes through for reshape.
template <>
struct type_caster<lamina::Dims> {
  PYBIND11_TYPE_CASTER(lamina::Dims, const_name("tuple[int | None, ...]"));
  bool load(handle src, bool) {
    value = lamina::Dims();
    if (!PyTuple_Check(src.ptr()) && !PyList_Check(src.ptr())) return false;
    const auto items = reinterpret_borrow<sequence>(src);
    for (const auto& item : items) {
      if (item.is_none()) {
        value.push_back(lamina::kUnknown);
        continue;
      }
      if (!PyIndex_Check(item.ptr()) || PyBool_Check(item.ptr())) return false;
      const long long v = PyNumber_AsSsize_t(item.ptr(), PyExc_OverflowError);
      if (v == -1 && PyErr_Occurred()) throw error_already_set();
      value.push_back(v);
    }
    return true;
  }
  static handle cast(const lamina::Dims& dims, return_value_policy, handle) {
    PyObject* t = PyTuple_New(dims.rank());
    for (int i = 0; i < dims.rank(); ++i) {
      PyTuple_SET_ITEM(t, i,
                       dims[i] == lamina::kUnknown ? none().release().ptr() : PyLong_FromLongLong(dims[i]));
    }
    return t;
  }
};

}  // namespace pybind11::detail
