#include "ops/optimizer_sparse.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/parallel.h"
#include "ops/gather.h"

namespace lamina {

// Hands out aligned pieces of a block; on null it measures.
struct Bump {
  char* base;
  size_t used = 0;
  template <class T>
  T* take(int64_t n) {
    const size_t at = used;
    used += (static_cast<size_t>(n) * sizeof(T) + 63) / 64 * 64;
    return base ? reinterpret_cast<T*>(base + at) : nullptr;
  }
};

namespace {

constexpr double kCost = 0.3;  // rough ns per element: memory bound
constexpr int kDigit = 11;     // bits of one pass of the sort

int64_t operands(const StepArgs& a) {
  return first_factor(a) + (a.rule->is_factored ? 2 : 0) * a.count + (a.rule->has_state ? 1 : 0);
}

}  // namespace

size_t sparse_scratch(const StepArgs& a, const Row* rows) {
  if (a.id_lists == 0) return 0;
  Bump bump{nullptr};
  bump.take<Row>(a.count);
  bump.take<const int64_t*>(a.count);
  bump.take<void*>(operands(a));
  bump.take<SparseGradients::Part>(a.id_lists);
  for (int64_t i = 0; i < a.count; ++i) {
    if (rows[i].named.count >= 0) SparseGradients::take_part(a, rows[i], i, bump);
  }
  return bump.used;
}

SparseGradients::SparseGradients(const StepArgs& a, Buffers b) : a_(a), operand_(b.address) {
  Bump bump{static_cast<char*>(b.scratch)};
  rows_ = bump.take<Row>(a.count);
  ids_ = bump.take<const int64_t*>(a.count);
  address_ = bump.take<void*>(operands(a));
  parts_ = bump.take<Part>(a.id_lists);
  std::copy_n(rows_of(a), a.count, rows_);
  std::copy_n(b.address, operands(a), address_);
  int64_t k = 0;
  for (int64_t i = 0; i < a.count; ++i) {
    if (rows_[i].named.count >= 0) parts_[k++] = take_part(a, rows_[i], i, bump);
  }
  rest_ = bump.base + bump.used;
}

SparseGradients::Part SparseGradients::take_part(const StepArgs& a, const Row& row, int64_t i, Bump& bump) {
  const int64_t n = row.named.count, item = static_cast<int64_t>(itemsize(row.dtype));
  const int64_t factored = a.rule->is_factored ? item : 0;
  Part part{
      i,       0,      bump.take<int64_t>(n), bump.take<int64_t>(n + 1), bump.take<Entry>(2 * n), nullptr,
      nullptr, nullptr};
  part.gradient = bump.take<char>(n * row.named.width * item);
  part.v = bump.take<char>(n * row.named.width * factored);
  part.r = bump.take<char>(n * factored);
  return part;
}

// By id, equal ones in the order they came: a radix sort, of so many passes as the ids have digits.
SparseGradients::Entry* SparseGradients::sorted(Entry* entries, Entry* spare, int64_t count, int64_t n) {
  const int bits = std::bit_width(static_cast<uint64_t>(std::max<int64_t>(n - 1, 1)));
  for (int shift = 0; shift < bits; shift += kDigit) {
    int64_t first[1 << kDigit] = {};
    const auto digit = [&](const Entry& e) { return e.id >> shift & ((1 << kDigit) - 1); };
    for (int64_t k = 0; k < count; ++k) ++first[digit(entries[k])];
    int64_t total = 0;
    for (int64_t& f : first) {
      const int64_t here = f;
      f = total;
      total += here;
    }
    for (int64_t k = 0; k < count; ++k) spare[first[digit(entries[k])]++] = entries[k];
    std::swap(entries, spare);
  }
  return entries;
}

Status SparseGradients::read(Part& part, const void* ids) {
  const NamedRows& named = rows_[part.i].named;
  const Status status = read_indices(named.dtype, ids, named.count, named.n, part.ids);
  if (status.what) return status;
  for (int64_t k = 0; k < named.count; ++k) part.entries[k] = {part.ids[k], k};
  part.entries = sorted(part.entries, part.entries + named.count, named.count, named.n);
  for (int64_t k = 0; k < named.count; ++k) {
    if (k > 0 && part.entries[k].id == part.entries[k - 1].id) continue;
    part.ids[part.count] = part.entries[k].id;
    part.first[part.count++] = k;
  }
  part.first[part.count] = named.count;
  return {};
}

void SparseGradients::sum(const Part& part) {
  const NamedRows& named = rows_[part.i].named;
  const int64_t width = named.width;
  visit(rows_[part.i].dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    if constexpr (std::is_floating_point_v<T>) {
      const T* dy = static_cast<const T*>(address_[1 + part.i]);
      T* sums = reinterpret_cast<T*>(part.gradient);
      const double cost =
          kCost * static_cast<double>(width * named.count / std::max<int64_t>(part.count, 1)) + 5;
      parallel_for(part.count, grain_for(cost), [&](int64_t begin, int64_t end) {
        for (int64_t u = begin; u < end; ++u) {
          T* sum = sums + u * width;
          int64_t k = part.first[u];
          std::memcpy(sum, dy + part.entries[k].at * width, width * sizeof(T));
          while (++k < part.first[u + 1]) {
            const T* from = dy + part.entries[k].at * width;
            for (int64_t c = 0; c < width; ++c) sum[c] += from[c];
          }
        }
      });
    }
  });
}

Status SparseGradients::gather() {
  for (int j = 0; j < a_.id_lists; ++j) {
    const Status status = read(parts_[j], address_[1 + a_.count + j]);
    if (status.what) return status;
  }
  for (int j = 0; j < a_.id_lists; ++j) {
    const Part& part = parts_[j];
    Row& row = rows_[part.i];
    sum(part);
    address_[1 + part.i] = part.gradient;
    ids_[part.i] = part.ids;
    row.end = row.begin + part.count * row.named.width;
    if (!a_.rule->is_factored) continue;
    const size_t item = itemsize(row.dtype);
    const char* r = static_cast<char*>(address_[first_factor(a_) + part.i]);
    for (int64_t u = 0; u < part.count; ++u) std::memcpy(part.r + u * item, r + part.ids[u] * item, item);
    address_[first_factor(a_) + part.i] = part.r;
    address_[first_parameter(a_) + a_.count + part.i] = part.v;
    row.matrices.R = part.count;
  }
  int64_t element = 0, block = 0;
  for (int64_t i = 0; i < a_.count; ++i) {
    const int64_t size = rows_[i].end - rows_[i].begin;
    rows_[i].begin = element;
    rows_[i].end = element += size;
    rows_[i].block_begin = block;
    rows_[i].block_end = block += blocks_of(size);
  }
  return {};
}

void SparseGradients::scatter() {
  if (!a_.rule->is_factored) return;
  for (int j = 0; j < a_.id_lists; ++j) {
    const Part& part = parts_[j];
    const size_t item = itemsize(rows_[part.i].dtype);
    char* r = static_cast<char*>(operand_[first_factor(a_) + part.i]);
    for (int64_t u = 0; u < part.count; ++u) std::memcpy(r + part.ids[u] * item, part.r + u * item, item);
  }
}

}  // namespace lamina
