// Labels from the outputs of a network trained by CTC (ctc.h), without gradient.
#pragma once

#include <cstdint>
#include <utility>

#include "base/fwd.h"

namespace lamina {

// x: logits [batch, time, classes], of which the first lengths [batch] frames count; blank < 0 counts from
// the end. Each gives labels int32 [paths, batch, time], -1 past their end, and scores [batch, paths] of x's
// type.

// The likeliest class of every frame (of equal ones the first), without blanks, and with `merge` without
// repetitions; minus the sum of their logits.
std::pair<Tensor, Tensor> ctc_greedy_decode(const Tensor& x, const Tensor& lengths, int64_t blank,
                                            bool merge);

// Prefix beam search: after each frame the beam_width likeliest labellings remain, all their alignments
// summed (Graves, "Supervised Sequence Labelling with Recurrent Neural Networks", 2012, 7.5; Hannun et al.,
// "First-Pass Large Vocabulary Continuous Speech Recognition using Bi-Directional Recurrent DNNs", 2014). The
// `paths` best of them and the logarithms of their probabilities; where there are fewer, -1 and -infinity.
std::pair<Tensor, Tensor> ctc_beam_decode(const Tensor& x, const Tensor& lengths, int64_t blank,
                                          int64_t beam_width, int64_t paths);

}  // namespace lamina
