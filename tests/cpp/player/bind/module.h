// In place of cpp/bind/module.h, whose conversions ask for Python: value.h has the player's.
#pragma once

#include <pybind11/stl.h>

namespace lamina {

void bind_ops(pybind11::module_& m);

}  // namespace lamina
