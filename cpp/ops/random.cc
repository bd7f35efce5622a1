#include "ops/random.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "base/parallel.h"
#include "base/random.h"
#include "base/tensor.h"
#include "ops/launch.h"

namespace lamina {
namespace {

struct RandomArgs {
  DType dtype = DType::kFloat32;
  int64_t size = 0;
  double a = 0, b = 0;  // low and high, mean and stddev, or the probability
  int64_t low = 0;
  uint64_t range = 1;
};

struct Source {
  explicit Source(const int64_t* state)
      : seed(static_cast<uint64_t>(state[0])),
        stream(static_cast<uint32_t>(state[1])),
        counter(static_cast<uint64_t>(state[2])) {}
  Bits128 block(int64_t i) const { return philox(seed, stream, counter, static_cast<uint64_t>(i)); }
  uint64_t seed;
  uint32_t stream;
  uint64_t counter;
};

// Calls f(block number, first element, elements) for blocks of kPer elements.
template <int kPer, class F>
void each_philox(int64_t size, double cost, F f) {
  parallel_for((size + kPer - 1) / kPer, grain_for(cost), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      f(i, i * kPer, static_cast<int>(std::min<int64_t>(kPer, size - i * kPer)));
  });
}

constexpr int kNormalBlocks = 16;  // Philox blocks whose normals are made together

// Elements in one Philox block.
template <class T>
constexpr int kPer = 16 / static_cast<int>(sizeof(T));

template <class T>
Status run_uniform(const RandomArgs& args, Buffers buffers) {
  const Source source(buffers.at<const int64_t>(0));
  T* y = buffers.at<T>(1);
  const T low = static_cast<T>(args.a), width = static_cast<T>(args.b - args.a);
  const T last = std::nextafter(static_cast<T>(args.b), low);
  each_philox<kPer<T>>(args.size, 15, [&](int64_t i, int64_t at, int n) {
    const Bits128 bits = source.block(i);
    for (int k = 0; k < n; ++k) {
      T u;
      if constexpr (sizeof(T) == 4) {
        u = uniform_float(bits.word[k]);
      } else {
        u = uniform_double(bits64(bits, k));
      }
      y[at + k] = std::min(low + u * width, last);
    }
  });
  return {};
}

// The kPer<T> standard normals of a block.
template <class T>
void normals(const Bits128& bits, double* z) {
  const auto put = [](NormalPair p, double* to) { to[0] = p.z0, to[1] = p.z1; };
  if constexpr (sizeof(T) == 4) {
    put(normal_pair(bits.word[0], bits.word[1]), z);
    put(normal_pair(bits.word[2], bits.word[3]), z + 2);
  } else {
    put(normal_pair(bits64(bits, 0), bits64(bits, 1)), z);
  }
}

// A standard normal within +-2 for element e whose first one lay outside: blocks 2^47 + attempt 2^40 + e are
// its own.
template <class T>
double retry_truncated(const Source& source, int64_t e) {
  for (int64_t attempt = 0; attempt < 128; ++attempt) {
    double z[kPer<T>];
    normals<T>(source.block(int64_t{1} << 47 | attempt << 40 | e), z);
    for (double v : z) {
      if (std::abs(v) <= 2) return v;
    }
  }
  return 0;  // 256 misses in a row: below 10^-340
}

// The standard normals of `count` Philox blocks from `first` on: all draws, then all normals, in loops of
// their own, which compilers turn into vectors of the baseline's width.
template <class T>
void normals(const Source& source, int64_t first, int count, double* z) {
  constexpr int kPairs = kNormalBlocks * kPer<T> / 2;
  double u1[kPairs], u2[kPairs];
  for (int i = 0; i < count; ++i) {
    const Bits128 bits = source.block(first + i);
    for (int k = 0; k < kPer<T> / 2; ++k) {
      const int at = i * (kPer<T> / 2) + k;
      if constexpr (sizeof(T) == 4) {
        normal_uniforms(bits.word[2 * k], bits.word[2 * k + 1], &u1[at], &u2[at]);
      } else {
        normal_uniforms(bits64(bits, 0), bits64(bits, 1), &u1[at], &u2[at]);
      }
    }
  }
  const int pairs = count * (kPer<T> / 2);
  for (int i = 0; i < pairs; ++i) {
    const NormalPair p = box_muller(u1[i], u2[i]);
    z[2 * i] = p.z0, z[2 * i + 1] = p.z1;
  }
}

template <class T, bool kTruncated>
Status run_normal(const RandomArgs& args, Buffers buffers) {
  const Source source(buffers.at<const int64_t>(0));
  T* y = buffers.at<T>(1);
  constexpr int64_t kElements = kNormalBlocks * kPer<T>;
  parallel_for((args.size + kElements - 1) / kElements, grain_for(20 * kElements),
               [&](int64_t begin, int64_t end) {
                 double z[kElements];
                 for (int64_t item = begin; item < end; ++item) {
                   const int64_t at = item * kElements, n = std::min(kElements, args.size - at);
                   const int count = static_cast<int>((n + kPer<T> - 1) / kPer<T>);
                   normals<T>(source, item * kNormalBlocks, count, z);
                   for (int64_t k = 0; k < n; ++k) {
                     if (kTruncated && std::abs(z[k]) > 2) z[k] = retry_truncated<T>(source, at + k);
                     y[at + k] = static_cast<T>(args.a + args.b * z[k]);
                   }
                 }
               });
  return {};
}

template <class T>
Status run_integers(const RandomArgs& args, Buffers buffers) {
  const Source source(buffers.at<const int64_t>(0));
  T* y = buffers.at<T>(1);
  each_philox<2>(args.size, 15, [&](int64_t i, int64_t at, int n) {
    const Bits128 bits = source.block(i);
    for (int k = 0; k < n; ++k) {
      const uint64_t draw = bits64(bits, k);
      y[at + k] = static_cast<T>(static_cast<uint64_t>(args.low) + uniform_below(draw, args.range));
    }
  });
  return {};
}

Status run_bernoulli(const RandomArgs& args, Buffers buffers) {
  const Source source(buffers.at<const int64_t>(0));
  bool* y = buffers.at<bool>(1);
  const uint64_t threshold = bernoulli_threshold(args.a);
  each_philox<4>(args.size, 15, [&](int64_t i, int64_t at, int n) {
    const Bits128 bits = source.block(i);
    for (int k = 0; k < n; ++k) y[at + k] = bits.word[k] < threshold;
  });
  return {};
}

Status run_permutation(const RandomArgs& args, Buffers buffers) {
  const Source source(buffers.at<const int64_t>(0));
  int64_t* y = buffers.at<int64_t>(1);
  for (int64_t i = 0; i < args.size; ++i) y[i] = i;
  for (int64_t i = args.size - 1; i > 0; --i) {
    const uint64_t draw = bits64(source.block(i / 2), static_cast<int>(i % 2));
    std::swap(y[i], y[uniform_below(draw, static_cast<uint64_t>(i) + 1)]);
  }
  return {};
}

Status run_advance(const int64_t& n, Buffers buffers) {
  buffers.at<int64_t>(0)[2] += n;
  return {};
}

template <Status (*run32)(const RandomArgs&, Buffers), Status (*run64)(const RandomArgs&, Buffers)>
Tensor draw(const char* op, const Tensor& state, const Shape& shape, DType dtype, RandomArgs args) {
  check_random_state(op, state);
  Tensor y = Tensor::like(shape, dtype, state);
  if (y.is_symbolic()) return y;
  args.dtype = dtype;
  args.size = y.size();
  if (itemsize(dtype) == 8) {
    launch<run64>(op, args, {&state}, {&y}, 0, {.flops = 0});
  } else {
    launch<run32>(op, args, {&state}, {&y}, 0, {.flops = 0});
  }
  return y;
}

}  // namespace

