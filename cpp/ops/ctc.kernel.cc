// One sample: T frames, C classes, L labels. See ctc.h for the recursion.
#include "ops/ctc.h"

#include "ops/fold.h"
#include "simd/math.h"

namespace lamina {
namespace {

// The logarithm of 0 and of what is less: finite, so that differences are numbers.
constexpr double kLogZero = -1e30;
// Below: probability 0.
constexpr double kLogTiny = -1e29;

// log(1 + z) for 0 <= z <= 1: z P(z), relative error 2^-25.
LAMINA_INLINE VecF log1p_unit(VecF z) {
  constexpr float kP[] = {0x1.fffffep-1f,  -0x1.fffeacp-2f, 0x1.553004p-2f,  -0x1.fcc8c6p-3f, 0x1.874a7ep-3f,
                          -0x1.17d2bep-3f, 0x1.4069d2p-4f,  -0x1.e369dcp-6f, 0x1.56edf8p-8f};
  return z * polynomial(z, kP);
}
LAMINA_INLINE VecD log1p_unit(VecD z) { return log1p(z); }

// log(e^a + e^b) for finite a and b; NaN of either comes back through the difference.
template <class V>
LAMINA_INLINE V log_add(V a, V b) {
  return max_or_second(a, b) + log1p_unit(exp(-abs(a - b)));
}

template <class T>
struct Sample {
  using V = Vec<T>;
  static constexpr int kLanes = V::kLanes;
  const CtcSample& s;
  const T* x = static_cast<const T*>(s.x);
  T* skip = static_cast<T*>(s.skip);
  T* log_sum = static_cast<T*>(s.log_sum);
  const int64_t row_size = kCtcPad + 2 * s.width;

  T* labels_of(int64_t t) const { return static_cast<T*>(s.alpha) + (s.dx ? t : t & 1) * row_size + kCtcPad; }
  T* blanks_of(int64_t t) const { return labels_of(t) + s.width; }

  static void fill(T* to, int64_t n, T value) {
    for (int64_t i = 0; i < n; i += kLanes) V(value).store(to + i);
  }
  template <class F>
  LAMINA_INLINE void each_vector(F f) const {
    for (int64_t i = 0; i < s.width; i += kLanes) f(i);
  }
  LAMINA_INLINE auto skips(int64_t i) const { return V::load(skip + i) != V(0); }

  // log p(label i) - (shift - log_sum), no less than kLogZero, which it is for i >= L.
  LAMINA_INLINE V emitted(const T* frame, V shift, int64_t i) const {
    const V e = V::gather(frame, VecI::load(s.labels + i)) - shift;
    const int64_t left = s.L - i;
    return max_or_second(V(kLogZero),
                         left >= kLanes ? e : keep_first(e, simd_max<int>(0, left), V(kLogZero)));
  }
  // What is taken from a frame's logits: its log_sum, and the largest of the row before.
  static T shift_of(V peak) {
    const T p = reduce_max(peak);
    return p > T(kLogTiny) ? p : T(0);
  }

  void prepare() const {
    for (int64_t i = 0; i < s.L; ++i) skip[i] = i > 0 && s.labels[i] != s.labels[i - 1];
    for (int64_t i = s.L; i < s.width + kCtcPad; ++i) skip[i] = 0;
    for (int64_t t = 0; t < s.T; t += kLanes) {
      const int k = lanes_at<T>(s.T, t);
      T peak[kLanes], sum[kLanes];
      for (int j = 0; j < k; ++j) {
        const T* frame = x + (t + j) * s.C;
        peak[j] = reduce_max(fold<T, PeakFold>(
            s.C, [=](int64_t i, int n) __attribute__((always_inline)) {
              return keep_first(V::load(frame + i, n), n, V(kLowest<T>));
            }));
        const V m(peak[j]);
        sum[j] = reduce_add(fold<T, AddFold>(
            s.C, [=](int64_t i, int n) __attribute__((always_inline)) {
              return keep_first(exp(V::load(frame + i, n) - m), n, V(0));
            }));
      }
      (V::load(peak, k) + log(V::load(sum, k))).store(log_sum + t, k);
    }
  }

