// Products of bfloat16 parts against long double, at every kind of size and stride; what must not be split;
// and the levels of precision. Nothing to test where the machine has no tiles.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "base/cpu.h"
#include "base/dtype.h"
#include "base/parallel.h"
#include "ops/gemm.h"
#include "ops/gemm_skinny.h"
#include "ops/gemm_split.h"

namespace lamina {
namespace {

class GemmSplit : public testing::Test {
 protected:
  void SetUp() override {
    if (isa() != Isa::amx) GTEST_SKIP() << "no tiles on this machine, or not this row";
  }
  void TearDown() override { set_num_threads(threads_); }

  const int threads_ = num_threads();
};

struct Product {
  GemmArgs args;
  std::vector<float> a, b, bias, c;

  Product(int64_t m, int64_t n, int64_t k, bool a_turned, bool b_turned, MatmulPrecision precision,
          uint32_t seed)
      : a(static_cast<size_t>(m * k)),
        b(static_cast<size_t>(k * n)),
        bias(static_cast<size_t>(n)),
        c(static_cast<size_t>(m * n), 0.5f) {
    args = {.dtype = DType::kFloat32,
            .precision = precision,
            .m = m,
            .n = n,
            .k = k,
            .a_row = a_turned ? 1 : k,
            .a_col = a_turned ? m : 1,
            .b_row = b_turned ? 1 : n,
            .b_col = b_turned ? k : 1,
            .c_row = n};
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    for (auto* v : {&a, &b, &bias}) {
      for (float& x : *v) x = normal(random);
    }
  }
  float& at_a(int64_t i, int64_t k) { return a[static_cast<size_t>(i * args.a_row + k * args.a_col)]; }
  float& at_b(int64_t k, int64_t j) { return b[static_cast<size_t>(k * args.b_row + j * args.b_col)]; }
  float at_c(int64_t i, int64_t j) const { return c[static_cast<size_t>(i * args.n + j)]; }

