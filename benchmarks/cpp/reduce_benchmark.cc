// Reductions over each axis, as an op-level caller sees them: contiguous rows, columns, short middle axes,
// and rows around the vectors' widths. Bytes count what is read.
#include "bench.h"
#include "ops/arg_reduce.h"
#include "ops/reduce.h"

namespace lamina {
namespace {

using Fold = Tensor (*)(const Tensor&, const Axes&, bool);
using Find = Tensor (*)(const Tensor&, std::optional<int64_t>, bool);

void matrix(benchmark::internal::Benchmark* b) { b->ArgName("axis")->DenseRange(0, 1)->UseRealTime(); }
void images(benchmark::internal::Benchmark* b) { b->ArgName("axis")->DenseRange(0, 3)->UseRealTime(); }

void fold(benchmark::State& state, Fold f, const Shape& shape) {
  const Tensor x = uniform(shape);
  for (auto _ : state) benchmark::DoNotOptimize(f(x, Dims{state.range(0)}, false).data());
  rates(state, static_cast<double>(x.size()), bytes_of(x));
}
BENCHMARK_CAPTURE(fold, sum_1024x1024, sum, Shape{1024, 1024})->Apply(matrix);
BENCHMARK_CAPTURE(fold, max_1024x1024, max, Shape{1024, 1024})->Apply(matrix);
BENCHMARK_CAPTURE(fold, prod_1024x1024, prod, Shape{1024, 1024})->Apply(matrix);
BENCHMARK_CAPTURE(fold, sum_64x28x28x64, sum, Shape{64, 28, 28, 64})->Apply(images);
BENCHMARK_CAPTURE(fold, max_64x28x28x64, max, Shape{64, 28, 28, 64})->Apply(images);

void find(benchmark::State& state, Find f, const Shape& shape) {
  const Tensor x = uniform(shape);
  for (auto _ : state) benchmark::DoNotOptimize(f(x, state.range(0), false).data());
  rates(state, static_cast<double>(x.size()), bytes_of(x));
}
BENCHMARK_CAPTURE(find, argmax_1024x1024, argmax, Shape{1024, 1024})->Apply(matrix);
BENCHMARK_CAPTURE(find, argmax_64x28x28x64, argmax, Shape{64, 28, 28, 64})->Apply(images);

void whole(benchmark::State& state) {  // to one number
  const Tensor x = uniform({state.range(0)});
  for (auto _ : state) benchmark::DoNotOptimize(sum(x, {}, false).data());
  rates(state, static_cast<double>(x.size()), bytes_of(x));
}
BENCHMARK(whole)->Arg(1 << 10)->Arg(1 << 16)->Arg(1 << 22)->UseRealTime();

// 10^5 elements in rows, or columns, around the widths of vectors (4, 8, 16 lanes) and of blocks of them.
void edges(benchmark::internal::Benchmark* b) {
  b->ArgName("n")->UseRealTime();
  for (int64_t n : {3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 511, 512, 513})
    b->Arg(n);
}
void sum_rows(benchmark::State& state) {
  const Tensor x = uniform({100'000 / state.range(0), state.range(0)});
  for (auto _ : state) benchmark::DoNotOptimize(sum(x, Dims{1}, false).data());
  rates(state, static_cast<double>(x.size()), bytes_of(x));
}
void sum_columns(benchmark::State& state) {
  const Tensor x = uniform({100'000 / state.range(0), state.range(0)});
  for (auto _ : state) benchmark::DoNotOptimize(sum(x, Dims{0}, false).data());
  rates(state, static_cast<double>(x.size()), bytes_of(x));
}
BENCHMARK(sum_rows)->Apply(edges);
BENCHMARK(sum_columns)->Apply(edges);

}  // namespace
}  // namespace lamina
