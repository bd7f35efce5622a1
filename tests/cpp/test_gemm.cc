// Products against a naive one in a wider type, at sizes around the register tile, the block sizes and the K
// split.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "base/parallel.h"
#include "ops/binary.h"
#include "ops/gemm.h"
#include "ops/layout.h"
#include "ops/matmul.h"

namespace lamina {
namespace {

Tensor filled(const Shape& shape, DType dtype, uint32_t seed) {
  Tensor t = Tensor::empty(shape, dtype);
  for (int64_t i = 0; i < t.size(); ++i) {
    seed = seed * 1664525u + 1013904223u;
    const double v = static_cast<int32_t>(seed) / 2147483648.0;
    dtype == DType::kFloat32 ? t.data<float>()[i] = static_cast<float>(v) : t.data<double>()[i] = v;
  }
  return t;
}

double at(const Tensor& t, int64_t i, int64_t j) {
  const int64_t p = i * t.strides()[0] + j * t.strides()[1];
  return t.dtype() == DType::kFloat32 ? t.data<float>()[p] : t.data<double>()[p];
}

// Real: of the sums. Of large products the last row, the last column and every eleventh diagonal.
template <class Real>
void expect_product_in(const Tensor& a, const Tensor& b, const Tensor& y, const Tensor* bias) {
  const int64_t m = a.dim(0), k = a.dim(1), n = b.dim(1);
  ASSERT_EQ(y.shape(), (Shape{m, n}));
  const double eps = y.dtype() == DType::kFloat32 ? 1.2e-7 : 2.3e-16;
  const bool large = m * n * k > 1'000'000;
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      if (large && i + 1 < m && j + 1 < n && (i + j) % 11 != 0) continue;
      Real sum = bias ? at(bias->view(0, {1, n}, {0, 1}), 0, j) : 0, size = std::fabs(sum);
      for (int64_t p = 0; p < k; ++p) {
        const Real term = static_cast<Real>(at(a, i, p)) * at(b, p, j);
        sum += term;
        size += std::fabs(term);
      }
      if (bias) sum = std::max<Real>(sum, 0);
      ASSERT_NEAR(at(y, i, j), static_cast<double>(sum),
                  eps * (4 + std::sqrt(k)) * static_cast<double>(size) + 1e-300)
          << "m=" << m << " n=" << n << " k=" << k << " at " << i << ", " << j;
    }
  }
}

void expect_product(const Tensor& a, const Tensor& b, const Tensor& y, const Tensor* bias = nullptr) {
  if (y.dtype() == DType::kFloat32) return expect_product_in<double>(a, b, y, bias);
  expect_product_in<long double>(a, b, y, bias);
}

Tensor stored(int64_t rows, int64_t cols, int form, DType dtype, uint32_t seed) {
  if (form == 0) return filled({rows, cols}, dtype, seed);
  if (form == 1) return filled({cols, rows}, dtype, seed).transpose({1, 0});
  return filled({2 * rows, 3 * cols}, dtype, seed).slice(0, 0, 2 * rows, 2).slice(1, 0, 3 * cols, 3);
}

struct Size {
  int64_t m, n, k;
};
const Size kSizes[] = {{1, 1, 1},
                       {1, 7, 3},
                       {2, 65, 5},
                       {3, 129, 17},
                       {4, 33, 260},
                       {5, 1, 9},
                       {7, 16, 1},
                       {13, 31, 8},
                       {14, 32, 16},
                       {15, 33, 31},
                       {32, 10, 10},
                       {32, 1, 10},
                       {49, 40, 6},
                       {50, 150, 300},
                       {50, 385, 130},
                       {61, 400, 513},
                       {113, 257, 19},
                       {9, 5, 2100},
                       {130, 140, 2500},
                       {3, 2100, 7},
                       {4099, 3, 5},
                       // few rows with a large B: one block of K, several, B beyond L2; a B of three vectors
                       {1, 300, 130},
                       {1, 515, 702},
                       {1, 4133, 90},
                       {4, 77, 300},
                       {9, 515, 700},
                       {13, 1030, 400},
                       {48, 48, 48},
                       {45, 37, 50},
                       // few rows made of parts: up to 16 rows, more, K in slices
                       {16, 260, 300},
                       {33, 200, 270},
                       {64, 130, 2100},
                       // few terms with a large C, then written past the caches
                       {1103, 1025, 3},
                       {2051, 4112, 5},
                       // dot products: few rows with B along k, few columns with A along k, K in slices
                       {1, 300, 256},
                       {3, 71, 65},
                       {4, 33, 131},
                       {16, 40, 270},
                       {300, 1, 100},
                       {70, 3, 100},
                       {65, 8, 64},
                       {2, 9, 3001},
                       {17, 2, 3001}};

class Gemm : public testing::TestWithParam<DType> {};

