// Optimiser steps over the parameters of small nets, of ResNet-18 and of AlexNet, cut into ten tensors.
// Bytes: gradient read, parameter and slots read and written.
#include "bench.h"
#include "ops/optimizer_group.h"

namespace lamina {
namespace {

constexpr int kTensors = 10;

// slots: lists beside the parameters; settings: those of the rule.
void step(benchmark::State& state, const char* rule, size_t slots,
          const std::map<std::string, double>& settings) {
  const Shape shape{state.range(0) / kTensors};
  const auto tensors = [&](double high) {
    std::vector<Tensor> made;
    for (int i = 0; i < kTensors; ++i) made.push_back(uniform(shape, 0, high));
    return made;
  };
  const std::vector<Tensor> parameters = tensors(1), gradients = tensors(1e-3);
  std::vector<std::vector<Tensor>> lists;
  for (size_t k = 0; k < slots; ++k) lists.push_back(tensors(1e-3));
  const Tensor rate = full({}, 1e-6, DType::kFloat32), iterations = full({}, 0, DType::kInt64);
  std::vector<const Tensor*> pointers;
  for (const Tensor& g : gradients) pointers.push_back(&g);
  const ParameterGroup group =
      parameter_group(rule, parameters, lists, rate, iterations, settings, {}, {}, {}, {});
  for (auto _ : state) {
    optimizer_step(group, pointers);
    benchmark::ClobberMemory();
  }
  rates(state, 0, static_cast<double>(3 + 2 * slots) * kTensors * bytes_of(parameters[0]));
}

void sizes(benchmark::internal::Benchmark* b) {
  b->ArgName("parameters")->Arg(50890)->Arg(11173962)->Arg(61100840)->UseRealTime();
}

const std::map<std::string, double> kMoments = {{"beta_1", 0.9}, {"beta_2", 0.999}, {"epsilon", 1e-7}};
const std::map<std::string, double> kClipped = {{"global_clipnorm", 1.0}};

BENCHMARK_CAPTURE(step, sgd, "sgd", 0, {})->Apply(sizes);
BENCHMARK_CAPTURE(step, sgd_global_clipnorm, "sgd", 0, kClipped)->Apply(sizes);
BENCHMARK_CAPTURE(step, momentum, "sgd", 1, {{"momentum", 0.9}})->Apply(sizes);
BENCHMARK_CAPTURE(step, rmsprop, "rmsprop", 1, {{"rho", 0.9}, {"epsilon", 1e-7}})->Apply(sizes);
BENCHMARK_CAPTURE(step, adam, "adam", 2, kMoments)->Apply(sizes);
BENCHMARK_CAPTURE(step, lamb, "lamb", 2, kMoments)->Apply(sizes);

}  // namespace
}  // namespace lamina
