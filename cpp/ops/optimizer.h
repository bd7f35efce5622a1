// One optimiser step over every parameter in one launch. All updates are elementwise; work is cut across the
// parameters laid end to end, so many small ones cost what one big one does. With gradient g (after
// clipping), parameter p, rate lr and step t = iterations + 1, as Keras 3 computes them:
//
//   decay:  p -= p * weight_decay * lr
//   sgd:    p -= g * lr                                      without momentum
//           m  = m * momentum - g * lr;  p += m              with; nesterov: p += m * momentum - g * lr
//   adam:   m += (g - m)(1 - beta_1);  v += (g^2 - v)(1 - beta_2);  amsgrad: v' = max(v', v), used for v
//   below
//           p -= m * alpha / (sqrt(v) + epsilon),  alpha = lr sqrt(1 - beta_2^t) / (1 - beta_1^t)
//           (Kingma and Ba, 2015; Reddi, Kale and Kumar, 2018)
//
// Clipping: by value, by each gradient's norm, or by the norm of all (0: off; at most one). The launch adds 1
// to `iterations`.
#pragma once

#include <vector>

#include "base/fwd.h"

namespace lamina {

// What one kernel call needs, the same for every parameter but `decay` and `scale`.
struct UpdateArgs {
  double lr;     // alpha for adam
  double decay;  // weight_decay * lr
  double scale;  // of the gradient, by norm clipping
  double clip;   // bound of |g|, infinity where there is none
  double momentum, beta_1, beta_2, epsilon;
  bool nesterov;
};

struct OptimizerKernels {
  struct Table {
    // n elements; s: the slots, null where there is none.
    void (*sgd)(const UpdateArgs& a, const void* g, void* p, void* const* s, int64_t n);
    void (*adam)(const UpdateArgs& a, const void* g, void* p, void* const* s, int64_t n);
    double (*square_sum)(const void* g, int64_t n);
  };
  Table f32, f64;
};

// Parameters, gradients and slots match one by one in shape and dtype; slots are lists of that length, or
// empty. weight_decay holds one value per parameter, or is empty. learning_rate: one float. iterations: one
// int64.
void sgd(const std::vector<Tensor>& parameters, const std::vector<Tensor>& gradients,
         const std::vector<Tensor>& momentums, const Tensor& learning_rate, const Tensor& iterations,
         double momentum, bool nesterov, const std::vector<double>& weight_decay, double clipvalue,
         double clipnorm, double global_clipnorm);
// max_v: empty, or amsgrad's maxima.
void adam(const std::vector<Tensor>& parameters, const std::vector<Tensor>& gradients,
          const std::vector<Tensor>& m, const std::vector<Tensor>& v, const std::vector<Tensor>& max_v,
          const Tensor& learning_rate, const Tensor& iterations, double beta_1, double beta_2, double epsilon,
          const std::vector<double>& weight_decay, double clipvalue, double clipnorm, double global_clipnorm);

}  // namespace lamina