TEST_P(Gemm, MatchesNaive) {
  for (const Size& s : kSizes) {
    for (int form = 0; form < 9; ++form) {
      if (s.m * s.n * s.k > 1'000'000 && form % 4 != 0) continue;
      const Tensor a = stored(s.m, s.k, form / 3, GetParam(), 1),
                   b = stored(s.k, s.n, form % 3, GetParam(), 2);
      expect_product(a, b, matmul(a, b));
      const Tensor bias = filled({s.n}, GetParam(), 3);
      expect_product(a, b, dense(a, b, &bias, Activation::relu), &bias);
    }
  }
}

TEST_P(Gemm, SameBitsForAnyThreadCount) {
  for (const Size& s : {Size{300, 520, 270}, Size{130, 140, 2500}, Size{25, 6, 40000}, Size{5, 1000, 700},
                        Size{3, 3000, 300}, Size{3000, 5, 300}, Size{14, 1100, 500}, Size{40, 700, 500},
                        Size{1103, 1025, 3}, Size{256, 256, 2048}, Size{100, 70, 4700}}) {
    const bool dots = s.k == 300;  // both operands along k
    const Tensor a = stored(s.m, s.k, !dots, GetParam(), 1), b = stored(s.k, s.n, dots, GetParam(), 2);
    const Tensor bias = filled({s.n}, GetParam(), 3);
    set_num_threads(1);
    const Tensor one = dense(a, b, &bias, Activation::tanh), product = matmul(a, b);
    for (int threads = 2; threads <= 4; ++threads) {
      set_num_threads(threads);
      const Tensor y = dense(a, b, &bias, Activation::tanh);
      EXPECT_EQ(std::memcmp(y.data(), one.data(), one.storage()->bytes), 0) << threads << " threads";
      const Tensor z = matmul(a, b);
      EXPECT_EQ(std::memcmp(z.data(), product.data(), product.storage()->bytes), 0) << threads << " threads";
    }
  }
}

TEST_P(Gemm, AccumulatesIntoC) {
  const Tensor a = filled({37, 45}, GetParam(), 1), b = filled({45, 21}, GetParam(), 2);
  const Tensor y = full({37, 21}, 0, GetParam()), once = matmul(a, b);
  const GemmArgs args{.dtype = GetParam(),
                      .m = 37,
                      .n = 21,
                      .k = 45,
                      .a_row = 45,
                      .a_col = 1,
                      .b_row = 21,
                      .b_col = 1,
                      .c_row = 21,
                      .accumulate = true};
  std::vector<char> scratch(gemm_scratch_bytes(args) + 64);
  for (int i = 0; i < 2; ++i) gemm_run(args, a.data(), b.data(), nullptr, y.data(), scratch.data());
  for (int64_t i = 0; i < 37; ++i) {
    for (int64_t j = 0; j < 21; ++j) EXPECT_EQ(at(y, i, j), 2 * at(once, i, j));
  }
}

// Bit for bit the sum of what the product gives without it and the residual.
TEST_P(Gemm, AddsAResidual) {
  const int threads = num_threads();
  for (const Size& s : kSizes) {
    for (int form = 0; form < 9; ++form) {
      if (s.m * s.n * s.k > 1'000'000 && form % 4 != 0) continue;
      const Tensor a = stored(s.m, s.k, form / 3, GetParam(), 1),
                   b = stored(s.k, s.n, form % 3, GetParam(), 2), bias = filled({s.n}, GetParam(), 3),
                   r = filled({s.m, s.n}, GetParam(), 4), y = full({s.m, s.n}, 7, GetParam()),
                   plain = full({s.m, s.n}, 7, GetParam());
      const GemmArgs args{.dtype = GetParam(),
                          .precision = matmul_precision(),
                          .m = s.m,
                          .n = s.n,
                          .k = s.k,
                          .a_row = a.strides()[0],
                          .a_col = a.strides()[1],
                          .b_row = b.strides()[0],
                          .b_col = b.strides()[1],
                          .c_row = s.n,
                          .activation = Activation::relu};
      const StoragePtr scratch = StoragePtr::allocate(gemm_scratch_bytes(args));
      gemm_run(args, a.data(), b.data(), bias.data(), plain.data(), scratch->data);
      const Tensor want = binary(Binary::add, plain, r);
      set_num_threads(1 + form % 2);
      gemm_run(args, a.data(), b.data(), bias.data(), y.data(), scratch->data, r.data());
      ASSERT_EQ(std::memcmp(y.data(), want.data(), want.storage()->bytes), 0)
          << "m=" << s.m << " n=" << s.n << " k=" << s.k << " form " << form;
    }
  }
  set_num_threads(threads);
}

