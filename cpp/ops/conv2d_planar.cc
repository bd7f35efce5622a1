#include "ops/conv2d_planar.h"

#include <algorithm>
#include <cstring>

#include "base/dtype.h"
#include "base/parallel.h"
#include "base/rounding.h"
#include "ops/conv2d_direct.h"
#include "ops/dispatch.h"

namespace lamina {

LAMINA_KERNELS(PlanarKernels, planar_kernels)

namespace {

constexpr int64_t kMinTaps = 4;             // else turning the source into planes costs more than it saves
constexpr int64_t kStageBytes = 96 << 10;   // of planes, on a thread's stack
constexpr int64_t kTargetBytes = 72 << 10;  // of images together, in L2
constexpr int64_t kWeightBytes = 32 << 10;  // the same where all is read again for every few taps: in L1
constexpr int64_t kAlike = 4;               // images to fill the vectors at a time where rows are short
constexpr int64_t kItems = 16;  // stages and partial weight gradients, where there is so much work
constexpr int64_t kPartialBytes = 4 << 20;  // all of them together
constexpr int64_t kPlaneSlack = 48 * 8;     // bytes that a plane may be longer than its rows
constexpr int64_t kSlack = 64;              // bytes that a vector may reach past the last plane

template <class T>
const PlanarKernels::Table& table() {
  return sizeof(T) == 4 ? planar_kernels().f32 : planar_kernels().f64;
}

// How the batch is cut into stages, by sizes alone: some images, or a band of rows of one.
struct Stages {
  int64_t pitch, reach;                       // reach: source rows that a row of outputs sees
  int64_t rows, bands, images, image_groups;  // rows of outputs
  int64_t plane, image;                       // elements
  bool padded, fits;

  // dz_filters: planes of dz lie beside those of the source.
  Stages(const ConvJob& j, int64_t item_bytes, int64_t dz_filters) {
    pitch = j.ow + (j.kw - 1) * j.step_w;
    reach = (j.kh - 1) * j.step_h + 1;
    const int64_t row_bytes = (j.kc * pitch + dz_filters * j.ow) * item_bytes;
    const int64_t most = (kStageBytes - j.kc * kPlaneSlack) / row_bytes - reach + 1;
    fits = most >= std::min(j.oh, reach);
    bands = fits ? ceil_div(j.oh, std::min(most, j.oh)) : 1;
    rows = ceil_div(j.oh, bands);
    bands = ceil_div(j.oh, rows);
    plane = round_up(source_rows() * pitch, 32) + 16;  // an odd number of lines: planes share no set of L1
    image = j.kc * plane;
    const int64_t image_bytes = (image + dz_filters * rows * j.ow) * item_bytes;
    const int64_t alike = (dz_filters > 0 ? kWeightBytes : kTargetBytes) / image_bytes;
    images = bands > 1 ? 1 : std::clamp<int64_t>(std::min(alike, j.n / kItems), 1, std::max<int64_t>(j.n, 1));
    if (images > kAlike) images -= images % kAlike;
    image_groups = ceil_div(j.n, images);
    padded = j.top < 0 || j.left < 0 || j.top + (j.oh - 1) + reach > j.h || j.left + pitch > j.w;
  }
  int64_t source_rows() const { return rows + reach - 1; }
  int64_t count() const { return image_groups * bands; }
};

// One of them.
struct Stage {
  int64_t first_image, images, first_row, rows;

