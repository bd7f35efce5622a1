// Recurrent layers over whole sequences, float32 and float64: SimpleRNN, LSTM (Hochreiter and Schmidhuber
// 1997, with the forget gate of Gers et al. 2000) and GRU (Cho et al. 2014, arXiv:1406.1078, the reset gate
// after the product, as cuDNN has it). x arrives multiplied by its kernel, for all steps at once, bias added:
// x [T, B, G U], G = 1, 4, 3 gates of U units. Per step, with s = h(t - 1) W (GRU: + bias):
//
//   rnn   h = f(x + s)
//   lstm  i, f, g, o = x + s     c = sigmoid(f) c(t - 1) + sigmoid(i) tanh(g)     h = sigmoid(o) tanh(c)
//   gru   z = sigmoid(xz + sz)   r = sigmoid(xr + sr)   n = tanh(xn + r sn)       h = z h(t - 1) + (1 - z) n
//
// A sample whose mask is false at a step keeps its states there. With `reverse` step s reads x and mask at
// T - 1 - s; states are in the order of the steps.
//
// Samples do not meet, so blocks of them go through all steps by themselves; where W is larger than a core's
// second-level cache, all samples go together and each product is split instead. Sizes alone decide.
#pragma once

#include <cstdint>
#include <tuple>

#include "base/fwd.h"
#include "ops/activation.h"

namespace lamina {

enum class RecurrentKind : uint8_t { rnn, lstm, gru };

constexpr const char* recurrent_name(RecurrentKind kind) {
  constexpr const char* kNames[] = {"rnn", "lstm", "gru"};
  return kNames[static_cast<int>(kind)];
}

// One step of `rows` samples; rows lie one after the other unless a stride is named. Null where a kind has
// none.
struct RecurrentStep {
  int64_t rows, units;
  Activation activation;  // of rnn
  const void* x;          // [rows, G units]
  const void* s;          // [rows, G units] h(t - 1) W
  const void* bias;       // [G units] of s
  const bool* mask;       // [rows] or null
  const void *h_before, *c_before;
  void *h, *c;
  void* gates;  // lstm: i, f, g, o; gru: z, r, n, s_n (with its bias); [rows, 4 units]
};

// The gradient of one step. dh holds that of h(t) and becomes what reaches h(t - 1) other than through W; dc
// likewise. dx: that of x + s; ds: that of s where it differs (gru).
struct RecurrentGradStep {
  int64_t rows, units;
  Activation activation;
  const bool* mask;
  const void* dy;  // [rows, units] added to dh first, or null
  const void *h_before, *c_before, *h, *c;
  const void* gates;
  void *dh, *dc;
  void *dx, *ds;
};

struct RecurrentKernels {
  struct Table {
    void (*step[3])(const RecurrentStep&);  // [RecurrentKind]
    void (*grad[3])(const RecurrentGradStep&);
  };
  Table f32, f64;
};

// Returns y, c and gates. y [T + states, B, U]: h0, h(1) .. h(T), then, of an lstm, c(T); c [T + 1, B, U]
// with c0 first, empty but for an lstm; gates [T, B, 4 U], empty for rnn. w [U, G U]; bias [G U] or null, gru
// only; mask [T, B] bool or null.
std::tuple<Tensor, Tensor, Tensor> recurrent(RecurrentKind kind, const Tensor& x, const Tensor& w,
                                             const Tensor* bias, const Tensor& h0, const Tensor* c0,
                                             const Tensor* mask, Activation activation, bool reverse);

// dy as y. Returns dx, ds (dx itself but for a gru), dh0, dc0 (empty but for an lstm).
std::tuple<Tensor, Tensor, Tensor, Tensor> recurrent_grad(RecurrentKind kind, const Tensor& dy,
                                                          const Tensor& y, const Tensor& c,
                                                          const Tensor& gates, const Tensor& w,
                                                          const Tensor* mask, Activation activation,
                                                          bool reverse);

}  // namespace lamina
