// Pooling by shape, NHWC, window and stride, forward and gradient, as an op-level caller sees them. Bytes
// count input and output once, and the index of a maximum.
#include <array>

#include "bench.h"
#include "ops/pool2d.h"

namespace lamina {
namespace {

// batch, height = width, channels, window, stride
constexpr std::array<int64_t, 5> kCases[] = {
    {32, 26, 32, 2, 2}, {32, 11, 64, 2, 2}, {100, 24, 6, 2, 2}, {100, 8, 16, 2, 2},  // tutorials
    {8, 55, 64, 3, 2},  {8, 27, 192, 3, 2}, {8, 13, 256, 3, 2}, {8, 112, 64, 3, 2},  // AlexNet, ResNet-50
};

struct Pool {
  Tensor x;
  Dims window, stride;
};

Pool pool(const benchmark::State& s) {
  return {uniform({s.range(0), s.range(1), s.range(1), s.range(2)}),
          {s.range(3), s.range(3)},
          {s.range(4), s.range(4)}};
}

double cells(const benchmark::State& s, const Tensor& y) {
  return static_cast<double>(y.size() * s.range(3) * s.range(3));
}

void max_pool(benchmark::State& state) {
  const Pool p = pool(state);
  const Tensor y = max_pool2d(p.x, p.window, p.stride, false);
  for (auto _ : state) benchmark::DoNotOptimize(max_pool2d(p.x, p.window, p.stride, false).data());
  rates(state, cells(state, y), bytes_of(p.x) + bytes_of(y));
}

void max_pool_index(benchmark::State& state) {
  const Pool p = pool(state);
  const auto [y, index] = max_pool2d_index(p.x, p.window, p.stride, false);
  for (auto _ : state)
    benchmark::DoNotOptimize(max_pool2d_index(p.x, p.window, p.stride, false).second.data());
  rates(state, cells(state, y), bytes_of(p.x) + bytes_of(y) + bytes_of(index));
}

void max_pool_grad(benchmark::State& state) {
  const Pool p = pool(state);
  const auto [y, index] = max_pool2d_index(p.x, p.window, p.stride, false);
  const Tensor dy = uniform(y.shape());
  for (auto _ : state) {
    benchmark::DoNotOptimize(max_pool2d_grad(dy, index, p.x.shape(), p.window, p.stride, false).data());
  }
  rates(state, static_cast<double>(dy.size()), bytes_of(p.x) + bytes_of(dy) + bytes_of(index));
}

void average_pool(benchmark::State& state) {
  const Pool p = pool(state);
  const Tensor y = average_pool2d(p.x, p.window, p.stride, false);
  for (auto _ : state) benchmark::DoNotOptimize(average_pool2d(p.x, p.window, p.stride, false).data());
  rates(state, cells(state, y), bytes_of(p.x) + bytes_of(y));
}

void average_pool_grad(benchmark::State& state) {
  const Pool p = pool(state);
  const Tensor dy = uniform(average_pool2d(p.x, p.window, p.stride, false).shape());
  for (auto _ : state) {
    benchmark::DoNotOptimize(average_pool2d_grad(dy, p.x.shape(), p.window, p.stride, false).data());
  }
  rates(state, cells(state, dy), bytes_of(p.x) + bytes_of(dy));
}

void cases(benchmark::internal::Benchmark* b) {
  b->ArgNames({"batch", "image", "channels", "window", "stride"})->UseRealTime();
  for (const auto& [batch, size, channels, window, stride] : kCases) {
    b->Args({batch, size, channels, window, stride});
  }
}

BENCHMARK(max_pool)->Apply(cases);
BENCHMARK(max_pool_index)->Apply(cases);
BENCHMARK(max_pool_grad)->Apply(cases);
BENCHMARK(average_pool)->Apply(cases);
BENCHMARK(average_pool_grad)->Apply(cases);

}  // namespace
}  // namespace lamina
