#include <algorithm>
#include <cstddef>
#include <cstring>

#include "base/tensor.h"
#include "ops/gather.h"
#include "ops/layout.h"
#include "ops/optimizer.h"
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

}  // namespace

void optimizer_step(const std::string& name, const Tensors& parameters, const Tensors& gradients,
                    const std::vector<Tensors>& slots, const Tensor& learning_rate, const Tensor& iterations,
                    const std::map<std::string, double>& settings, const std::vector<double>& weight_decay,
                    const Tensors& accumulators, const Tensors& averages, const Tensors& state,
                    const std::vector<std::optional<Tensor>>& ids) {
  const Rule& rule = optimizer_rule(name);
  const char* op = rule.name;
  const size_t n = parameters.size();
  check(gradients.size() == n && (weight_decay.empty() || weight_decay.size() == n) &&
            (ids.empty() || ids.size() == n),
        op, "needs one gradient (and weight decay, and list of ids) per parameter. Received: ", n,
        " parameters, ", gradients.size(), " gradients, ", weight_decay.size(), " weight decays, ",
        ids.size(), " lists of ids.");
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

  check(ids.empty() || (!args.gathers && !args.averages), op,
        "rows of a gradient are neither gathered nor averaged. Received: ", ids.size(), " lists of ids.");

  Tensors contiguous_gradients, contiguous_ids;
  contiguous_gradients.reserve(n);
  contiguous_ids.reserve(ids.size());
  std::vector<const Tensor*> reads{&learning_rate}, writes{&iterations};
  std::vector<std::max_align_t> block((sizeof(StepArgs) + n * sizeof(Row)) / sizeof(std::max_align_t) + 1);
  Row* rows = reinterpret_cast<Row*>(reinterpret_cast<char*>(block.data()) + sizeof(StepArgs));
  int64_t element = 0;
  size_t matrix_bytes = 0;
  for (size_t i = 0; i < n; ++i) {
    const Tensor& p = parameters[i];
    check_computes(op, p.dtype());
    const Tensor* named = ids.empty() || !ids[i] ? nullptr : &*ids[i];
    if (named) {
      check_indices(op, *named);
      check(p.rank() == 2, op, "only a matrix has rows. Received: number ", i, " with shape=", p.shape(),
            ".");
    }
    check_matches(op, "gradient", gradients[i], named ? rows_shape(*named, p) : p.shape(), p, i);
    check(p.is_symbolic() || p.is_contiguous(), op, "parameters must be contiguous. Received: number ", i,
          ".");
    contiguous_gradients.push_back(p.is_symbolic() ? gradients[i] : contiguous(gradients[i]));
    reads.push_back(&contiguous_gradients.back());
    writes.push_back(&p);
    const int64_t size = contiguous_gradients.back().size(), blocks = blocks_of(size);
    rows[i] = {element,
               element + size,
               args.blocks,
               args.blocks + blocks,
               weight_decay.empty() ? 0 : weight_decay[i],
               rule.is_factored ? matrices_of(p.shape()) : Matrices{},
               p.dtype(),
               {}};
    if (named) {
      contiguous_ids.push_back(p.is_symbolic() ? *named : contiguous(*named));
      rows[i].named = {named->size(), p.dim(0), p.dim(1), named->dtype()};
      if (rule.is_factored) rows[i].matrices.R = named->size();
    }
    if (rule.is_factored) matrix_bytes = std::max(matrix_bytes, factored_scratch(rows[i].matrices));
    element += size;
    args.blocks += blocks;
  }
  args.id_lists = static_cast<int>(contiguous_ids.size());
  for (const Tensor& t : contiguous_ids) reads.push_back(&t);
  const auto write = [&](const char* what, const Tensors& list, auto shape_of) {
    check(list.size() == n, op, "needs one ", what, " per parameter. Received: ", list.size(), " for ", n,
          ".");
    for (size_t i = 0; i < n; ++i) {
      check_matches(op, what, list[i], shape_of(i), parameters[i], i);
      check(list[i].is_symbolic() || list[i].is_contiguous(), op, what, " must be contiguous.");
      writes.push_back(&list[i]);
    }
  };
  for (size_t k = 0; k < slots.size(); ++k) {
    if (slots[k].empty() && k >= static_cast<size_t>(rule.least_slots + factors)) continue;
    write("slot", slots[k], [&](size_t i) { return slot_shape(elementwise, k, slots[k][i], parameters[i]); });
  }
  const auto same = [&](size_t i) { return parameters[i].shape(); };
  if (args.gathers) write("accumulator", accumulators, same);
  if (args.averages) write("average", averages, same);
  for (const Tensor& t : state) writes.push_back(&t);
  std::memcpy(block.data(), &args, sizeof args);
  const Hints hints{.flops = flops_per_element(args, !weight_decay.empty()) * static_cast<double>(element)};
  const size_t scratch =
      static_cast<size_t>(step_scratch(args)) * sizeof(double) + matrix_bytes + sparse_scratch(args, rows);
  launch(Launch{op, &run_step, block.data(), sizeof(StepArgs) + n * sizeof(Row), reads.data(), reads.size(),
                writes.data(), writes.size(), scratch, hints});
}

}  // namespace lamina
