#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>

#include "base/parallel.h"
#include "ops/dispatch.h"
#include "ops/optimizer_launch.h"
#include "ops/optimizer_sparse.h"

namespace lamina {

LAMINA_KERNELS(OptimizerKernels, optimizer_kernels)

namespace {

constexpr double kCost = 0.5;  // rough ns per element
constexpr int64_t kAhead = 8;  // rows between a prefetch and its use

const OptimizerKernels::Table& table(DType dtype) {
  return dtype == DType::kFloat32 ? optimizer_kernels().f32 : optimizer_kernels().f64;
}

// How far a gradient of this norm must shrink; Keras: a global norm that is not finite makes every gradient
// NaN.
double shrink(double square_sum, double limit, bool global) {
  const double norm = std::sqrt(square_sum);
  if (std::isnan(norm) || (global && std::isinf(norm))) return NAN;
  return norm > limit ? limit / norm : 1;
}

double number_at(void* address, DType dtype) {
  return dtype == DType::kFloat32 ? *static_cast<float*>(address) : *static_cast<double*>(address);
}

// One run of the launch: the passes over the operands, each of which needs the one before.
class Step {
 public:
  // ids: of the i-th parameter the rows that its gradient's rows belong to; null where none are named.
  Step(const StepArgs& a, const Row* rows, const int64_t* const* ids, Buffers b)
      : a_(a), rows_(rows), ids_(ids), update_(a.update), lr_(number_at(b.address[0], a.lr_dtype)) {
    gradients_ = b.address + 1;
    parameters_ = b.address + first_parameter(a);
    factors_ = b.address + first_factor(a);
    accumulators_ = factors_ + (a.rule->is_factored ? 2 : 0) * a.count;
    averages_ = accumulators_ + (a.gathers ? a.count : 0);
    state_ = averages_ + (a.averages ? a.count : 0);
    scale_ = static_cast<double*>(b.scratch);
    rate_ = scale_ + a.count;
    partial_ = rate_ + a.count;
    matrices_ = partial_ + 2 * a.blocks;
  }

  void run(int64_t& iterations) {
    const int64_t done = iterations / a_.period;
    const auto overwrite = static_cast<int64_t>(a_.update.ema_overwrite_frequency);
    const bool updates = (iterations + 1) % a_.period == 0;
    update_.lr = lr_;
    update_.overwrite = overwrite > 0 && (done + 1) % overwrite == 0;
    if (done == 0) update_.ema_momentum = 0;
    if (updates) begin(static_cast<double>(done + 1));
    ++iterations;
    if (a_.count == 0) return;
    std::fill_n(scale_, a_.count, a_.update.loss_scale_factor > 0 ? 1 / a_.update.loss_scale_factor : 1);
    if (a_.gathers) gather(updates);
    if (updates && a_.by_norm()) clip_by_norm();
    if (updates && a_.rule->is_factored) factor();
    if (updates && a_.rule->rate) measure();
    if (updates || a_.averages) finish(updates);
  }

 private:
  void begin(double t) {
    double state = a_.rule->has_state ? number_at(*state_, a_.state_dtype) : 0;
    a_.rule->begin_step(update_, t, state);
    if (!a_.rule->has_state) return;
    if (a_.state_dtype == DType::kFloat32)
      *static_cast<float*>(*state_) = static_cast<float>(state);
    else
      *static_cast<double*>(*state_) = state;
  }

  // body(row, i, first element within it, elements) over pieces of all parameters.
  template <class Body>
  void each_piece(Body body) const {
    parallel_for(rows_[a_.count - 1].end, grain_for(kCost), [&](int64_t begin, int64_t end) {
      for (const Row* row = find(begin, &Row::end); begin < end; ++row) {
        const int64_t n = std::min(end, row->end) - begin;
        if (n > 0) body(*row, row - rows_, begin - row->begin, n);  // else an empty parameter
        begin += n;
      }
    });
  }

