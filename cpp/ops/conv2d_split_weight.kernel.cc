// Weight gradients on tiles, see conv2d_split.h.
#include "ops/conv2d_split.kernel.h"

namespace lamina {
namespace {

// Makes one panel of B, 32 channels of one tap, from the planes: pixels p and p + 16 of a unit side by side.
// A row of the planes holds the pairs (channel c, channel c + 16).
template <int P>
class Interleaver {
 public:
  // Pixels [first, first + count), a unit of rows of dw.
  void begin(const ConvSplitWeightBlock& g, int64_t unit, int64_t first, int64_t count, uint16_t* dst) {
    planes_ = g.planes + g.steps[unit];
    plane_ = g.plane;
    windows_ = g.windows + first;
    last_ = count - 1;
    dst_ = dst;
    i_ = 0;
    left_ = ceil_div(count, kUnit) * kTileRows;
  }
  int64_t left() const { return left_; }
  void steps(int64_t n) {
    n = simd_min(n, left_);
    left_ -= n;
    const VecI lower(0xffff), upper(static_cast<int32_t>(0xffff0000));
    const uint16_t* planes = planes_;
    const int64_t* windows = windows_;
    uint16_t* dst = dst_;
    const int64_t last = last_, plane = plane_, end = i_ + n;
    for (int64_t i = i_; i < end; ++i) {
      const int64_t unit = i / kTileRows, row = i % kTileRows, pixel = unit * kUnit + row;
      // Pixels past the last meet zeros of dz.
      const uint16_t *a = planes + windows[simd_min(pixel, last)],
                     *b = planes + windows[simd_min(pixel + 16, last)];
      uint16_t* to = dst + unit * P * kPartSize + row * kUnit;
#pragma GCC unroll 3
      for (int p = 0; p < P; ++p, a += plane, b += plane, to += kPartSize) {
        const VecI x = load_row(a), y = load_row(b);
        store_row((x & lower) | (y << 16), to);
        store_row(shift_right_logical(x, 16) | (y & upper), to + kTile);
      }
    }
    i_ = end;
  }
  void finish() { steps(left_); }

 private:
  const uint16_t* planes_;
  const int64_t* windows_;
  uint16_t* dst_;
  int64_t plane_, last_, i_, left_ = 0;
};

// A finished tile of dw^T on its way: stored or added to sums that lie as tiles, or with them turned to dw, a
// 16 x 16 square at a time.
class TurnedResults {
 public:
  // The first block's sums go to `sums` itself.
  float* begin(float* sums) {
    left_ = 0;
    return sums;
  }
  float* begin_add(float* sums) {
    sums_ = sums;
    dw_ = nullptr;
    left_ = 4;
    return tiles_;
  }
  // The last block's; sums null where it is the first too. count <= 32 filters of 32 rows of dw.
  float* begin_last(float* sums, float* dw, int64_t row, int64_t count, bool accumulate) {
    sums_ = sums;
    dw_ = dw;
    row_ = row;
    count_ = count;
    accumulate_ = accumulate;
    left_ = count > kTileRows ? 4 : 2;
    return tiles_;
  }
  int64_t left() const { return left_; }
  void steps(int64_t n) {
    for (n = simd_min(n, left_); n > 0; --n) {
      --left_;
      dw_ ? turn() : add();
    }
  }
  void finish() { steps(left_); }

 private:
  void add() {
    float* to = sums_ + left_ * 256;
    const float* from = tiles_ + left_ * 256;
#pragma GCC unroll 16
    for (int i = 0; i < 256; i += 16) (VecF::load(to + i) + VecF::load(from + i)).store(to + i);
  }
  void turn() {
    const int64_t half_f = left_ >> 1, half_k = left_ & 1;
    const float* from = tiles_ + left_ * 256;
    float* to = dw_ + half_k * kTileRows * row_ + half_f * kTileRows;
    const int lanes = clamp_lanes(count_ - half_f * kTileRows);
    const VecF scale(kScaleOut);
    VecF r[16];
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i) r[i] = VecF::load(from + i * 16);
    if (sums_) {
      const float* sums = sums_ + left_ * 256;
#pragma GCC unroll 16
      for (int i = 0; i < 16; ++i) r[i] += VecF::load(sums + i * 16);
    }
    transpose(r);
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i) {
      float* p = to + i * row_;
      (accumulate_ ? fma(r[i], scale, VecF::load(p, lanes)) : r[i] * scale).store(p, lanes);
    }
  }
  float *sums_, *dw_;
  int64_t row_, count_, left_ = 0;
  bool accumulate_;
  alignas(64) float tiles_[4 * 256];
};

