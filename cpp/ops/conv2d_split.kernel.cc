// Convolution on tiles, see conv2d_split.h.
#include "ops/conv2d_split.h"

#include "ops/activation.kernel.h"
#include "ops/conv2d_split.kernel.h"

namespace lamina {
namespace {

// 32 positions in the planes, for products().
struct Window {
  const uint16_t* first;
  const int64_t* steps;
  int64_t part;
  static constexpr int64_t half = kTile, step = kUnit * 2;
  static constexpr bool a_once = false, b_once = true;
  template <int P>
  LAMINA_INLINE const uint16_t* unit(int64_t i) const {
    return first + steps[i];
  }
};

// Bias and activation of the positions [i, i + m), neighbours in memory together.
void finish_positions(const ConvSplitBlock& g, int64_t i, int64_t m) {
  if (!g.bias && g.activation == Activation::none) return;
  for (const int64_t end = i + m; i < end;) {
    const int64_t first = g.out[i];
    if (first < 0) {
      ++i;
      continue;
    }
    const int64_t step = i + 1 < end && g.out[i + 1] > first ? g.out[i + 1] - first : g.n;
    int64_t count = 1;
    while (i + count < end && g.out[i + count] == first + count * step) ++count;
    finish<float>(g.activation, g.bias, g.y + first, step, count, g.n);
    i += count;
  }
}

// Some lines each time.
class Ahead {
 public:
  void begin(const ConvSplitAhead& lines, int64_t times) {
    from_ = static_cast<const char*>(lines.from);
    left_ = lines.lines;
    each_ = ceil_div(left_, times);
  }
  int64_t left() const { return left_; }
  void step() {
    const int64_t n = simd_min(each_, left_);
    left_ -= n;
    for (const char* end = from_ + n * 64; from_ < end; from_ += 64) __builtin_prefetch(from_, 0, 2);
  }

 private:
  const char* from_ = nullptr;
  int64_t left_ = 0, each_ = 0;
};

// Asks for the filters of the next block while this one's are multiplied: all together are larger than L2.
class Prefetcher {
 public:
  Ahead ahead;

  int64_t begin(const uint16_t* from, int64_t elements) {
    from_ = reinterpret_cast<const char*>(from);
    return left_ = elements * static_cast<int64_t>(sizeof(uint16_t)) / 64;
  }
  int64_t left() const { return left_ + ahead.left(); }
  void steps(int64_t n) {
    ahead.step();
    n = simd_min(n, left_);
    left_ -= n;
    for (const char* end = from_ + n * 64; from_ < end; from_ += 64) __builtin_prefetch(from_, 0, 2);
  }

 private:
  const char* from_ = nullptr;
  int64_t left_ = 0;
};

// Makes panels of A out of positions that are no neighbours in the planes, and asks for filters.
template <int P>
class Gatherer {
 public:
  Ahead ahead;

  // Units [first, first + units) of `count` positions.
  void begin(const ConvSplitBlock& g, const int64_t* windows, int64_t count, int64_t first, int64_t units,
             uint16_t* dst) {
    planes_ = g.planes;
    plane_ = g.plane;
    windows_ = windows;
    count_ = count;
    steps_ = g.steps + first;
    dst_ = dst;
    left_ = units * count;
    row_ = 0;
  }
  // Beside each step: the rows of filters of a later block, a part of them each time.
  void begin_filters(const ConvSplitBlock& g, int64_t first, int64_t units, int64_t panels, int64_t runs) {
    const bool along_n = g.w_f == 1;
    filters_ = g.w;
    filter_steps_ = g.filter_steps + first;
    filter_row_ = along_n ? g.w_k : g.w_f;
    filter_panel_ = kPanel * g.w_f;
    panels_ = panels;
    rows_left_ = units * panels * kPanel;
    rows_each_ = ceil_div(rows_left_, runs);
    filter_ = 0;
  }
  int64_t left() const { return left_; }
  void steps(int64_t n) {
    prefetch();
    ahead.step();
    n = simd_min(n, left_);
    left_ -= n;
    const int64_t plane = plane_;
    for (; n > 0; --n) {
      const uint16_t* from = planes_ + windows_[row_] + *steps_;
      uint16_t* to = dst_ + row_ * kUnit;
#pragma GCC unroll 3
      for (int p = 0; p < P; ++p) store_row(load_row(from + p * plane), to + p * kPartSize);
      if (++row_ == count_) {
        row_ = 0;
        ++steps_;
        dst_ += P * kPartSize;
      }
    }
  }
  void finish() { steps(left_); }