  // body(row, i, first element within it, elements, block) over blocks of kSumBlock.
  template <class Body>
  void each_block(double cost, Body body) const {
    parallel_for(rows_[a_.count - 1].block_end, grain_for(cost * kSumBlock), [&](int64_t begin, int64_t end) {
      for (int64_t block = begin; block < end; ++block) {
        const Row* row = find(block, &Row::block_end);
        const int64_t at = (block - row->block_begin) * kSumBlock;
        body(*row, row - rows_, at, std::min(kSumBlock, row->end - row->begin - at), block);
      }
    });
  }

  // body(gradient's element, parameter's element, elements) over the runs of a piece that lie together in
  // both.
  template <class Body>
  void each_run(const Row& row, int64_t i, int64_t at, int64_t n, Body body) const {
    if (row.named.count < 0) return body(at, at, n);
    const int64_t width = row.named.width, count = (row.end - row.begin) / width;
    for (const int64_t end = at + n; at < end;) {
      const int64_t u = at / width, begin = at - u * width, run = std::min(width - begin, end - at);
      if (u + kAhead < count) prefetch(row, i, ids_[i][u + kAhead] * width);
      body(at, ids_[i][u] * width + begin, run);
      at += run;
    }
  }

  // Rows lie anywhere in memory: the processor is told early.
  void prefetch(const Row& row, int64_t i, int64_t at) const {
    const int64_t bytes =
        std::min<int64_t>(row.named.width * static_cast<int64_t>(itemsize(row.dtype)), 1024);
    for (int list = 0; list <= a_.slots; ++list) {
      const char* p = static_cast<const char*>(shifted(parameters_[list * a_.count + i], row, at));
      for (int64_t line = 0; line < bytes; line += 64) __builtin_prefetch(p + line, 1);
    }
  }

  // The row of a position: `end_of` names the cumulative column.
  const Row* find(int64_t at, int64_t Row::*end_of) const {
    return std::upper_bound(rows_, rows_ + a_.count, at,
                            [&](int64_t v, const Row& row) { return v < row.*end_of; });
  }

  // Adds the gradients to the accumulators, which the later passes take for the gradients.
  void gather(bool last) {
    UpdateArgs u = update_;
    u.scale = scale_[0];
    u.gathered = last ? 1 / static_cast<double>(a_.period) : 1;
    each_piece([&](const Row& row, int64_t i, int64_t at, int64_t n) {
      table(row.dtype).gather(u, shifted(gradients_[i], row, at), shifted(accumulators_[i], row, at), n);
    });
    gradients_ = accumulators_;
    std::fill_n(scale_, a_.count, 1);
  }

  // scale_[i] of every gradient, by its norm or by that of all.
  void clip_by_norm() {
    each_block(0.1, [&](const Row& row, int64_t i, int64_t at, int64_t n, int64_t block) {
      partial_[block] = table(row.dtype).square_sum(shifted(gradients_[i], row, at), n);
    });
    double total = 0;
    for (int64_t i = 0; i < a_.count; ++i) {
      double sum = 0;
      for (int64_t block = rows_[i].block_begin; block < rows_[i].block_end; ++block) sum += partial_[block];
      sum *= scale_[i] * scale_[i];
      total += sum;
      if (a_.update.clipnorm > 0) scale_[i] *= shrink(sum, a_.update.clipnorm, false);
    }
    if (a_.update.clipnorm > 0) return;
    const double factor = shrink(total, a_.update.global_clipnorm, true);
    for (int64_t i = 0; i < a_.count; ++i) scale_[i] *= factor;
  }

  void factor() {
    for (int64_t i = 0; i < a_.count; ++i) {
      const Row& row = rows_[i];
      if (row.matrices.C == 0) continue;
      factored_moments(of(row, i), row.matrices, row.dtype, gradients_[i], parameters_[a_.count + i],
                       factors_[i], factors_[a_.count + i], matrices_);
    }
  }

