// Layer normalisation over chosen axes (Ba, Kiros and Hinton, 2016, arXiv:1607.06450) and RMS normalisation
// (Zhang and Sennrich, 2019, arXiv:1910.07467), float32 and float64. x is seen as M rows of the N values that
// are normalised together; per row
//
//   layer:  mean = sum(x) / N   rstd = 1 / sqrt(sum((x - mean)^2) / N + epsilon)
//   RMS:    mean = 0            rstd = 1 / sqrt(sum(x^2) / N + epsilon)
//   y = xhat * gamma + beta,    xhat = (x - mean) * rstd
//
// Gradient, with g = dy * gamma:
//   dx = rstd * (g - sum(g) / N - xhat * sum(g * xhat) / N)     (RMS: without sum(g) / N)
//   dgamma = sum over rows of dy * xhat    dbeta = sum over rows of dy
//
// dgamma and dbeta come from blocks of rows whose size follows from N, combined in order in float64: the bits
// do not depend on threads.
#pragma once

#include <tuple>

#include "base/fwd.h"

namespace lamina {

struct LayerNormKernels {
  // Pointers are to the table's type; those of gamma, beta, dgamma and dbeta may be null. Rows lie one after
  // the other; mean and rstd hold one value a row.
  struct Table {
    void (*forward)(const void* x, const void* gamma, const void* beta, int64_t rows, int64_t N,
                    double epsilon, void* y, void* mean, void* rstd);
    // Adds to dgamma and dbeta, N values each, and `residual` to dx unless it is null.
    void (*grad)(const void* dy, const void* x, const void* gamma, const void* mean, const void* rstd,
                 const void* residual, int64_t rows, int64_t N, void* dx, void* dgamma, void* dbeta);
  };
  Table f32[2], f64[2];  // [RMS], whose kernels do not touch the mean
};

// gamma, beta: of x's dtype and the sizes of x along `axes` in rising order; null where there is none.
// Returns y, mean, rstd; the mean is empty for rms.
std::tuple<Tensor, Tensor, Tensor> layer_norm(const Tensor& x, const Tensor* gamma, const Tensor* beta,
                                              const Dims& axes, double epsilon, bool rms);
// Returns dx, dgamma, dbeta; the last two are empty where they are not wanted (no gamma, no beta).
std::tuple<Tensor, Tensor, Tensor> layer_norm_grad(const Tensor& dy, const Tensor& x, const Tensor* gamma,
                                                   const Tensor& mean, const Tensor& rstd, const Dims& axes,
                                                   bool rms, bool shifts);

}  // namespace lamina
