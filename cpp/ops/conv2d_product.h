// Convolutions of one tap as matrix products, where tiles make those faster: y = x w, pixels times channels,
// for conv2d and its input gradient (ConvJob), and dw = x^T dz.
#pragma once

#include <cstddef>

#include "base/fwd.h"
#include "ops/activation.h"

namespace lamina {

struct ConvEpilogueGrad;
struct ConvJob;

bool is_product(const ConvJob& job, DType dtype);
size_t product_scratch(const ConvJob& job, DType dtype);
void run_product(const ConvJob& job, DType dtype, const void* source, const void* w, const void* bias,
                 Activation activation, void* y, void* scratch);

// The same for run_conv_weight_job.
bool is_weight_product(const ConvJob& job, DType dtype);
size_t weight_product_scratch(const ConvJob& job, DType dtype, bool dz_kept);
void run_weight_product(const ConvJob& job, DType dtype, const void* source, const void* dy, void* dw,
                        const ConvEpilogueGrad& epilogue, void* scratch);

}  // namespace lamina
