// The output gradient that products of a weight gradient take, dz = dy * f'(y), made stage by stage.
#pragma once

#include <cstdint>

#include "base/fwd.h"

namespace lamina {

struct ConvEpilogueGrad;

inline constexpr int64_t kGradRows = 256;  // pixels of one partial sum of db

// dz of the pixels [first, first + pixels) of f filters, which lie one after another in dy, y and dz: dy
// itself without an activation, else written to epilogue.dz or, where that is null, to `temporary`. Adds its
// sum over pixels to db, or begins it, by way of sums[ceil(pixels / kGradRows)][f].
const void* conv_dz(const ConvEpilogueGrad& epilogue, DType dtype, const void* dy, int64_t first,
                    int64_t pixels, int64_t f, bool accumulate, void* temporary, void* sums);

}  // namespace lamina
