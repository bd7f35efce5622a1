// Elementwise functions by number of elements, as an op-level caller sees them: around the vectors' widths,
// in the first cache level, in the second, and in memory.
#include "bench.h"
#include "ops/binary.h"
#include "ops/unary.h"

namespace lamina {
namespace {

void sizes(benchmark::internal::Benchmark* b) {
  b->UseRealTime();
  for (int64_t n : {15, 16, 17, 63, 64, 65, 1 << 10, 1 << 16, 1 << 22}) b->Arg(n);
}

void binary_of(benchmark::State& state, Binary op) {
  const Tensor a = uniform({state.range(0)}, 0.5, 2), b = uniform({state.range(0)}, 0.5, 2);
  for (auto _ : state) benchmark::DoNotOptimize(binary(op, a, b).data());
  rates(state, 0, 3 * bytes_of(a));
}
BENCHMARK_CAPTURE(binary_of, add, Binary::add)->Apply(sizes);
BENCHMARK_CAPTURE(binary_of, divide, Binary::divide)->Apply(sizes);
BENCHMARK_CAPTURE(binary_of, power, Binary::power)->Apply(sizes);

// [pixels, channels] + [channels]
void add_bias(benchmark::State& state) {
  const Tensor x = uniform({(state.range(0) + 63) / 64, 64}), bias = uniform({64});
  for (auto _ : state) benchmark::DoNotOptimize(binary(Binary::add, x, bias).data());
  rates(state, 0, 2 * bytes_of(x));
}
BENCHMARK(add_bias)->Apply(sizes);

void unary_of(benchmark::State& state, Unary op) {
  const Tensor x = uniform({state.range(0)}, 0.5, 2);
  for (auto _ : state) benchmark::DoNotOptimize(unary(op, x).data());
  rates(state, 0, 2 * bytes_of(x));
}
BENCHMARK_CAPTURE(unary_of, relu, Unary::relu)->Apply(sizes);
BENCHMARK_CAPTURE(unary_of, exp, Unary::exp)->Apply(sizes);
BENCHMARK_CAPTURE(unary_of, log, Unary::log)->Apply(sizes);
BENCHMARK_CAPTURE(unary_of, tanh, Unary::tanh)->Apply(sizes);
BENCHMARK_CAPTURE(unary_of, sigmoid, Unary::sigmoid)->Apply(sizes);
BENCHMARK_CAPTURE(unary_of, erf, Unary::erf)->Apply(sizes);
BENCHMARK_CAPTURE(unary_of, sin, Unary::sin)->Apply(sizes);

void unary_grad_of(benchmark::State& state, Unary op) {
  const Tensor dy = uniform({state.range(0)}), s = uniform({state.range(0)});
  for (auto _ : state) benchmark::DoNotOptimize(unary_grad(op, dy, s).data());
  rates(state, 0, 3 * bytes_of(dy));
}
BENCHMARK_CAPTURE(unary_grad_of, relu, Unary::relu)->Apply(sizes);
BENCHMARK_CAPTURE(unary_grad_of, tanh, Unary::tanh)->Apply(sizes);

}  // namespace
}  // namespace lamina
