#include "ops/binary.h"

#include "ops/binary_functors.h"

namespace lamina::LAMINA_ROW {
extern const BinaryKernels binary_kernels;
const BinaryKernels binary_kernels = {
#define LAMINA_BINARY(name) binary_loop<name##_op, float>,
#define LAMINA_COMPARE(name) binary_loop<name##_op, float>,
    {
#include "ops/binary.def"
    },
#undef LAMINA_BINARY
#undef LAMINA_COMPARE
#define LAMINA_BINARY(name) binary_loop<name##_op, double>,
#define LAMINA_COMPARE(name) binary_loop<name##_op, double>,
    {
#include "ops/binary.def"
    },
#undef LAMINA_BINARY
#undef LAMINA_COMPARE
};
}  // namespace lamina::LAMINA_ROW
