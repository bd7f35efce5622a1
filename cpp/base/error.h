// Errors: `[op] what is wrong; what was expected. Received: name=value.` Nothing else formats messages.
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

namespace lamina {

// ValueError, TypeError and IndexError arrive in Python under those names (cpp/bind/module.cc).
struct ValueError : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};
struct TypeError : std::runtime_error {
  using std::runtime_error::runtime_error;
};
struct IndexError : std::out_of_range {
  using std::out_of_range::out_of_range;
};

template <class... Parts>
std::string concat(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

template <class Error = ValueError, class... Parts>
[[noreturn, gnu::noinline, gnu::cold]] void fail(const char* op, const Parts&... parts) {
  throw Error(concat('[', op, "] ", parts...));
}

// Parts are formatted only when the condition is false.
template <class Error = ValueError, class... Parts>
inline void check(bool condition, const char* op, const Parts&... parts) {
  if (!condition) [[unlikely]] {
    fail<Error>(op, parts...);
  }
}

}  // namespace lamina
