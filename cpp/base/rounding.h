// Whole numbers of blocks.
#pragma once

#include <cstddef>
#include <cstdint>

namespace lamina {

// a / b rounded up, b > 0, any a.
constexpr int64_t ceil_div(int64_t a, int64_t b) { return a > 0 ? (a - 1) / b + 1 : a / b; }
// The next multiple of b.
constexpr int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }
// Bytes up to the next cache line.
constexpr size_t align64(size_t n) { return (n + 63) & ~size_t{63}; }

}  // namespace lamina
