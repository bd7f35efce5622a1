#include "plan/placement.h"

#include <algorithm>
#include <numeric>

namespace lamina {
namespace {

constexpr uint32_t kNever = UINT32_MAX;

constexpr size_t align64(size_t n) { return (n + 63) & ~size_t{63}; }

// One buffer's life, in launches and in groups.
struct Life {
  uint32_t first_launch = kNever, last_launch = 0;
  uint32_t first_group = 0, last_group = 0;
  bool itemwise_in_last = true;  // every access of its last group is item by item from its start
};

// Buffers that share an address form a set with one representative.
class Sets {
 public:
  explicit Sets(size_t n) : parent_(n) { std::iota(parent_.begin(), parent_.end(), 0u); }
  uint32_t find(uint32_t i) {
    while (parent_[i] != i) i = parent_[i] = parent_[parent_[i]];
    return i;
  }
  void join(uint32_t child, uint32_t parent) { parent_[find(child)] = find(parent); }

 private:
  std::vector<uint32_t> parent_;
};

std::vector<Life> lives(const Graph& graph, const std::vector<uint32_t>& group_of) {
  std::vector<Life> lives(graph.buffers.size());
  for (uint32_t k = 0; k < graph.launches.size(); ++k) {
    const GraphLaunch& l = graph.launches[k];
    for (size_t i = 0; i < l.operands.size(); ++i) {
      const GraphOperand& o = l.operands[i];
      Life& life = lives[o.buffer];
      const bool item_by_item =
          l.hints.is_unit(i) && o.byte_offset == 0 && o.bytes == graph.buffers[o.buffer].bytes;
      if (life.first_launch == kNever) {
        life.first_launch = k;
        life.first_group = group_of[k];
      }
      life.itemwise_in_last = (life.itemwise_in_last || life.last_group != group_of[k]) && item_by_item;
      life.last_launch = k;
      life.last_group = group_of[k];
    }
  }
  return lives;
}

}  // namespace

size_t place(std::vector<Block>& blocks) {
  std::vector<uint32_t> order(blocks.size()), placed;
  std::iota(order.begin(), order.end(), 0u);
  std::stable_sort(order.begin(), order.end(),
                   [&](uint32_t a, uint32_t b) { return blocks[a].bytes > blocks[b].bytes; });
  size_t total = 0;
  for (const uint32_t i : order) {
    Block& b = blocks[i];
    const size_t bytes = align64(b.bytes);
    size_t free_from = 0, best = SIZE_MAX, best_gap = SIZE_MAX;
    for (const uint32_t j : placed) {  // in rising order of offset
      const Block& p = blocks[j];
      if (p.last < b.first || b.last < p.first) continue;
      if (p.offset > free_from) {
        const size_t gap = p.offset - free_from;
        if (gap >= bytes && gap < best_gap) best = free_from, best_gap = gap;
      }
      free_from = std::max(free_from, p.offset + align64(p.bytes));
    }
    b.offset = best_gap == SIZE_MAX ? free_from : best;
    total = std::max(total, b.offset + bytes);
    const auto at = std::upper_bound(placed.begin(), placed.end(), i, [&](uint32_t a, uint32_t c) {
      return blocks[a].offset < blocks[c].offset;
    });
    placed.insert(at, i);
  }
  return total;
}

Placement place_intermediates(const Graph& graph, const std::vector<uint32_t>& groups) {
  std::vector<uint32_t> group_of;
  for (uint32_t g = 0; g < groups.size(); ++g) group_of.insert(group_of.end(), groups[g], g);
  std::vector<Life> life = lives(graph, group_of);
  Sets sets(graph.buffers.size());
  const auto movable = [&](uint32_t b) { return graph.buffers[b].role == Role::intermediate; };

  for (uint32_t k = 0; k < graph.launches.size(); ++k) {
    const GraphLaunch& l = graph.launches[k];
    if (l.hints.items == 0 || l.operands.size() != l.num_reads + 1) continue;
    const GraphOperand& w = l.operands.back();
    if (!movable(w.buffer) || life[w.buffer].first_launch != k || w.byte_offset != 0) continue;
    if (w.bytes != graph.buffers[w.buffer].bytes) continue;
    for (size_t i = 0; i < l.num_reads; ++i) {
      const uint32_t r = l.operands[i].buffer;
      const Life& from = life[r];
      if (!movable(r) || r == w.buffer || from.last_launch != k || !from.itemwise_in_last) continue;
      if (l.operands[i].bytes != w.bytes || graph.buffers[r].bytes != graph.buffers[w.buffer].bytes) continue;
      sets.join(w.buffer, r);
      break;
    }
  }

  Placement result;
  std::vector<uint32_t> block_of(graph.buffers.size(), kNever);
  for (uint32_t b = 0; b < graph.buffers.size(); ++b) {
    if (!movable(b) || life[b].first_launch == kNever) continue;
    uint32_t& block = block_of[sets.find(b)];
    if (block == kNever) {
      block = static_cast<uint32_t>(result.blocks.size());
      result.blocks.push_back({graph.buffers[b].bytes, life[b].first_group, life[b].last_group});
    }
    Block& set = result.blocks[block];
    set.first = std::min(set.first, life[b].first_group);
    set.last = std::max(set.last, life[b].last_group);
  }
  std::vector<uint32_t> scratch_block(graph.launches.size(), kNever);
  for (uint32_t k = 0; k < graph.launches.size(); ++k) {
    if (graph.launches[k].scratch_bytes == 0) continue;
    scratch_block[k] = static_cast<uint32_t>(result.blocks.size());
    result.blocks.push_back({graph.launches[k].scratch_bytes, group_of[k], group_of[k]});
  }
  result.arena_bytes = place(result.blocks);
  for (uint32_t b = 0; b < graph.buffers.size(); ++b) {
    const uint32_t block = movable(b) ? block_of[sets.find(b)] : kNever;
    result.buffer_offset.push_back(block == kNever ? 0 : result.blocks[block].offset);
  }
  for (const uint32_t block : scratch_block) {
    result.scratch_offset.push_back(block == kNever ? 0 : result.blocks[block].offset);
  }
  return result;
}

}  // namespace lamina