void check_random_state(const char* op, const Tensor& state) {
  check(state.dtype() == DType::kInt64 && state.shape() == Shape{3} &&
            (state.is_symbolic() || state.is_contiguous()),
        op,
        "the state must be an int64 tensor [seed, stream, counter]. Received: state.shape=", state.shape(),
        " ", state.dtype(), ".");
}

uint64_t bernoulli_threshold(double probability) {
  return static_cast<uint64_t>(std::llround(std::clamp(probability, 0.0, 1.0) * 0x1p32));
}

Tensor random_uniform(const Tensor& state, const Shape& shape, DType dtype, double low, double high) {
  check_computes("random_uniform", dtype);
  check(low <= high && std::isfinite(high - low), "random_uniform",
        "needs finite minval <= maxval. Received: minval=", low, ", maxval=", high, ".");
  return draw<run_uniform<float>, run_uniform<double>>("random_uniform", state, shape, dtype,
                                                       {.a = low, .b = high});
}

Tensor random_normal(const Tensor& state, const Shape& shape, DType dtype, double mean, double stddev) {
  check_computes("random_normal", dtype);
  return draw<run_normal<float, false>, run_normal<double, false>>("random_normal", state, shape, dtype,
                                                                   {.a = mean, .b = stddev});
}

Tensor random_truncated_normal(const Tensor& state, const Shape& shape, DType dtype, double mean,
                               double stddev) {
  check_computes("random_truncated_normal", dtype);
  return draw<run_normal<float, true>, run_normal<double, true>>("random_truncated_normal", state, shape,
                                                                 dtype, {.a = mean, .b = stddev});
}

Tensor random_integers(const Tensor& state, const Shape& shape, DType dtype, int64_t low, int64_t high) {
  constexpr const char* kOp = "random_integers";
  check<TypeError>(dtype == DType::kInt32 || dtype == DType::kInt64, kOp,
                   "draws int32 or int64. Received: dtype=", dtype, ". Convert the result with ops.cast.");
  check(low < high, kOp, "needs minval < maxval. Received: minval=", low, ", maxval=", high, ".");
  using Int32 = std::numeric_limits<int32_t>;
  check(dtype == DType::kInt64 || (low >= Int32::min() && high - 1 <= Int32::max()), kOp,
        "bounds must fit int32; use dtype=\"int64\". Received: minval=", low, ", maxval=", high, ".");
  const uint64_t range = static_cast<uint64_t>(high) - static_cast<uint64_t>(low);
  return draw<run_integers<int32_t>, run_integers<int64_t>>(kOp, state, shape, dtype,
                                                            {.low = low, .range = range});
}

Tensor random_bernoulli(const Tensor& state, const Shape& shape, double probability) {
  check(probability >= 0 && probability <= 1, "random_bernoulli",
        "the probability must be from 0 to 1. Received: p=", probability, ".");
  return draw<run_bernoulli, run_bernoulli>("random_bernoulli", state, shape, DType::kBool,
                                            {.a = probability});
}

Tensor random_permutation(const Tensor& state, int64_t n) {
  check(n >= 0, "random_permutation", "needs n >= 0. Received: n=", n, ".");
  return draw<run_permutation, run_permutation>("random_permutation", state, {n}, DType::kInt64, {});
}

void random_advance(const Tensor& state, int64_t n) {
  check_random_state("random_advance", state);
  launch<run_advance>("random_advance", n, {}, {&state}, 0, {.flops = 0});
}

}  // namespace lamina