  // Fills alpha; log of the probability of the target, kLogTiny or less for 0.
  double forward() const {
    const T zero = T(kLogZero);
    for (int64_t t = 0; t < (s.dx ? s.T + 1 : 2); ++t) fill(labels_of(t) - kCtcPad, kCtcPad, zero);
    fill(labels_of(0), 2 * s.width, zero);
    blanks_of(0)[0] = 0;
    double shifted = 0;
    V peak(0);
    for (int64_t t = 0; t < s.T; ++t) {
      const T *frame = x + t * s.C, *label = labels_of(t), *blank = blanks_of(t);
      T *label_after = labels_of(t + 1), *blank_after = blanks_of(t + 1);
      const T shift = shift_of(peak);
      shifted += shift;
      const V off(log_sum[t] + shift), p_blank = max_or_second(V(zero), V(frame[s.blank]) - off);
      peak = V(zero);
      each_vector([&](int64_t i) __attribute__((always_inline)) {
        const V b = V::load(blank + i), u = log_add(b, V::load(label + i - 1));
        const V l = log_add(V::load(label + i), select(skips(i), u, b)) + emitted(frame, off, i);
        const V after = u + p_blank;
        l.store(label_after + i);
        after.store(blank_after + i);
        peak = max_or_second(peak, max_or_second(l, after));
      });
    }
    const T end = log_add(V(blanks_of(s.T)[s.L]), V(labels_of(s.T)[s.L - 1]))[0];  // without labels: the pad
    return end <= T(kLogTiny) ? kLogZero : static_cast<double>(end) + shifted;
  }

  // dx from alpha. blank and label are beta of the frames after t; once they have met alpha, of t too.
  void gradient() const {
    const T zero = T(kLogZero);
    const int64_t row = s.width + kCtcPad;
    T *blank = static_cast<T*>(s.rows), *label = blank + row, *own_blank = label + row,
      *at_blank = own_blank + row, *at_label = at_blank + row, *mass = static_cast<T*>(s.mass);
    fill(blank, 3 * row, zero);
    blank[s.L] = 0;
    if (s.L > 0) label[s.L - 1] = 0;
    V peak(0);
    for (int64_t t = s.T - 1; t >= 0; --t) {
      const T *frame = x + t * s.C, *alpha_label = labels_of(t + 1), *alpha_blank = blanks_of(t + 1);
      const V off(log_sum[t] + shift_of(peak)), p_blank = max_or_second(V(zero), V(frame[s.blank]) - off);
      V most(zero);
      each_vector([&](int64_t i) __attribute__((always_inline)) {
        const V b = V::load(blank + i), l = V::load(label + i);
        const V at_b = V::load(alpha_blank + i) + b, at_l = V::load(alpha_label + i) + l;
        at_b.store(at_blank + i);
        at_l.store(at_label + i);
        most = max_or_second(most, max_or_second(at_b, at_l));
        const V own_b = b + p_blank, own_l = l + emitted(frame, off, i);
        own_b.store(own_blank + i);
        own_l.store(label + i);
        log_add(own_b, own_l).store(blank + i);
      });
      peak = V(zero);
      each_vector([&](int64_t i) __attribute__((always_inline)) {
        const V next = select(skips(i + 1), V::load(blank + i + 1), V::load(own_blank + i + 1));
        const V l = log_add(V::load(label + i), next);
        l.store(label + i);
        peak = max_or_second(peak, max_or_second(l, V::load(blank + i)));
      });
      add_posterior(at_label, at_blank, V(reduce_max(most)), mass);
      const V share(T(1) / reduce_add(fold<T, AddFold>(
                               s.C, [=](int64_t i, int n)
                                        __attribute__((always_inline)) { return V::load(mass + i, n); })));
      const V sum(log_sum[t]);
      T* dx = static_cast<T*>(s.dx) + t * s.C;
      along<T>(
          s.C, [=](int64_t i, int n) __attribute__((always_inline)) {
            (exp(V::load(frame + i, n) - sum) - V::load(mass + i, n) * share).store(dx + i, n);
          });
    }
  }

  // mass[c] = sum of exp(at - most) over the positions of class c.
  void add_posterior(T* at_label, const T* at_blank, V most, T* mass) const {
    V blanks(0);
    each_vector([&](int64_t i) __attribute__((always_inline)) {
      exp(V::load(at_label + i) - most).store(at_label + i);
      blanks += exp(V::load(at_blank + i) - most);
    });
    for (int64_t c = 0; c < s.C; ++c) mass[c] = 0;
    for (int64_t i = 0; i < s.L; ++i) mass[s.labels[i]] += at_label[i];
    mass[s.blank] = reduce_add(blanks);
  }
};

template <class T>
double run(const CtcSample& sample) {
  const Sample<T> s{sample};
  s.prepare();
  const double log_p = s.forward();
  const bool impossible = log_p <= kLogTiny;
  if (sample.dx && impossible) {
    along<T>(sample.T * sample.C,
             [dx = static_cast<T*>(sample.dx)](int64_t i, int n) { Vec<T>(0).store(dx + i, n); });
  } else if (sample.dx) {
    s.gradient();
  }
  return impossible ? __builtin_inf() : -log_p;
}

}  // namespace

namespace LAMINA_ROW {
extern const CtcKernels ctc_kernels;
const CtcKernels ctc_kernels = {run<float>, run<double>};
}  // namespace LAMINA_ROW
}  // namespace lamina