TEST_P(Gemm, NoTermsGiveZeroOrBias) {
  const Tensor a = Tensor::empty({3, 0}, GetParam()), b = Tensor::empty({0, 5}, GetParam());
  const Tensor bias = filled({5}, GetParam(), 3), y = matmul(a, b), f = dense(a, b, &bias, Activation::none);
  for (int64_t j = 0; j < 5; ++j) {
    EXPECT_EQ(at(y, 2, j), 0);
    EXPECT_EQ(at(f, 2, j), at(bias.view(0, {1, 5}, {0, 1}), 0, j));
  }
  EXPECT_EQ(matmul(Tensor::empty({0, 3}, GetParam()), Tensor::empty({3, 4}, GetParam())).shape(),
            (Shape{0, 4}));
}

TEST_P(Gemm, NonFiniteStaysInItsRow) {
  Tensor a = full({20, 40}, 1, GetParam());
  const Tensor b = full({40, 50}, 1, GetParam());
  const double inf = std::numeric_limits<double>::infinity();
  assign(a.slice(0, 4, 5, 1).slice(1, 7, 8, 1), full({1, 1}, inf, GetParam()));
  assign(a.slice(0, 6, 7, 1).slice(1, 39, 40, 1), full({1, 1}, std::nan(""), GetParam()));
  const Tensor y = matmul(a, b);
  for (int64_t j = 0; j < 50; ++j) {
    EXPECT_EQ(at(y, 4, j), inf);
    EXPECT_TRUE(std::isnan(at(y, 6, j)));
    EXPECT_EQ(at(y, 5, j), 40);
  }
}

TEST_P(Gemm, DenseGradSumsColumns) {
  for (const Size& s : {Size{1, 3, 0}, Size{64, 17, 0}, Size{65, 70, 0}, Size{300, 129, 0}}) {
    const Tensor dy = filled({s.m, s.n}, GetParam(), 1), y = filled({s.m, s.n}, GetParam(), 2);
    const auto [out_g, out_db] = dense_grad(dy, y, Activation::sigmoid);
    const double eps = GetParam() == DType::kFloat32 ? 1e-5 : 1e-13;
    for (int64_t j = 0; j < s.n; ++j) {
      double sum = 0;
      for (int64_t i = 0; i < s.m; ++i) {
        const double g = at(dy, i, j) * at(y, i, j) * (1 - at(y, i, j));
        ASSERT_NEAR(at(out_g, i, j), g, eps);
        sum += g;
      }
      ASSERT_NEAR(at(out_db.view(0, {1, s.n}, {0, 1}), 0, j), sum, eps * static_cast<double>(s.m));
    }
  }
}

TEST_P(Gemm, BatchesBroadcast) {
  const Tensor a = filled({2, 1, 9, 11}, GetParam(), 1), b = filled({3, 11, 20}, GetParam(), 2),
               y = matmul(a, b);
  ASSERT_EQ(y.shape(), (Shape{2, 3, 9, 20}));
  for (int64_t i = 0; i < 2; ++i) {
    for (int64_t j = 0; j < 3; ++j) {
      expect_product(a.view(i * 99, {9, 11}, {11, 1}), b.view(j * 220, {11, 20}, {20, 1}),
                     y.view((i * 3 + j) * 180, {9, 20}, {20, 1}));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Types, Gemm, testing::Values(DType::kFloat32, DType::kFloat64),
                         [](const auto& type) { return dtype_name(type.param); });

TEST(Matmul, ShapesFollowNumPy) {
  const auto shape = [](const Shape& a, const Shape& b) {
    return matmul(Tensor::symbolic(a, DType::kFloat32), Tensor::symbolic(b, DType::kFloat32)).shape();
  };
  EXPECT_EQ(shape({3}, {3}), (Shape{}));
  EXPECT_EQ(shape({3}, {3, 2}), (Shape{2}));
  EXPECT_EQ(shape({4, 3}, {3}), (Shape{4}));
  EXPECT_EQ(shape({kUnknown, 5, 3}, {3, 2}), (Shape{kUnknown, 5, 2}));
  EXPECT_EQ(shape({7, 1, 5, 3}, {6, 3, 2}), (Shape{7, 6, 5, 2}));
}

TEST(Matmul, IntegersWrapAndInt8Widens) {
  const Tensor a = full({2, 3}, 100, DType::kInt8), b = full({3, 2}, 100, DType::kInt8);
  const Tensor y = matmul(a, b);
  EXPECT_EQ(y.dtype(), DType::kInt32);
  EXPECT_EQ(y.data<int32_t>()[3], 30000);
  EXPECT_EQ(matmul(full({1, 2}, 16, DType::kUInt8), full({2, 1}, 9, DType::kUInt8)).data<uint8_t>()[0], 32);
}

TEST(Matmul, MismatchNamesBothShapes) {
  try {
    matmul(full({2, 3}, 0, DType::kFloat32), full({4, 5}, 0, DType::kFloat32));
    FAIL();
  } catch (const ValueError& e) {
    EXPECT_NE(std::string(e.what()).find("x1.shape=(2, 3), x2.shape=(4, 5)"), std::string::npos) << e.what();
  }
}

}  // namespace
}  // namespace lamina
