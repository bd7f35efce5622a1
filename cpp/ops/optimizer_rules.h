// What the launch of optimizer.cc knows of each rule besides its kernel.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "ops/optimizer.h"

namespace lamina {

struct Rule {
  Method method;
  const char* name;
  int least_slots, most_slots;  // elementwise ones
  double flops, flops_of_more;  // for each element with the fewest slots, and with each slot more
  bool has_state, is_factored;
  // The numbers of step t in a; lr is set. state: its one element, or 0.
  void (*begin_step)(UpdateArgs& a, double t, double& state);
  // Where given: the rate of a parameter of `size` elements from the sums that its kernel measured.
  double (*rate)(const UpdateArgs& a, double p2, double d2, double size);
};

// Raises for an unknown name.
const Rule& optimizer_rule(const std::string& name);

// Raises for a setting that no rule has.
UpdateArgs update_args(const Rule& rule, const std::map<std::string, double>& settings);

}  // namespace lamina
