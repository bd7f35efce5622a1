// Where intermediates and scratch blocks lie in a plan's arena.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "plan/graph.h"

namespace lamina {

// Bytes that are needed from step `first` to step `last`, both included.
struct Block {
  size_t bytes;
  uint32_t first, last;
  size_t offset = 0;  // the answer, a multiple of 64
};

// Gives every block an offset so that blocks needed at the same time do not overlap; returns the arena's
// size. Largest first, each into the tightest gap (greedy by size: Pisarchyk & Lee 2020, arXiv:2001.03288).
size_t place(std::vector<Block>& blocks);

struct Placement {
  size_t arena_bytes = 0;
  std::vector<size_t> buffer_offset;   // of each intermediate, by buffer
  std::vector<size_t> scratch_offset;  // by launch
  std::vector<Block> blocks;           // what was placed, for the picture
};

// Lifetimes run from the first to the last group of launches that touches a buffer. An itemwise result takes
// the place of an operand that dies in its launch.
Placement place_intermediates(const Graph& graph, const std::vector<uint32_t>& groups);

}  // namespace lamina
