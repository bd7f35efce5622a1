#include "ops/ctc_decode.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/parallel.h"
#include "base/rounding.h"
#include "base/tensor.h"
#include "ops/launch.h"
#include "ops/layout.h"
#include "ops/whole_numbers.h"

namespace lamina {
namespace {

constexpr const char* kOp = "ctc_decode";
constexpr double kGreedyCost = 1, kBeamCost = 6;  // rough ns of a class of a frame (of a labelling)
constexpr int64_t kTasks = 32;                    // groups of samples with scratch of their own
constexpr double kNever = -std::numeric_limits<double>::infinity();

struct DecodeArgs {
  DType dtype, length_dtype;
  bool merge;
  int64_t B, T, C, blank, width, paths;
  size_t task_bytes;

  int64_t tasks() const { return std::min(B, kTasks); }
  size_t length_bytes() const { return align64(static_cast<size_t>(B) * sizeof(int32_t)); }
};

Status read_lengths(const DecodeArgs& a, Buffers b) {
  return read_whole(
      a.length_dtype, b.at<void>(1), 0, a.B, a.T + 1, static_cast<int32_t*>(b.scratch),
      text_of("sequence_lengths is out of range; expected whole numbers of frames up to %lld.", a.T));
}

// Reads x, lengths; writes labels, scores.
template <class T>
void greedy(const DecodeArgs& a, Buffers b, int64_t r) {
  const T* x = b.at<T>(0) + r * a.T * a.C;
  int32_t* labels = b.at<int32_t>(2) + r * a.T;
  int64_t found = 0, before = -1;
  T score = 0;
  for (int64_t t = 0; t < static_cast<int32_t*>(b.scratch)[r]; ++t, x += a.C) {
    const int64_t best = std::max_element(x, x + a.C) - x;
    score -= x[best];
    if (best != a.blank && !(a.merge && best == before)) labels[found++] = static_cast<int32_t>(best);
    before = best;
  }
  std::fill(labels + found, labels + a.T, -1);
  b.at<T>(3)[r] = score;
}

Status run_greedy(const DecodeArgs& a, Buffers b) {
  const Status status = read_lengths(a, b);
  if (status.what) return status;
  parallel_for(a.B, grain_for(kGreedyCost * static_cast<double>(a.T * a.C)), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r)
      a.dtype == DType::kFloat32 ? greedy<float>(a, b, r) : greedy<double>(a, b, r);
  });
  return {};
}

// log(e^a + e^b).
double log_add(double a, double b) {
  const double most = std::max(a, b);
  return most == kNever ? kNever : most + std::log1p(std::exp(-std::abs(a - b)));
}

// A labelling: that of `parent` and one label more. Nodes stay when their labelling leaves the beam, since
// longer ones hang on them and it may come back.
struct Node {
  int32_t parent, label;
  int32_t slot;  // in the beam, or -1
};

// A labelling in the beam; logarithms of the probabilities of its alignments that end in a blank, in its last
// label.
struct Beam {
  int32_t node;
  double blank, label;
  double total() const { return log_add(blank, label); }
};

// What may be in the next beam: slot k as it is (label -1), or with a label more.
struct Candidate {
  double score;
  int32_t slot, label;
  bool operator<(const Candidate& o) const {  // the better first; a total order, so that ties are settled
    if (score != o.score) return score > o.score;
    return slot != o.slot ? slot < o.slot : label < o.label;
  }
};

// The search for one sample, on scratch that is laid out by `place`.
struct Search {
  const DecodeArgs& a;
  double* log_p;       // [C]
  Beam *beam, *after;  // [width]
  Candidate* candidates;
  Node* nodes;     // [T * width + 1]: the root and what entered the beam
  int32_t* table;  // nodes by (parent, label), open addressing; 0: empty
  int64_t table_size, num_nodes = 0, num_beams = 0;

  explicit Search(const DecodeArgs& args) : a(args) {}

  // Gives the arrays their places from `base`; the bytes they take.
  size_t place(char* base) {
    size_t at = 0;
    const auto take = [&]<class P>(P*& p, int64_t n) {
      p = reinterpret_cast<P*>(reinterpret_cast<uintptr_t>(base) + at);
      at += align64(static_cast<size_t>(n) * sizeof(P));
    };
    const int64_t most = a.T * a.width + 1;
    for (table_size = 16; table_size < 2 * most; table_size *= 2) {
    }
    take(log_p, a.C), take(beam, a.width), take(after, a.width);
    take(candidates, a.width * a.C), take(nodes, most), take(table, table_size);
    return at;
  }

