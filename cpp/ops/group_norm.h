// Group normalisation (Wu and He, 2018, arXiv:1803.08494), float32 and float64: the channels of each sample
// in G groups, every group with statistics of its own over its channels and all places. x is seen as B
// samples of S places of C channels; with n = S C / G values per (sample, group)
//
//   mean = sum(x) / n    rstd = 1 / sqrt(sum((x - mean)^2) / n + epsilon)
//   y = xhat * gamma + beta,    xhat = (x - mean) * rstd
//
// Gradient, with g = dy * gamma and sums over the group:
//   dx = rstd * (g - sum(g) / n - xhat * sum(g * xhat) / n)
//   dgamma = sum over samples and places of dy * xhat    dbeta = sum over samples and places of dy
//
// Sums are batch normalisation's, per sample and channel (norm.h), joined to groups in float64 and in order.
#pragma once

#include <tuple>

#include "base/fwd.h"

namespace lamina {

// Axis 0 is the samples'. gamma, beta: (C,) of x's dtype; null where there is none. Returns y, mean, rstd,
// the last two per sample and channel, (B, C).
std::tuple<Tensor, Tensor, Tensor> group_norm(const Tensor& x, const Tensor* gamma, const Tensor* beta,
                                              int64_t groups, int axis, double epsilon);
// Returns dx, dgamma, dbeta.
std::tuple<Tensor, Tensor, Tensor> group_norm_grad(const Tensor& dy, const Tensor& x, const Tensor* gamma,
                                                   const Tensor& mean, const Tensor& rstd, int64_t groups,
                                                   int axis);

}  // namespace lamina
