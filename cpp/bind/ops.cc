// One line per op. Gradients stand beside their forward.
#include <pybind11/stl.h>

#include "bind/module.h"
#include "ops/arg_reduce.h"
#include "ops/attention.h"
#include "ops/binary.h"
#include "ops/concat.h"
#include "ops/conv2d.h"
#include "ops/cross_entropy.h"
#include "ops/ctc.h"
#include "ops/ctc_decode.h"
#include "ops/dropout.h"
#include "ops/gather.h"
#include "ops/group_norm.h"
#include "ops/layer_norm.h"
#include "ops/layout.h"
#include "ops/matmul.h"
#include "ops/norm.h"
#include "ops/optimizer_group.h"
#include "ops/pool2d.h"
#include "ops/random.h"
#include "ops/recurrent.h"
#include "ops/reduce.h"
#include "ops/scan.h"
#include "ops/search.h"
#include "ops/slice_assign.h"
#include "ops/softmax.h"
#include "ops/sort.h"
#include "ops/unary.h"

namespace py = pybind11;

namespace lamina {

void bind_ops(py::module_& m) {
#define LAMINA_UNARY(name)                                                                                   \
  m.def(                                                                                                     \
      #name, [](const Tensor& x, double alpha) { return unary(Unary::name, x, alpha); }, py::arg("x"),       \
      py::arg("alpha") = 0.0);                                                                               \
  m.def(                                                                                                     \
      #name "_grad",                                                                                         \
      [](const Tensor& dy, const Tensor& s, double alpha) { return unary_grad(Unary::name, dy, s, alpha); }, \
      py::arg("dy"), py::arg("s"), py::arg("alpha") = 0.0);
#include "ops/unary.def"
#undef LAMINA_UNARY
#define LAMINA_BINARY(name) \
  m.def(#name, [](const Tensor& a, const Tensor& b) { return binary(Binary::name, a, b); });
#define LAMINA_COMPARE LAMINA_BINARY
#include "ops/binary.def"
#undef LAMINA_BINARY
#undef LAMINA_COMPARE
  m.def("cast", &cast, py::arg("x"), py::arg("dtype"));
  m.def("copy", &copy);
  m.def("contiguous", &contiguous);
  m.def("reshape", &reshape, py::arg("x"), py::arg("shape"));
  m.def("assign", &assign, py::arg("dst"), py::arg("src"));
  m.def("slice_assign", &slice_assign, py::arg("dst"), py::arg("src"), py::arg("axis"), py::arg("at"));
  m.def("where", &where, py::arg("condition"), py::arg("a"), py::arg("b"));
  for (const auto& [name, f] :
       {std::pair{"sum", &sum}, std::pair{"prod", &prod}, std::pair{"max", &max}, std::pair{"min", &min},
        std::pair{"mean", &mean}, std::pair{"any", &any}, std::pair{"all", &all}}) {
    m.def(name, f, py::arg("x"), py::arg("axes"), py::arg("keepdims"));
  }
  m.def("sum_to", &sum_to, py::arg("x"), py::arg("shape"));
  m.def("argmax", &argmax, py::arg("x"), py::arg("axis"), py::arg("keepdims"));
  m.def("argmin", &argmin, py::arg("x"), py::arg("axis"), py::arg("keepdims"));
  m.def("sort", &sort, py::arg("x"), py::arg("axis"));
  m.def("argsort", &argsort, py::arg("x"), py::arg("axis"));
  m.def("top_k", &top_k, py::arg("x"), py::arg("k"));
  m.def("searchsorted", &searchsorted, py::arg("sequence"), py::arg("values"), py::arg("right"));
  m.def("bincount", &bincount, py::arg("x"), py::arg("weights"), py::arg("length"));
  m.def("cumsum", &cumsum, py::arg("x"), py::arg("axis"), py::arg("reverse"));
  m.def("cumprod", &cumprod, py::arg("x"), py::arg("axis"));
  m.def("cumprod_grad", &cumprod_grad, py::arg("dy"), py::arg("x"), py::arg("axis"));
  m.def("softmax", &softmax, py::arg("x"), py::arg("axis"));
  m.def("softmax_grad", &softmax_grad, py::arg("dy"), py::arg("y"), py::arg("axis"));
  m.def("log_softmax", &log_softmax, py::arg("x"), py::arg("axis"));
  m.def("log_softmax_grad", &log_softmax_grad, py::arg("dy"), py::arg("y"), py::arg("axis"));
  m.def("sparse_categorical_crossentropy", &sparse_categorical_crossentropy, py::arg("target"),
        py::arg("output"), py::arg("from_logits"), py::arg("ignore_class"));
  m.def("sparse_categorical_crossentropy_grad", &sparse_categorical_crossentropy_grad, py::arg("dy"),
        py::arg("target"), py::arg("output"), py::arg("from_logits"), py::arg("ignore_class"));
  m.def("categorical_crossentropy", &categorical_crossentropy, py::arg("target"), py::arg("output"),
        py::arg("from_logits"));
  m.def("categorical_crossentropy_grad", &categorical_crossentropy_grad, py::arg("dy"), py::arg("target"),
        py::arg("output"), py::arg("from_logits"));
  m.def("binary_crossentropy", &binary_crossentropy, py::arg("target"), py::arg("output"),
        py::arg("from_logits"));
  m.def("binary_crossentropy_grad", &binary_crossentropy_grad, py::arg("dy"), py::arg("target"),
        py::arg("output"), py::arg("from_logits"));
  m.def("ctc_loss", &ctc_loss, py::arg("target"), py::arg("output"), py::arg("target_length"),
        py::arg("output_length"), py::arg("mask_index"), py::arg("gradient"));
  m.def("ctc_greedy_decode", &ctc_greedy_decode, py::arg("x"), py::arg("lengths"), py::arg("blank"),
        py::arg("merge"));
  m.def("ctc_beam_decode", &ctc_beam_decode, py::arg("x"), py::arg("lengths"), py::arg("blank"),
        py::arg("beam_width"), py::arg("paths"));
  m.def("take", &take, py::arg("x"), py::arg("indices"), py::arg("axis"));
  m.def("take_grad", &take_grad, py::arg("dy"), py::arg("indices"), py::arg("x_shape"), py::arg("axis"));
  m.def("take_along_axis", &take_along_axis, py::arg("x"), py::arg("indices"), py::arg("axis"));
  m.def("take_along_axis_grad", &take_along_axis_grad, py::arg("dy"), py::arg("indices"), py::arg("x_shape"),
        py::arg("axis"));
  m.def("one_hot_indices", &one_hot_indices);
  m.def("one_hot", &one_hot, py::arg("indices"), py::arg("num_classes"), py::arg("axis"), py::arg("dtype"));
  m.def("concatenate", &concatenate, py::arg("xs"), py::arg("axis"));
  m.def("pad", &pad, py::arg("x"), py::arg("before"), py::arg("after"), py::arg("value"));
  m.def("matmul", &matmul, py::arg("x1"), py::arg("x2"));
  m.def("dense", &dense, py::arg("x"), py::arg("w"), py::arg("bias"), py::arg("activation"));
  m.def("dense_grad", &dense_grad, py::arg("dy"), py::arg("y"), py::arg("activation"));
  py::class_<Conv2dWindow>(m, "Conv2dWindow");
  m.def("conv2d_window", &conv2d_window, py::arg("x_shape"), py::arg("w_shape"), py::arg("strides"),
        py::arg("padding"), py::arg("dilation"), py::arg("groups"));
  m.def("conv2d", &conv2d, py::arg("x"), py::arg("w"), py::arg("bias"), py::arg("window"),
        py::arg("activation"));
  m.def("conv2d_input_grad", &conv2d_input_grad, py::arg("dy"), py::arg("w"), py::arg("x_shape"),
        py::arg("window"));
  m.def("conv2d_weight_grad", &conv2d_weight_grad, py::arg("x"), py::arg("dy"), py::arg("w_shape"),
        py::arg("window"));
  m.def("conv2d_grads", &conv2d_grads, py::arg("x"), py::arg("w"), py::arg("dy"), py::arg("y"),
        py::arg("window"), py::arg("activation"), py::arg("want_dx"));
  m.def("full", &full, py::arg("shape"), py::arg("value"), py::arg("dtype"));
  m.def("average_pool2d", &average_pool2d, py::arg("x"), py::arg("pool"), py::arg("strides"),
        py::arg("same"));
  m.def("average_pool2d_grad", &average_pool2d_grad, py::arg("dy"), py::arg("x_shape"), py::arg("pool"),
        py::arg("strides"), py::arg("same"));
  m.def("max_pool2d", &max_pool2d, py::arg("x"), py::arg("pool"), py::arg("strides"), py::arg("same"));
  m.def("max_pool2d_index", &max_pool2d_index, py::arg("x"), py::arg("pool"), py::arg("strides"),
        py::arg("same"));
  m.def("max_pool2d_grad", &max_pool2d_grad, py::arg("dy"), py::arg("index"), py::arg("x_shape"),
        py::arg("pool"), py::arg("strides"), py::arg("same"));
  m.def("max_pool2d_pick", &max_pool2d_pick, py::arg("x"), py::arg("index"), py::arg("pool"),
        py::arg("strides"), py::arg("same"));
  m.def("batch_norm", &batch_norm, py::arg("x"), py::arg("gamma"), py::arg("beta"), py::arg("moving_mean"),
        py::arg("moving_variance"), py::arg("axis"), py::arg("momentum"), py::arg("epsilon"),
        py::arg("training"));
  m.def("batch_norm_grad", &batch_norm_grad, py::arg("dy"), py::arg("x"), py::arg("gamma"), py::arg("mean"),
        py::arg("rstd"), py::arg("axis"), py::arg("training"));
  m.def("layer_norm", &layer_norm, py::arg("x"), py::arg("gamma"), py::arg("beta"), py::arg("axes"),
        py::arg("epsilon"), py::arg("rms"));
  m.def("layer_norm_grad", &layer_norm_grad, py::arg("dy"), py::arg("x"), py::arg("gamma"), py::arg("mean"),
        py::arg("rstd"), py::arg("axes"), py::arg("rms"), py::arg("shifts"));
  m.def("group_norm", &group_norm, py::arg("x"), py::arg("gamma"), py::arg("beta"), py::arg("groups"),
        py::arg("axis"), py::arg("epsilon"));
  m.def("group_norm_grad", &group_norm_grad, py::arg("dy"), py::arg("x"), py::arg("gamma"), py::arg("mean"),
        py::arg("rstd"), py::arg("groups"), py::arg("axis"));
  m.def("recurrent", &recurrent, py::arg("kind"), py::arg("x"), py::arg("w"), py::arg("bias"), py::arg("h0"),
        py::arg("c0"), py::arg("mask"), py::arg("activation"), py::arg("reverse"));
  m.def("recurrent_grad", &recurrent_grad, py::arg("kind"), py::arg("dy"), py::arg("y"), py::arg("c"),
        py::arg("gates"), py::arg("w"), py::arg("mask"), py::arg("activation"), py::arg("reverse"));
  m.def("attention", &attention, py::arg("q"), py::arg("k"), py::arg("v"), py::arg("bias"), py::arg("mask"),
        py::arg("mask2"), py::arg("first"), py::arg("state"), py::arg("scale"), py::arg("causal"),
        py::arg("window"), py::arg("zero_unseen"), py::arg("rate"));
  m.def("attention_grad", &attention_grad, py::arg("dy"), py::arg("y"), py::arg("lse"), py::arg("q"),
        py::arg("k"), py::arg("v"), py::arg("bias"), py::arg("mask"), py::arg("mask2"), py::arg("first"),
        py::arg("state"), py::arg("scale"), py::arg("causal"), py::arg("window"), py::arg("zero_unseen"),
        py::arg("rate"), py::arg("want_dbias"));
  m.def("dropout", &dropout, py::arg("x"), py::arg("state"), py::arg("rate"));
  m.def("dropout_grad", &dropout_grad, py::arg("dy"), py::arg("state"), py::arg("rate"));
  m.def("random_uniform", &random_uniform, py::arg("state"), py::arg("shape"), py::arg("dtype"),
        py::arg("minval"), py::arg("maxval"));
  m.def("random_normal", &random_normal, py::arg("state"), py::arg("shape"), py::arg("dtype"),
        py::arg("mean"), py::arg("stddev"));
  m.def("random_truncated_normal", &random_truncated_normal, py::arg("state"), py::arg("shape"),
        py::arg("dtype"), py::arg("mean"), py::arg("stddev"));
  m.def("random_integers", &random_integers, py::arg("state"), py::arg("shape"), py::arg("dtype"),
        py::arg("minval"), py::arg("maxval"));
  m.def("random_bernoulli", &random_bernoulli, py::arg("state"), py::arg("shape"), py::arg("p"));
  m.def("random_permutation", &random_permutation, py::arg("state"), py::arg("n"));
  m.def("random_advance", &random_advance, py::arg("state"), py::arg("n"));
  py::class_<ParameterGroup>(m, "ParameterGroup");
  m.def("parameter_group", &parameter_group, py::arg("rule"), py::arg("parameters"), py::arg("slots"),
        py::arg("learning_rate"), py::arg("iterations"), py::arg("settings"),
        py::arg("weight_decay") = std::vector<double>(), py::arg("accumulators") = std::vector<Tensor>(),
        py::arg("averages") = std::vector<Tensor>(), py::arg("state") = std::vector<Tensor>());
  m.def("optimizer_step", &optimizer_step, py::arg("group"), py::arg("gradients"),
        py::arg("ids") = std::vector<std::optional<Tensor>>());
}

}  // namespace lamina
