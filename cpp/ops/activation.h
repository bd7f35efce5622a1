// Activations that matrix products, convolutions and recurrent steps apply to a tile of their output while it
// is in cache. Each has a gradient in terms of y alone: relu y > 0, sigmoid y (1 - y), tanh 1 - y^2.
#pragma once

#include <cstdint>

namespace lamina {

enum class Activation : int32_t { none, relu, sigmoid, tanh };

constexpr const char* activation_name(Activation f) {
  constexpr const char* kNames[] = {"none", "relu", "sigmoid", "tanh"};
  return kNames[static_cast<int>(f)];
}

}  // namespace lamina
