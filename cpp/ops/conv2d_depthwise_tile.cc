#include "ops/conv2d_depthwise_tile.h"

#include <algorithm>
#include <cstring>

#include "base/dtype.h"
#include "base/parallel.h"
#include "base/rounding.h"
#include "ops/conv2d_direct.h"
#include "ops/dispatch.h"

namespace lamina {

LAMINA_KERNELS(DepthwiseTileKernels, depthwise_tile_kernels)

namespace {

constexpr int64_t kTaps = 3;
constexpr int64_t kTileBytes = 192 << 10;  // read and written: with the next tile, a part of L2
constexpr int64_t kBlocks = 32;            // partial weight gradients
constexpr int64_t kBlockPixels = 64;       // at least, so that their sums are few of the bytes
constexpr double kBytesPerNs = 30;         // from beyond L2

const DepthwiseTileKernels::Table& table(DType dtype) {
  return dtype == DType::kFloat32 ? depthwise_tile_kernels().f32 : depthwise_tile_kernels().f64;
}

// Rows [row, row + rows) and columns of an image, cut into nearly equal tiles.
struct Tiles {
  const ConvJob& job;
  int64_t row, rows, column, columns;
  int64_t row_tiles, column_tiles, count;
  double cost;  // nanoseconds for each

  // At least and at most so many rows to a tile, where there are; `bytes` are read and written for each
  // place.
  Tiles(const ConvJob& j, int64_t row, int64_t rows, int64_t column, int64_t columns, int64_t bytes,
        int64_t least, int64_t most)
      : job(j), row(row), rows(rows), column(column), columns(columns) {
    const int64_t row_bytes = std::max<int64_t>(columns * bytes, 1);
    row_tiles = ceil_div(rows, std::clamp<int64_t>(kTileBytes / row_bytes, least, most));
    column_tiles = std::clamp<int64_t>(ceil_div(rows / row_tiles * row_bytes, kTileBytes), 1, columns);
    count = j.n * row_tiles * column_tiles;
    cost =
        static_cast<double>(rows * row_bytes) / kBytesPerNs / static_cast<double>(row_tiles * column_tiles);
  }

  int64_t image(int64_t tile) const { return tile / (row_tiles * column_tiles); }
  DepthwiseTile place(int64_t tile) const {
    const int64_t r = tile / column_tiles % row_tiles, c = tile % column_tiles;
    const int64_t top = rows * r / row_tiles, left = columns * c / column_tiles;
    return {row + top,
            rows * (r + 1) / row_tiles - top,
            column + left,
            columns * (c + 1) / column_tiles - left,
            0,
            0};
  }
  int64_t x_at(int64_t tile) const {
    const DepthwiseTile t = place(tile);
    return ((image(tile) * job.h + t.row * job.stride_h) * job.w + t.column * job.stride_w) * job.c;
  }
  int64_t y_at(int64_t tile) const {
    const DepthwiseTile t = place(tile);
    return image(tile) * job.y_image + t.row * job.y_row + t.column * job.y_col;
  }
  // A tile that is followed by the tile `next`, of the same thread as a rule.
  DepthwiseTile tile(int64_t at, int64_t next) const {
    DepthwiseTile t = place(at);
    t.ahead_x = x_at(next) - x_at(at);
    t.ahead_y = y_at(next) - y_at(at);
    return t;
  }
};

Tiles output_tiles(const ConvJob& j, DType dtype) {
  const int64_t bytes = (j.stride_h * j.stride_w + 1) * j.c * static_cast<int64_t>(itemsize(dtype));
  return {j, 0, j.oh, 0, j.ow, bytes, table(dtype).rows, table(dtype).rows};
}

// Cells from the first one that holds a pixel to the last, or to that from which the last output is seen.
int64_t first_cell(int64_t stride, int64_t before) {
  return std::min(before / stride, ceil_div(kTaps, stride) - 1);
}
int64_t cells(int64_t size, int64_t outputs, int64_t stride, int64_t before) {
  const int64_t first = first_cell(stride, before);
  return std::max(ceil_div(size + before, stride), outputs + first) - first;
}
Tiles cell_tiles(const ConvJob& j, DType dtype) {
  const int64_t bytes = (2 * j.stride_h * j.stride_w + 1) * j.c * static_cast<int64_t>(itemsize(dtype));
  const int64_t rows = cells(j.h, j.oh, j.stride_h, -j.top);
  return {j,
          first_cell(j.stride_h, -j.top),
          rows,
          first_cell(j.stride_w, -j.left),
          cells(j.w, j.ow, j.stride_w, -j.left),
          bytes,
          1,
          rows};
}

int64_t blocks_of(const ConvJob& j, const Tiles& tiles) {
  const int64_t most = std::clamp<int64_t>(j.n * j.h * j.w / kBlockPixels, 1, kBlocks);
  return std::clamp<int64_t>(tiles.count, 1, most);
}
int64_t partial_elements(const ConvJob& j) { return round_up((kTaps * kTaps + 1) * j.c, 16); }

}  // namespace

bool is_depthwise_tiled(const ConvJob& j) {
  return j.kh == kTaps && j.kw == kTaps && j.step_h == 1 && j.step_w == 1 && j.stride_h == j.stride_w &&
         j.stride_h <= 2;
}

void run_depthwise_tiles(const ConvJob& j, DType dtype, const void* x, const void* w, const void* bias,
                         Activation activation, void* y) {
  const auto size = static_cast<int64_t>(itemsize(dtype));
  const Tiles tiles = output_tiles(j, dtype);
  const auto kernel = table(dtype).forward[j.stride_h - 1];
  parallel_for(tiles.count, grain_for(tiles.cost), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t image = tiles.image(i);
      kernel(j,
             {static_cast<const char*>(x) + image * j.h * j.w * j.c * size,
              static_cast<const char*>(w) + j.w_base * size, bias,
              static_cast<char*>(y) + (j.y_base + image * j.y_image) * size, activation},
             tiles.tile(i, std::min(i + 1, tiles.count - 1)));
    }
  });
}

