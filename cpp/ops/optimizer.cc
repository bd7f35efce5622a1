#include "ops/optimizer.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>

#include "base/parallel.h"
#include "base/tensor.h"
#include "ops/dispatch.h"
#include "ops/launch.h"
#include "ops/layout.h"

namespace lamina {

LAMINA_KERNELS(OptimizerKernels, optimizer_kernels)

namespace {

constexpr double kCost = 0.5;        // rough ns per element
constexpr int64_t kSumBlock = 4096;  // elements of one partial sum of squares

enum class Method : int { sgd, adam };

struct Clipping {
  double value, norm, global_norm;
};

// The argument block of a launch: this, then `count` rows.
struct StepArgs {
  Method method;
  DType lr_dtype;
  int slots;
  int64_t count;
  UpdateArgs update;
  Clipping clipping;
};
struct Row {
  int64_t begin, end;              // elements, of all parameters end to end
  int64_t block_begin, block_end;  // partial sums
  double weight_decay;
  DType dtype;
};

const Row* rows_of(const StepArgs& a) { return reinterpret_cast<const Row*>(&a + 1); }

const OptimizerKernels::Table& table(DType dtype) {
  return dtype == DType::kFloat32 ? optimizer_kernels().f32 : optimizer_kernels().f64;
}

// The row of a position: `end_of` names the cumulative column.
const Row* find(const StepArgs& a, int64_t at, int64_t Row::*end_of) {
  return std::upper_bound(rows_of(a), rows_of(a) + a.count, at,
                          [&](int64_t v, const Row& row) { return v < row.*end_of; });
}

// How far a gradient of this norm must shrink; Keras: a global norm that is not finite makes every gradient
// NaN.
double shrink(double square_sum, double limit, bool global) {
  const double norm = std::sqrt(square_sum);
  if (std::isnan(norm) || (global && std::isinf(norm))) return NAN;
  return norm > limit ? limit / norm : 1;
}

// scale[i] of every gradient, by its norm or by that of all.
void clip_by_norm(const StepArgs& a, void* const* gradients, double* scale, double* partial) {
  const Row* rows = rows_of(a);
  parallel_for(rows[a.count - 1].block_end, grain_for(0.1 * kSumBlock), [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block) {
      const Row* row = find(a, block, &Row::block_end);
      const int64_t at = (block - row->block_begin) * kSumBlock, size = row->end - row->begin;
      const char* g = static_cast<const char*>(gradients[row - rows]) + at * itemsize(row->dtype);
      partial[block] = table(row->dtype).square_sum(g, std::min(kSumBlock, size - at));
    }
  });
  double total = 0;
  for (int64_t i = 0; i < a.count; ++i) {
    double sum = 0;
    for (int64_t block = rows[i].block_begin; block < rows[i].block_end; ++block) sum += partial[block];
    total += sum;
    if (a.clipping.norm > 0) scale[i] = shrink(sum, a.clipping.norm, false);
  }
  if (a.clipping.global_norm > 0) std::fill_n(scale, a.count, shrink(total, a.clipping.global_norm, true));
}

// Operations of the formulas in optimizer.h.
double flops_per_element(const StepArgs& a, bool decays) {
  const double clips = a.clipping.norm > 0 || a.clipping.global_norm > 0 ? 3 : a.clipping.value > 0 ? 2 : 0;
  const double sgd = a.slots == 0 ? 2 : a.update.nesterov ? 6 : 4, adam = a.slots == 3 ? 13 : 12;
  return clips + (decays ? 2 : 0) + (a.method == Method::sgd ? sgd : adam);
}

// Reads the learning rate and gradients; writes iterations, the parameters, then each slot's list.
Status run_step(const void* args, Buffers b) {
  const StepArgs& a = *static_cast<const StepArgs*>(args);
  const Row* rows = rows_of(a);
  UpdateArgs update = a.update;
  const double lr = a.lr_dtype == DType::kFloat32 ? b.at<float>(0)[0] : b.at<double>(0)[0];
  int64_t& iterations = b.at<int64_t>(1 + static_cast<int>(a.count))[0];
  update.lr = lr;
  if (a.method == Method::adam) {
    const double t = static_cast<double>(iterations + 1);
    update.lr = lr * std::sqrt(1 - std::pow(a.update.beta_2, t)) / (1 - std::pow(a.update.beta_1, t));
  }
  ++iterations;
  if (a.count == 0) return {};
  void* const* gradients = b.address + 1;
  void* const* parameters = gradients + a.count + 1;
  double* scale = static_cast<double*>(b.scratch);
  const bool by_norm = a.clipping.norm > 0 || a.clipping.global_norm > 0;
  if (by_norm) clip_by_norm(a, gradients, scale, scale + a.count);
  parallel_for(rows[a.count - 1].end, grain_for(kCost), [&](int64_t begin, int64_t end) {
    UpdateArgs u = update;
    for (const Row* row = find(a, begin, &Row::end); begin < end; ++row) {
      const int64_t i = row - rows, n = std::min(end, row->end) - begin;
      if (n <= 0) continue;  // an empty parameter
      const size_t offset = static_cast<size_t>(begin - row->begin) * itemsize(row->dtype);
      const auto at = [&](void* base) { return static_cast<void*>(static_cast<char*>(base) + offset); };
      u.decay = row->weight_decay * lr;
      u.scale = by_norm ? scale[i] : 1;
      void* slots[3] = {};
      for (int s = 0; s < a.slots; ++s) slots[s] = at(parameters[(s + 1) * a.count + i]);
      const auto f = a.method == Method::sgd ? table(row->dtype).sgd : table(row->dtype).adam;
      f(u, at(gradients[i]), at(parameters[i]), slots, n);
      begin += n;
    }
  });
  return {};
}

void check_matches(const char* op, const char* name, const Tensor& t, const Tensor& p, size_t i) {
  check(t.shape() == p.shape() && t.dtype() == p.dtype(), op, name,
        " must have its parameter's shape and dtype. Received: number ", i, " with shape=", t.shape(), " ",
        t.dtype(), ", parameter shape=", p.shape(), " ", p.dtype(), ".");
}

void step(const char* op, StepArgs args, const std::vector<Tensor>& parameters,
          const std::vector<Tensor>& gradients, std::initializer_list<const std::vector<Tensor>*> slots,
          const Tensor& learning_rate, const Tensor& iterations, const std::vector<double>& weight_decay) {
  const size_t n = parameters.size();
  check(gradients.size() == n && (weight_decay.empty() || weight_decay.size() == n), op,
        "needs one gradient (and weight decay) per parameter. Received: ", n, " parameters, ",
        gradients.size(), " gradients, ", weight_decay.size(), " weight decays.");
  check((learning_rate.dtype() == DType::kFloat32 || learning_rate.dtype() == DType::kFloat64) &&
            learning_rate.size() == 1,
        op, "learning_rate must be one float32 or float64. Received: shape=", learning_rate.shape(), " ",
        learning_rate.dtype(), ".");
  check(iterations.dtype() == DType::kInt64 && iterations.size() == 1, op,
        "iterations must be one int64. Received: shape=", iterations.shape(), " ", iterations.dtype(), ".");
  const Clipping& c = args.clipping;
  check((c.value > 0) + (c.norm > 0) + (c.global_norm > 0) <= 1, op,
        "only one of clipvalue, clipnorm and global_clipnorm may be set. Received: clipvalue=", c.value,
        ", clipnorm=", c.norm, ", global_clipnorm=", c.global_norm, ".");
  args.lr_dtype = learning_rate.dtype();
  args.slots = 0;
  args.count = static_cast<int64_t>(n);
  args.update.clip = c.value > 0 ? c.value : INFINITY;

  std::vector<Tensor> contiguous_gradients;
  contiguous_gradients.reserve(n);
  std::vector<const Tensor*> reads{&learning_rate}, writes{&iterations};
  std::vector<std::max_align_t> block((sizeof(StepArgs) + n * sizeof(Row)) / sizeof(std::max_align_t) + 1);
  Row* rows = reinterpret_cast<Row*>(reinterpret_cast<char*>(block.data()) + sizeof(StepArgs));
  int64_t element = 0, sum_block = 0;
  for (size_t i = 0; i < n; ++i) {
    const Tensor& p = parameters[i];
    check_computes(op, p.dtype());
    check_matches(op, "gradient", gradients[i], p, i);
    check(p.is_symbolic() || p.is_contiguous(), op, "parameters must be contiguous. Received: number ", i,
          ".");
    contiguous_gradients.push_back(p.is_symbolic() ? gradients[i] : contiguous(gradients[i]));
    reads.push_back(&contiguous_gradients.back());
    writes.push_back(&p);
    const int64_t size = p.size(), blocks = (size + kSumBlock - 1) / kSumBlock;
    rows[i] = {
        element,  element + size, sum_block, sum_block + blocks, weight_decay.empty() ? 0 : weight_decay[i],
        p.dtype()};
    element += size;
    sum_block += blocks;
  }
  for (const std::vector<Tensor>* slot : slots) {
    if (slot->empty()) continue;
    ++args.slots;
    check(slot->size() == n, op, "needs one slot per parameter. Received: ", slot->size(), " for ", n, ".");
    for (size_t i = 0; i < n; ++i) {
      check_matches(op, "slot", (*slot)[i], parameters[i], i);
      check((*slot)[i].is_symbolic() || (*slot)[i].is_contiguous(), op, "slots must be contiguous.");
      writes.push_back(&(*slot)[i]);
    }
  }
  std::memcpy(block.data(), &args, sizeof args);
  const bool by_norm = c.norm > 0 || c.global_norm > 0;
  const Hints hints{.flops = flops_per_element(args, !weight_decay.empty()) * static_cast<double>(element)};
  launch(Launch{op, &run_step, block.data(), sizeof(StepArgs) + n * sizeof(Row), reads.data(), reads.size(),
                writes.data(), writes.size(),
                by_norm ? (n + static_cast<size_t>(sum_block)) * sizeof(double) : 0, hints});
}

}  // namespace

