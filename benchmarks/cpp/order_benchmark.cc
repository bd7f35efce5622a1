// Sorting, selection and running sums of float32 lines, as an op-level caller sees them. Bytes count the line
// once and what is written.
#include "bench.h"
#include "ops/scan.h"
#include "ops/sort.h"

namespace lamina {
namespace {

void lines(benchmark::internal::Benchmark* b) {
  b->ArgNames({"lines", "n"})->UseRealTime();
  for (auto [rows, n] :
       {std::pair{4096, 16}, {4096, 17}, {4096, 32}, {1000, 767}, {1000, 768}, {1024, 1024}}) {
    b->Args({rows, n});
  }
  b->Args({1, 1'000'000});
}
void sort_lines(benchmark::State& state) {
  const Tensor x = uniform({state.range(0), state.range(1)});
  for (auto _ : state) benchmark::DoNotOptimize(sort(x, 1).first.data());
  rates(state, 0, 3 * bytes_of(x));
}
void sort_columns(benchmark::State& state) {
  const Tensor x = uniform({state.range(1), state.range(0)});
  for (auto _ : state) benchmark::DoNotOptimize(sort(x, 0).first.data());
  rates(state, 0, 3 * bytes_of(x));
}
BENCHMARK(sort_lines)->Apply(lines);
BENCHMARK(sort_columns)->Args({1024, 1024})->UseRealTime();

void top(benchmark::State& state) {
  const Tensor x = uniform({state.range(0), state.range(1)});
  for (auto _ : state) benchmark::DoNotOptimize(top_k(x, state.range(2)).first.data());
  rates(state, 0, bytes_of(x));
}
void tops(benchmark::internal::Benchmark* b) {
  b->ArgNames({"lines", "n", "k"})->UseRealTime();
  b->Args({64, 1000, 5})->Args({16, 50257, 50})->Args({1, 1'000'000, 10})->Args({1, 1'000'000, 1000});
}
BENCHMARK(top)->Apply(tops);

using Scan = Tensor (*)(const Tensor&, int64_t);
Tensor running_sum(const Tensor& x, int64_t axis) { return cumsum(x, axis, false); }
Tensor running_product(const Tensor& x, int64_t axis) { return cumprod(x, axis); }

void scan(benchmark::State& state, Scan f) {
  const Tensor x = uniform({1024, 1024}, 0.9, 1.1);
  for (auto _ : state) benchmark::DoNotOptimize(f(x, state.range(0)).data());
  rates(state, static_cast<double>(x.size()), 2 * bytes_of(x));
}
BENCHMARK_CAPTURE(scan, cumsum, running_sum)->ArgName("axis")->DenseRange(0, 1)->UseRealTime();
BENCHMARK_CAPTURE(scan, cumprod, running_product)->ArgName("axis")->DenseRange(0, 1)->UseRealTime();

}  // namespace
}  // namespace lamina