  // NaN counts as probability 0.
  template <class T>
  void log_softmax(const T* x) {
    const double most = static_cast<double>(*std::max_element(x, x + a.C));
    double sum = 0;
    for (int64_t c = 0; c < a.C; ++c) sum += std::exp(static_cast<double>(x[c]) - most);
    for (int64_t c = 0; c < a.C; ++c) {
      const double v = static_cast<double>(x[c]) - most - std::log(sum);
      log_p[c] = v == v ? v : kNever;
    }
  }

  // The node of a labelling and one label more, made where it is new.
  int32_t child(int32_t parent, int32_t label) {
    uint64_t h = (static_cast<uint64_t>(parent) << 32 | static_cast<uint32_t>(label)) * 0x9e3779b97f4a7c15u;
    for (int64_t i = static_cast<int64_t>(h >> 32) & (table_size - 1);; i = (i + 1) & (table_size - 1)) {
      const int32_t n = table[i];
      if (n != 0 && nodes[n].parent == parent && nodes[n].label == label) return n;
      if (n == 0) {
        nodes[num_nodes] = {parent, label, -1};
        return table[i] = static_cast<int32_t>(num_nodes++);
      }
    }
  }

  // What slot k gives to its labelling with label c behind it: one that ends in c needs a blank before.
  double extended(int64_t k, int32_t c) const {
    return log_p[c] + (nodes[beam[k].node].label == c ? beam[k].blank : beam[k].total());
  }

  void step() {
    if (num_beams == 0) return;
    int64_t n = 0;
    for (int64_t k = 0; k < num_beams; ++k) {
      const Node& node = nodes[beam[k].node];
      Beam stay = {beam[k].node, beam[k].total() + log_p[a.blank], kNever};
      if (node.label >= 0) {
        stay.label = beam[k].label + log_p[node.label];
        const int32_t from = nodes[node.parent].slot;
        if (from >= 0) stay.label = log_add(stay.label, extended(from, node.label));
      }
      after[k] = stay;
      candidates[n++] = {stay.total(), static_cast<int32_t>(k), -1};
    }
    const int64_t stays = n;
    for (int64_t k = 0; k < num_beams; ++k) {
      const double total = beam[k].total();
      const int32_t last = nodes[beam[k].node].label;
      for (int32_t c = 0; c < a.C; ++c) {
        if (c != a.blank) {
          candidates[n++] = {log_p[c] + (c == last ? beam[k].blank : total), static_cast<int32_t>(k), c};
        }
      }
    }
    // What is in the beam already has had its share above.
    for (int64_t k = 0; k < num_beams; ++k) {
      const Node& node = nodes[beam[k].node];
      const int32_t from = node.label < 0 ? -1 : nodes[node.parent].slot;
      if (from >= 0) {
        candidates[stays + from * (a.C - 1) + node.label - (node.label > a.blank)].score = kNever;
      }
    }
    const int64_t kept = std::min(n, a.width);
    std::nth_element(candidates, candidates + kept - 1, candidates + n);
    std::sort(candidates, candidates + kept);
    for (int64_t k = 0; k < num_beams; ++k) nodes[beam[k].node].slot = -1;
    // Children are looked up before `beam` is written over.
    for (int64_t i = 0; i < kept; ++i) {
      Candidate& c = candidates[i];
      if (c.label >= 0 && c.score != kNever) c.label = child(beam[c.slot].node, c.label);
    }
    num_beams = 0;
    for (int64_t i = 0; i < kept && candidates[i].score != kNever; ++i) {
      const Candidate& c = candidates[i];
      beam[num_beams] = c.label < 0 ? after[c.slot] : Beam{c.label, kNever, c.score};
      nodes[beam[num_beams].node].slot = static_cast<int32_t>(num_beams);
      ++num_beams;
    }
  }

  template <class T>
  void run(Buffers b, int64_t r) {
    std::fill(table, table + table_size, 0);
    nodes[0] = {-1, -1, 0};
    beam[0] = {0, 0, kNever};
    num_nodes = num_beams = 1;
    const T* x = b.at<T>(0) + r * a.T * a.C;
    for (int64_t t = 0; t < static_cast<int32_t*>(b.scratch)[r]; ++t) {
      log_softmax(x + t * a.C);
      step();
    }
    for (int64_t p = 0; p < a.paths; ++p) {
      int32_t* labels = b.at<int32_t>(2) + (p * a.B + r) * a.T;
      int64_t length = 0;
      for (int32_t n = p < num_beams ? beam[p].node : 0; n > 0; n = nodes[n].parent)
        labels[length++] = nodes[n].label;
      std::reverse(labels, labels + length);
      std::fill(labels + length, labels + a.T, -1);
      b.at<T>(3)[r * a.paths + p] = static_cast<T>(p < num_beams ? beam[p].total() : kNever);
    }
  }
};

