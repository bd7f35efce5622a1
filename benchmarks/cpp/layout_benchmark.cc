// Ops that only move or convert elements: transposes, joins, padding, strided slices, types, selection. Bytes
// count what is read and what is written.
#include "bench.h"
#include "ops/binary.h"
#include "ops/concat.h"

namespace lamina {
namespace {

void permute(benchmark::State& state, const Shape& shape, const Dims& axes) {
  const Tensor x = uniform(shape).transpose(axes);
  for (auto _ : state) benchmark::DoNotOptimize(contiguous(x).data());
  rates(state, 0, 2 * bytes_of(x));
}
const Dims kTurned{1, 0}, kToFirst{0, 3, 1, 2}, kToLast{0, 2, 3, 1};
BENCHMARK_CAPTURE(permute, 1024x1024, Shape{1024, 1024}, kTurned)->UseRealTime();
BENCHMARK_CAPTURE(permute, 4096x65, Shape{4096, 65}, kTurned)->UseRealTime();
BENCHMARK_CAPTURE(permute, 784x64, Shape{784, 64}, kTurned)->UseRealTime();
BENCHMARK_CAPTURE(permute, nhwc_to_nchw, Shape{64, 28, 28, 64}, kToFirst)->UseRealTime();
BENCHMARK_CAPTURE(permute, nchw_to_nhwc, Shape{64, 64, 28, 28}, kToLast)->UseRealTime();
BENCHMARK_CAPTURE(permute, images_to_nchw, Shape{32, 224, 224, 3}, kToFirst)->UseRealTime();
BENCHMARK_CAPTURE(permute, images_to_nhwc, Shape{32, 3, 224, 224}, kToLast)->UseRealTime();
BENCHMARK_CAPTURE(permute, heads, Shape{16, 128, 8, 32}, Dims{0, 2, 1, 3})->UseRealTime();
BENCHMARK_CAPTURE(permute, keys, Shape{16, 8, 128, 32}, Dims{0, 1, 3, 2})->UseRealTime();
BENCHMARK_CAPTURE(permute, time_major, Shape{32, 100, 128}, Dims{1, 0, 2})->UseRealTime();
BENCHMARK_CAPTURE(permute, reversed, Shape{8, 16, 32, 64}, Dims{3, 2, 1, 0})->UseRealTime();

void transpose_square(benchmark::State& state) {  // around tiles of 4, 8 and 16, and blocks of 256
  const Tensor x = uniform({state.range(0), state.range(0)}).transpose({1, 0});
  for (auto _ : state) benchmark::DoNotOptimize(contiguous(x).data());
  rates(state, 0, 2 * bytes_of(x));
}
void squares(benchmark::internal::Benchmark* b) {
  b->UseRealTime();
  for (int64_t n : {3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 255, 256, 257, 511, 512, 513})
    b->Arg(n);
}
BENCHMARK(transpose_square)->Apply(squares);

void join(benchmark::State& state) {
  const Tensor a = uniform({64, 28, 28, 32}), b = uniform({64, 28, 28, 32});
  for (auto _ : state) benchmark::DoNotOptimize(concatenate({a, b}, state.range(0)).data());
  rates(state, 0, 4 * bytes_of(a));
}
BENCHMARK(join)->ArgName("axis")->DenseRange(0, 3)->UseRealTime();

void pad_images(benchmark::State& state) {
  const Tensor x = uniform({64, 28, 28, 32});
  for (auto _ : state) benchmark::DoNotOptimize(pad(x, {0, 1, 1, 0}, {0, 1, 1, 0}, 0).data());
  rates(state, 0, 2 * bytes_of(x));
}
BENCHMARK(pad_images)->UseRealTime();

// Every step-th column of a matrix.
void slice(benchmark::State& state) {
  const Tensor x = uniform({1024, 1024}).slice(1, 0, 1024, state.range(0));
  for (auto _ : state) benchmark::DoNotOptimize(contiguous(x).data());
  rates(state, 0, 2 * bytes_of(x));
}
BENCHMARK(slice)->ArgName("step")->Arg(2)->Arg(3)->UseRealTime();

void convert(benchmark::State& state, DType from, DType to) {
  const Tensor x = cast(uniform({1 << 20}, 0, 100), from);
  for (auto _ : state) benchmark::DoNotOptimize(cast(x, to).data());
  rates(state, 0, bytes_of(x) + static_cast<double>(x.size()) * itemsize(to));
}
BENCHMARK_CAPTURE(convert, f32_to_bf16, DType::kFloat32, DType::kBFloat16)->UseRealTime();
BENCHMARK_CAPTURE(convert, bf16_to_f32, DType::kBFloat16, DType::kFloat32)->UseRealTime();
BENCHMARK_CAPTURE(convert, f32_to_f16, DType::kFloat32, DType::kFloat16)->UseRealTime();
BENCHMARK_CAPTURE(convert, f16_to_f32, DType::kFloat16, DType::kFloat32)->UseRealTime();
BENCHMARK_CAPTURE(convert, f32_to_i32, DType::kFloat32, DType::kInt32)->UseRealTime();
BENCHMARK_CAPTURE(convert, u8_to_f32, DType::kUInt8, DType::kFloat32)->UseRealTime();

void choose(benchmark::State& state) {  // by a condition that nothing predicts
  const Tensor a = uniform({1 << 20}), b = uniform({1 << 20});
  const Tensor condition = binary(Binary::greater, a, full({}, 0, DType::kFloat32));
  for (auto _ : state) benchmark::DoNotOptimize(where(condition, a, b).data());
  rates(state, 0, 3 * bytes_of(a) + bytes_of(condition));
}
BENCHMARK(choose)->UseRealTime();

}  // namespace
}  // namespace lamina
