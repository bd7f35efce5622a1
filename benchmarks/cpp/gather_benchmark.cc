// Picking rows and elements by index, their gradients, and one-hot vectors. Bytes count what is picked, once
// read and once written.
#include "bench.h"
#include "ops/gather.h"

namespace lamina {
namespace {

// rows of the table, its width, indices: a character model's, a word model's, widths around the vectors'.
void tables(benchmark::internal::Benchmark* b) {
  b->ArgNames({"rows", "width", "indices"})->UseRealTime();
  b->Args({65, 128, 4096})->Args({10'000, 256, 4096})->Args({50'257, 768, 1024});
  for (int64_t width : {15, 16, 17}) b->Args({1000, width, 4096});
}
Tensor indices(const benchmark::State& s) {
  return cast(uniform({s.range(2)}, 0, static_cast<double>(s.range(0))), DType::kInt32);
}

void embed(benchmark::State& state) {
  const Tensor table = uniform({state.range(0), state.range(1)}), at = indices(state);
  const Tensor y = take(table, at, 0);
  for (auto _ : state) benchmark::DoNotOptimize(take(table, at, 0).data());
  rates(state, 0, 2 * bytes_of(y));
}
void embed_grad(benchmark::State& state) {  // zeros of the table's size, and the sums into them
  const Tensor at = indices(state), dy = uniform({state.range(2), state.range(1)});
  const Shape shape{state.range(0), state.range(1)};
  for (auto _ : state) benchmark::DoNotOptimize(take_grad(dy, at, shape, 0).data());
  rates(state, static_cast<double>(dy.size()),
        3 * bytes_of(dy) + 4.0 * static_cast<double>(state.range(0) * state.range(1)));
}
BENCHMARK(embed)->Apply(tables);
BENCHMARK(embed_grad)->Apply(tables);

void along_rows(benchmark::State& state) {
  const Tensor x = uniform({1024, 1024});
  const Tensor at = cast(uniform({1024, 1024}, 0, 1024), DType::kInt32);
  for (auto _ : state) benchmark::DoNotOptimize(take_along_axis(x, at, 1).data());
  rates(state, 0, 3 * bytes_of(x));
}
BENCHMARK(along_rows)->UseRealTime();

void classes(benchmark::State& state) {
  const Tensor at = cast(uniform({4096}, 0, static_cast<double>(state.range(0))), DType::kInt32);
  for (auto _ : state) {
    benchmark::DoNotOptimize(one_hot(at, state.range(0), -1, DType::kFloat32).data());
  }
  rates(state, 0, 4.0 * 4096 * static_cast<double>(state.range(0)));
}
BENCHMARK(classes)->ArgName("classes")->Arg(10)->Arg(1000)->UseRealTime();

}  // namespace
}  // namespace lamina
