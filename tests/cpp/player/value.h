// Arguments and results of ops as the player reads them, and their conversion to the C++ types of cpp/ops.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "base/tensor.h"
#include "ops/activation.h"
#include "ops/conv2d.h"
#include "ops/optimizer_group.h"
#include "ops/recurrent.h"

namespace player {

struct Value {
  using List = std::vector<Value>;
  using Map = std::map<std::string, double>;
  std::variant<std::monostate, bool, int64_t, double, std::string, List, Map, lamina::Tensor,
               lamina::Conv2dWindow, lamina::ParameterGroup>
      v;

  bool is_none() const { return v.index() == 0; }
};

template <class>
constexpr bool kIsVector = false;
template <class T>
constexpr bool kIsVector<std::vector<T>> = true;
template <class>
constexpr bool kIsOptional = false;
template <class T>
constexpr bool kIsOptional<std::optional<T>> = true;

// Throws std::bad_variant_access where the value is of another kind.
template <class T>
T decode(const Value& value) {
  using lamina::Activation, lamina::Dims, lamina::DType;
  if constexpr (std::is_same_v<T, double>) {
    if (const auto* i = std::get_if<int64_t>(&value.v)) return static_cast<double>(*i);
    return std::get<double>(value.v);
  } else if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
    return static_cast<T>(std::get<int64_t>(value.v));
  } else if constexpr (kIsOptional<T>) {
    if (value.is_none()) return std::nullopt;
    return decode<typename T::value_type>(value);
  } else if constexpr (kIsVector<T>) {
    T items;
    for (const Value& item : std::get<Value::List>(value.v))
      items.push_back(decode<typename T::value_type>(item));
    return items;
  } else if constexpr (std::is_same_v<T, const lamina::Tensor*>) {
    return &std::get<lamina::Tensor>(value.v);
  } else if constexpr (std::is_same_v<T, Dims>) {
    Dims dims;
    for (const Value& item : std::get<Value::List>(value.v)) dims.push_back(decode<int64_t>(item));
    return dims;
  } else if constexpr (std::is_same_v<T, std::variant<std::string, Dims>>) {
    if (const auto* text = std::get_if<std::string>(&value.v)) return *text;
    return decode<Dims>(value);
  } else if constexpr (std::is_same_v<T, DType>) {
    int i = 0;
    while (std::get<std::string>(value.v) != lamina::dtype_name(static_cast<DType>(i))) ++i;
    return static_cast<DType>(i);
  } else if constexpr (std::is_same_v<T, Activation>) {
    int i = 0;
    if (!value.is_none())
      while (std::get<std::string>(value.v) != lamina::activation_name(static_cast<Activation>(i))) ++i;
    return static_cast<Activation>(i);
  } else if constexpr (std::is_same_v<T, lamina::RecurrentKind>) {
    int i = 0;
    while (std::get<std::string>(value.v) != lamina::recurrent_name(static_cast<T>(i))) ++i;
    return static_cast<T>(i);
  } else {
    return std::get<T>(value.v);
  }
}

// What stands for a parameter of type P: the value itself, or for a pointer what it may point to.
template <class P>
struct Argument {
  std::decay_t<P> value;
  explicit Argument(const Value& v) : value(decode<std::decay_t<P>>(v)) {}
  const std::decay_t<P>& get() const { return value; }
};
template <>
struct Argument<const lamina::Tensor*> {
  std::optional<lamina::Tensor> value;
  explicit Argument(const Value& v) : value(decode<std::optional<lamina::Tensor>>(v)) {}
  const lamina::Tensor* get() const { return value ? &*value : nullptr; }
};

// The tensors and windows of a result, in order; none for an optional without a value.
template <class R>
void flatten(R&& result, Value::List& out) {
  using T = std::decay_t<R>;
  if constexpr (kIsOptional<T>) {
    if (result) {
      flatten(*std::move(result), out);
    } else {
      out.emplace_back();
    }
  } else if constexpr (kIsVector<T>) {
    for (auto& item : result) flatten(std::move(item), out);
  } else if constexpr (requires { std::tuple_size<T>::value; }) {
    std::apply([&](auto&... part) { (flatten(std::move(part), out), ...); }, result);
  } else {
    out.push_back({std::forward<R>(result)});
  }
}

}  // namespace player
