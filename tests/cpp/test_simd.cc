// Every function of simd/vec.h and simd/math.h, on every ISA row of this machine, against scalar code.
#include "test_simd.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <map>
#include <ostream>
#include <string>
#include <type_traits>
#include <vector>

#include "base/cpu.h"
#include "base/half.h"
#include "ops/dispatch.h"

namespace lamina {

LAMINA_ROWS(LAMINA_DECLARE_ROW, SimdTests, simd_tests)

namespace {

struct Row {
  Isa isa;
  const SimdTests* tests;
};
void PrintTo(const Row& row, std::ostream* os) { *os << isa_name(row.isa); }
#define LAMINA_LIST_ROW(T, name, row) {Isa::row, &row::name},
std::vector<Row> rows() {
  const std::vector<Isa> have = supported_isas();
  std::vector<Row> list = {LAMINA_ROWS(LAMINA_LIST_ROW, SimdTests, simd_tests)};
  std::erase_if(list, [&](const Row& r) { return std::find(have.begin(), have.end(), r.isa) == have.end(); });
  return list;
}

class Simd : public testing::TestWithParam<Row> {
 protected:
  const SimdTests& t() const { return *GetParam().tests; }
  // Calls f with the tests of each lane type.
  template <class F>
  void each_type(F f) const {
    f(t().f32);
    f(t().f64);
    f(t().i32);
    f(t().i64);
  }
};
INSTANTIATE_TEST_SUITE_P(Rows, Simd, testing::ValuesIn(rows()),
                         [](const auto& info) { return std::string(isa_name(info.param.isa)); });

// Equal bits, or both NaN.
template <class T>
bool same(T a, T b) {
  if (a != a || b != b) return a != a && b != b;
  return std::memcmp(&a, &b, sizeof a) == 0;
}

template <class T>
std::vector<T> samples() {
  using L = std::numeric_limits<T>;
  std::vector<T> v = {0, 1, 2, 3, 5, 7, 100, 12345, L::max(), L::min(), L::lowest()};
  if constexpr (std::is_floating_point_v<T>) {
    for (double x : {0.25, 0.5, 1.5, 2.5, 3.4999, 1e-3, 8388607.5, 8388609.0, 1.0 / 3, 4503599627370495.5}) {
      v.push_back(static_cast<T>(x));
    }
    v.insert(v.end(), {L::infinity(), L::denorm_min(), L::epsilon()});
    const size_t n = v.size();
    for (size_t i = 0; i < n; ++i) v.push_back(-v[i]);
    v.push_back(L::quiet_NaN());
  } else {
    for (T x : {T(-1), T(-2), T(-33), T(0x55555555), T(L::max() - 1)}) v.push_back(x);
  }
  return v;
}

// A page that ends where reading or writing on would crash: end<T>() - n is a block of n elements at its end.
class GuardedPage {
 public:
  GuardedPage() : size_(sysconf(_SC_PAGESIZE)) {
    base_ = static_cast<char*>(
        mmap(nullptr, 2 * size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    mprotect(base_ + size_, size_, PROT_NONE);
  }
  ~GuardedPage() { munmap(base_, 2 * size_); }
  template <class T>
  T* end() const {
    return reinterpret_cast<T*>(base_ + size_);
  }

 private:
  size_t size_;
  char* base_;
};

template <class T>
using Reference = std::function<T(T a, T b, T c)>;

template <class T>
std::map<std::string, Reference<T>> references(bool fused) {
  constexpr bool kFloat = std::is_floating_point_v<T>;
  std::map<std::string, Reference<T>> r;
  r["broadcast"] = [](T a, T, T) { return a; };
  r["zero"] = [](T, T, T) { return T(0); };
  if constexpr (kFloat) {
    r["add"] = [](T a, T b, T) { return a + b; };
    r["sub"] = [](T a, T b, T) { return a - b; };
    r["mul"] = [](T a, T b, T) { return a * b; };
    r["div"] = [](T a, T b, T) { return a / b; };
    r["neg"] = [](T a, T, T) { return -a; };
    r["abs"] = [](T a, T, T) { return std::fabs(a); };
    r["fma"] = [fused](T a, T b, T c) { return fused ? std::fma(a, b, c) : a * b + c; };
    r["fnma"] = [fused](T a, T b, T c) { return fused ? std::fma(-a, b, c) : c - a * b; };
    r["sqrt"] = [](T a, T, T) { return std::sqrt(a); };
    r["round_even"] = [](T a, T, T) { return std::nearbyint(a); };
    r["floor"] = [](T a, T, T) { return std::floor(a); };
    r["copysign"] = [](T a, T b, T) { return std::copysign(a, b); };
    r["scale_by_power"] = [](T a, T b, T) {
      if (std::isnan(b)) return a;
      return std::ldexp(a, static_cast<int>(std::clamp(std::nearbyint(b), T(-160), T(160))));
    };
    r["bit_cast"] = [](T a, T, T) { return a; };
    r["map_lanes"] = [](T a, T, T) { return a + T(1); };
  } else {
    using U = std::make_unsigned_t<T>;
    r["add"] = [](T a, T b, T) { return T(U(a) + U(b)); };
    r["sub"] = [](T a, T b, T) { return T(U(a) - U(b)); };
    r["mul"] = [](T a, T b, T) { return T(U(a) * U(b)); };
    r["neg"] = [](T a, T, T) { return T(U(0) - U(a)); };
    r["abs"] = [](T a, T, T) { return a < 0 ? T(U(0) - U(a)) : a; };
    r["bit_and"] = [](T a, T b, T) { return a & b; };
    r["bit_or"] = [](T a, T b, T) { return a | b; };
    r["bit_xor"] = [](T a, T b, T) { return a ^ b; };
    r["bit_not"] = [](T a, T, T) { return ~a; };
    r["shl"] = [](T a, T, T) { return T(U(a) << 5); };
    r["shr"] = [](T a, T, T) { return a >> 5; };
    r["shr_logical"] = [](T a, T, T) { return T(U(a) >> 5); };
  }
  r["min"] = [](T a, T b, T) { return a != a || a < b ? a : b; };
  r["max"] = [](T a, T b, T) { return a != a || a > b ? a : b; };
  r["min_or_second"] = [](T a, T b, T) { return a < b ? a : b; };
  r["max_or_second"] = [](T a, T b, T) { return a > b ? a : b; };
  r["clamp"] = [](T a, T, T) { return a < T(-2) ? T(-2) : a > T(3) ? T(3) : a; };
  r["lt"] = [](T a, T b, T) { return T(a < b); };
  r["le"] = [](T a, T b, T) { return T(a <= b); };
  r["gt"] = [](T a, T b, T) { return T(a > b); };
  r["ge"] = [](T a, T b, T) { return T(a >= b); };
  r["eq"] = [](T a, T b, T) { return T(a == b); };
  r["ne"] = [](T a, T b, T) { return T(a != b); };
  r["select"] = [](T a, T b, T c) { return a < b ? b : c; };
  r["and"] = [](T a, T b, T c) { return T(a < b && b < c); };
  r["or"] = [](T a, T b, T c) { return T(a < b || b < c); };
  r["not"] = [](T a, T b, T) { return T(!(a < b)); };
  return r;
}

TEST_P(Simd, LaneFunctionsEqualScalarCode) {
  each_type([&]<class T>(const VecTests<T>& v) {
    const auto refs = references<T>(t().fused);
    const std::vector<T> s = samples<T>();
    const int n = static_cast<int>(s.size());
    EXPECT_EQ(v.num_cases, static_cast<int>(refs.size()) + 1);  // iota is apart
    for (int k = 0; k < v.num_cases; ++k) {
      const std::string name = v.cases[k].name;
      std::vector<T> a(v.lanes), b(v.lanes), c(v.lanes), out(v.lanes);
      for (int i = 0; i < n * n; ++i) {
        for (int j = 0; j < v.lanes; ++j) {
          a[j] = s[(i + j) % n];
          b[j] = s[(i + j) / n % n];
          c[j] = s[(3 * i + 7 * j) % n];
        }
        v.cases[k].run(a.data(), b.data(), c.data(), out.data());
        for (int j = 0; j < v.lanes; ++j) {
          const T want = name == "iota" ? T(j) : name == "broadcast" ? a[0] : refs.at(name)(a[j], b[j], c[j]);
          ASSERT_TRUE(same(out[j], want)) << name << '<' << sizeof(T) << "> a=" << a[j] << " b=" << b[j]
                                          << " c=" << c[j] << " got " << out[j] << " want " << want;
        }
      }
    }
  });
}

TEST_P(Simd, PartialLoadsAndStoresStayInside) {
  const GuardedPage page;
  each_type([&]<class T>(const VecTests<T>& v) {
    for (int n = 0; n <= v.lanes; ++n) {
      T* p = page.end<T>() - n;
      for (int i = 0; i < n; ++i) p[i] = T(i + 1);
      std::vector<T> out(v.lanes, T(-7));
      v.load(p, n, out.data());
      for (int i = 0; i < v.lanes; ++i) EXPECT_EQ(out[i], i < n ? T(i + 1) : T(0)) << "n=" << n;

      std::vector<T> full(v.lanes);
      for (int i = 0; i < v.lanes; ++i) full[i] = T(50 + i);
      p[-1] = T(-9);
      v.store(full.data(), p, n);
      EXPECT_EQ(p[-1], T(-9));
      for (int i = 0; i < n; ++i) EXPECT_EQ(p[i], T(50 + i)) << "n=" << n;

      std::vector<T> memory(v.lanes + 1, T(-1));
      v.store(full.data(), memory.data(), n);
      for (int i = n; i <= v.lanes; ++i) EXPECT_EQ(memory[i], T(-1)) << "n=" << n;

      v.first(n, out.data());
      for (int i = 0; i < v.lanes; ++i) EXPECT_EQ(out[i], T(i < n)) << "n=" << n;
    }
  });
}

TEST_P(Simd, StridedLoadsAndGathers) {
  const GuardedPage page;
  each_type([&]<class T>(const VecTests<T>& v) {
    std::vector<T> out(v.lanes);
    for (int64_t stride : {-3, -1, 0, 1, 2, 5}) {
      for (int n = 0; n <= v.lanes; ++n) {
        const int64_t span = (n > 0 ? n - 1 : 0) * std::abs(stride) + 1;
        T* low = page.end<T>() - span;  // the last element touched, or the first, is the last of the page
        for (int64_t i = 0; i < span; ++i) low[i] = T(i + 1);
        const T* p = stride < 0 ? low + span - 1 : low;
        v.load_strided(p, stride, n, out.data());
        for (int i = 0; i < v.lanes; ++i) {
          EXPECT_EQ(out[i], i < n ? p[i * stride] : T(0)) << "stride=" << stride << " n=" << n;
        }
      }
    }
    std::vector<T> base(1000);
    for (int i = 0; i < 1000; ++i) base[i] = T(i);
    std::vector<int32_t> index(t().i32.lanes);
    for (size_t i = 0; i < index.size(); ++i) index[i] = static_cast<int32_t>(i * 389 % 1000) - 500;
    v.gather(base.data() + 500, index.data(), out.data());
    for (int i = 0; i < v.lanes; ++i) EXPECT_EQ(out[i], T(index[i] + 500));
  });
}

TEST_P(Simd, MasksAnyAll) {
  each_type([&]<class T>(const VecTests<T>& v) {
    std::vector<T> a(v.lanes, T(1)), b(v.lanes, T(0));
    EXPECT_FALSE(v.any_less(a.data(), b.data()));
    for (int i = 0; i < v.lanes; ++i) {  // one lane true, then all but that one
      std::vector<T> one = b, but_one(v.lanes, T(2));
      one[i] = T(2);
      but_one[i] = T(0);
      EXPECT_TRUE(v.any_less(a.data(), one.data()));
      EXPECT_FALSE(v.all_less(a.data(), one.data()) && v.lanes > 1);
      EXPECT_FALSE(v.all_less(a.data(), but_one.data()));
    }
    b.assign(v.lanes, T(2));
    EXPECT_TRUE(v.all_less(a.data(), b.data()));
  });
}

TEST_P(Simd, ReductionsAreTreesOfHalves) {
  each_type([&]<class T>(const VecTests<T>& v) {
    std::vector<T> a(v.lanes);
    for (int i = 0; i < v.lanes; ++i)
      a[i] = std::is_floating_point_v<T> ? T(1) / T(i + 3) : T((i * 37) % 17 - 8);
    std::vector<T> tree = a;
    for (int half = v.lanes / 2; half > 0; half /= 2) {
      for (int i = 0; i < half; ++i) tree[i] = tree[i] + tree[i + half];
    }
    EXPECT_EQ(v.reduce_add(a.data()), tree[0]);
    EXPECT_EQ(v.reduce_max(a.data()), *std::max_element(a.begin(), a.end()));
    EXPECT_EQ(v.reduce_min(a.data()), *std::min_element(a.begin(), a.end()));
    if constexpr (std::is_floating_point_v<T>) {
      for (int i = 0; i < v.lanes; ++i) {
        std::vector<T> nan = a;
        nan[i] = std::numeric_limits<T>::quiet_NaN();
        EXPECT_TRUE(std::isnan(v.reduce_max(nan.data())) && std::isnan(v.reduce_min(nan.data()))) << i;
      }
    }
  });
}

TEST_P(Simd, ConversionsRoundToEven) {
  const double values[] = {0,    0.5,   1.5,    2.5,       -0.5,       -1.5,
                           -2.5, 126.7, -149.4, 1e6 + 0.5, -8388607.5, 0.49999997};
  std::vector<float> f(t().f32.lanes), f_back(t().f32.lanes);
  std::vector<int32_t> i(t().f32.lanes);
  std::vector<double> d(t().f64.lanes), d_back(t().f64.lanes);
  std::vector<int64_t> l(t().f64.lanes);
  for (double x : values) {
    f.assign(f.size(), static_cast<float>(x));
    t().to_int32(f.data(), i.data());
    EXPECT_EQ(i.back(), static_cast<int32_t>(std::nearbyint(f[0])));
    t().to_float32(i.data(), f_back.data());
    EXPECT_EQ(f_back.back(), static_cast<float>(i.back()));
    for (double scale : {1.0, 1048576.0}) {
      d.assign(d.size(), x * scale);
      t().to_int64(d.data(), l.data());
      EXPECT_EQ(l.back(), static_cast<int64_t>(std::nearbyint(d[0])));
      t().to_float64(l.data(), d_back.data());
      EXPECT_EQ(d_back.back(), static_cast<double>(l.back()));
    }
  }
}

TEST_P(Simd, HalfPrecisionStorage) {
  const int lanes = t().f32.lanes;
  const GuardedPage page;
  std::vector<float> out(lanes);
  std::vector<uint16_t> bits(lanes);
  for (uint32_t start = 0; start < 65536; start += lanes) {
    for (int i = 0; i < lanes; ++i) bits[i] = static_cast<uint16_t>(start + i);
    t().load_bf16(bits.data(), lanes, out.data());
    for (int i = 0; i < lanes; ++i) ASSERT_TRUE(same(out[i], to_float(BFloat16{bits[i]}))) << bits[i];
    t().load_f16(bits.data(), lanes, out.data());
    for (int i = 0; i < lanes; ++i) ASSERT_TRUE(same(out[i], to_float(Float16{bits[i]}))) << bits[i];
  }
  std::vector<float> x(lanes);
  for (uint64_t u = 0; u < (uint64_t{1} << 32); u += 1009 * lanes) {
    for (int i = 0; i < lanes; ++i) x[i] = std::bit_cast<float>(static_cast<uint32_t>(u + 1009 * i));
    t().store_bf16(x.data(), bits.data(), lanes);
    for (int i = 0; i < lanes; ++i) {
      if (std::isnan(x[i])) {
        ASSERT_EQ(bits[i] & 0x7fc0, 0x7fc0);
      } else {
        ASSERT_EQ(bits[i], to_bfloat16(x[i]).bits) << x[i];
      }
    }
    t().store_f16(x.data(), bits.data(), lanes);
    for (int i = 0; i < lanes; ++i) {
      if (std::isnan(x[i])) {
        ASSERT_EQ(bits[i] & 0x7e00, 0x7e00);
      } else {
        ASSERT_EQ(bits[i], to_float16(x[i]).bits) << x[i];
      }
    }
  }
  for (int n = 0; n <= lanes; ++n) {
    uint16_t* p = page.end<uint16_t>() - n;
    for (int i = 0; i < lanes; ++i) x[i] = static_cast<float>(i + 1);
    p[-1] = 99;
    t().store_bf16(x.data(), p, n);
    t().load_bf16(p, n, out.data());
    for (int i = 0; i < lanes; ++i) EXPECT_EQ(out[i], i < n ? x[i] : 0.0f) << n;
    t().store_f16(x.data(), p, n);
    t().load_f16(p, n, out.data());
    for (int i = 0; i < lanes; ++i) EXPECT_EQ(out[i], i < n ? x[i] : 0.0f) << n;
    EXPECT_EQ(p[-1], 99);
    std::vector<uint16_t> memory(lanes + 1, 77);
    t().store_bf16(x.data(), memory.data(), n);
    t().store_f16(x.data(), memory.data(), n);
    for (int i = n; i <= lanes; ++i) EXPECT_EQ(memory[i], 77) << n;
  }
}

// References: double for float, long double for double.
template <class T>
using Wide = std::conditional_t<sizeof(T) == 4, double, long double>;

template <class Real>
const std::map<std::string, Real (*)(Real)>& math_references() {
  static const std::map<std::string, Real (*)(Real)> kReferences = {
      {"exp", [](Real x) { return std::exp(x); }},
      {"expm1", [](Real x) { return std::expm1(x); }},
      {"log", [](Real x) { return std::log(x); }},
      {"log1p", [](Real x) { return std::log1p(x); }},
      {"tanh", [](Real x) { return std::tanh(x); }},
      {"sigmoid", [](Real x) { return 1 / (1 + std::exp(-x)); }},
      {"softplus",
       [](Real x) { return std::max(x, Real(0)) + std::log1p(std::exp(-std::fabs(x))) + (x != x ? x : 0); }},
      {"erf", [](Real x) { return std::erf(x); }},
  };
  return kReferences;
}

// |got - want| in units of the last place of a T at want, subnormals included.
template <class T, class Real>
double ulps(T got, Real want) {
  using L = std::numeric_limits<T>;
  int exponent;
  std::frexp(want, &exponent);
  const Real unit = std::ldexp(Real(1), std::max(exponent - L::digits, L::min_exponent - L::digits));
  return static_cast<double>(std::fabs((got - want) / unit));
}

TEST_P(Simd, MathWithin2_5Ulp) {
#if defined(__x86_64__)
  constexpr uint64_t kStep = 1009;
#else
  constexpr uint64_t kStep = 10007;  // an emulator may be at work
#endif
  std::vector<float> x;
  for (uint64_t u = 0; u < (uint64_t{1} << 32); u += kStep)
    x.push_back(std::bit_cast<float>(static_cast<uint32_t>(u)));
  std::vector<float> y(x.size());
  ASSERT_EQ(t().num_math, static_cast<int>(math_references<double>().size()));
  for (int k = 0; k < t().num_math; ++k) {
    const SimdTests::Math& f = t().math[k];
    const auto reference = math_references<Wide<float>>().at(f.name);
    f.f32(x.data(), y.data(), static_cast<int64_t>(x.size()));
    double worst = 0;
    float at = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      const Wide<float> want = reference(x[i]);
      const float rounded = static_cast<float>(want);
      if (!std::isfinite(rounded) || x[i] == 0) {  // NaN, overflow, poles, signed zeros: the value itself
        ASSERT_TRUE(same(y[i], rounded)) << f.name << '(' << x[i] << ") = " << y[i] << ", not " << rounded;
        continue;
      }
      const double error = ulps(y[i], want);
      if (!(error <= worst)) {
        worst = error;
        at = x[i];
      }
    }
    EXPECT_LE(worst, 2.5) << f.name << " at " << at;
    RecordProperty(f.name, std::to_string(worst));
  }
}

TEST_P(Simd, MathAtTheEdges) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  const float edges[] = {0.0f,       -0.0f,   kInf,    -kInf,          kNan,  -1.0f,  1.0f,    88.72283f,
                         88.722839f, -87.3f,  -103.9f, -104.1f,        1e30f, -1e30f, 3.4e38f, -3.4e38f,
                         1e-30f,     -1e-30f, 1e-45f,  1.1754944e-38f, 9.1f,  -9.1f,  3.95f,   -3.95f};
  for (int k = 0; k < t().num_math; ++k) {
    const SimdTests::Math& f = t().math[k];
    for (float x : edges) {
      const Wide<float> want = math_references<Wide<float>>().at(f.name)(x);
      float y;
      f.f32(&x, &y, 1);
      const float rounded = static_cast<float>(want);
      if (!std::isfinite(rounded) || rounded == 0) {
        EXPECT_TRUE(same(y, rounded)) << f.name << '(' << x << ") = " << y << ", not " << rounded;
      } else {
        EXPECT_LE(ulps(y, want), 2.5) << f.name << '(' << x << ") = " << y << ", not " << rounded;
      }
    }
  }
}

TEST_P(Simd, DoubleMathIsLibms) {
  std::vector<double> x = {0.0, -0.0, 1e-300, 0.5, -0.5, 3.0, -3.0, 30.0, -30.0, 700.0, -700.0};
  x.push_back(std::numeric_limits<double>::infinity());
  x.push_back(std::numeric_limits<double>::quiet_NaN());
  std::vector<double> y(x.size());
  for (int k = 0; k < t().num_math; ++k) {
    const SimdTests::Math& f = t().math[k];
    f.f64(x.data(), y.data(), static_cast<int64_t>(x.size()));
    for (size_t i = 0; i < x.size(); ++i) {
      const Wide<double> want = math_references<Wide<double>>().at(f.name)(x[i]);
      const double rounded = static_cast<double>(want);
      if (!std::isfinite(rounded) || rounded == 0) {
        EXPECT_TRUE(same(y[i], rounded)) << f.name << '(' << x[i] << ") = " << y[i];
      } else {
        EXPECT_LE(ulps(y[i], want), 3.0) << f.name << '(' << x[i] << ") = " << y[i];
      }
    }
  }
}

}  // namespace
}  // namespace lamina