Status run_beam(const DecodeArgs& a, Buffers b) {
  const Status status = read_lengths(a, b);
  if (status.what) return status;
  const int64_t tasks = a.tasks();
  const double cost = kBeamCost * static_cast<double>(a.T) * static_cast<double>(a.width * a.C);
  parallel_for(tasks, grain_for(cost), [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      Search search(a);
      search.place(static_cast<char*>(b.scratch) + a.length_bytes() +
                   static_cast<size_t>(task) * a.task_bytes);
      for (int64_t r = task * a.B / tasks; r < (task + 1) * a.B / tasks; ++r) {
        a.dtype == DType::kFloat32 ? search.run<float>(b, r) : search.run<double>(b, r);
      }
    }
  });
  return {};
}

// Checks the operands; gives the arguments but for the search's.
DecodeArgs make_args(const Tensor& x, const Tensor& lengths, int64_t blank) {
  check_computes(kOp, x.dtype());
  check_whole(kOp, "sequence_lengths", lengths);
  check(x.rank() == 3 && x.dim(2) != 0, kOp,
        "inputs must hold logits [batch, time, classes]. Received: inputs.shape=", x.shape(), ".");
  check(lengths.rank() == 1 &&
            (lengths.dim(0) == x.dim(0) || lengths.dim(0) == kUnknown || x.dim(0) == kUnknown),
        kOp, "sequence_lengths must have one value for each sample. Received: sequence_lengths.shape=",
        lengths.shape(), ", inputs.shape=", x.shape(), ".");
  DecodeArgs a{};
  a.dtype = x.dtype(), a.length_dtype = lengths.dtype();
  a.B = x.dim(0), a.T = x.dim(1), a.C = x.dim(2);
  a.blank = blank < 0 && a.C != kUnknown ? blank + a.C : blank;
  check(a.C == kUnknown || (a.blank >= 0 && a.blank < a.C), kOp, "mask_index must be one of ", a.C,
        " classes. Received: mask_index=", blank, ".");
  a.paths = 1;
  return a;
}

std::pair<Tensor, Tensor> make_outputs(const DecodeArgs& a, const Tensor& x, const Tensor& lengths) {
  return {Tensor::like({a.paths, a.B, a.T}, DType::kInt32, x, lengths),
          Tensor::like({a.B, a.paths}, a.dtype, x, lengths)};
}

}  // namespace

std::pair<Tensor, Tensor> ctc_greedy_decode(const Tensor& x_in, const Tensor& lengths_in, int64_t blank,
                                            bool merge) {
  DecodeArgs a = make_args(x_in, lengths_in, blank);
  a.merge = merge;
  const auto outputs = make_outputs(a, x_in, lengths_in);
  if (outputs.first.is_symbolic() || a.B == 0) return outputs;
  const Tensor x = contiguous(x_in), lengths = contiguous(lengths_in);
  launch<run_greedy>(kOp, a, {&x, &lengths}, {&outputs.first, &outputs.second}, a.length_bytes());
  return outputs;
}

std::pair<Tensor, Tensor> ctc_beam_decode(const Tensor& x_in, const Tensor& lengths_in, int64_t blank,
                                          int64_t beam_width, int64_t paths) {
  DecodeArgs a = make_args(x_in, lengths_in, blank);
  check(paths >= 1 && beam_width >= paths, kOp,
        "needs 1 <= top_paths <= beam_width. Received: top_paths=", paths, ", beam_width=", beam_width, ".");
  a.width = beam_width, a.paths = paths;
  const auto outputs = make_outputs(a, x_in, lengths_in);
  if (outputs.first.is_symbolic() || a.B == 0) return outputs;
  constexpr double kMost = 1 << 30;  // nodes and candidates are counted in int32
  check(static_cast<double>(a.width) * static_cast<double>(std::max(a.T, a.C)) < kMost, kOp,
        "beam_width times the frames or classes must stay below 2^30. Received: beam_width=", beam_width,
        ", inputs.shape=", x_in.shape(), ".");
  const Tensor x = contiguous(x_in), lengths = contiguous(lengths_in);
  a.task_bytes = Search(a).place(nullptr);
  launch<run_beam>(kOp, a, {&x, &lengths}, {&outputs.first, &outputs.second},
                   a.length_bytes() + static_cast<size_t>(a.tasks()) * a.task_bytes);
  return outputs;
}

}  // namespace lamina
