#include "ops/sort.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <type_traits>
#include <utility>

#include "base/parallel.h"
#include "ops/launch.h"
#include "ops/rows.h"

namespace lamina {
namespace {

constexpr double kCost = 15;          // rough ns per element
constexpr int64_t kSlots = 32;        // pieces of the lines, each with scratch of its own
constexpr int64_t kRadixLeast = 768;  // elements from where counting beats comparing
constexpr int kDigit = 11;            // bits
constexpr int64_t kLook = 64;  // elements that are looked at together for one that belongs to the k largest

struct SortArgs {
  DType dtype;
  int64_t lines, n, k;
  bool largest;
  int64_t slots() const { return std::min(lines, kSlots); }
  // By a heap of k items where that is much less than the line, else the whole line twice.
  bool selects() const { return largest && k * 8 <= n; }
  int64_t items() const { return selects() ? k : 2 * n; }
};

// An element as an unsigned number of the same order and its index, in one word where both fit.
template <class Key>
struct Item {
  Key key;
  uint32_t index;
  bool operator<(const Item& o) const { return key != o.key ? key < o.key : index < o.index; }
};
template <>
struct Item<uint32_t> {
  uint64_t word;
  Item() = default;
  Item(uint32_t key, uint32_t index) : word(uint64_t{key} << 32 | index) {}
  bool operator<(const Item& o) const { return word < o.word; }
};
uint32_t key_of(Item<uint32_t> i) { return static_cast<uint32_t>(i.word >> 32); }
uint64_t key_of(Item<uint64_t> i) { return i.key; }
int32_t index_of(Item<uint32_t> i) { return static_cast<int32_t>(i.word & 0xffffffffu); }
int32_t index_of(Item<uint64_t> i) { return static_cast<int32_t>(i.index); }

template <class T>
using KeyOf = std::conditional_t<(sizeof(T) > 4), uint64_t, uint32_t>;

// Read from the bits: kernels run with denormals as zeros, and these keep their order.
template <class T>
KeyOf<T> make_key(T x) {
  using Key = KeyOf<T>;
  if constexpr (std::is_floating_point_v<T>) {
    constexpr Key kSign = Key{1} << (8 * sizeof(T) - 1);
    constexpr Key kInfinity = sizeof(T) == 4 ? Key{0x7f800000} : static_cast<Key>(0x7ff0000000000000);
    // Without branches, for loops over many.
    const Key bits = std::bit_cast<Key>(x), magnitude = bits & ~kSign;
    const Key number = magnitude == 0 ? kSign : bits & kSign ? ~bits : bits | kSign;
    return magnitude > kInfinity ? ~Key{0} : number;
  } else {
    constexpr Key kBias = std::is_signed_v<T> ? Key{1} << (8 * sizeof(Key) - 1) : 0;
    return static_cast<Key>(x) ^ kBias;
  }
}

// Stable counting sort by digits, least first; a digit that all keys share is skipped. Returns where the
// result lies, a or b.
template <class Key>
Item<Key>* radix_sort(Item<Key>* a, Item<Key>* b, int64_t n) {
  constexpr int kBuckets = 1 << kDigit, kBits = 8 * sizeof(Key), kPasses = (kBits + kDigit - 1) / kDigit;
  uint32_t count[kPasses][kBuckets];
  std::memset(count, 0, sizeof count);
  const auto digit = [](Item<Key> item, int pass) {
    return static_cast<int>(key_of(item) >> (pass * kDigit)) & (kBuckets - 1);
  };
  for (int64_t i = 0; i < n; ++i) {
    for (int pass = 0; pass < kPasses; ++pass) ++count[pass][digit(a[i], pass)];
  }
  for (int pass = 0; pass < kPasses; ++pass) {
    uint32_t* place = count[pass];
    if (place[digit(a[0], pass)] == static_cast<uint32_t>(n)) continue;
    uint32_t total = 0;
    for (int d = 0; d < kBuckets; ++d) total += std::exchange(place[d], total);
    for (int64_t i = 0; i < n; ++i) b[place[digit(a[i], pass)]++] = a[i];
    std::swap(a, b);
  }
  return a;
}

// The first a.k items of the line in order, in scratch.
template <class T>
const Item<KeyOf<T>>* ordered(const SortArgs& a, const T* x, Item<KeyOf<T>>* items) {
  using Key = KeyOf<T>;
  const Key flip = a.largest ? ~Key{0} : Key{0};
  const auto item = [&](int64_t i) {
    return Item<Key>{static_cast<Key>(make_key(x[i]) ^ flip), static_cast<uint32_t>(i)};
  };
  if (!a.selects()) {
    for (int64_t i = 0; i < a.n; ++i) items[i] = item(i);
    if (a.n >= kRadixLeast) return radix_sort(items, items + a.n, a.n);
    std::sort(items, items + a.n);
    return items;
  }
  for (int64_t i = 0; i < a.k; ++i) items[i] = item(i);
  std::make_heap(items, items + a.k);
  for (int64_t begin = a.k; begin < a.n; begin += kLook) {
    const int64_t end = std::min(a.n, begin + kLook);
    const Key worst = key_of(items[0]);
    int better = 0;  // later equal elements lose by their index
    for (int64_t i = begin; i < end; ++i) better += (make_key(x[i]) ^ flip) < worst;
    for (int64_t i = begin; better && i < end; ++i) {
      const Item<Key> next = item(i);
      if (!(next < items[0])) continue;
      std::pop_heap(items, items + a.k);
      items[a.k - 1] = next;
      std::push_heap(items, items + a.k);
    }
  }
  std::sort_heap(items, items + a.k);
  return items;
}

// Reads x; writes values and indices. Lines are cut into slots by their number alone.
Status run_sort(const SortArgs& a, Buffers b) {
  visit(a.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    if constexpr (std::is_arithmetic_v<T>) {
      using Entry = Item<KeyOf<T>>;
      const int64_t slots = a.slots();
      const double cost = kCost * static_cast<double>(a.n * a.lines) / static_cast<double>(slots);
      parallel_for(slots, grain_for(cost), [&](int64_t begin, int64_t end) {
        for (int64_t slot = begin; slot < end; ++slot) {
          Entry* items = static_cast<Entry*>(b.scratch) + slot * a.items();
          for (int64_t line = slot * a.lines / slots; line < (slot + 1) * a.lines / slots; ++line) {
            const T* x = b.at<T>(0) + line * a.n;
            const Entry* order = ordered(a, x, items);
            for (int64_t i = 0; i < a.k; ++i) {
              const int32_t at = index_of(order[i]);
              b.at<T>(1)[line * a.k + i] = x[at];
              b.at<int32_t>(2)[line * a.k + i] = at;
            }
          }
        }
      });
    }
  });
  return {};
}

std::pair<Tensor, Tensor> sorted(const char* op, const Tensor& x_in, int axis, int64_t k, bool largest) {
  if (is_floating(x_in.dtype())) check_computes(op, x_in.dtype());
  Shape shape = x_in.shape();
  shape[axis] = k;
  if (x_in.is_symbolic())
    return {Tensor::symbolic(shape, x_in.dtype()), Tensor::symbolic(shape, DType::kInt32)};
  const int64_t n = x_in.dim(axis);
  check(n <= INT32_MAX, op,
        "has more elements than an int32 index can count. Received: x.shape=", x_in.shape(), ".");
  const Tensor x = to_rows(x_in, {axis});
  Shape rows = x.shape();
  rows[x.rank() - 1] = k;
  const Tensor values = Tensor::empty(rows, x.dtype()), indices = Tensor::empty(rows, DType::kInt32);
  if (values.size() > 0) {
    const SortArgs a{x.dtype(), x.size() / n, n, k, largest};
    const size_t item = itemsize(x.dtype()) > 4 ? sizeof(Item<uint64_t>) : sizeof(Item<uint32_t>);
    launch<run_sort>(op, a, {&x}, {&values, &indices},
                     static_cast<size_t>(num_elements({a.slots(), a.items()})) * item, {.flops = 0});
  }
  return {from_rows(values, {axis}), from_rows(indices, {axis})};
}

}  // namespace

std::pair<Tensor, Tensor> sort(const Tensor& x, int64_t axis_in) {
  const int axis = normalize_axis("sort", axis_in, x.rank());
  return sorted("sort", x, axis, x.dim(axis), false);
}

Tensor argsort(const Tensor& x, int64_t axis_in) {
  const int axis = normalize_axis("argsort", axis_in, x.rank());
  return sorted("argsort", x, axis, x.dim(axis), false).second;
}

std::pair<Tensor, Tensor> top_k(const Tensor& x, int64_t k) {
  check(x.rank() > 0, "top_k", "needs at least one axis. Received: x.shape=().");
  const int axis = x.rank() - 1;
  check(k >= 0 && (k <= x.dim(axis) || x.dim(axis) == kUnknown), "top_k",
        "k must be from 0 to the size of the last axis. Received: k=", k, ", x.shape=", x.shape(), ".");
  return sorted("top_k", x, axis, k, true);
}

}  // namespace lamina
