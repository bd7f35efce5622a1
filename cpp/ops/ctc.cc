#include "ops/ctc.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "base/parallel.h"
#include "base/rounding.h"
#include "base/slots.h"
#include "base/tensor.h"
#include "ops/dispatch.h"
#include "ops/launch.h"
#include "ops/layout.h"
#include "ops/whole_numbers.h"

namespace lamina {

LAMINA_KERNELS(CtcKernels, ctc_kernels)

namespace {

constexpr const char* kOp = "ctc_loss";
constexpr double kCost = 1.2;      // rough ns of a position in a frame, without gradient; with it, thrice
constexpr int64_t kMaxTasks = 64;  // samples at a time
constexpr double kFlopsOfSum =
    8;  // of adding two probabilities given by their logarithms, and of what is around

struct CtcArgs {
  DType dtype, target_dtype, length_dtype, frames_dtype;
  bool gradient;
  int32_t blank;
  int64_t B, T, C, L;
  int64_t width;        // of a sample's positions
  size_t sample_bytes;  // scratch of a sample at work

  int64_t tasks() const { return std::min(B, kMaxTasks); }
  size_t index_bytes() const { return align64(static_cast<size_t>(B * (width + 2)) * sizeof(int32_t)); }
  double positions() const { return static_cast<double>(T) * static_cast<double>(width); }
};

// Where a launch keeps its integers: labels [B, width], 0 past a target's end, frames [B], lengths [B].
struct Indices {
  int32_t *labels, *frames, *lengths;
  Indices(const CtcArgs& a, void* scratch)
      : labels(static_cast<int32_t*>(scratch)), frames(labels + a.B * a.width), lengths(frames + a.B) {}
};

Status read_indices(const CtcArgs& a, Buffers b, const Indices& to) {
  Status s =
      read_whole(a.length_dtype, b.at<void>(2), 0, a.B, a.L + 1, to.lengths,
                 text_of("target_length is out of range; expected whole numbers of labels up to %lld.", a.L));
  if (s.what) return s;
  s = read_whole(a.frames_dtype, b.at<void>(3), 0, a.B, a.T + 1, to.frames,
                 text_of("output_length is out of range; expected whole numbers of frames up to %lld.", a.T));
  if (s.what) return s;
  std::memset(to.labels, 0, static_cast<size_t>(a.B * a.width) * sizeof(int32_t));
  for (int64_t r = 0; r < a.B; ++r) {
    int32_t* labels = to.labels + r * a.width;
    s = read_whole(a.target_dtype, b.at<void>(0), r * a.L, to.lengths[r], a.C, labels,
                   text_of("target has a label out of range; expected classes 0 <= label < %lld.", a.C));
    if (s.what) return s;
    int64_t needed = to.lengths[r];
    for (int64_t i = 0; i < to.lengths[r]; ++i) {
      if (labels[i] == a.blank) {
        return {"target holds the blank class, mask_index; expected other labels within target_length.",
                r * a.L + i, static_cast<double>(a.blank)};
      }
      needed += i > 0 && labels[i] == labels[i - 1];
    }
    if (needed > to.frames[r]) {
      return {
          text_of(
              "output_length leaves no path for the target: it needs %lld frames, one for each label and one "
              "between equal neighbours. Leave such samples out, or make more frames (smaller strides).",
              needed),
          r, static_cast<double>(to.frames[r])};
    }
  }
  return {};
}

// Takes memory piece by piece; from null it counts.
struct Carver {
  char* base;
  size_t at = 0;
  void* take(int64_t elements, size_t item) {
    void* p = base ? base + at : nullptr;
    at += align64(static_cast<size_t>(elements) * item);
    return p;
  }
};

// Gives `s` its scratch from `base`; the bytes it takes.
size_t place(const CtcArgs& a, char* base, CtcSample& s) {
  const size_t item = itemsize(a.dtype);
  Carver at{base};
  s.skip = at.take(a.width + kCtcPad, item);
  s.alpha = at.take((a.gradient ? a.T + 1 : 2) * (kCtcPad + 2 * a.width), item);
  s.log_sum = at.take(a.T, item);
  s.rows = a.gradient ? at.take(5 * (a.width + kCtcPad), item) : nullptr;
  s.mass = a.gradient ? at.take(a.C, item) : nullptr;
  return at.at;
}

// Reads target, output, target_length, output_length; writes loss and dx.
Status run_ctc_loss(const CtcArgs& a, Buffers b) {
  const Indices index(a, b.scratch);
  const Status status = read_indices(a, b, index);
  if (status.what) return status;
  const size_t item = itemsize(a.dtype), frame_bytes = static_cast<size_t>(a.C) * item;
  const auto run = a.dtype == DType::kFloat32 ? ctc_kernels().f32 : ctc_kernels().f64;
  const auto one = [&](int64_t r, char* scratch) {
    CtcSample s{};
    s.T = index.frames[r], s.C = a.C, s.L = index.lengths[r];
    s.blank = a.blank;
    s.width = round_up(s.L + 1, kCtcPad);
    s.x = b.at<char>(1) + static_cast<size_t>(r * a.T) * frame_bytes;
    s.labels = index.labels + r * a.width;
    place(a, scratch, s);
    if (a.gradient) {
      s.dx = b.at<char>(5) + static_cast<size_t>(r * a.T) * frame_bytes;
      const size_t used = static_cast<size_t>(s.T) * frame_bytes;
      std::memset(static_cast<char*>(s.dx) + used, 0, static_cast<size_t>(a.T) * frame_bytes - used);
    }
    const double loss = run(s);
    if (a.dtype == DType::kFloat32) {
      b.at<float>(4)[r] = static_cast<float>(loss);
    } else {
      b.at<double>(4)[r] = loss;
    }
  };
  const int64_t tasks = a.tasks();
  const double cost = kCost * (a.gradient ? 3 : 1) * (a.positions() + static_cast<double>(a.T * a.C));
  Slots slots(static_cast<char*>(b.scratch) + a.index_bytes(), a.sample_bytes, tasks);
  parallel_for(tasks, grain_for(cost * static_cast<double>(ceil_div(a.B, tasks))),
               [&](int64_t begin, int64_t end) {
                 const Slots::Slot slot(slots);
                 for (int64_t r = begin * a.B / tasks; r < end * a.B / tasks; ++r) one(r, slot.data());
               });
  return {};
}

bool may_equal(int64_t a, int64_t b) { return a == b || a == kUnknown || b == kUnknown; }

void check_lengths(const char* name, const Tensor& t, const char* of_name, const Tensor& of) {
  check_whole(kOp, name, t);
  check(t.rank() == 1 && may_equal(t.dim(0), of.dim(0)), kOp, name,
        " must have one value for each sample of ", of_name, ". Received: ", name, ".shape=", t.shape(), ", ",
        of_name, ".shape=", of.shape(), ".");
}

}  // namespace

std::pair<Tensor, Tensor> ctc_loss(const Tensor& target_in, const Tensor& output_in,
                                   const Tensor& target_length_in, const Tensor& output_length_in,
                                   int64_t mask_index, bool gradient) {
  check_computes(kOp, output_in.dtype());
  check_whole(kOp, "target", target_in);
  check(output_in.rank() == 3, kOp,
        "output must hold logits [batch, time, classes]. Received: output.shape=", output_in.shape(), ".");
  check(target_in.rank() == 2 && may_equal(target_in.dim(0), output_in.dim(0)), kOp,
        "target must hold labels [batch, length], a row for each sample of output. Received: target.shape=",
        target_in.shape(), ", output.shape=", output_in.shape(), ".");
  check_lengths("target_length", target_length_in, "target", target_in);
  check_lengths("output_length", output_length_in, "output", output_in);
  const int64_t B = output_in.dim(0), T = output_in.dim(1), C = output_in.dim(2), L = target_in.dim(1);
  const int64_t blank = mask_index < 0 && C != kUnknown ? mask_index + C : mask_index;
  check(C == kUnknown || (blank >= 0 && blank < C), kOp, "mask_index must be one of ", C,
        " classes. Received: mask_index=", mask_index, ".");
  const auto make = [&](const Shape& shape) {
    return Tensor::like(shape, output_in.dtype(), output_in, target_in, target_length_in, output_length_in);
  };
  Tensor loss = make({B}), dx = gradient ? make(output_in.shape()) : make({0});
  if (loss.is_symbolic() || B == 0) return {loss, dx};
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max() - 2 * kCtcPad;
  check(std::max({B, T, C, L}) <= kMost && static_cast<double>(T) * static_cast<double>(L) < 0x1p52, kOp,
        "takes sizes below 2^31, and fewer than 2^52 frames times labels. Received: target.shape=",
        target_in.shape(), ", output.shape=", output_in.shape(), ".");
  const Tensor target = contiguous(target_in), output = contiguous(output_in),
               target_length = contiguous(target_length_in), output_length = contiguous(output_length_in);
  CtcArgs a{};
  a.dtype = output.dtype(), a.target_dtype = target.dtype(), a.length_dtype = target_length.dtype(),
  a.frames_dtype = output_length.dtype();
  a.gradient = gradient, a.blank = static_cast<int32_t>(blank);
  a.B = B, a.T = T, a.C = C, a.L = L, a.width = round_up(L + 1, kCtcPad);
  CtcSample counted{};
  a.sample_bytes = place(a, nullptr, counted);
  const double sums = static_cast<double>(B * T) * static_cast<double>(2 * L + 1) * (gradient ? 2 : 1);
  launch<run_ctc_loss>(kOp, a, {&target, &output, &target_length, &output_length}, {&loss, &dx},
                       a.index_bytes() + static_cast<size_t>(a.tasks()) * a.sample_bytes,
                       {.flops = kFlopsOfSum * sums});
  return {loss, dx};
}

}  // namespace lamina
