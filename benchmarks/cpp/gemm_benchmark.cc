// Matrix products by shape: GFLOP/s of matmul and dense as an op-level caller sees them, allocation included.
//   lamina_benchmarks --benchmark_filter=square     LAMINA_NUM_THREADS and LAMINA_ISA choose threads and
//   kernels.
#include <array>

#include "bench.h"
#include "ops/matmul.h"

namespace lamina {
namespace {

enum Form { kPlain, kTransposedA, kTransposedB };  // stored [K, M] or [N, K]

Tensor operand(int64_t rows, int64_t cols, bool transposed, DType dtype) {
  const Tensor x = cast(uniform(transposed ? Shape{cols, rows} : Shape{rows, cols}), dtype);
  return transposed ? x.transpose({1, 0}) : x;
}

void product(benchmark::State& state, Form form, DType dtype) {
  const int64_t m = state.range(0), k = state.range(1), n = state.range(2);
  const Tensor a = operand(m, k, form == kTransposedA, dtype), b = operand(k, n, form == kTransposedB, dtype);
  for (auto _ : state) benchmark::DoNotOptimize(matmul(a, b).data());
  rates(state, 2.0 * static_cast<double>(m * n * k), bytes_of(a) + bytes_of(b) + bytes_of(matmul(a, b)));
}

void square(benchmark::State& state) { product(state, kPlain, DType::kFloat32); }
void square_float64(benchmark::State& state) { product(state, kPlain, DType::kFloat64); }
void input_grad(benchmark::State& state) { product(state, kTransposedB, DType::kFloat32); }
void weight_grad(benchmark::State& state) { product(state, kTransposedA, DType::kFloat32); }

void forward(benchmark::State& state) {
  const int64_t m = state.range(0), k = state.range(1), n = state.range(2);
  const Tensor x = uniform({m, k}), w = uniform({k, n}), bias = uniform({n});
  const Tensor y = dense(x, w, &bias, Activation::relu);
  for (auto _ : state) benchmark::DoNotOptimize(dense(x, w, &bias, Activation::relu).data());
  rates(state, 2.0 * static_cast<double>(m * n * k), bytes_of(x) + bytes_of(w) + bytes_of(y));
}

void squares(benchmark::internal::Benchmark* b) {
  b->UseRealTime();
  for (int64_t n : {64, 128, 256, 512, 1024, 2048}) b->Args({n, n, n});
}
// batch x inputs x units of small nets, an autoencoder, a Transformer and AlexNet.
void layers(benchmark::internal::Benchmark* b) {
  b->UseRealTime();
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
                         {8, 9216, 4096},
                         {1, 512, 512}}) {
    b->Args({m, k, n});
  }
}
void layer_input_grads(benchmark::internal::Benchmark* b) {
  b->UseRealTime();
  for (auto [m, k, n] : {std::array{32, 10, 10},
                         {32, 1, 10},
                         {32, 64, 784},
                         {32, 10, 64},
                         {32, 128, 1600},
                         {128, 256, 784},
                         {2048, 1024, 256},
                         {8, 4096, 9216},
                         {4096, 65, 128}}) {
    b->Args({m, k, n});
  }
}
void layer_weight_grads(benchmark::internal::Benchmark* b) {
  b->UseRealTime();
  for (auto [m, k, n] : {std::array{10, 32, 10},
                         {10, 32, 1},
                         {784, 32, 64},
                         {64, 32, 10},
                         {1600, 32, 128},
                         {784, 128, 256},
                         {256, 2048, 1024},
                         {128, 4096, 65},
                         {25, 57600, 6},
                         {288, 3872, 64},
                         {9216, 8, 4096}}) {
    b->Args({m, k, n});
  }
}

BENCHMARK(square)->Apply(squares);
BENCHMARK(square_float64)->Args({512, 512, 512})->UseRealTime();
BENCHMARK(forward)->Apply(layers);
BENCHMARK(input_grad)->Apply(layer_input_grads);
BENCHMARK(weight_grad)->Apply(layer_weight_grads);

}  // namespace
}  // namespace lamina