size_t depthwise_grads_scratch(const ConvJob& j, DType dtype) {
  return static_cast<size_t>(blocks_of(j, cell_tiles(j, dtype)) * partial_elements(j)) * itemsize(dtype);
}

void run_depthwise_grads(const ConvJob& j, DType dtype, const void* x, const void* w, const void* dy,
                         void* dx, void* dw, const ConvEpilogueGrad& e, void* scratch) {
  const auto size = static_cast<int64_t>(itemsize(dtype));
  const Tiles tiles = cell_tiles(j, dtype);
  const int64_t blocks = blocks_of(j, tiles), partial = partial_elements(j), weights = kTaps * kTaps * j.c;
  const auto kernel = table(dtype).grads[j.stride_h - 1];
  const auto at = [&](const void* base, int64_t elements) -> const void* {
    return base ? static_cast<const char*>(base) + elements * size : nullptr;
  };
  // Blocks from the last to the first: the pass over dy before this one went upwards, and L2 has its end.
  const auto first = [&](int64_t block) { return tiles.count * block / blocks; };
  parallel_for(
      blocks, grain_for(tiles.cost * static_cast<double>(tiles.count) / static_cast<double>(blocks)),
      [&](int64_t begin, int64_t end) {
        for (int64_t item = begin; item < end; ++item) {
          const int64_t block = blocks - 1 - item, stop = first(block + 1);
          char* sums = static_cast<char*>(scratch) + block * partial * size;
          std::memset(sums, 0, static_cast<size_t>(partial * size));
          for (int64_t i = first(block); i < stop; ++i) {
            const int64_t source = tiles.image(i) * j.h * j.w * j.c, out = tiles.image(i) * j.y_image;
            const int64_t next = i + 1 < stop ? i + 1 : block > 0 ? first(block - 1) : i;
            kernel(j,
                   {at(x, source), w, at(dy, out), at(e.y, out), const_cast<void*>(at(dx, source)), sums,
                    e.db ? sums + weights * size : nullptr, tiles.row, tiles.column, e.activation},
                   tiles.tile(i, next));
          }
        }
      });
  parallel_for(weights, grain_for(0.1 * static_cast<double>(blocks)), [&](int64_t begin, int64_t end) {
    table(dtype).add_up(dw, scratch, blocks, partial, begin, end);
  });
  if (e.db) table(dtype).add_up(e.db, at(scratch, weights), blocks, partial, 0, j.c);
}

}  // namespace lamina
