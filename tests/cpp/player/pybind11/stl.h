// Stands in for pybind11 where cpp/bind/ops.cc is compiled into the player: its list of ops becomes a table
// from the name to a function that decodes arguments, calls, and flattens the results.
#pragma once

#include <functional>
#include <stdexcept>

#include "value.h"

namespace pybind11 {

using player::Value;

struct arg {
  std::string name;
  std::optional<Value> otherwise = {};

  explicit arg(const char* n) : name(n) {}
  arg operator=(double value) const { return with({value}); }
  template <class T>
  arg operator=(const std::vector<T>&) const {  // only empty ones are anybody's default
    return with({Value::List{}});
  }

 private:
  arg with(Value value) const {
    arg a = *this;
    a.otherwise = std::move(value);
    return a;
  }
};

class module_ {
 public:
  using Op = std::function<Value::List(const std::vector<std::pair<std::string, Value>>& args)>;
  std::map<std::string, Op> ops;

  // Arguments without a name come first, in the order of the parameters.
  template <class F, class... A>
  void def(const char* name, F f, const A&... args) {
    define(name, std::function(f), std::vector<arg>{args...});
  }

 private:
  template <class R, class... P>
  void define(const std::string& name, std::function<R(P...)> f, std::vector<arg> parameters) {
    while (parameters.size() < sizeof...(P)) parameters.emplace_back("");
    ops[name] = [=](const std::vector<std::pair<std::string, Value>>& given) {
      std::vector<Value> values;
      for (size_t i = 0; i < sizeof...(P); ++i) {
        const Value* found = parameters[i].otherwise ? &*parameters[i].otherwise : nullptr;
        if (i < given.size() && given[i].first.empty()) found = &given[i].second;
        for (const auto& [key, value] : given)
          if (!key.empty() && key == parameters[i].name) found = &value;
        if (!found) throw std::runtime_error(name + ": no argument " + parameters[i].name);
        values.push_back(*found);
      }
      return call(f, values, std::index_sequence_for<P...>());
    };
  }
  template <class R, class... P, size_t... I>
  static Value::List call(const std::function<R(P...)>& f, const std::vector<Value>& values,
                          std::index_sequence<I...>) {
    Value::List results;
    const std::tuple<player::Argument<P>...> arguments{player::Argument<P>(values[I])...};
    if constexpr (std::is_void_v<R>) {
      f(std::get<I>(arguments).get()...);
    } else {
      player::flatten(f(std::get<I>(arguments).get()...), results);
    }
    return results;
  }
};

template <class T>
struct class_ {
  class_(module_&, const char*) {}
};

}  // namespace pybind11
