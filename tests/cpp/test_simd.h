// The table by which test_simd.cc reaches the SIMD interface of one ISA row.
#pragma once

#include <cstdint>

namespace lamina {

// One full vector per call: out = f(a, b, c); comparisons give 1 or 0.
template <class T>
struct VecCase {
  const char* name;
  void (*run)(const T* a, const T* b, const T* c, T* out);
};

template <class T>
struct VecTests {
  int lanes;
  const VecCase<T>* cases;
  int num_cases;
  void (*load)(const T* p, int n, T* out);    // load(p, n), full store
  void (*store)(const T* full, T* p, int n);  // full load, store(p, n)
  void (*load_strided)(const T* p, int64_t stride, int n, T* out);
  void (*gather)(const T* base, const int32_t* index, T* out);
  void (*first)(int n, T* out);  // lanes of Mask::first(n) as 1 and 0
  bool (*any_less)(const T* a, const T* b);
  bool (*all_less)(const T* a, const T* b);
  T (*reduce_add)(const T* a);
  T (*reduce_max)(const T* a);
  T (*reduce_min)(const T* a);
};

struct SimdTests {
  bool fused;  // fma rounds once
  VecTests<float> f32;
  VecTests<double> f64;
  VecTests<int32_t> i32;
  VecTests<int64_t> i64;
  void (*to_int32)(const float* a, int32_t* out);
  void (*to_int64)(const double* a, int64_t* out);
  void (*to_float32)(const int32_t* a, float* out);
  void (*to_float64)(const int64_t* a, double* out);
  void (*load_bf16)(const uint16_t* p, int n, float* out);
  void (*store_bf16)(const float* full, uint16_t* p, int n);
  void (*load_f16)(const uint16_t* p, int n, float* out);
  void (*store_f16)(const float* full, uint16_t* p, int n);
  // math.h over n values, partial vectors at the end.
  struct Math {
    const char* name;
    void (*f32)(const float* x, float* y, int64_t n);
    void (*f64)(const double* x, double* y, int64_t n);
  };
  const Math* math;
  int num_math;
};

}  // namespace lamina
