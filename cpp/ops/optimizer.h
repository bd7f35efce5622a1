// One optimiser step over every parameter in one launch. Updates are elementwise; work is cut across the
// parameters laid end to end, so many small ones cost what one big one does. With gradient g (after
// clipping), parameter p, rate lr and step t = iterations + 1, as Keras 3 computes them; r, b1, b2, e stand
// for rho, beta_1, beta_2, epsilon, c1 and c2 for 1 / (1 - b1^t) and 1 / (1 - b2^t):
//
//   decay:     p -= p * weight_decay * lr, before the rule
//   sgd:       p -= g lr                                       without momentum
//              m  = m momentum - g lr;  p += m                 with; nesterov: p += m momentum - g lr
//   rmsprop:   v  = r v + (1 - r) g^2;  centered: a = r a + (1 - r) g, with v - a^2 for v below
//              d  = g lr / sqrt(v + e);  momentum: d = m = momentum m + d;  p -= d      (Hinton, 2012)
//   adagrad:   v += g^2;  p -= g lr / sqrt(v + e)                       (Duchi, Hazan and Singer, 2011)
//   adadelta:  v  = r v + (1 - r) g^2;  d = g sqrt(x + e) / sqrt(v + e);  x = r x + (1 - r) d^2
//              p -= d lr                                                (Zeiler, 2012)
//   adam:      m += (g - m)(1 - b1);  v += (g^2 - v)(1 - b2);  amsgrad: x = max(x, v), for v below
//              p -= m alpha / (sqrt(v) + e),  alpha = lr c1 / sqrt(c2)
//              (Kingma and Ba, 2015; Reddi, Kale and Kumar, 2018)
//   adamax:    m as adam;  u = max(b2 u, |g|);  p -= m lr c1 / (u + e)  (Kingma and Ba, 2015)
//   nadam:     m, v as adam;  u_t = b1 (1 - 0.96^t / 2);  U = product of u_1 .. u_t, a state of one element
//              p -= lr (m u_t+1 / (1 - U u_t+1) + g (1 - u_t) / (1 - U)) / (sqrt(v c2) + e)   (Dozat, 2016)
//   lion:      p -= lr sign(m b1 + g (1 - b1));  m = m b2 + g (1 - b2)  (Chen et al., 2023)
//   ftrl:      n' = n + g^2;  z += g + 2 shrinkage p - (n'^k - n^k) p / lr,  k = -learning_rate_power
//              p  = (clamp(z, -l1, l1) - z) / (n'^k / lr + 2 l2 + beta / lr);  n = n'   (McMahan et al.,
//              2013)
//   lamb:      m, v as adam;  d = m c1 / (sqrt(v c2) + e);  p -= d lr |p| / |d|, or d lr where a norm is 0
//              (You et al., 2020)
//   adafactor: v as factored.h has it, for parameters of fewer than two axes b v + (1 - b)(g^2 + e),
//              b = 1 - t^beta_2_decay;  d = g / sqrt(v);  rms(x) = |x| / sqrt(size)
//              p -= d max(epsilon_2, rms(p)) min(lr, 1 / sqrt(t)) / max(1, rms(d) / clip_threshold)
//              (Shazeer and Stern, 2018)
//
// Around the rule, in this order: gradients are divided by loss_scale_factor, and gathered where
// `accumulators` are given: of every gradient_accumulation_steps launches the last applies the mean and
// clears them, the others only add (t counts those that apply). Clipping by value, by each gradient's norm,
// or by the norm of all (0: off; at most one). After the rule, `averages` follow the parameters:
// a = ema_momentum a + (1 - ema_momentum) p, a = p at the first step; every ema_overwrite_frequency steps
// p = a. The launch adds 1 to `iterations`.
//
// A gradient may be rows of a matrix parameter: with integers `ids` of any shape, (*ids.shape, width), the
// rows of equal ids adding up in their order. The step, its norms, means and decay are then those of a
// parameter that has the named rows alone, each once: all others keep their values and slots, and a factored
// v is not written. No accumulators or averages then.
#pragma once

#include <cstdint>

namespace lamina {

// What a kernel needs: settings under their Keras names (a flag is 0 or 1), then the numbers of the step, and
// of the parameter at hand.
struct UpdateArgs {
  double momentum, nesterov, rho, beta_1, beta_2, epsilon, epsilon_2, beta_2_decay, clip_threshold;
  double l1_regularization_strength, l2_regularization_strength, l2_shrinkage_regularization_strength, beta,
      learning_rate_power;
  double clipvalue, clipnorm, global_clipnorm, loss_scale_factor, gradient_accumulation_steps;
  double ema_momentum, ema_overwrite_frequency;

  double lr;  // all that does not depend on the element, `alpha` for adam say
  double m_scale, v_scale,
      g_scale;                // corrections of m, v and g for the first steps, the rate in it for nadam
  double rest;                // ftrl: 2 l2 + beta / lr
  double gathered;            // what a gathered gradient is multiplied by
  double overwrite;           // whether p = a
  double decay, scale, clip;  // weight_decay * lr; of the gradient; bound of |g| or infinity
  bool factored;              // adafactor: v is made already
};

// In the order of OptimizerKernels::Table::update and of the rules in optimizer_rules.cc.
enum class Method : int { sgd, rmsprop, adagrad, adadelta, adam, adamax, nadam, lion, ftrl, lamb, adafactor };
constexpr int kMethods = 11;

struct OptimizerKernels {
  // n elements of gradient, parameter and slots s.
  using Update = void (*)(const UpdateArgs& a, const void* g, void* p, void* const* s, int64_t n);
  struct Table {
    Update update[kMethods];
    // Writes m and v; adds p^2, after decay, and d^2 to sums.
    void (*measure_lamb)(const UpdateArgs& a, const void* g, void* p, void* const* s, int64_t n,
                         double* sums);
    void (*measure_adafactor)(const UpdateArgs& a, const void* g, void* p, void* const* s, int64_t n,
                              double* sums);
    void (*gather)(const UpdateArgs& a, const void* g, void* accumulator, int64_t n);
    void (*average)(const UpdateArgs& a, void* p, void* average, int64_t n);
    double (*square_sum)(const void* g, int64_t n);
  };
  Table f32, f64;
};

}  // namespace lamina
