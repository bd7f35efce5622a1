// Connectionist temporal classification (Graves et al., "Connectionist Temporal Classification: Labelling
// Unsegmented Sequence Data with Recurrent Neural Networks", 2006): -log of the probability that frames
// x [T, C] of logits, each softmax'ed and drawn by itself, spell the labels once repeats are merged and
// blanks dropped; and its gradient, softmax - posterior of the classes.
//
// The 2 L + 1 positions of a path are kept as L labels and the L + 1 blanks before and after them:
//
//   blank(0) label(0) blank(1) label(1) ... label(L - 1) blank(L)
//
// so with u(i) = blank(i) + label(i - 1), probabilities of the frame before,
//
//   alpha:  blank'(i) = p(blank) u(i)    label'(i) = p(label i) (label(i) + (skip(i) ? u(i) : blank(i)))
//
// where skip(i) says that label i differs from label i - 1. beta runs backwards by the same scheme.
// Everything is in logarithms; a row is shifted by the largest of the row before, so that float32 keeps small
// differences of long sequences, and the posterior of a frame is divided by its sum.
#pragma once

#include <cstdint>
#include <utility>

#include "base/fwd.h"

namespace lamina {

// Rows of positions are whole vectors of any instruction set, with one more on either side.
constexpr int64_t kCtcPad = 16;

struct CtcSample {
  int64_t T, C, L;
  int32_t blank;
  int64_t width;          // of a row of positions: L + 1 rounded up to kCtcPad
  const void* x;          // [T, C]
  const int32_t* labels;  // [width]: class of each label, then 0
  void* skip;             // [width + kCtcPad]: 1 where label i differs from label i - 1, else 0
  void* alpha;            // [T + 1] rows, two without gradient: pad, labels [width], blanks [width]
  void* log_sum;          // [T]: log of the sum of exp(x), by frame
  void* rows;             // with gradient: 5 rows of width + kCtcPad
  void* mass;             // [C]: a frame's posterior
  void* dx;               // [T, C], null without gradient
};

struct CtcKernels {
  using Fn = double (*)(
      const CtcSample&);  // the loss; infinite, with a gradient of 0, for a target of probability 0
  Fn f32, f64;
};

// output: logits [batch, time, classes]; target: labels [batch, length], integers or whole floats, of which
// the first target_length [batch] count; of output the first output_length [batch] frames. mask_index: the
// blank class, from the end where negative. Labels out of range, blanks among them, lengths out of range, and
// targets with more labels and repeats than frames are bad data. Gives the loss [batch], and with `gradient`
// its gradient by output for a loss gradient of 1, 0 past output_length.
std::pair<Tensor, Tensor> ctc_loss(const Tensor& target, const Tensor& output, const Tensor& target_length,
                                   const Tensor& output_length, int64_t mask_index, bool gradient);

}  // namespace lamina