  Stage(const ConvJob& j, const Stages& s, int64_t i) {
    first_image = i / s.bands * s.images;
    images = std::min(s.images, j.n - first_image);
    first_row = i % s.bands * s.rows;
    rows = std::min(s.rows, j.oh - first_row);
  }
};

template <class T>
struct Planes {
  alignas(64) T at[(kStageBytes + kSlack) / sizeof(T)];
};

// The planes of a stage. Zeros around the image are written for the first stage and stay, but those above and
// below a band at an edge: there the band before had rows.
template <class T>
void fill_planes(const ConvJob& j, const Stages& s, const Stage& stage, bool first, const T* source,
                 T* planes) {
  const int64_t row = j.top + stage.first_row;
  const bool at_edge = row < 0 || row + stage.rows + s.reach - 1 > j.h;
  if (s.padded && (first || (at_edge && s.bands > 1))) {
    std::memset(planes, 0, sizeof(T) * static_cast<size_t>(s.images * s.image));
  }
  const int64_t begin = std::max<int64_t>(0, -row), end = std::min(stage.rows + s.reach - 1, j.h - row);
  const int64_t left = std::max<int64_t>(0, -j.left), right = std::min(s.pitch, j.w - j.left);
  if (begin >= end || left >= right) return;
  const bool whole = left == 0 && right == s.pitch && s.pitch == j.w;  // rows are neighbours
  const int64_t step = whole ? end - begin : 1;
  for (int64_t image = 0; image < stage.images; ++image) {
    for (int64_t r = begin; r < end; r += step) {
      const T* from = source + (((stage.first_image + image) * j.h + row + r) * j.w + j.left + left) * j.c;
      table<T>().split({from, planes + image * s.image + r * s.pitch + left,
                        (right - left) + (step - 1) * s.pitch, j.kc, s.plane});
    }
  }
}

// Of tap (a, b) of channel k, from a pixel.
int64_t tap_at(const ConvJob& j, const Stages& s, int64_t a, int64_t b, int64_t k) {
  return k * s.plane + a * j.step_h * s.pitch + b * j.step_w;
}

double cost_of(const ConvJob& j, int64_t stages) {
  return 0.02 * static_cast<double>(j.n * j.oh * j.ow * j.depth() * j.fg) / static_cast<double>(stages);
}

size_t taps_bytes(const ConvJob& j) { return align64(static_cast<size_t>(j.depth()) * sizeof(int64_t)); }

bool fits_planes(const ConvJob& j, DType dtype, int64_t dz_filters) {
  const int64_t few = dtype == DType::kFloat32 ? table<float>().few : table<double>().few;
  return j.groups == 1 && j.stride_h == 1 && j.stride_w == 1 && j.fg <= few && j.kh * j.kw >= kMinTaps &&
         j.n * j.oh * j.ow * j.depth() * j.fg > 0 &&
         Stages(j, static_cast<int64_t>(itemsize(dtype)), dz_filters).fits;
}

// Rows of outputs from `begin` that see the same rows of taps.
struct Rows {
  int64_t begin, end, low, high;
};

int64_t low_tap(const ConvJob& j, int64_t row) {
  return std::clamp<int64_t>(ceil_div(-(j.top + row), j.step_h), 0, j.kh);
}
int64_t high_tap(const ConvJob& j, int64_t row) {
  return std::clamp<int64_t>(ceil_div(j.h - j.top - row, j.step_h), 0, j.kh);
}
Rows rows_alike(const ConvJob& j, int64_t begin, int64_t limit) {
  Rows r{begin, begin + 1, low_tap(j, begin), high_tap(j, begin)};
  while (r.end < limit && low_tap(j, r.end) == r.low && high_tap(j, r.end) == r.high) ++r.end;
  r.high = std::max(r.low, r.high);
  return r;
}

// Vectors of pixels times rows of taps.
int64_t work_of(const Stages& s, const Rows& r, int64_t columns, int64_t lanes) {
  return ceil_div((r.end - r.begin - 1) * s.pitch + columns, lanes) * (r.high - r.low);
}

template <class T>
void run(const ConvJob& j, const T* source, const T* w, const T* bias, Activation activation, T* y,
         char* scratch) {
  const Stages s(j, sizeof(T), 0);
  int64_t* taps = reinterpret_cast<int64_t*>(scratch);
  T* packed = reinterpret_cast<T*>(scratch + taps_bytes(j));
  for (int64_t k = 0, at = 0; k < j.kc; ++k) {  // channels outside: what a vector sees of one stays in L1
    for (int64_t a = 0; a < j.kh; ++a) {
      for (int64_t b = 0; b < j.kw; ++b, ++at) {
        taps[at] = tap_at(j, s, a, b, k);
        const T* from = w + j.w_base + a * j.w_kh + b * j.w_kw + k * j.w_k;
        for (int64_t f = 0; f < j.fg; ++f) packed[at * j.fg + f] = from[f * j.w_f];
      }
    }
  }
  parallel_for(s.count(), grain_for(cost_of(j, s.count())), [&](int64_t first, int64_t last) {
    Planes<T> planes;
    for (int64_t i = first; i < last; ++i) {
      const Stage stage(j, s, i);
      fill_planes(j, s, stage, i == first, source, planes.at);
      const auto multiply = [&](const Rows& r) {
        table<T>().multiply({.planes = planes.at + (r.begin - stage.first_row) * s.pitch,
                             .taps = taps,
                             .w = packed,
                             .bias = bias,
                             .y = y + j.y_base + stage.first_image * j.y_image + r.begin * j.y_row,
                             .channels = j.kc,
                             .channel_taps = j.kh * j.kw,
                             .first_tap = r.low * j.kw,
                             .last_tap = r.high * j.kw,
                             .filters = j.fg,
                             .images = stage.images,
                             .rows = r.end - r.begin,
                             .columns = j.ow,
                             .image = s.image,
                             .pitch = s.pitch,
                             .y_image = j.y_image,
                             .y_row = j.y_row,
                             .y_col = j.y_col,
                             .activation = activation});
      };
      // Rows by the taps that see the image, or all of them through the zeros around it.
      const int64_t end = stage.first_row + stage.rows;
      const Rows all{stage.first_row, end, 0, j.kh};
      int64_t work = 0;
      for (Rows r{0, stage.first_row, 0, 0}; r.end < end;) {
        r = rows_alike(j, r.end, end);
        work += work_of(s, r, j.ow, table<T>().lanes);
      }
      if (work >= work_of(s, all, j.ow, table<T>().lanes)) {
        multiply(all);
        continue;
      }
      for (Rows r{0, stage.first_row, 0, 0}; r.end < end;) {
        r = rows_alike(j, r.end, end);
        multiply(r);
      }
    }
  });
}

// Scratch of a weight gradient: tap offsets, then sums of vectors [depth + 1][filters] of every block of
// stages.
struct WeightLayout {
  Stages stages;
  int64_t elements, blocks;  // dw and db
  size_t block_bytes, total;

