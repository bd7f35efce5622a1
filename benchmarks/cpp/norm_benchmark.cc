// Normalisation, softmax and cross-entropy of rows x values, as an op-level caller sees them. Bytes count
// each large operand and result once.
#include <array>

#include "bench.h"
#include "ops/cross_entropy.h"
#include "ops/layer_norm.h"
#include "ops/norm.h"
#include "ops/softmax.h"

namespace lamina {
namespace {

Tensor rows(const benchmark::State& s) { return uniform({s.range(0), s.range(1)}); }

void batch_normalization(benchmark::State& state) {
  const Tensor x = rows(state), gamma = full({state.range(1)}, 1, DType::kFloat32);
  const Tensor beta = full({state.range(1)}, 0, DType::kFloat32), mean = copy(beta), variance = copy(gamma);
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        std::get<0>(batch_norm(x, &gamma, &beta, &mean, &variance, -1, 0.9, 1e-5, true)).data());
  }
  rates(state, 0, 2 * bytes_of(x));
}

void batch_normalization_grad(benchmark::State& state) {
  const Tensor x = rows(state), dy = copy(x), gamma = full({state.range(1)}, 1, DType::kFloat32);
  const auto [y, mean, rstd] = batch_norm(x, &gamma, nullptr, nullptr, nullptr, -1, 0.9, 1e-5, true);
  for (auto _ : state) {
    benchmark::DoNotOptimize(std::get<0>(batch_norm_grad(dy, x, &gamma, mean, rstd, -1, true)).data());
  }
  rates(state, 0, 3 * bytes_of(x));
}

void layer_normalization(benchmark::State& state) {
  const Tensor x = rows(state), gamma = full({state.range(1)}, 1, DType::kFloat32), beta = copy(gamma);
  for (auto _ : state) {
    benchmark::DoNotOptimize(std::get<0>(layer_norm(x, &gamma, &beta, {1}, 1e-3, false)).data());
  }
  rates(state, 0, 2 * bytes_of(x));
}

void layer_normalization_grad(benchmark::State& state) {
  const Tensor x = rows(state), dy = copy(x), gamma = full({state.range(1)}, 1, DType::kFloat32);
  const auto [y, mean, rstd] = layer_norm(x, &gamma, &gamma, {1}, 1e-3, false);
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        std::get<0>(layer_norm_grad(dy, x, &gamma, mean, rstd, {1}, false, true)).data());
  }
  rates(state, 0, 3 * bytes_of(x));
}

void softmax_rows(benchmark::State& state) {
  const Tensor x = rows(state);
  for (auto _ : state) benchmark::DoNotOptimize(softmax(x, 1).data());
  rates(state, 0, 2 * bytes_of(x));
}

void softmax_rows_grad(benchmark::State& state) {
  const Tensor x = rows(state), y = softmax(x, 1);
  for (auto _ : state) benchmark::DoNotOptimize(softmax_grad(x, y, 1).data());
  rates(state, 0, 3 * bytes_of(x));
}

void sparse_crossentropy(benchmark::State& state) {
  const Tensor x = rows(state), target = full({state.range(0)}, 1, DType::kInt64);
  for (auto _ : state) {
    benchmark::DoNotOptimize(sparse_categorical_crossentropy(target, x, true, {}).data());
  }
  rates(state, 0, bytes_of(x));
}

void sparse_crossentropy_grad(benchmark::State& state) {
  const Tensor x = rows(state), target = full({state.range(0)}, 1, DType::kInt64);
  const Tensor dy = full({state.range(0)}, 1, DType::kFloat32);
  for (auto _ : state) {
    benchmark::DoNotOptimize(sparse_categorical_crossentropy_grad(dy, target, x, true, {}).data());
  }
  rates(state, 0, 2 * bytes_of(x));
}

// Pixels x channels of ResNet-18 on 32 images of 32 x 32, and of one that stays in cache.
void images(benchmark::internal::Benchmark* b) {
  b->ArgNames({"pixels", "channels"})->UseRealTime();
  for (auto [m, c] : {std::array{32768, 64}, {8192, 128}, {2048, 256}, {512, 512}, {512, 64}})
    b->Args({m, c});
}
// Rows of Transformers and of attention.
void sequences(benchmark::internal::Benchmark* b) {
  b->ArgNames({"rows", "values"})->UseRealTime();
  for (auto [m, n] : {std::array{2048, 256}, {4096, 128}, {16384, 128}, {512, 768}}) b->Args({m, n});
}
// Samples x classes.
void classes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"rows", "classes"})->UseRealTime();
  for (auto [m, n] : {std::array{32, 10}, {8, 1000}, {4096, 65}}) b->Args({m, n});
}

BENCHMARK(batch_normalization)->Apply(images);
BENCHMARK(batch_normalization_grad)->Apply(images);
BENCHMARK(layer_normalization)->Apply(sequences);
BENCHMARK(layer_normalization_grad)->Apply(sequences);
BENCHMARK(softmax_rows)->Apply(sequences);
BENCHMARK(softmax_rows_grad)->Apply(sequences);
BENCHMARK(sparse_crossentropy)->Apply(classes);
BENCHMARK(sparse_crossentropy_grad)->Apply(classes);

}  // namespace
}  // namespace lamina
