// The optimiser's step (optimizer.h has the formulas) over parameters that stay the same from step to step.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/tensor.h"
#include "ops/launch.h"

namespace lamina {

// A step's launch but for the gradients, checked once: a step over hundreds of small parameters would spend
// as long on handing over and checking what they are as on their update.
struct ParameterGroup {
  const char* op = nullptr;
  Tensor learning_rate;
  std::vector<Tensor> writes;          // iterations, parameters, and the rest as optimizer_launch.h has it
  std::vector<std::max_align_t> args;  // of optimizer_launch.h
  size_t args_bytes = 0, scratch_bytes = 0, count = 0;
  Hints hints = {};

  const Tensor& parameter(size_t i) const { return writes[i + 1]; }
};

// For `rule`, a Method's name. Parameters, accumulators and averages match one by one in shape and dtype (the
// latter two may be empty), and so does each list in `slots`: sgd m; rmsprop v m a; adagrad v; adadelta v x;
// adam m v x; adamax m u; nadam m v; lion m; ftrl n z; lamb m v, where m, a and x of sgd, rmsprop and adam
// may be empty; adafactor v, and r and c of factored.h. state: nadam's U, else empty. weight_decay holds one
// value per parameter, or is empty. learning_rate: one float. iterations: one int64. settings: those of
// UpdateArgs that the rule reads, besides clipping and the like, which are 0 where not given.
ParameterGroup parameter_group(const std::string& rule, const std::vector<Tensor>& parameters,
                               const std::vector<std::vector<Tensor>>& slots, const Tensor& learning_rate,
                               const Tensor& iterations, const std::map<std::string, double>& settings,
                               const std::vector<double>& weight_decay,
                               const std::vector<Tensor>& accumulators, const std::vector<Tensor>& averages,
                               const std::vector<Tensor>& state);

// The index of the first gradient whose shape or dtype is not its parameter's, or -1.
int64_t first_unlike(const ParameterGroup& group, const std::vector<const Tensor*>& gradients);

// One step. gradients: one for each parameter, of its shape and dtype, or where `ids` (empty, or one a
// parameter) names rows of it, (*ids.shape, width).
void optimizer_step(const ParameterGroup& group, const std::vector<const Tensor*>& gradients,
                    const std::vector<std::optional<Tensor>>& ids = {});

}  // namespace lamina
