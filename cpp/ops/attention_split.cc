#include "ops/attention_split.h"

#include "ops/dispatch.h"

namespace lamina {

LAMINA_OPTIONAL_KERNELS(AttentionSplitKernels, attention_split_kernels)

}  // namespace lamina
