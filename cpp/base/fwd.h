// Names only. Op headers include this, so that kernel files see their argument structs without the tensor's
// code.
#pragma once

#include <cstdint>

namespace lamina {

class Tensor;
class Dims;
using Shape = Dims;
enum class DType : uint8_t;

}  // namespace lamina
