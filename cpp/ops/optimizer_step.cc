#include <algorithm>
#include <cstddef>
#include <tuple>
#include <utility>

#include "base/tensor.h"
#include "ops/gather.h"
#include "ops/layout.h"
#include "ops/optimizer_group.h"
#include "ops/optimizer_launch.h"
#include "ops/optimizer_sparse.h"

namespace lamina {
namespace {

using Tensors = std::vector<Tensor>;

void check_matches(const char* op, const char* name, const Tensor& t, const Shape& shape, const Tensor& p,
                   size_t i) {
  check(t.shape() == shape && t.dtype() == p.dtype(), op, name, " must have shape ", shape, " and dtype ",
        p.dtype(), ", of its parameter. Received: number ", i, " with shape=", t.shape(), " ", t.dtype(),
        ", parameter shape=", p.shape(), " ", p.dtype(), ".");
}

bool is_float(const Tensor& t) {
  return (t.dtype() == DType::kFloat32 || t.dtype() == DType::kFloat64) && t.size() == 1;
}

Matrices matrices_of(const Shape& shape) {
  if (shape.rank() < 2) return {};
  Matrices m{1, shape[shape.rank() - 2], shape.back()};
  for (int axis = 0; axis + 2 < shape.rank(); ++axis) m.count *= shape[axis];
  return m;
}

// The shape of list k of the slots for a parameter.
Shape slot_shape(int slots, size_t k, const Tensor& slot, const Tensor& p) {
  Shape shape = p.shape();
  if (k < static_cast<size_t>(slots)) return shape;
  if (shape.rank() < 2) return slot.shape();  // not factored: unused
  shape.erase(shape.rank() - (k == static_cast<size_t>(slots) ? 1 : 2));
  return shape;
}

// The shape of the gradient rows for some ids.
Shape rows_shape(const Tensor& ids, const Tensor& p) {
  Shape shape = ids.shape();
  shape.push_back(p.dim(1));
  return shape;
}

double flops_per_element(const StepArgs& a, bool decays) {
  const Rule& rule = *a.rule;
  const double clips = a.by_norm() ? 3 : a.update.clipvalue > 0 ? 2 : 0;
  const double around = clips + (decays ? 2 : 0) + (a.gathers ? 2 : 0) + (a.averages ? 3 : 0);
  const double nesterov = a.slots > 0 && a.update.nesterov != 0 ? 2 : 0;
  return around + rule.flops + nesterov + rule.flops_of_more * (a.slots - rule.least_slots);
}

StepArgs& args_of(std::vector<std::max_align_t>& block) { return *reinterpret_cast<StepArgs*>(block.data()); }
Row* rows_of(std::vector<std::max_align_t>& block) { return reinterpret_cast<Row*>(&args_of(block) + 1); }

// Lays the gradients end to end; returns the launch's flops and bytes of scratch.
std::pair<double, size_t> lay_out(StepArgs& a, Row* rows, const Tensor* parameters) {
  int64_t element = 0;
  size_t matrix_bytes = 0;
  bool decays = false;
  a.blocks = 0;
  for (int64_t i = 0; i < a.count; ++i) {
    Row& row = rows[i];
    const int64_t size = row.named.count < 0 ? parameters[i].size() : row.named.count * row.named.width;
    row.begin = element;
    row.end = element += size;
    row.block_begin = a.blocks;
    row.block_end = a.blocks += blocks_of(size);
    decays = decays || row.weight_decay != 0;
    if (a.rule->is_factored) matrix_bytes = std::max(matrix_bytes, factored_scratch(row.matrices));
  }
  return {flops_per_element(a, decays) * static_cast<double>(element),
          static_cast<size_t>(step_scratch(a)) * sizeof(double) + matrix_bytes + sparse_scratch(a, rows)};
}

}  // namespace

ParameterGroup parameter_group(const std::string& name, const Tensors& parameters,
                               const std::vector<Tensors>& slots, const Tensor& learning_rate,
                               const Tensor& iterations, const std::map<std::string, double>& settings,
                               const std::vector<double>& weight_decay, const Tensors& accumulators,
                               const Tensors& averages, const Tensors& state) {
  const Rule& rule = optimizer_rule(name);
  const char* op = rule.name;
  const size_t n = parameters.size();
  check(weight_decay.empty() || weight_decay.size() == n, op,
        "needs one weight decay per parameter. Received: ", n, " parameters, ", weight_decay.size(),
        " weight decays.");
  check(is_float(learning_rate), op,
        "learning_rate must be one float32 or float64. Received: shape=", learning_rate.shape(), " ",
        learning_rate.dtype(), ".");
  check(iterations.dtype() == DType::kInt64 && iterations.size() == 1, op,
        "iterations must be one int64. Received: shape=", iterations.shape(), " ", iterations.dtype(), ".");
  check(rule.has_state ? state.size() == 1 && is_float(state[0]) : state.empty(), op, "needs ",
        rule.has_state ? "one float" : "nothing", " as state. Received: ", state.size(), " tensors.");
  const int factors = rule.is_factored ? 2 : 0, elementwise = static_cast<int>(slots.size()) - factors;
  check(elementwise >= rule.least_slots && elementwise <= rule.most_slots, op, "needs ",
        rule.least_slots + factors, " to ", rule.most_slots + factors,
        " lists of slots. Received: ", slots.size(), ".");

  StepArgs args{};
  args.rule = &rule;
  args.update = update_args(rule, settings);
  args.lr_dtype = learning_rate.dtype();
  if (rule.has_state) args.state_dtype = state[0].dtype();
  for (int s = 0; s < elementwise; ++s) {
    if (s < rule.least_slots || !slots[static_cast<size_t>(s)].empty()) args.list_of_slot[s] = ++args.slots;
  }
  args.count = static_cast<int64_t>(n);
  args.period = std::max<int64_t>(1, static_cast<int64_t>(args.update.gradient_accumulation_steps));
  args.gathers = !accumulators.empty();
  args.averages = !averages.empty();
  check(args.gathers == (args.period > 1 && n > 0), op,
        "needs accumulators where gradient_accumulation_steps is above 1. Received: ", accumulators.size(),
        ", gradient_accumulation_steps=", args.period, ".");

  ParameterGroup group;
  group.op = op, group.learning_rate = learning_rate, group.writes = {iterations}, group.count = n;
  group.args_bytes = sizeof(StepArgs) + n * sizeof(Row);
  group.args.resize(group.args_bytes / sizeof(std::max_align_t) + 1);
  Row* rows = rows_of(group.args);
  for (size_t i = 0; i < n; ++i) {
    const Tensor& p = parameters[i];
    check_computes(op, p.dtype());
    check(p.is_symbolic() || p.is_contiguous(), op, "parameters must be contiguous. Received: number ", i,
          ".");
    group.writes.push_back(p);
    rows[i] = {};
    rows[i].weight_decay = weight_decay.empty() ? 0 : weight_decay[i];
    if (rule.is_factored) rows[i].matrices = matrices_of(p.shape());
    rows[i].dtype = p.dtype();
  }
  const auto write = [&](const char* what, const Tensors& list, auto shape_of) {
    check(list.size() == n, op, "needs one ", what, " per parameter. Received: ", list.size(), " for ", n,
          ".");
    for (size_t i = 0; i < n; ++i) {
      check_matches(op, what, list[i], shape_of(i), parameters[i], i);
      check(list[i].is_symbolic() || list[i].is_contiguous(), op, what, " must be contiguous.");
      group.writes.push_back(list[i]);
    }
  };
  for (size_t k = 0; k < slots.size(); ++k) {
    if (slots[k].empty() && k >= static_cast<size_t>(rule.least_slots + factors)) continue;
    write("slot", slots[k], [&](size_t i) { return slot_shape(elementwise, k, slots[k][i], parameters[i]); });
  }
  const auto same = [&](size_t i) { return parameters[i].shape(); };
  if (args.gathers) write("accumulator", accumulators, same);
  if (args.averages) write("average", averages, same);
  group.writes.insert(group.writes.end(), state.begin(), state.end());
  args_of(group.args) = args;
  std::tie(group.hints.flops, group.scratch_bytes) = lay_out(args_of(group.args), rows, parameters.data());
  return group;
}

int64_t first_unlike(const ParameterGroup& group, const std::vector<const Tensor*>& gradients) {
  const size_t n = group.count;
  check(gradients.size() == n, group.op, "needs one gradient per parameter. Received: ", n, " parameters, ",
        gradients.size(), " gradients.");
  for (size_t i = 0; i < n; ++i) {
    const Tensor &g = *gradients[i], &p = group.parameter(i);
    if (g.dtype() != p.dtype() || g.shape() != p.shape()) return static_cast<int64_t>(i);
  }
  return -1;
}

namespace {

// ids: of the gradients that are rows, in their order.
void run(const ParameterGroup& group, const std::vector<const Tensor*>& gradients,
         const std::vector<const Tensor*>& ids, const std::vector<std::max_align_t>& args, size_t scratch,
         const Hints& hints) {
  Tensors copies;
  copies.reserve(group.count + ids.size());
  std::vector<const Tensor*> reads{&group.learning_rate}, writes;
  reads.reserve(group.count + ids.size() + 1);
  writes.reserve(group.writes.size());
  for (const auto* list : {&gradients, &ids}) {
    for (const Tensor* t : *list) {
      const bool copied = !t->is_symbolic() && !t->is_contiguous();
      reads.push_back(copied ? &copies.emplace_back(contiguous(*t)) : t);
    }
  }
  for (const Tensor& t : group.writes) writes.push_back(&t);
  launch(Launch{group.op, &run_step, args.data(), group.args_bytes, reads.data(), reads.size(), writes.data(),
                writes.size(), scratch, hints});
}

}  // namespace

void optimizer_step(const ParameterGroup& group, const std::vector<const Tensor*>& gradients,
                    const std::vector<std::optional<Tensor>>& ids) {
  if (ids.empty()) {
    if (const int64_t unlike = first_unlike(group, gradients); unlike >= 0) {
      const auto i = static_cast<size_t>(unlike);
      check_matches(group.op, "gradient", *gradients[i], group.parameter(i).shape(), group.parameter(i), i);
    }
    return run(group, gradients, {}, group.args, group.scratch_bytes, group.hints);
  }
  check(gradients.size() == group.count && ids.size() == group.count, group.op,
        "needs one gradient and list of ids per parameter. Received: ", group.count, " parameters, ",
        gradients.size(), " gradients, ", ids.size(), " lists of ids.");
  std::vector<std::max_align_t> block = group.args;
  StepArgs& args = args_of(block);
  check(!args.gathers && !args.averages, group.op,
        "rows of a gradient are neither gathered nor averaged. Received: ", ids.size(), " lists of ids.");
  std::vector<const Tensor*> lists;
  for (size_t i = 0; i < group.count; ++i) {
    const Tensor& p = group.parameter(i);
    if (!ids[i]) {
      check_matches(group.op, "gradient", *gradients[i], p.shape(), p, i);
      continue;
    }
    const Tensor& named = *ids[i];
    check_indices(group.op, named);
    check(p.rank() == 2, group.op, "only a matrix has rows. Received: number ", i, " with shape=", p.shape(),
          ".");
    check_matches(group.op, "gradient", *gradients[i], rows_shape(named, p), p, i);
    Row& row = rows_of(block)[i];
    row.named = {named.size(), p.dim(0), p.dim(1), named.dtype()};
    if (args.rule->is_factored) row.matrices.R = named.size();
    lists.push_back(&named);
  }
  args.id_lists = static_cast<int>(lists.size());
  Hints hints = group.hints;
  size_t scratch = 0;
  std::tie(hints.flops, scratch) = lay_out(args, rows_of(block), &group.parameter(0));
  run(group, gradients, lists, block, scratch, hints);
}

}  // namespace lamina
