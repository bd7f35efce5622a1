// Picks a kernel table. cmake/isa.cmake compiles <op>.kernel.cc once per ISA row, each exporting one constant
// table lamina::<row>::<name>, and gives <op>.cc the list LAMINA_ROWS(X, T, name) of its rows, best first.
//
//   LAMINA_KERNELS(SoftmaxKernels, softmax_kernels)   // at namespace lamina scope in softmax.cc
//   softmax_kernels().forward(...)
//
// and in softmax.kernel.cc
//
//   namespace lamina::LAMINA_ROW { extern const SoftmaxKernels softmax_kernels; const SoftmaxKernels
//   softmax_kernels = {...}; }
#pragma once

#include "base/cpu.h"

#define LAMINA_DECLARE_ROW(T, name, row) \
  namespace row {                        \
  extern const T name;                   \
  }
#define LAMINA_PICK_ROW(T, name, row) \
  if (isa() >= Isa::row) return &row::name;

#define LAMINA_PICK(T, name)              \
  []() -> const T* {                      \
    LAMINA_ROWS(LAMINA_PICK_ROW, T, name) \
    return nullptr;                       \
  }()

// Best row that the CPU has (or LAMINA_ISA allows), chosen once. The last row always fits.
#define LAMINA_KERNELS(T, name)                         \
  LAMINA_ROWS(LAMINA_DECLARE_ROW, T, name)              \
  static const T& name() {                              \
    static const T* const table = LAMINA_PICK(T, name); \
    return *table;                                      \
  }

// For files that do not list every row: a pointer, null if the CPU has none of them. The function is not
// static, so that a header may declare it.
#define LAMINA_OPTIONAL_KERNELS(T, name)                \
  LAMINA_ROWS(LAMINA_DECLARE_ROW, T, name)              \
  const T* name() {                                     \
    static const T* const table = LAMINA_PICK(T, name); \
    return table;                                       \
  }
