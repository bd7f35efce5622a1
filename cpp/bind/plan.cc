// Recordings and plans as Python sees them.
#include <pybind11/stl.h>

#include "bind/module.h"
#include "ops/peak.h"
#include "plan/recording.h"

namespace py = pybind11;

namespace lamina {
namespace {

// Called when Python reads a value that a replay would not read again.
PyObject* read_hook = nullptr;

std::vector<const Tensor*> pointers(const std::vector<Tensor>& tensors) {
  std::vector<const Tensor*> p;
  for (const Tensor& t : tensors) p.push_back(&t);
  return p;
}

void check_accepted(const Plan& plan, const std::vector<Tensor>& inputs, const char* op) {
  check(plan.accepts(pointers(inputs)), op,
        "the tensors do not fit what was recorded: other shapes, dtypes or strides, or memory that the step "
        "writes. Received: ",
        inputs.size(), " tensors.");
}

std::vector<Tensor> replay(Plan& plan, const std::vector<Tensor>& inputs) {
  check_accepted(plan, inputs, "replay");
  return plan.replay(pointers(inputs));
}

// The results for a tuple of plain Tensors (of exactly `type`, without a gradient), or None where they are
// not what was recorded: the short way of a function called again with the like of its last arguments.
py::object try_replay(Plan& plan, const py::tuple& args, py::handle type) {
  static PyObject* const core_name = PyUnicode_InternFromString("_core");
  static PyObject* const source_name = PyUnicode_InternFromString("_source");
  std::vector<py::object> cores;
  std::vector<const Tensor*> inputs;
  cores.reserve(args.size());
  inputs.reserve(args.size());
  for (const py::handle arg : args) {
    if (reinterpret_cast<PyObject*>(Py_TYPE(arg.ptr())) != type.ptr()) return py::none();
    const auto source = py::reinterpret_steal<py::object>(PyObject_GetAttr(arg.ptr(), source_name));
    auto core = py::reinterpret_steal<py::object>(PyObject_GetAttr(arg.ptr(), core_name));
    if (!source || !core) throw py::error_already_set();
    if (!source.is_none()) return py::none();
    inputs.push_back(&core.cast<const Tensor&>());
    cores.push_back(std::move(core));
  }
  if (!plan.accepts(inputs)) return py::none();
  return py::cast(plan.replay(inputs));
}

// (steps done, results of the last). `columns` are whole arrays, one for each input, first axis the rows;
// `order` is a list of row numbers (int64) or None for rows begin, begin + 1, ...; `host` pairs a float32
// scalar with the values it gets before each step; a step that leaves true in `stop` is the last.
py::tuple replay_rows(Plan& plan, const std::vector<Tensor>& columns, const Tensor* order, int64_t begin,
                      int64_t batch, int64_t steps, double seconds,
                      const std::vector<std::pair<Tensor, std::vector<float>>>& host, const Tensor* stop) {
  const char* op = "replay_rows";
  check(columns.size() == plan.inputs().size() && batch > 0 && steps >= 0 && begin >= 0, op,
        "needs one column for each input. Received: ", columns.size(), " columns, ", plan.inputs().size(),
        " inputs.");
  check(!order || (order->dtype() == DType::kInt64 && order->is_contiguous() && order->rank() == 1), op,
        "order is a vector of int64.");
  int64_t rows = order ? order->size() : INT64_MAX;
  std::vector<Plan::Column> raw;
  for (size_t c = 0; c < columns.size(); ++c) {
    const Tensor &column = columns[c], &input = plan.inputs()[c];
    check(column.rank() >= 1 && column.dtype() == input.dtype() && column.rank() == input.rank() &&
              input.dim(0) == batch && column.is_contiguous() && input.is_contiguous(),
          op, "a column does not fit the recorded input. Received: column ", c, " of shape=", column.shape(),
          " ", column.dtype(), ", input shape=", input.shape(), " ", input.dtype(), ".");
    size_t row_bytes = itemsize(column.dtype());
    for (int axis = 1; axis < column.rank(); ++axis) {
      check(column.dim(axis) == input.dim(axis), op, "a column's rows differ from the recorded input's.");
      row_bytes *= static_cast<size_t>(column.dim(axis));
    }
    if (!order) rows = std::min(rows, column.dim(0));
    raw.push_back({static_cast<const char*>(column.data()), row_bytes});
  }
  check(begin + steps * batch <= rows, op, "asks for more rows than there are. Received: begin=", begin,
        ", batch=", batch, ", steps=", steps, ", rows=", rows, ".");
  for (int64_t i = begin; order && i < begin + steps * batch; ++i) {
    for (const Tensor& column : columns) {
      const int64_t row = order->data<int64_t>()[i];
      check<IndexError>(row >= 0 && row < column.dim(0), op, "row out of range. Received: order[", i,
                        "]=", row, ".");
    }
  }
  std::vector<Plan::HostValues> values;
  for (const auto& [target, list] : host) {
    check(
        target.dtype() == DType::kFloat32 && target.size() == 1 && list.size() >= static_cast<size_t>(steps),
        op, "host values are one float32 a step.");
    values.push_back({target, list});
  }
  check(!stop || (stop->dtype() == DType::kBool && stop->size() == 1), op, "stop is one bool.");
  std::vector<Tensor> results;
  const int64_t done = plan.replay_rows(raw, order ? order->data<int64_t>() : nullptr, begin, batch, steps,
                                        seconds, values, stop ? stop->data<bool>() : nullptr, &results);
  return py::make_tuple(done, results);
}

py::dict memory(const Plan& plan) {
  const PlanMemory m = plan.memory();
  py::dict d;
  d["state"] = m.state;
  d["constants"] = m.constants;
  d["kept"] = m.kept;
  d["inputs"] = m.inputs;
  d["outputs"] = m.outputs;
  d["arena"] = m.arena;
  d["peak"] = m.peak();
  return d;
}

// What is known of each launch, and of each buffer.
py::list launches(const Plan& plan) {
  const Graph& graph = plan.graph();
  py::list all;
  size_t group = 0, left = plan.groups().empty() ? 0 : plan.groups()[0];
  for (const GraphLaunch& l : graph.launches) {
    py::dict d;
    d["op"] = l.op;
    d["layer"] = graph.labels[l.label];
    d["group"] = group;
    d["flops"] = l.flops();
    d["bytes"] = graph.bytes_of(l);
    d["scratch_bytes"] = l.scratch_bytes;
    py::list reads, writes;
    for (size_t i = 0; i < l.operands.size(); ++i)
      (i < l.num_reads ? reads : writes).append(l.operands[i].buffer);
    d["reads"] = reads;
    d["writes"] = writes;
    all.append(d);
    if (--left == 0 && ++group < plan.groups().size()) left = plan.groups()[group];
  }
  return all;
}

py::list buffers(const Plan& plan) {
  py::list all;
  for (size_t i = 0; i < plan.graph().buffers.size(); ++i) {
    const GraphBuffer& b = plan.graph().buffers[i];
    py::dict d;
    d["role"] = role_name(b.role);
    d["bytes"] = b.bytes;
    if (b.role == Role::intermediate) d["offset"] = plan.placement().buffer_offset[i];
    all.append(d);
  }
  return all;
}

py::list blocks(const Plan& plan) {
  py::list all;
  for (const Block& b : plan.placement().blocks)
    all.append(py::make_tuple(b.first, b.last, b.offset, b.bytes));
  return all;
}

// Seconds of each launch.
std::vector<double> profile(Plan& plan, const std::vector<Tensor>& inputs, int repeats) {
  check(repeats > 0, "profile", "repeats must be at least 1. Received: repeats=", repeats, ".");
  check_accepted(plan, inputs, "profile");
  return plan.profile(pointers(inputs), repeats);
}

// (shape, dtype) of each input.
py::list inputs(const Plan& plan) {
  py::list all;
  for (const Tensor& t : plan.inputs())
    all.append(py::make_tuple(py::cast(t).attr("shape"), py::cast(t).attr("dtype")));
  return all;
}

std::vector<std::string> ops(const Plan& plan) {
  std::vector<std::string> names;
  for (const GraphLaunch& l : plan.graph().launches) names.emplace_back(l.op);
  return names;
}

// The same values as an argument of its own: read-only, with an id that no other tensor has.
Tensor alias(const Tensor& t) {
  check(!t.is_symbolic(), "function", "a symbolic tensor has no values. Received: shape=", t.shape(), ".");
  StoragePtr storage =
      StoragePtr::borrow(t.storage()->data, t.storage()->bytes, true, new StoragePtr(t.storage()),
                         [](void* owner) { delete static_cast<StoragePtr*>(owner); });
  return Tensor(std::move(storage), t.offset(), t.shape(), t.strides(), t.dtype());
}

// Recording suspended on this thread; `resume` goes on with it.
struct Paused {
  Recording* open;
};

}  // namespace

void about_to_read(const Tensor& t) {
  const Recording* recording = open_recording();
  if (!recording || recording->may_read(t) || !read_hook) return;
  py::reinterpret_borrow<py::object>(read_hook)();
}

void bind_plan(py::module_& m) {
  py::class_<Arena, std::shared_ptr<Arena>>(m, "Arena")
      .def(py::init<>())
      .def_property_readonly("nbytes", &Arena::bytes);
  py::class_<Plan>(m, "Plan")
      .def("accepts",
           [](const Plan& plan, const std::vector<Tensor>& inputs) { return plan.accepts(pointers(inputs)); })
      .def("replay", &replay, py::arg("inputs") = std::vector<Tensor>())
      .def("try_replay", &try_replay, py::arg("args"), py::arg("type"))
      .def("replay_rows", &replay_rows, py::arg("columns"), py::arg("order"), py::arg("begin"),
           py::arg("batch"), py::arg("steps"), py::arg("seconds"), py::arg("host"), py::arg("stop") = nullptr)
      .def("profile", &profile, py::arg("inputs"), py::arg("repeats"))
      .def_property_readonly("ops", &ops)
      .def_property_readonly("num_launches", [](const Plan& p) { return p.graph().launches.size(); })
      .def_property_readonly("inputs", &inputs)
      .def_property_readonly("memory", &memory)
      .def_property_readonly("launches", &launches)
      .def_property_readonly("buffers", &buffers)
      .def_property_readonly("blocks", &blocks);
  py::class_<Recording>(m, "Recording")
      .def(py::init<std::vector<Tensor>>(), py::arg("inputs") = std::vector<Tensor>())
      .def("open", [](Recording& r) { set_open_recording(&r); })
      .def("stop", [](Recording&) { set_open_recording(nullptr); })
      .def("label", &Recording::set_label)
      .def("writes", &Recording::writes, py::arg("storage_id"))
      .def(
          "close",
          [](Recording& r, const std::vector<Tensor>& outputs, std::shared_ptr<Arena> arena) {
            set_open_recording(nullptr);
            return r.close(outputs, arena ? std::move(arena) : std::make_shared<Arena>());
          },
          py::arg("outputs") = std::vector<Tensor>(), py::arg("arena") = nullptr);
  py::class_<Paused>(m, "Paused");
  m.def("pause_recording", [] {
    Paused paused{open_recording()};
    set_open_recording(nullptr);
    return paused;
  });
  m.def("resume_recording", [](const Paused& paused) { set_open_recording(paused.open); });
  m.def("set_read_hook", [](py::object hook) {
    Py_XDECREF(read_hook);
    read_hook = hook.release().ptr();
  });
  m.def("alias", &alias);
  m.def(
      "machine_peaks",
      [] {
        const MachinePeaks peaks = measure_machine_peaks();
        return std::make_pair(peaks.flops_per_second, peaks.bytes_per_second);
      },
      py::call_guard<py::gil_scoped_release>());
}

}  // namespace lamina
