// Convolution jobs (conv2d_direct.h) and their weight gradients, float32, on bfloat16 tiles, by the parts of
// gemm_split.h.
//
// The batch goes in stages whose source, split, stays in L2: first the images, with zeros around them, become
// planes [part][channel / 32][image][row][column][32 channels], so that 16 neighbours of a row at one tap are
// a tile that is loaded where it lies, and the window of 32 channels a few pages. Splitting is paid once for
// each element of the source, not once for each tap; the price is that neighbours run through the zeros at a
// row's end, to outputs that are dropped. Where that is many and there are filters enough to pay for it,
// panels of outputs alone are gathered. Filters larger than L2 are split by the tile that multiplies them.
//
// The weight gradient is a product over pixels, dw^T[f, k] = sum_m dz^T[f, m] A(m, k): dz is split once,
// turned; a panel of A, 32 channels of one tap, comes out of the same planes, pixels in pairs. Sums are
// turned on their way to dw.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/fwd.h"
#include "ops/activation.h"
#include "ops/gemm_split.h"

namespace lamina {

struct ConvEpilogueGrad;
struct ConvJob;

// True if the job is better done on tiles: the machine has them, the precision allows it, groups of channels
// are whole rows of tiles, and the sizes are worth it.
bool conv_splits(const ConvJob& job, DType dtype);

size_t conv_split_scratch(const ConvJob& job);

// As run_conv_job, where conv_splits. False if an element must not be split (y is then unfinished).
bool run_conv_split(const ConvJob& job, const float* source, const float* w, const float* bias,
                    Activation activation, float* y, void* scratch);

// The same for run_conv_weight_job.
bool conv_weight_splits(const ConvJob& job, DType dtype);
size_t conv_split_weight_scratch(const ConvJob& job, bool dz_kept);  // dz is dy, or has a place of its own
bool run_conv_split_weight(const ConvJob& job, const float* source, const float* dy, float* dw,
                           const ConvEpilogueGrad& epilogue, void* scratch);

inline constexpr int64_t kSplitTileN = 256;   // filters of a ConvSplitBlock at most
inline constexpr int64_t kGatheredUnits = 4;  // block_units where positions are gathered

// Lines of memory that the next stage reads, asked for beside the products of this one.
struct ConvSplitAhead {
  const void* from;
  int64_t lines;
};

// Panels of up to 32 positions, n filters: y[i] = sum over units of k (32 channels of one tap) of
// planes[start of the panel + i * 32 + steps[unit] ..] B.
struct ConvSplitBlock {
  const uint16_t* planes;
  const int64_t* starts;  // [panels_m] window of the first position of each panel
  const int64_t* counts;  // [panels_m] positions of each, 1 .. 32
  int64_t panels_m;
  int64_t plane;             // elements from one part to the next
  const int64_t* steps;      // [units] from a window to a unit
  const int64_t* windows;    // [panels_m][32], or null: the windows of positions that are no neighbours
  int64_t block_units;       // units of k at a time
  const uint16_t* packed_b;  // blocks of so many units, each `panels` panels (gemm_split.h); the filters
                             // begin with first_panel
  int64_t first_panel, panels;
  // Where packed_b is null, which needs windows: filters to split block by block, w[filter_steps[unit] + k *
  // w_k + f * w_f].
  const float* w;
  const int64_t* filter_steps;
  int64_t w_k, w_f;
  const float* bias;  // [n] or null
  float* y;
  const int64_t* out;  // [panels_m][32] where a position's filters begin; negative: dropped
  int64_t n, units;
  Activation activation;
  ConvSplitAhead ahead;
};

inline constexpr int64_t kSplitPixels = 160;  // of a block of dz, at most
inline constexpr int64_t kSplitGroup = 512;   // filters of a ConvSplitWeightBlock at most

// Pixels of a block, of so many: no short one is left over.
constexpr int64_t split_block_pixels(int64_t pixels) {
  const int64_t blocks = (pixels + kSplitPixels - 1) / kSplitPixels, each = (pixels + blocks - 1) / blocks;
  return (each + kSplitUnit - 1) / kSplitUnit * kSplitUnit;
}

// Units of 32 rows of dw[k, filters] (+)= A^T dz, one after another, computed as its transpose.
struct ConvSplitWeightBlock {
  const uint16_t* planes;
  int64_t plane;
  const int64_t* windows;  // [pixels] in the planes
  int64_t units;
  const int64_t* steps;      // [units] from a window to 32 channels of a tap
  const int64_t* rows;       // [units] of dw: the first
  const uint16_t* packed_a;  // dz^T: blocks of split_block_pixels, each `panels` panels of 32 filters; the
                             // filters begin with first_panel
  int64_t first_panel, panels;
  float* dw;  // rows dw_row apart
  int64_t dw_row, filters, pixels;
  bool accumulate;
};

// Pixels of a row become rows of tiles.
struct ConvSplitPixels {
  const float* src;
  const float* after;  // the row that comes next and is fetched meanwhile
  int64_t step;        // elements from one pixel to the next
  uint16_t* dst;
  int64_t pixels, channels;      // whole 32 channels
  int64_t channel_plane, plane;  // elements from 32 channels to the next, from one part to the next
};

struct ConvSplitKernels {
  bool (*split[3])(const ConvSplitPixels&);    // [parts - 1]; true if all fit (gemm_split.h)
  bool (*multiply[3])(const ConvSplitBlock&);  // false if an element of w must not be split
};

struct ConvSplitWeightKernels {
  // One panel of dz^T: `count` <= 32 filters of k pixels, filters side by side, pixels `row` apart.
  bool (*pack_dz[3])(const float* dz, int64_t row, int64_t count, int64_t k, uint16_t* dst);
  void (*weight[3])(const ConvSplitWeightBlock&);
};

}  // namespace lamina
