// Draws and dropout of 2^20 elements, and of as few as leave part of a block. Bytes count what is read and
// written.
#include "bench.h"
#include "ops/dropout.h"

namespace lamina {
namespace {

void sizes(benchmark::internal::Benchmark* b) {
  b->Arg(15)->Arg(17)->Arg(1 << 10)->Arg(1 << 20)->Arg((1 << 20) + 1)->UseRealTime();
}
Tensor seed() { return full({3}, 1, DType::kInt64); }

void draw_uniform(benchmark::State& state) {
  const Tensor s = seed();
  for (auto _ : state) {
    benchmark::DoNotOptimize(random_uniform(s, {state.range(0)}, DType::kFloat32, 0, 1).data());
  }
  rates(state, 0, 4.0 * static_cast<double>(state.range(0)));
}
void draw_normal(benchmark::State& state) {
  const Tensor s = seed();
  for (auto _ : state) {
    benchmark::DoNotOptimize(random_normal(s, {state.range(0)}, DType::kFloat32, 0, 1).data());
  }
  rates(state, 0, 4.0 * static_cast<double>(state.range(0)));
}
void draw_bernoulli(benchmark::State& state) {
  const Tensor s = seed();
  for (auto _ : state) benchmark::DoNotOptimize(random_bernoulli(s, {state.range(0)}, 0.5).data());
  rates(state, 0, static_cast<double>(state.range(0)));
}
void drop(benchmark::State& state) {
  const Tensor s = seed(), x = uniform({state.range(0)});
  for (auto _ : state) benchmark::DoNotOptimize(dropout(x, s, 0.5).first.data());
  rates(state, 0, 2 * bytes_of(x));
}
void drop_grad(benchmark::State& state) {
  const Tensor s = seed(), dy = uniform({state.range(0)});
  for (auto _ : state) benchmark::DoNotOptimize(dropout_grad(dy, s, 0.5).data());
  rates(state, 0, 2 * bytes_of(dy));
}
BENCHMARK(draw_uniform)->Apply(sizes);
BENCHMARK(draw_normal)->Apply(sizes);
BENCHMARK(draw_bernoulli)->Apply(sizes);
BENCHMARK(drop)->Apply(sizes);
BENCHMARK(drop_grad)->Apply(sizes);

}  // namespace
}  // namespace lamina
