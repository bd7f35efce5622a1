// Convolutions by shape, forward and both gradients, NHWC with `padding` pixels on each side, as an op-level
// caller sees them. The floor of bytes counts image, filters and output once.
//   lamina_benchmarks --benchmark_filter=conv_input_grad/batch:32
#include <array>

#include "bench.h"
#include "ops/conv2d.h"

namespace lamina {
namespace {

// height = width, channels, filters, kernel, stride, padding: the list CONVS of benchmarks/workloads.py.
using Case = std::array<int64_t, 6>;
constexpr Case kCases[] = {
    {28, 1, 32, 3, 1, 0},    {13, 32, 64, 3, 1, 0},   {5, 64, 64, 3, 1, 0},      // tutorials
    {28, 1, 6, 5, 1, 0},     {12, 6, 16, 5, 1, 0},                               //
    {224, 3, 64, 11, 4, 2},  {27, 64, 192, 5, 1, 2},  {13, 192, 384, 3, 1, 1},   // AlexNet
    {13, 384, 256, 3, 1, 1}, {13, 256, 256, 3, 1, 1},                            //
    {224, 3, 64, 7, 2, 3},   {56, 64, 64, 1, 1, 0},   {56, 64, 64, 3, 1, 1},     // ResNet-50
    {56, 64, 256, 1, 1, 0},  {56, 256, 128, 1, 2, 0}, {28, 128, 128, 3, 1, 1},   //
    {28, 512, 128, 1, 1, 0}, {14, 256, 256, 3, 1, 1}, {14, 1024, 256, 1, 1, 0},  //
    {7, 512, 512, 3, 1, 1},  {7, 512, 2048, 1, 1, 0},                            //
    {32, 3, 64, 3, 1, 1},    {32, 64, 64, 3, 1, 1},   {32, 64, 128, 3, 2, 1},    // CIFAR ResNet-18
    {32, 64, 128, 1, 2, 0},  {16, 128, 128, 3, 1, 1}, {8, 256, 256, 3, 1, 1},    //
    {4, 512, 512, 3, 1, 1},
};
// Depthwise, 3 x 3, padding 1 (MobileNetV2): height = width, channels, stride.
constexpr std::array<int64_t, 3> kDepthwise[] = {{112, 32, 1}, {112, 96, 2}, {56, 144, 1}, {28, 192, 1},
                                                 {14, 384, 1}, {14, 576, 2}, {7, 960, 1}};

struct Convolution {
  Tensor x, w, dy;
  Conv2dWindow window;
  double flops, bytes;
};

Convolution convolution(int64_t batch, const Case& c, int64_t groups) {
  const auto [size, channels, filters, kernel, stride, padding] = c;
  const Tensor x = uniform({batch, size, size, channels});
  const Tensor w = uniform({kernel, kernel, channels / groups, filters});
  const Conv2dWindow window = conv2d_window(x.shape(), w.shape(), {stride, stride},
                                            Dims{padding, padding, padding, padding}, {1, 1}, groups);
  const Tensor dy = uniform(conv2d(x, w, {}, window).shape());
  const double flops = 2.0 * static_cast<double>(dy.size() * kernel * kernel * (channels / groups));
  return {x, w, dy, window, flops, bytes_of(x) + bytes_of(w) + bytes_of(dy)};
}

template <class Op>
void run(benchmark::State& state, const Convolution& c, Op op) {
  for (auto _ : state) benchmark::DoNotOptimize(op(c).data());
  rates(state, c.flops, c.bytes);
}

Tensor forward(const Convolution& c) { return conv2d(c.x, c.w, {}, c.window); }
Tensor input_grad(const Convolution& c) { return conv2d_input_grad(c.dy, c.w, c.x.shape(), c.window); }
Tensor weight_grad(const Convolution& c) { return conv2d_weight_grad(c.x, c.dy, c.w.shape(), c.window); }

Convolution dense_case(const benchmark::State& s) {
  return convolution(s.range(0), {s.range(1), s.range(2), s.range(3), s.range(4), s.range(5), s.range(6)}, 1);
}
void conv(benchmark::State& s) { run(s, dense_case(s), forward); }
void conv_input_grad(benchmark::State& s) { run(s, dense_case(s), input_grad); }
void conv_weight_grad(benchmark::State& s) { run(s, dense_case(s), weight_grad); }

Convolution depthwise_case(const benchmark::State& s) {
  return convolution(s.range(0), {s.range(1), s.range(2), s.range(2), 3, s.range(3), 1}, s.range(2));
}
void depthwise(benchmark::State& s) { run(s, depthwise_case(s), forward); }
void depthwise_input_grad(benchmark::State& s) { run(s, depthwise_case(s), input_grad); }
void depthwise_weight_grad(benchmark::State& s) { run(s, depthwise_case(s), weight_grad); }

void cases(benchmark::internal::Benchmark* b, int64_t least_channels) {
  b->ArgNames({"batch", "image", "channels", "filters", "kernel", "stride", "padding"})->UseRealTime();
  for (int64_t batch : {8, 32}) {
    for (const auto& [size, channels, filters, kernel, stride, padding] : kCases) {
      if (channels >= least_channels) b->Args({batch, size, channels, filters, kernel, stride, padding});
    }
  }
}
void all_cases(benchmark::internal::Benchmark* b) { cases(b, 1); }
void inner_cases(benchmark::internal::Benchmark* b) { cases(b, 4); }  // images need no gradient
void depthwise_cases(benchmark::internal::Benchmark* b) {
  b->ArgNames({"batch", "image", "channels", "stride"})->UseRealTime();
  for (int64_t batch : {8, 32}) {
    for (const auto& [size, channels, stride] : kDepthwise) b->Args({batch, size, channels, stride});
  }
}

BENCHMARK(conv)->Apply(all_cases);
BENCHMARK(conv_input_grad)->Apply(inner_cases);
BENCHMARK(conv_weight_grad)->Apply(all_cases);
BENCHMARK(depthwise)->Apply(depthwise_cases);
BENCHMARK(depthwise_input_grad)->Apply(depthwise_cases);
BENCHMARK(depthwise_weight_grad)->Apply(depthwise_cases);

}  // namespace
}  // namespace lamina
