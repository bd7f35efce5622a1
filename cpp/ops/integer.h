// Elementwise kernels of the integer types and bool: one portable build, no ISA rows.
#pragma once

#include "ops/binary.h"
#include "ops/unary.h"

namespace lamina {

// Null where the op has no meaning on that type.
BinaryFn integer_binary(Binary op, DType dtype);
UnaryFn integer_unary(Unary op, DType dtype);

}  // namespace lamina
