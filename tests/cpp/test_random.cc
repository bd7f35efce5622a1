#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <vector>

#include "base/random.h"

namespace lamina {
namespace {

void expect_words(const Bits128& got, std::vector<uint32_t> expected) {
  EXPECT_EQ(std::vector<uint32_t>(got.word, got.word + 4), expected);
}

// Known answers published with Random123 (kat_vectors, philox4x32 10 rounds).
TEST(Random, PhiloxKnownAnswers) {
  expect_words(philox4x32({{0, 0, 0, 0}}, 0, 0), {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  expect_words(philox4x32({{~0u, ~0u, ~0u, ~0u}}, ~0u, ~0u),
               {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  expect_words(philox4x32({{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}}, 0xa4093822, 0x299f31d0),
               {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST(Random, CounterLayout) {
  const uint64_t seed = 0x299f31d0a4093822, block = 0xBEEF'11112222, counter = 0x3333'4444'CAFE;
  const Bits128 direct = philox4x32({{0x11112222, 0xCAFEBEEF, 0x33334444, 7}}, 0xa4093822, 0x299f31d0);
  expect_words(philox(seed, 7, counter, block),
               {direct.word[0], direct.word[1], direct.word[2], direct.word[3]});
  EXPECT_EQ(bits64(direct, 1), uint64_t{direct.word[3]} << 32 | direct.word[2]);
  // Each of the four arguments matters, low and high parts.
  std::set<uint64_t> draws;
  for (const Bits128& b :
       {philox(1, 1, 1, 1), philox(2, 1, 1, 1), philox(1ull << 40, 1, 1, 1), philox(1, 2, 1, 1),
        philox(1, 1, 2, 1), philox(1, 1, 1ull << 40, 1), philox(1, 1, 1, 2), philox(1, 1, 1, 1ull << 40)}) {
    draws.insert(bits64(b, 0));
  }
  EXPECT_EQ(draws.size(), 8u);
}

TEST(Random, UniformEnds) {
  EXPECT_EQ(uniform_float(0), 0.0f);
  EXPECT_EQ(uniform_float(255), 0.0f);
  EXPECT_EQ(uniform_float(256), 0x1p-24f);
  EXPECT_EQ(uniform_float(~0u), 1 - 0x1p-24f);
  EXPECT_EQ(uniform_double(0), 0.0);
  EXPECT_EQ(uniform_double(~0ull), 1 - 0x1p-53);
}

TEST(Random, UniformBelow) {
  for (uint64_t range : {1ull, 2ull, 10ull, 1ull << 40, ~0ull}) {
    EXPECT_EQ(uniform_below(0, range), 0u);
    EXPECT_EQ(uniform_below(~0ull, range), range - 1);
  }
  // Chi-square over 10 values, 9 degrees of freedom: 33.7 is the 1e-4 quantile. The draw is fixed, so is the
  // result.
  const int n = 100000;
  double count[10] = {};
  for (int i = 0; i < n; ++i) count[uniform_below(bits64(philox(3, 0, 0, i / 2), i % 2), 10)] += 1;
  double chi = 0;
  for (double c : count) chi += (c - n / 10.0) * (c - n / 10.0) / (n / 10.0);
  EXPECT_LT(chi, 33.7);
}

TEST(Random, LogAgainstLibm) {
  for (double u = 1; u > 1e-18; u *= 0.9993) {
    const double expected = std::log(u);
    ASSERT_NEAR(log_unit(u), expected, 4e-16 * std::abs(expected) + 1e-18) << u;
  }
  EXPECT_EQ(log_unit(1.0), 0.0);
  EXPECT_NEAR(log_unit(1 - 0x1p-53), -0x1p-53, 1e-31);
}

TEST(Random, BoxMullerAgainstLibm) {
  const double two_pi = 2 * std::acos(-1.0);
  for (int i = 0; i < 100000; ++i) {
    const Bits128 b = philox(5, 0, 0, i);
    const double u1 = 1 - uniform_double(bits64(b, 0)), u2 = uniform_double(bits64(b, 1));
    const double radius = std::sqrt(-2 * std::log(u1));
    const NormalPair z = box_muller(u1, u2);
    ASSERT_NEAR(z.z0, radius * std::cos(two_pi * u2), 4e-15);
    ASSERT_NEAR(z.z1, radius * std::sin(two_pi * u2), 4e-15);
  }
  for (double u2 : {0.0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1 - 0x1p-53}) {
    EXPECT_NEAR(box_muller(0.5, u2).z0, std::sqrt(-2 * std::log(0.5)) * std::cos(two_pi * u2), 1e-15) << u2;
    EXPECT_NEAR(box_muller(0.5, u2).z1, std::sqrt(-2 * std::log(0.5)) * std::sin(two_pi * u2), 1e-15) << u2;
  }
}

TEST(Random, NormalEndsAreFinite) {
  for (uint32_t a : {0u, ~0u}) {
    for (uint32_t b : {0u, 1u << 30, ~0u}) {
      const NormalPair z = normal_pair(a, b);
      EXPECT_LE(std::hypot(z.z0, z.z1), 6.77);
    }
  }
  for (uint64_t a : {0ull, ~0ull}) EXPECT_LE(std::hypot(normal_pair(a, a).z0, normal_pair(a, a).z1), 8.58);
}

// Kolmogorov-Smirnov against the normal distribution: sqrt(n) D < 2.23 at the 1e-4 level; moments within 5
// sigma.
TEST(Random, NormalsAreNormal) {
  std::vector<double> z;
  for (int i = 0; i < 50000; ++i) {
    const Bits128 b = philox(11, 2, 3, i);
    for (const NormalPair& p : {normal_pair(b.word[0], b.word[1]), normal_pair(b.word[2], b.word[3])}) {
      z.push_back(p.z0);
      z.push_back(p.z1);
    }
  }
  std::sort(z.begin(), z.end());
  const double n = static_cast<double>(z.size());
  double distance = 0, mean = 0, square = 0, fourth = 0;
  for (size_t i = 0; i < z.size(); ++i) {
    const double cdf = 0.5 * std::erfc(-z[i] / std::sqrt(2.0));
    distance = std::max({distance, std::abs(cdf - i / n), std::abs(cdf - (i + 1) / n)});
    mean += z[i] / n;
    square += z[i] * z[i] / n;
    fourth += z[i] * z[i] * z[i] * z[i] / n;
  }
  EXPECT_LT(std::sqrt(n) * distance, 2.23);
  EXPECT_NEAR(mean, 0, 5 / std::sqrt(n));
  EXPECT_NEAR(square, 1, 5 * std::sqrt(2 / n));
  EXPECT_NEAR(fourth, 3, 5 * std::sqrt(96 / n));
}

}  // namespace
}  // namespace lamina