  void run_packed(bool with_bias = false) {
    std::vector<char> packed(gemm_split_packed_bytes(args) + 64);
    void* p = packed.data();
    size_t space = packed.size();
    p = std::align(64, space - 64, p, space);
    gemm_split_pack(args, b.data(), p);
    gemm_split_run_packed(args, a.data(), b.data(), p, with_bias ? bias.data() : nullptr, c.data());
  }
  void run(bool with_bias = false) {
    std::vector<char> scratch(gemm_split_scratch_bytes(args) + 64);
    void* p = scratch.data();
    size_t space = scratch.size();
    p = std::align(64, space - 64, p, space);
    gemm_split_run(args, a.data(), b.data(), with_bias ? bias.data() : nullptr, c.data(), p);
  }
  void run_skinny() {
    std::vector<char> scratch(gemm_skinny_scratch_bytes(args) + 64);
    void* p = scratch.data();
    size_t space = scratch.size();
    p = std::align(64, space - 64, p, space);
    gemm_skinny_run(args, a.data(), b.data(), c.data(), p);
  }
  // Largest error in units of the sum of |a| |b|.
  double worst(float added = 0, bool with_bias = false, bool relu = false) {
    double worst = 0;
    for (int64_t i = 0; i < args.m; ++i) {
      for (int64_t j = 0; j < args.n; ++j) {
        long double sum = added, size = std::fabs(added) + 1e-300L;
        if (with_bias) sum += bias[static_cast<size_t>(j)], size += std::fabs(bias[static_cast<size_t>(j)]);
        for (int64_t k = 0; k < args.k; ++k) {
          const long double term = static_cast<long double>(at_a(i, k)) * at_b(k, j);
          sum += term;
          size += std::fabs(term);
        }
        if (relu) sum = std::max(sum, 0.0L);
        worst = std::max(worst, static_cast<double>(std::fabs(at_c(i, j) - sum) / size));
      }
    }
    return worst;
  }
};

TEST_F(GemmSplit, AnySizeAndStride) {
  std::mt19937 random(1);
  const int64_t edges[] = {1, 2, 15, 16, 17, 31, 32, 33, 47, 48, 63, 64, 65, 70, 97, 129};
  const auto size = [&] { return edges[random() % std::size(edges)]; };
  for (uint32_t i = 0; i < 300; ++i) {
    Product p(size(), size(), size(), i & 1, i & 2, MatmulPrecision::high, i);
    p.args.accumulate = i & 4;
    p.args.activation = i & 8 ? Activation::relu : Activation::none;
    p.run(i & 16);
    EXPECT_LT(p.worst(i & 4 ? 0.5f : 0, i & 16, i & 8), 0x1p-22)
        << p.args.m << " x " << p.args.n << " x " << p.args.k << ", case " << i;
  }
}

// The same bits as by gemm_split_run, whatever a product is cut into, where an element must not be split too.
TEST_F(GemmSplit, PackedOnce) {
  uint32_t seed = 0;
  for (const auto& [m, n, k] :
       {std::array<int64_t, 3>{9, 8, 8}, {16, 512, 128}, {33, 1100, 70}, {300, 40, 270}, {64, 530, 257}}) {
    for (const bool turned : {false, true}) {
      for (const bool fits : {false, true}) {
        Product p(m, n, k, turned, turned, MatmulPrecision::high, ++seed);
        p.args.accumulate = turned;
        p.args.activation = fits ? Activation::relu : Activation::none;
        if (!fits) p.at_a(m - 1, k / 2) = p.at_b(k - 1, 3) = 1e30f;
        Product same = p;
        p.run(fits);
        for (const int threads : {1, 3}) {
          set_num_threads(threads);
          Product packed = same;
          packed.run_packed(fits);
          EXPECT_EQ(packed.c, p.c) << m << " x " << n << " x " << k;
        }
      }
    }
  }
}

TEST_F(GemmSplit, BlocksOfEveryAxis) {
  for (const auto& [m, n, k] :
       {std::array<int64_t, 3>{300, 40, 270}, {40, 1100, 130}, {33, 35, 2100}, {270, 530, 65}}) {
    Product p(m, n, k, false, false, MatmulPrecision::high, 7);
    p.run();
    EXPECT_LT(p.worst(), 0x1p-22) << m << " x " << n << " x " << k;
  }
}

TEST_F(GemmSplit, LevelsKeepTheirPromise) {
  for (const auto& [precision, bound] : {std::pair{MatmulPrecision::high, 0x1p-22},
                                         {MatmulPrecision::medium, 0x1p-14},
                                         {MatmulPrecision::low, 0x1p-7}}) {
    Product p(70, 90, 150, false, true, precision, 3);
    p.run();
    EXPECT_LT(p.worst(), bound);
    EXPECT_GT(p.worst(), bound / 64);  // and is not computed better than needed
  }
}

// Each kind of element that must not be split, in A and in B: results as of fma, other rows and columns
// untouched.
TEST_F(GemmSplit, LargeAndNonFiniteTakeFma) {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::nanf("");
  for (float bad : {inf, -inf, nan, 3e38f, 1e30f, 5e7f}) {
    for (bool in_a : {true, false}) {
      Product p(70, 80, 300, in_a, !in_a, MatmulPrecision::high, 5);
      (in_a ? p.at_a(40, 200) : p.at_b(200, 40)) = bad;
      Product clean = p;
      (in_a ? clean.at_a(40, 200) : clean.at_b(200, 40)) = 0;
      p.run();
      clean.run();
      for (int64_t i = 0; i < 70; ++i) {
        for (int64_t j = 0; j < 80; ++j) {
          if (in_a ? i == 40 : j == 40) {
            const double want = clean.at_c(i, j) + (in_a ? static_cast<double>(bad) * p.at_b(200, j)
                                                         : static_cast<double>(bad) * p.at_a(i, 200));
            if (std::isnan(want)) {
              EXPECT_TRUE(std::isnan(p.at_c(i, j)));
            } else if (std::fabs(want) > 3.4e38) {
              EXPECT_EQ(p.at_c(i, j), want > 0 ? inf : -inf);
            } else {
              EXPECT_NEAR(p.at_c(i, j), want, 1e-6 * std::fabs(want) + 1e-4);
            }
          } else {
            EXPECT_NEAR(p.at_c(i, j), clean.at_c(i, j), 1e-4);
          }
        }
      }
    }
  }
}

TEST_F(GemmSplit, TinyValuesLoseNothing) {
  Product p(64, 64, 128, false, false, MatmulPrecision::high, 9);
  for (float& x : p.a) x *= 1e-30f;
  for (float& x : p.b) x *= 1e-3f;
  p.run();
  EXPECT_LT(p.worst(), 0x1p-22);
}

TEST_F(GemmSplit, SkinnyOfAnySizeAndStride) {
  std::mt19937 random(2);
  const int64_t edges[] = {1, 15, 16, 17, 31, 32, 33, 47, 48, 64, 65, 97, 128};
  const auto size = [&] { return edges[random() % std::size(edges)]; };
  for (uint32_t i = 0; i < 200; ++i) {
    Product p(size(), size(), 33 + size(), i & 1, false, MatmulPrecision::high, i);
    p.args.accumulate = i & 2;
    set_num_threads(i & 4 ? 3 : 1);
    p.run_skinny();
    EXPECT_LT(p.worst(i & 2 ? 0.5f : 0), 0x1p-22)
        << p.args.m << " x " << p.args.n << " x " << p.args.k << ", case " << i;
  }
}

// What must not be split, in A, in B, and on the way: as of fma in its row and column, and near it elsewhere.
TEST_F(GemmSplit, SkinnyLeavesToFmaWhatMustNotBeSplit) {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::nanf("");
  for (const int64_t m : {16, 70}) {
    for (float bad : {inf, -inf, nan, 3.4e38f, 1e30f, 5e7f}) {
      for (bool in_a : {true, false}) {
        Product p(m, 80, 300, in_a, false, MatmulPrecision::high, 5);
        (in_a ? p.at_a(9, 200) : p.at_b(200, 40)) = bad;
        p.run_skinny();
        Product fma = p;
        fma.args.precision = MatmulPrecision::highest;
        std::vector<char> scratch(gemm_scratch_bytes(fma.args) + 64);
        void* from = scratch.data();
        size_t space = scratch.size();
        gemm_run(fma.args, fma.a.data(), fma.b.data(), nullptr, fma.c.data(),
                 std::align(64, space - 64, from, space));
        for (int64_t i = 0; i < m; ++i) {
          for (int64_t j = 0; j < 80; ++j) {
            const float want = fma.at_c(i, j), got = p.at_c(i, j);
            if (std::isnan(want)) {
              EXPECT_TRUE(std::isnan(got));
            } else if (std::isinf(want)) {
              EXPECT_EQ(got, want);
            } else {
              EXPECT_NEAR(got, want, 1e-6 * std::fabs(want) + 1e-4) << bad << " at " << i << ", " << j;
            }
          }
        }
      }
    }
  }
}

// Columns so small that parts would underflow, beside others; and a product of tiny operands.
TEST_F(GemmSplit, SkinnyLosesNothingOfTinyColumns) {
  for (const int64_t m : {16, 64}) {
    for (const float tiny : {1e-18f, 1e-22f, 1e-33f}) {
      Product p(m, 64, 128, false, false, MatmulPrecision::high, 9);
      for (float& x : p.a) x *= 1e5f;
      for (int64_t k = 0; k < 128; ++k) {
        for (int64_t j = 0; j < 64; j += 3) p.at_b(k, j) *= tiny;
      }
      p.run_skinny();
      EXPECT_LT(p.worst(), 0x1p-22) << tiny;
    }
  }
}

TEST_F(GemmSplit, SkinnyHasTheSameBitsForAnyThreads) {
  Product p(40, 500, 130, false, false, MatmulPrecision::high, 4);
  set_num_threads(1);
  p.run_skinny();
  for (const int threads : {2, 3, 4, 7}) {
    Product q(40, 500, 130, false, false, MatmulPrecision::high, 4);
    set_num_threads(threads);
    q.run_skinny();
    EXPECT_EQ(q.c, p.c) << threads;
  }
}

}  // namespace
}  // namespace lamina
