// Recurrent layers over whole sequences, forward and gradient, of inputs that are projected already.
// Operations are those of the states' products: 2 batch x units x gates units a step.
#include <array>

#include "bench.h"
#include "ops/recurrent.h"

namespace lamina {
namespace {

// batch, steps, units: Keras' usual layer, Deep Speech 2, a wide one, one sample; around blocks of 16
// samples.
constexpr std::array<int64_t, 3> kCases[] = {{32, 100, 128}, {16, 400, 800}, {64, 50, 512},
                                             {1, 100, 128},  {15, 100, 128}, {17, 100, 128}};

struct Sequence {
  Tensor x, w, h, c;
  bool cell;
  const Tensor* c0() const { return cell ? &c : nullptr; }
  double flops, bytes;
};

int64_t gates_of(RecurrentKind kind) {
  return kind == RecurrentKind::lstm ? 4 : kind == RecurrentKind::gru ? 3 : 1;
}

Sequence sequence(const benchmark::State& s, RecurrentKind kind) {
  const int64_t batch = s.range(0), steps = s.range(1), units = s.range(2), wide = gates_of(kind) * units;
  const Tensor x = uniform({steps, batch, wide}), w = uniform({units, wide}, -0.05, 0.05);
  const Tensor h = uniform({batch, units});
  const double flops = 2.0 * static_cast<double>(steps * batch * units * wide);
  return {x, w, h, uniform({batch, units}), kind == RecurrentKind::lstm, flops, bytes_of(x) + bytes_of(w)};
}

void forward(benchmark::State& state, RecurrentKind kind) {
  const Sequence q = sequence(state, kind);
  for (auto _ : state) {
    const auto [y, c, gates] =
        recurrent(kind, q.x, q.w, nullptr, q.h, q.c0(), nullptr, Activation::tanh, false);
    benchmark::DoNotOptimize(y.data());
  }
  rates(state, q.flops, q.bytes);
}

void gradient(benchmark::State& state, RecurrentKind kind) {
  const Sequence q = sequence(state, kind);
  const auto [y, c, gates] =
      recurrent(kind, q.x, q.w, nullptr, q.h, q.c0(), nullptr, Activation::tanh, false);
  const Tensor dy = uniform(y.shape());
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        std::get<0>(recurrent_grad(kind, dy, y, c, gates, q.w, nullptr, Activation::tanh, false)).data());
  }
  rates(state, q.flops, 2 * q.bytes);
}

void cases(benchmark::internal::Benchmark* b) {
  b->ArgNames({"batch", "steps", "units"})->UseRealTime();
  for (const auto& [batch, steps, units] : kCases) b->Args({batch, steps, units});
}
BENCHMARK_CAPTURE(forward, rnn, RecurrentKind::rnn)->Apply(cases);
BENCHMARK_CAPTURE(forward, lstm, RecurrentKind::lstm)->Apply(cases);
BENCHMARK_CAPTURE(forward, gru, RecurrentKind::gru)->Apply(cases);
BENCHMARK_CAPTURE(gradient, rnn, RecurrentKind::rnn)->Apply(cases);
BENCHMARK_CAPTURE(gradient, lstm, RecurrentKind::lstm)->Apply(cases);
BENCHMARK_CAPTURE(gradient, gru, RecurrentKind::gru)->Apply(cases);

}  // namespace
}  // namespace lamina
