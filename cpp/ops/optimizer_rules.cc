#include "ops/optimizer_rules.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace lamina {
namespace {

double first_steps(double beta, double t) { return 1 / (1 - std::pow(beta, t)); }

void begin_plain(UpdateArgs&, double, double&) {}
void begin_adam(UpdateArgs& a, double t, double&) {
  a.lr *= first_steps(a.beta_1, t) / std::sqrt(first_steps(a.beta_2, t));
}
void begin_adamax(UpdateArgs& a, double t, double&) { a.lr *= first_steps(a.beta_1, t); }
void begin_nadam(UpdateArgs& a, double t, double& product) {
  const double u = a.beta_1 * (1 - 0.5 * std::pow(0.96, t)),
               next = a.beta_1 * (1 - 0.5 * std::pow(0.96, t + 1));
  product *= u;
  a.m_scale = a.lr * next / (1 - product * next);
  a.g_scale = a.lr * (1 - u) / (1 - product);
  a.v_scale = first_steps(a.beta_2, t);
}
void begin_lamb(UpdateArgs& a, double t, double&) {
  a.m_scale = first_steps(a.beta_1, t);
  a.v_scale = first_steps(a.beta_2, t);
}
void begin_ftrl(UpdateArgs& a, double, double&) { a.rest = 2 * a.l2_regularization_strength + a.beta / a.lr; }
void begin_adafactor(UpdateArgs& a, double t, double&) {
  a.lr = std::min(a.lr, 1 / std::sqrt(t));
  a.beta_2 = 1 - std::pow(t, a.beta_2_decay);
}

double lamb_rate(const UpdateArgs& a, double p2, double d2, double) {
  return p2 > 0 && d2 > 0 ? a.lr * std::sqrt(p2) / std::sqrt(d2) : a.lr;
}
double adafactor_rate(const UpdateArgs& a, double p2, double d2, double size) {
  const double rms_p = std::sqrt(p2 / size), rms_d = std::sqrt(d2 / size);
  return a.lr * std::max(a.epsilon_2, rms_p) / std::max(1.0, rms_d / a.clip_threshold);
}

// In the order of Method.
constexpr Rule kRules[] = {
    {Method::sgd, "sgd", 0, 1, 2, 2, false, false, begin_plain, nullptr},
    {Method::rmsprop, "rmsprop", 1, 3, 9, 4, false, false, begin_plain, nullptr},
    {Method::adagrad, "adagrad", 1, 1, 6, 0, false, false, begin_plain, nullptr},
    {Method::adadelta, "adadelta", 2, 2, 14, 0, false, false, begin_plain, nullptr},
    {Method::adam, "adam", 2, 3, 12, 1, false, false, begin_adam, nullptr},
    {Method::adamax, "adamax", 2, 2, 9, 0, false, false, begin_adamax, nullptr},
    {Method::nadam, "nadam", 2, 2, 14, 0, true, false, begin_nadam, nullptr},
    {Method::lion, "lion", 1, 1, 8, 0, false, false, begin_plain, nullptr},
    {Method::ftrl, "ftrl", 2, 2, 16, 0, false, false, begin_ftrl, nullptr},
    {Method::lamb, "lamb", 2, 2, 23, 0, false, false, begin_lamb, lamb_rate},
    {Method::adafactor, "adafactor", 1, 1, 19, 0, false, true, begin_adafactor, adafactor_rate},
};
static_assert(std::size(kRules) == kMethods);

struct Setting {
  const char* name;
  double UpdateArgs::*at;
};
#define LAMINA_SETTING(name) \
  { #name, &UpdateArgs::name }
constexpr Setting kSettings[] = {LAMINA_SETTING(momentum),
                                 LAMINA_SETTING(nesterov),
                                 LAMINA_SETTING(rho),
                                 LAMINA_SETTING(beta_1),
                                 LAMINA_SETTING(beta_2),
                                 LAMINA_SETTING(epsilon),
                                 {"epsilon_1", &UpdateArgs::epsilon},
                                 LAMINA_SETTING(epsilon_2),
                                 LAMINA_SETTING(beta_2_decay),
                                 LAMINA_SETTING(clip_threshold),
                                 LAMINA_SETTING(l1_regularization_strength),
                                 LAMINA_SETTING(l2_regularization_strength),
                                 LAMINA_SETTING(l2_shrinkage_regularization_strength),
                                 LAMINA_SETTING(beta),
                                 LAMINA_SETTING(learning_rate_power),
                                 LAMINA_SETTING(clipvalue),
                                 LAMINA_SETTING(clipnorm),
                                 LAMINA_SETTING(global_clipnorm),
                                 LAMINA_SETTING(loss_scale_factor),
                                 LAMINA_SETTING(gradient_accumulation_steps),
                                 LAMINA_SETTING(ema_momentum),
                                 LAMINA_SETTING(ema_overwrite_frequency)};
#undef LAMINA_SETTING

}  // namespace

const Rule& optimizer_rule(const std::string& name) {
  const Rule* rule =
      std::find_if(std::begin(kRules), std::end(kRules), [&](const Rule& r) { return name == r.name; });
  check(rule != std::end(kRules), "optimizer_step", "rule is unknown. Received: rule=", name, ".");
  return *rule;
}

UpdateArgs update_args(const Rule& rule, const std::map<std::string, double>& settings) {
  UpdateArgs args{};
  for (const auto& [name, value] : settings) {
    const Setting* setting = std::find_if(std::begin(kSettings), std::end(kSettings),
                                          [&, &key = name](const Setting& s) { return key == s.name; });
    check(setting != std::end(kSettings), rule.name, "has no such setting. Received: ", name, "=", value,
          ".");
    args.*setting->at = value;
  }
  check((args.clipvalue > 0) + (args.clipnorm > 0) + (args.global_clipnorm > 0) <= 1, rule.name,
        "only one of clipvalue, clipnorm and global_clipnorm may be set. Received: clipvalue=",
        args.clipvalue, ", clipnorm=", args.clipnorm, ", global_clipnorm=", args.global_clipnorm, ".");
  args.clip = args.clipvalue > 0 ? args.clipvalue : INFINITY;
  return args;
}

}  // namespace lamina
