// Plays a file that tests/dump_rows.py wrote: the calls of the op rows with their data, and what must come
// out. Needs no Python, so that it runs under an emulator and on machines that only a cross compiler knows.
//
//   lamina_player rows.bin      # exit status 1, and the first differences, where something differs
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <exception>
#include <fstream>
#include <iostream>
#include <set>
#include <sstream>

#include "base/cpu.h"
#include "base/parallel.h"
#include "bind/module.h"
#include "ops/layout.h"

namespace lamina {
namespace {

using player::Value;

constexpr int kShown = 40;  // failures printed

class Player {
 public:
  explicit Player(std::istream& in) : in_(in) {
    in_.exceptions(std::ios::failbit | std::ios::badbit | std::ios::eofbit);
    bind_ops(module_);
  }

  // True if every check held and every op was called.
  bool run() {
    for (char kind = read<char>(); kind != 'E'; kind = read<char>()) {
      if (kind == 'P') {
        program_ = read_string();
        objects_.clear();
        broken_ = false;
        ++programs_;
      } else if (kind == 'S') {
        read_storage();
      } else if (kind == 'C') {
        read_call();
      } else if (kind == 'K') {
        read_check();
      } else {
        throw std::runtime_error(concat("not a record: ", static_cast<int>(kind)));
      }
    }
    std::string silent;
    for (const auto& [name, op] : module_.ops)
      if (!called_.count(name)) silent += " " + name;
    if (!silent.empty()) fail_check("ops that no row calls:" + silent);
    std::cout << programs_ << " programs, " << calls_ << " calls of " << called_.size() << " ops, " << checks_
              << " checks, " << failures_ << " failed; instruction set " << isa_name(isa()) << ", "
              << num_threads() << " threads\n";
    return failures_ == 0;
  }

 private:
  template <class T>
  T read() {
    T value;
    in_.read(reinterpret_cast<char*>(&value), sizeof value);
    return value;
  }
  std::string read_string() {
    std::string text(read<uint32_t>(), '\0');
    in_.read(text.data(), static_cast<std::streamsize>(text.size()));
    return text;
  }
  Dims read_dims() {
    Dims dims;
    for (int n = read<uint8_t>(); n > 0; --n) dims.push_back(read<int64_t>());
    return dims;
  }
  // A view: object, byte offset from that object's first element, shape, strides, dtype.
  Tensor read_tensor() {
    const uint64_t id = read<uint64_t>();
    const int64_t bytes = read<int64_t>();
    const Dims shape = read_dims(), strides = read_dims();
    const DType dtype = static_cast<DType>(read<uint8_t>());
    if (broken_) return Tensor();
    const Tensor& base = std::get<Tensor>(objects_.at(id).v);
    const int64_t offset = static_cast<int64_t>(base.byte_offset()) + bytes;
    return Tensor(base.storage(), offset / static_cast<int64_t>(itemsize(dtype)), shape, strides, dtype);
  }
  Value read_value() {
    switch (const char tag = read<char>()) {
      case 'N':
        return {};
      case 'b':
        return {read<uint8_t>() != 0};
      case 'i':
        return {read<int64_t>()};
      case 'd':
        return {read<double>()};
      case 's':
        return {read_string()};
      case 'l': {
        Value::List items(read<uint32_t>());
        for (Value& item : items) item = read_value();
        return {std::move(items)};
      }
      case 'm': {
        Value::Map map;
        for (uint32_t n = read<uint32_t>(); n > 0; --n) {
          const std::string key = read_string();
          map[key] = read<double>();
        }
        return {std::move(map)};
      }
      case 't':
        return {read_tensor()};
      case 'o': {
        const uint64_t id = read<uint64_t>();
        return broken_ ? Value{} : objects_.at(id);
      }
      default:
        throw std::runtime_error(concat("not a value: ", static_cast<int>(tag)));
    }
  }

  void read_storage() {
    const uint64_t id = read<uint64_t>();
    const int64_t bytes = read<int64_t>();
    const Tensor t = Tensor::empty({bytes}, DType::kUInt8);
    in_.read(t.data<char>(), bytes);
    objects_[id] = {t};
  }
  void read_call() {
    const std::string name = read_string();
    std::vector<std::pair<std::string, Value>> args(read<uint32_t>());
    for (auto& [key, value] : args) {
      key = read_string();
      value = read_value();
    }
    std::vector<uint64_t> ids(read<uint32_t>());
    for (uint64_t& id : ids) id = read<uint64_t>();
    if (broken_) return;
    ++calls_;
    called_.insert(name);
    try {
      Value::List results = module_.ops.at(name)(args);
      if (results.size() != ids.size()) throw std::runtime_error("another number of results");
      for (size_t i = 0; i < ids.size(); ++i)
        if (ids[i]) objects_[ids[i]] = std::move(results[i]);
    } catch (const std::exception& error) {
      fail_check(name + ": " + error.what());
      broken_ = true;  // what follows in this program has nothing to work on
    }
  }
  // |got - want| <= rtol (largest |want| + |want|), as scaled_close in tests/ops/test_rows.py has it; with
  // rtol 0 the values are equal. NaN and infinities stand where they are wanted.
  void read_check() {
    const std::string label = read_string();
    const Tensor view = read_tensor();
    const double rtol = read<double>();
    std::vector<double> want(read<uint64_t>());
    in_.read(reinterpret_cast<char*>(want.data()),
             static_cast<std::streamsize>(want.size() * sizeof(double)));
    if (broken_) return;
    ++checks_;
    const Tensor got = contiguous(cast(view, DType::kFloat64));
    double scale = 1e-3;
    for (double w : want)
      if (std::isfinite(w)) scale = std::max(scale, std::abs(w));
    bool good = got.size() == static_cast<int64_t>(want.size());
    for (size_t i = 0; good && i < want.size(); ++i) {
      const double g = got.data<double>()[i], w = want[i];
      if (std::isfinite(w) ? std::abs(g - w) <= rtol * (scale + std::abs(w)) : g == w || (g != g && w != w))
        continue;
      std::ostringstream text;
      text.precision(17);
      text << label << '[' << i << "] = " << g << ", expected " << w << " within " << rtol << " of " << scale;
      return fail_check(text.str());
    }
    if (!good) fail_check(concat(label, ": ", got.size(), " elements, expected ", want.size()));
  }
  void fail_check(const std::string& what) {
    if (failures_++ < kShown) std::cout << program_ << ": " << what << "\n";
  }

  std::istream& in_;
  pybind11::module_ module_;
  std::string program_;
  std::map<uint64_t, Value> objects_;
  bool broken_ = false;
  int64_t programs_ = 0, calls_ = 0, checks_ = 0, failures_ = 0;
  std::set<std::string> called_;
};

}  // namespace
}  // namespace lamina

int main(int argc, char** argv) {
  std::ifstream file(argc == 2 ? argv[1] : "", std::ios::binary);
  if (!file) {
    std::cerr << "usage: lamina_player rows.bin   (a file that python -m tests.dump_rows wrote)\n";
    return 2;
  }
  try {
    return lamina::Player(file).run() ? 0 : 1;
  } catch (const std::exception& error) {
    std::cerr << "the file ends early or is no dump: " << error.what() << "\n";
    return 2;
  }
}