  // rate_[i] of every parameter.
  void measure() {
    each_block(kCost, [&](const Row& row, int64_t i, int64_t at, int64_t n, int64_t block) {
      const auto f = a_.rule->method == Method::lamb ? table(row.dtype).measure_lamb
                                                     : table(row.dtype).measure_adafactor;
      const UpdateArgs u = of(row, i);
      double* sums = partial_ + 2 * block;
      sums[0] = sums[1] = 0;
      each_run(row, i, at, n, [&](int64_t from, int64_t to, int64_t run) {
        void* slots[3];
        f(u, shifted(gradients_[i], row, from), shifted(parameters_[i], row, to),
          slots_at(slots, row, i, u.factored ? from : to), run, sums);
      });
    });
    for (int64_t i = 0; i < a_.count; ++i) {
      double sums[2] = {};
      for (int64_t block = rows_[i].block_begin; block < rows_[i].block_end; ++block) {
        sums[0] += partial_[2 * block];
        sums[1] += partial_[2 * block + 1];
      }
      rate_[i] = a_.rule->rate(update_, sums[0], sums[1], static_cast<double>(rows_[i].end - rows_[i].begin));
    }
  }

  // The rule, then averages, piece by piece.
  void finish(bool updates) {
    each_piece([&](const Row& row, int64_t i, int64_t at, int64_t n) {
      const OptimizerKernels::Table& f = table(row.dtype);
      if (updates) {
        const auto update = f.update[static_cast<int>(a_.rule->method)];
        UpdateArgs u = of(row, i);
        if (a_.rule->rate) u.lr = rate_[i];
        each_run(row, i, at, n, [&](int64_t from, int64_t to, int64_t run) {
          void* slots[3];
          update(u, shifted(gradients_[i], row, from), shifted(parameters_[i], row, to),
                 slots_at(slots, row, i, u.factored ? from : to), run);
        });
        if (a_.gathers) {
          std::memset(shifted(gradients_[i], row, at), 0, static_cast<size_t>(n) * itemsize(row.dtype));
        }
      }
      if (a_.averages) {
        f.average(update_, shifted(parameters_[i], row, at), shifted(averages_[i], row, at), n);
      }
    });
  }

  UpdateArgs of(const Row& row, int64_t i) const {
    UpdateArgs u = update_;
    u.decay = row.weight_decay * lr_;
    u.scale = scale_[i];
    u.factored = row.matrices.C > 0;
    return u;
  }
  static void* shifted(void* base, const Row& row, int64_t elements) {
    return static_cast<char*>(base) + static_cast<size_t>(elements) * itemsize(row.dtype);
  }
  void** slots_at(void** slots, const Row& row, int64_t i, int64_t at) const {
    for (int s = 0; s < 3; ++s) {
      const int list = a_.list_of_slot[s];
      slots[s] = list > 0 ? shifted(parameters_[list * a_.count + i], row, at) : nullptr;
    }
    return slots;
  }

  const StepArgs& a_;
  const Row* rows_;
  const int64_t* const* ids_;
  UpdateArgs update_;
  double lr_;
  void *const *gradients_, *const *parameters_, *const *factors_, *const *accumulators_, *const *averages_,
                                                                                             *const *state_;
  double *scale_, *rate_, *partial_, *matrices_;
};

}  // namespace

Status run_step(const void* args, Buffers b) {
  const StepArgs& a = *static_cast<const StepArgs*>(args);
  const double lr = number_at(b.address[0], a.lr_dtype);
  if (a.rule->method == Method::ftrl && !(lr > 0)) {
    return {"learning_rate must be above 0, for the update divides by it", 0, lr};
  }
  int64_t& iterations = b.at<int64_t>(static_cast<int>(first_parameter(a)) - 1)[0];
  if (a.id_lists == 0) {
    Step(a, rows_of(a), nullptr, b).run(iterations);
    return {};
  }
  SparseGradients sparse(a, b);
  const Status status = sparse.gather();
  if (status.what) return status;
  Step(a, sparse.rows(), sparse.ids(), sparse.buffers()).run(iterations);
  sparse.scatter();
  return {};
}

}  // namespace lamina
