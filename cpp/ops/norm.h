// Batch normalisation over every axis but the channels (Ioffe and Szegedy, 2015), float32 and float64. With M
// = number of values per channel:
//
//   training:   mean = sum(x) / M    var = sum((x - mean)^2) / M    rstd = 1 / sqrt(var + epsilon)
//               moving = moving * momentum + (mean or var) * (1 - momentum)
//   inference:  mean, var = the moving ones
//   y = (x - mean) * rstd * gamma + beta
//
// Statistics come from blocks of kNormBlock rows, each in one pass about a value near its mean, combined in
// order in float64 (Chan, Golub and LeVeque, 1979): the bits do not depend on threads.
//
// Gradient, with xhat = (x - mean) * rstd:
//   dbeta = sum(dy)    dgamma = sum(dy * xhat)
//   training:   dx = gamma * rstd * (dy - dbeta / M - xhat * dgamma / M)
//   inference:  dx = gamma * rstd * dy
#pragma once

#include <tuple>

#include "base/fwd.h"

namespace lamina {

// x is (M, C) rows; everything per channel has C values. Pointers are to the table's type.
constexpr int64_t kNormBlock = 128;  // rows; 128 rows of 64 floats fit the first cache level
constexpr int64_t kNormGroup = 64;   // channels of one work item

struct NormKernels {
  struct Table {
    // Rows [begin, end), channels [c0, c1): sum[c] of x and m2[c], the squares about the block's own mean.
    void (*moments)(const void* x, int64_t C, int64_t begin, int64_t end, int64_t c0, int64_t c1, void* sum,
                    void* m2);
    // sum_dy[c], and sum_dyx[c] of dy (x - mean).
    void (*grad_sums)(const void* dy, const void* x, const void* mean, int64_t C, int64_t begin, int64_t end,
                      int64_t c0, int64_t c1, void* sum_dy, void* sum_dyx);
    // y = (x - mean) * scale + shift on rows [begin, end).
    void (*apply)(const void* x, const void* mean, const void* scale, const void* shift, void* y, int64_t C,
                  int64_t begin, int64_t end);
    // dx = dy * a - b - (x - mean) * k.
    void (*grad)(const void* dy, const void* x, const void* mean, const void* a, const void* b, const void* k,
                 void* dx, int64_t C, int64_t begin, int64_t end);
  };
  Table f32, f64;
};
const NormKernels& norm_kernel_tables();  // this CPU's

// gamma, beta, moving_mean, moving_var: (C,) of x's dtype; null where there is none (inference needs the
// moving ones). Returns y, mean, rstd. Training then writes the moving statistics in place.
std::tuple<Tensor, Tensor, Tensor> batch_norm(const Tensor& x, const Tensor* gamma, const Tensor* beta,
                                              const Tensor* moving_mean, const Tensor* moving_var, int axis,
                                              double momentum, double epsilon, bool training);
// Returns dx, dgamma, dbeta.
std::tuple<Tensor, Tensor, Tensor> batch_norm_grad(const Tensor& dy, const Tensor& x, const Tensor* gamma,
                                                   const Tensor& mean, const Tensor& rstd, int axis,
                                                   bool training);

}  // namespace lamina
