// Convolution (cross-correlation) of images, NHWC, float32 and float64:
//
//   z[n,i,j,f] = sum over p, q, c of x[n, i sh + p dh - top, j sw + q dw - left, g C/groups + c] * w[p, q, c,
//   f] y = activation(z + bias),   g = f / (F / groups) the filter's group, x zero outside the image
//
// x (N, H, W, C), w (KH, KW, C / groups, F), bias (F), y (N, OH, OW, F) with
// OH = (H + top + bottom - (KH - 1) dh - 1) / sh + 1, OW alike. conv2d, conv2d_input_grad and
// conv2d_weight_grad are each linear in two of x, w, dy and are each other's gradients.
#pragma once

#include <optional>
#include <string>
#include <tuple>
#include <variant>

#include "base/tensor.h"
#include "ops/activation.h"

namespace lamina {

struct Conv2dWindow {
  int64_t stride_h = 1, stride_w = 1;
  int64_t dilation_h = 1, dilation_w = 1;
  int64_t top = 0, bottom = 0, left = 0, right = 0;  // rows and columns of zeros around the image
  int64_t groups = 1;
};

// The window of images x (N, H, W, C; dimensions may be kUnknown) under filters w (KH, KW, ...). padding:
// "valid" (none), "same" as TensorFlow has it (OH = ceil(H / sh), total = (OH - 1) sh + (KH - 1) dh + 1 - H,
// the odd one at the bottom), or (top, bottom, left, right).
Conv2dWindow conv2d_window(const Shape& x, const Shape& w, const Dims& strides,
                           const std::variant<std::string, Dims>& padding, const Dims& dilation,
                           int64_t groups);

Tensor conv2d(const Tensor& x, const Tensor& w, const std::optional<Tensor>& bias, const Conv2dWindow& window,
              Activation activation = Activation::none);

// dx = gradient of sum(dy * conv2d(x, w)) by x.
Tensor conv2d_input_grad(const Tensor& dy, const Tensor& w, const Shape& x_shape, const Conv2dWindow& window);

// dw = gradient of sum(dy * conv2d(x, w)) by w.
Tensor conv2d_weight_grad(const Tensor& x, const Tensor& dy, const Shape& w_shape,
                          const Conv2dWindow& window);

// Gradients together, in as few passes over dy as there are: (dx, dw, db), dx where wanted. With y, the
// layer's output, those of the whole layer: of dz = dy * f'(y), db [F] its sum over pixels. Without: dx and
// dw alone.
std::tuple<std::optional<Tensor>, Tensor, std::optional<Tensor>> conv2d_grads(
    const Tensor& x, const Tensor& w, const Tensor& dy, const std::optional<Tensor>& y,
    const Conv2dWindow& window, Activation activation, bool want_dx);

}  // namespace lamina
