// Matrix products by shape: GFLOP/s of matmul and dense as an op-level caller sees them, allocation included.
//   lamina_benchmarks --benchmark_filter=square     LAMINA_NUM_THREADS and LAMINA_ISA choose threads and
//   kernels.
#include <benchmark/benchmark.h>

#include <array>

#include "ops/layout.h"
#include "ops/matmul.h"

namespace lamina {
namespace {

enum Form { kPlain, kTransposedA, kTransposedB };  // stored [K, M] or [N, K]

Tensor operand(int64_t rows, int64_t cols, bool transposed, DType dtype) {
  const Tensor x = full(transposed ? Shape{cols, rows} : Shape{rows, cols}, 0.5, dtype);
  return transposed ? x.transpose({1, 0}) : x;
}

void report(benchmark::State& state, double m, double n, double k) {
  state.counters["GFLOP/s"] =
      benchmark::Counter(2e-9 * m * n * k, benchmark::Counter::kIsIterationInvariantRate);
}

void product(benchmark::State& state, Form form, DType dtype) {
  const int64_t m = state.range(0), k = state.range(1), n = state.range(2);
  const Tensor a = operand(m, k, form == kTransposedA, dtype), b = operand(k, n, form == kTransposedB, dtype);
  for (auto _ : state) benchmark::DoNotOptimize(matmul(a, b).data());
  report(state, m, n, k);
}

void square(benchmark::State& state) { product(state, kPlain, DType::kFloat32); }
void square_float64(benchmark::State& state) { product(state, kPlain, DType::kFloat64); }
void input_grad(benchmark::State& state) { product(state, kTransposedB, DType::kFloat32); }
void weight_grad(benchmark::State& state) { product(state, kTransposedA, DType::kFloat32); }

void forward(benchmark::State& state) {
  const int64_t m = state.range(0), k = state.range(1), n = state.range(2);
  const Tensor x = full({m, k}, 0.5, DType::kFloat32), w = full({k, n}, 0.5, DType::kFloat32);
  const Tensor bias = full({n}, 0.5, DType::kFloat32);
  for (auto _ : state) benchmark::DoNotOptimize(dense(x, w, &bias, Activation::relu).data());
  report(state, m, n, k);
}

void squares(benchmark::internal::Benchmark* b) {
  for (int64_t n : {64, 128, 256, 512, 1024, 2048}) b->Args({n, n, n});
}
// batch x inputs x units of small nets, an autoencoder and a Transformer.
void layers(benchmark::internal::Benchmark* b) {
  for (auto [m, k, n] : {std::array{32, 10, 10},
                         {32, 10, 1},
                         {32, 784, 64},
                         {32, 64, 10},
                         {32, 1600, 128},
                         {128, 784, 256},
                         {128, 256, 784},
                         {2048, 256, 256},
                         {2048, 256, 1024},
                         {4096, 128, 65},
                         {1, 512, 512}}) {
    b->Args({m, k, n});
  }
}
void layer_input_grads(benchmark::internal::Benchmark* b) {
  for (auto [m, k, n] : {std::array{32, 10, 10},
                         {32, 1, 10},
                         {32, 64, 784},
                         {32, 10, 64},
                         {32, 128, 1600},
                         {128, 256, 784},
                         {2048, 1024, 256},
                         {4096, 65, 128}}) {
    b->Args({m, k, n});
  }
}
void layer_weight_grads(benchmark::internal::Benchmark* b) {
  for (auto [m, k, n] : {std::array{10, 32, 10},
                         {10, 32, 1},
                         {784, 32, 64},
                         {64, 32, 10},
                         {1600, 32, 128},
                         {784, 128, 256},
                         {256, 2048, 1024},
                         {128, 4096, 65},
                         {25, 57600, 6},
                         {288, 3872, 64}}) {
    b->Args({m, k, n});
  }
}

BENCHMARK(square)->Apply(squares);
BENCHMARK(square_float64)->Args({512, 512, 512});
BENCHMARK(forward)->Apply(layers);
BENCHMARK(input_grad)->Apply(layer_input_grads);
BENCHMARK(weight_grad)->Apply(layer_weight_grads);

}  // namespace
}  // namespace lamina