  WeightLayout(const ConvJob& j, DType dtype)
      : stages(j, static_cast<int64_t>(itemsize(dtype)), j.fg), elements((j.depth() + 1) * j.fg) {
    const int64_t lanes = dtype == DType::kFloat32 ? table<float>().lanes : table<double>().lanes;
    block_bytes = align64(static_cast<size_t>(elements * lanes) * itemsize(dtype));
    blocks = std::clamp<int64_t>(stages.count(), 1, kItems);
    total = taps_bytes(j) + static_cast<size_t>(blocks) * block_bytes;
  }
};

template <class T>
void run_weight(const ConvJob& j, DType dtype, const T* source, const T* dy, T* dw, const ConvEpilogueGrad& e,
                char* scratch) {
  const WeightLayout layout(j, dtype);
  const Stages& s = layout.stages;
  const auto& kernels = table<T>();
  int64_t* taps = reinterpret_cast<int64_t*>(scratch);
  for (int64_t a = 0, at = 0; a < j.kh; ++a) {
    for (int64_t b = 0; b < j.kw; ++b) {
      for (int64_t k = 0; k < j.kc; ++k) taps[at++] = tap_at(j, s, a, b, k);
    }
  }
  const auto partial = [&](int64_t block) {
    return reinterpret_cast<T*>(scratch + taps_bytes(j) + block * layout.block_bytes);
  };
  parallel_for(layout.blocks, grain_for(cost_of(j, layout.blocks)), [&](int64_t begin, int64_t end) {
    Planes<T> planes;
    for (int64_t block = begin; block < end; ++block) {
      T* sums = partial(block);
      T* db_sums = sums + j.depth() * j.fg * kernels.lanes;
      std::memset(sums, 0, layout.block_bytes);
      const int64_t first = s.count() * block / layout.blocks, last = s.count() * (block + 1) / layout.blocks;
      for (int64_t i = first; i < last; ++i) {
        const Stage stage(j, s, i);
        fill_planes(j, s, stage, i == first, source, planes.at);
        const int64_t pixels = stage.images * stage.rows * j.ow;
        const int64_t at = stage.first_image * j.y_image + stage.first_row * j.y_row;
        T* dz = planes.at + s.images * s.image;
        kernels.split_grad({.dy = dy + at,
                            .y = e.y != nullptr ? static_cast<const T*>(e.y) + at : nullptr,
                            .dz = e.dz != nullptr ? static_cast<T*>(e.dz) + at : nullptr,
                            .planes = dz,
                            .sums = db_sums,
                            .count = pixels,
                            .filters = j.fg,
                            .plane = pixels,
                            .activation = e.activation});
        kernels.weight({.planes = planes.at,
                        .taps = taps,
                        .dz = dz,
                        .sums = sums,
                        .depth = j.depth(),
                        .filters = j.fg,
                        .images = stage.images,
                        .rows = stage.rows,
                        .columns = j.ow,
                        .image = s.image,
                        .pitch = s.pitch,
                        .dz_plane = pixels});
      }
      kernels.reduce(sums, layout.elements, sums);
    }
  });
  T* total = partial(0);
  for (int64_t block = 1; block < layout.blocks; ++block) {
    for (int64_t i = 0; i < layout.elements; ++i) total[i] += partial(block)[i];
  }
  std::memcpy(dw, total, sizeof(T) * j.depth() * j.fg);
  if (e.db != nullptr) std::memcpy(e.db, total + j.depth() * j.fg, sizeof(T) * j.fg);
}

}  // namespace

bool is_planar(const ConvJob& j, DType dtype) { return fits_planes(j, dtype, 0); }

bool is_planar_weight(const ConvJob& j, DType dtype) {
  return fits_planes(j, dtype, j.fg) && WeightLayout(j, dtype).total <= static_cast<size_t>(kPartialBytes);
}

size_t planar_scratch(const ConvJob& j, DType dtype) {
  return taps_bytes(j) + static_cast<size_t>(j.depth() * j.fg) * itemsize(dtype);
}

void run_planar(const ConvJob& j, DType dtype, const void* source, const void* w, const void* bias,
                Activation activation, void* y, void* scratch) {
  char* s = static_cast<char*>(scratch);
  if (dtype == DType::kFloat32) {
    return run<float>(j, static_cast<const float*>(source), static_cast<const float*>(w),
                      static_cast<const float*>(bias), activation, static_cast<float*>(y), s);
  }
  run<double>(j, static_cast<const double*>(source), static_cast<const double*>(w),
              static_cast<const double*>(bias), activation, static_cast<double*>(y), s);
}

size_t planar_weight_scratch(const ConvJob& j, DType dtype) { return WeightLayout(j, dtype).total; }

void run_planar_weight(const ConvJob& j, DType dtype, const void* source, const void* dy, void* dw,
                       const ConvEpilogueGrad& e, void* scratch) {
  char* s = static_cast<char*>(scratch);
  if (dtype == DType::kFloat32) {
    return run_weight<float>(j, dtype, static_cast<const float*>(source), static_cast<const float*>(dy),
                             static_cast<float*>(dw), e, s);
  }
  run_weight<double>(j, dtype, static_cast<const double*>(source), static_cast<const double*>(dy),
                     static_cast<double*>(dw), e, s);
}

}  // namespace lamina