// Sums over the blocks of pixels stay as tiles, unscaled: an element of A or dz is at most 2^56, so that 2^14
// pixels cannot overflow.
template <int P>
void weight(const ConvSplitWeightBlock& g) {
  const TileScope scope;
  alignas(64) uint16_t panels[2][split_panel_size(P, kSplitPixels)];
  alignas(64) float sums[kSplitGroup / kPanel][4 * 256];
  using Sides = Side<Interleaver<P>, TurnedResults>;
  Sides side;
  const int64_t block_pixels = split_block_pixels(g.pixels);
  const int64_t panels_f = ceil_div(g.filters, kPanel);
  const auto count_at = [&](int64_t first) { return simd_min(block_pixels, g.pixels - first); };
  int turn = 0;
  side.next.begin(g, 0, 0, count_at(0), panels[turn]);
  side.next.finish();
  for (int64_t unit = 0; unit < g.units; ++unit) {
    float* dw = g.dw + g.rows[unit] * g.dw_row;
    for (int64_t first = 0; first < g.pixels; first += block_pixels) {
      const int64_t count = count_at(first), units = ceil_div(count, kUnit), runs = units * runs_of(P);
      const int64_t panel_size = split_panel_size(P, count);
      const uint16_t *a = g.packed_a + g.panels * split_panel_size(P, first) + g.first_panel * panel_size,
                     *b = panels[turn];
      const bool last = first + block_pixels >= g.pixels;
      turn ^= 1;
      if (!last) {
        side.next.begin(g, unit, first + block_pixels, count_at(first + block_pixels), panels[turn]);
      } else if (unit + 1 < g.units) {
        side.next.begin(g, unit + 1, 0, count_at(0), panels[turn]);
      }
      side.next_each = ceil_div(side.next.left(), runs * panels_f);
      for (int64_t panel = 0; panel < panels_f; ++panel) {
        const int64_t f = panel * kPanel, m = simd_min(kPanel, g.filters - f);
        side.results_each = ceil_div(side.results.left(), runs);
        zero_c();
        kProducts<P, StreamedA, Sides>[m > kTileRows][1]({{a + panel * panel_size}}, b, units, side);
        side.results.finish();
        float* sum = sums[panel];
        if (last) {
          store_c(side.results.begin_last(first > 0 ? sum : nullptr, dw + f, g.dw_row, m, g.accumulate));
        } else {
          store_c(first > 0 ? side.results.begin_add(sum) : side.results.begin(sum));
        }
      }
      side.next.finish();
    }
  }
  side.results.finish();
}

template <int P>
bool pack_dz(const float* dz, int64_t row, int64_t count, int64_t k, uint16_t* dst) {
  for (int64_t i = k; i < 2 * k; ++i) {  // the pixels that come next
    __builtin_prefetch(dz + i * row);
    __builtin_prefetch(dz + i * row + 16);
  }
  Splitter<P> splitter;
  splitter.begin(true, dz, 1, row, count, k, dst);
  splitter.finish();
  return splitter.fits();
}

}  // namespace

namespace LAMINA_ROW {
extern const ConvSplitWeightKernels conv_split_weight_kernels;
const ConvSplitWeightKernels conv_split_weight_kernels = {
    .pack_dz = {pack_dz<1>, pack_dz<2>, pack_dz<3>},
    .weight = {weight<1>, weight<2>, weight<3>},
};
}  // namespace LAMINA_ROW
}  // namespace lamina