 private:
  void prefetch() {
    const int64_t n = simd_min(rows_each_, rows_left_);
    rows_left_ -= n;
    for (const int64_t end = filter_ + n; filter_ < end; ++filter_) {
      const int64_t row = filter_ % kPanel, panel = filter_ / kPanel % panels_,
                    unit = filter_ / kPanel / panels_;
      const float* p = filters_ + filter_steps_[unit] + panel * filter_panel_ + row * filter_row_;
      __builtin_prefetch(p, 0, 2);
      __builtin_prefetch(p + 16, 0, 2);
    }
  }
  const uint16_t* planes_;
  const int64_t *windows_, *steps_, *filter_steps_;
  const float* filters_;
  uint16_t* dst_;
  int64_t plane_, count_, row_, left_ = 0;
  int64_t filter_, filter_row_, filter_panel_, panels_, rows_left_ = 0, rows_each_ = 0;
};

// Filters of one block of units, panels as pack_b makes them; false if an element must not be split.
template <int P>
bool split_filters(const ConvSplitBlock& g, int64_t first, int64_t units, uint16_t* dst) {
  Splitter<P> splitter;
  for (int64_t unit = 0; unit < units; ++unit) {
    for (int64_t j = 0; j < g.n; j += kPanel) {
      splitter.begin(
          false, g.w + g.filter_steps[first + unit] + j * g.w_f, g.w_f, g.w_k, simd_min(kPanel, g.n - j),
          kUnit, dst + j / kPanel * split_panel_size(P, units * kUnit) + split_panel_size(P, unit * kUnit));
      splitter.finish();
    }
  }
  return splitter.fits();
}

// multiply() where g.windows says where positions lie.
template <int P>
bool multiply_gathered(const ConvSplitBlock& g) {
  const TileScope scope;
  constexpr int64_t kBlockUnits = kGatheredUnits;
  alignas(64) uint16_t panels[2][split_panel_size(P, kBlockUnits * kUnit)];
  alignas(64) uint16_t filters[kSplitTileN / kPanel * split_panel_size(P, kBlockUnits * kUnit)];
  Side<Gatherer<P>> side;
  const int64_t panels_n = ceil_div(g.n, kPanel);
  const auto units_at = [&](int64_t first) { return simd_min(kBlockUnits, g.units - first); };
  const auto gather = [&](int64_t first, int64_t p, int turn) {
    side.next.begin(g, g.windows + p * kPanel, g.counts[p], first, units_at(first), panels[turn]);
  };
  int turn = 0;
  gather(0, 0, turn);
  side.next.finish();
  side.next.ahead.begin(g.ahead, g.units * runs_of(P) * panels_n * g.panels_m);
  for (int64_t first = 0; first < g.units; first += kBlockUnits) {
    const int64_t units = units_at(first), runs = units * runs_of(P), next = first + units;
    const int64_t panel_size = split_panel_size(P, units * kUnit);
    const uint16_t* b = filters;
    if (g.packed_b) {
      b = g.packed_b + g.panels * split_panel_size(P, first * kUnit) + g.first_panel * panel_size;
    } else {
      side.results.finish();
      if (!split_filters<P>(g, first, units, filters)) return false;
      if (next < g.units)
        side.next.begin_filters(g, next, units_at(next), panels_n, runs * panels_n * g.panels_m);
    }
    for (int64_t p = 0; p < g.panels_m; ++p) {
      const int64_t i = p * kPanel, m = g.counts[p];
      const uint16_t* a = panels[turn];
      turn ^= 1;
      if (p + 1 < g.panels_m) {
        gather(first, p + 1, turn);
      } else if (next < g.units) {
        gather(next, 0, turn);
      }
      side.next_each = ceil_div(side.next.left(), runs * panels_n);
      for (int64_t panel = 0; panel < panels_n; ++panel) {
        const int64_t j = panel * kPanel, n = simd_min(kPanel, g.n - j);
        side.results_each = ceil_div(side.results.left(), runs);
        zero_c();
        kProducts<P, StreamedB, Side<Gatherer<P>>>[m > kTileRows][n > kTileRows](
            {{a}}, b + panel * panel_size, units, side);
        side.results.finish();
        store_c(side.results.begin(g.y + j, 0, m, n, first > 0, g.out + i));
      }
      side.next.finish();
      if (next >= g.units) {
        side.results.finish();
        finish_positions(g, i, m);
      }
    }
  }
  side.results.finish();
  return true;
}

template <int P>
bool multiply(const ConvSplitBlock& g) {
  if (g.windows) return multiply_gathered<P>(g);
  const TileScope scope;
  Side<Prefetcher> side;
  const int64_t panels_n = ceil_div(g.n, kPanel);
  const auto filters = [&](int64_t unit, int64_t panel_size) {
    return g.packed_b + g.panels * split_panel_size(P, unit * kUnit) + g.first_panel * panel_size;
  };
  side.next.ahead.begin(g.ahead, g.units * runs_of(P) * panels_n * g.panels_m);
  for (int64_t first = 0; first < g.units; first += g.block_units) {
    const int64_t units = simd_min(g.block_units, g.units - first), runs = units * runs_of(P);
    const int64_t panel_size = split_panel_size(P, units * kUnit);
    const uint16_t* b = filters(first, panel_size);
    if (const int64_t next = first + units; next < g.units) {
      const int64_t next_size = split_panel_size(P, simd_min(g.block_units, g.units - next) * kUnit);
      const int64_t lines = side.next.begin(filters(next, next_size), panels_n * next_size);
      side.next_each = ceil_div(lines, runs * panels_n * g.panels_m);
    }
    for (int64_t p = 0; p < g.panels_m; ++p) {
      const int64_t i = p * kPanel, m = g.counts[p];
      const Window a{g.planes + g.starts[p], g.steps + first, g.plane};
      for (int64_t panel = 0; panel < panels_n; ++panel) {
        const int64_t j = panel * kPanel, n = simd_min(kPanel, g.n - j);
        side.results_each = ceil_div(side.results.left(), runs);
        zero_c();
        kProducts<P, Window, Side<Prefetcher>>[m > kTileRows][n > kTileRows](a, b + panel * panel_size, units,
                                                                             side);
        side.results.finish();
        store_c(side.results.begin(g.y + j, 0, m, n, first > 0, g.out + i));
      }
      if (first + units >= g.units) {
        side.results.finish();
        finish_positions(g, i, m);
      }
    }
  }
  side.results.finish();
  return true;
}

template <int P>
bool split(const ConvSplitPixels& s) {
  VecF sum_a, sum_b;
  constexpr int64_t kAhead = 2048;  // elements: beyond what the hardware asks for
  const int64_t channels = s.channels, channel_plane = s.channel_plane, plane = s.plane, step = s.step;
  const int64_t ahead = ceil_div(kAhead, channels);
  for (int64_t i = 0; i < s.pixels; ++i) {
    const float* src = s.src + i * step;
    const float* next = i + ahead < s.pixels ? src + ahead * step : s.after + (i + ahead - s.pixels) * step;
    uint16_t* to = s.dst + i * kUnit;
    for (int64_t c = 0; c < channels; c += kUnit, to += channel_plane) {
      __builtin_prefetch(next + c, 0, 2);
      __builtin_prefetch(next + c + 16, 0, 2);
      split_row<P>(VecF::load(src + c), VecF::load(src + c + 16), sum_a, sum_b, to, plane);
    }
  }
  return fits(sum_a, sum_b);
}

}  // namespace

namespace LAMINA_ROW {
extern const ConvSplitKernels conv_split_kernels;
const ConvSplitKernels conv_split_kernels = {
    .split = {split<1>, split<2>, split<3>},
    .multiply = {multiply<1>, multiply<2>, multiply<3>},
};
}  // namespace LAMINA_ROW
}  // namespace lamina