void sgd(const std::vector<Tensor>& parameters, const std::vector<Tensor>& gradients,
         const std::vector<Tensor>& momentums, const Tensor& learning_rate, const Tensor& iterations,
         double momentum, bool nesterov, const std::vector<double>& weight_decay, double clipvalue,
         double clipnorm, double global_clipnorm) {
  StepArgs args{};
  args.method = Method::sgd;
  args.update.momentum = momentum;
  args.update.nesterov = nesterov;
  args.clipping = {clipvalue, clipnorm, global_clipnorm};
  step("sgd", args, parameters, gradients, {&momentums}, learning_rate, iterations, weight_decay);
}

void adam(const std::vector<Tensor>& parameters, const std::vector<Tensor>& gradients,
          const std::vector<Tensor>& m, const std::vector<Tensor>& v, const std::vector<Tensor>& max_v,
          const Tensor& learning_rate, const Tensor& iterations, double beta_1, double beta_2, double epsilon,
          const std::vector<double>& weight_decay, double clipvalue, double clipnorm,
          double global_clipnorm) {
  StepArgs args{};
  args.method = Method::adam;
  args.update.beta_1 = beta_1;
  args.update.beta_2 = beta_2;
  args.update.epsilon = epsilon;
  args.clipping = {clipvalue, clipnorm, global_clipnorm};
  check(m.size() == parameters.size() && v.size() == parameters.size(), "adam",
        "needs m and v for every parameter. Received: ", m.size(), " m, ", v.size(), " v, ",
        parameters.size(), " parameters.");
  step("adam", args, parameters, gradients, {&m, &v, &max_v}, learning_rate, iterations, weight_decay);
}

}  // namespace lamina
