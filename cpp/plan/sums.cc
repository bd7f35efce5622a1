#include <algorithm>

#include "plan/graph.h"

namespace lamina {
namespace {

struct Users {
  size_t reads = 0, writes = 0, writer = 0;  // writer: the last launch that writes
};

std::vector<Users> users_of(const Graph& graph) {
  std::vector<Users> users(graph.buffers.size());
  for (size_t k = 0; k < graph.launches.size(); ++k) {
    const GraphLaunch& l = graph.launches[k];
    for (size_t i = 0; i < l.operands.size(); ++i) {
      Users& u = users[l.operands[i].buffer];
      ++(i < l.num_reads ? u.reads : u.writes);
      if (i >= l.num_reads) u.writer = k;
    }
  }
  return users;
}

bool same_place(const GraphOperand& a, const GraphOperand& b) {
  return a.buffer == b.buffer && a.byte_offset == b.byte_offset && a.bytes == b.bytes;
}

// Whether a launch of [first, last) writes r's buffer, or touches z's at all.
bool disturbed(const Graph& graph, size_t first, size_t last, uint32_t r, uint32_t z) {
  for (size_t k = first; k < last; ++k) {
    const GraphLaunch& l = graph.launches[k];
    for (size_t i = 0; i < l.operands.size(); ++i) {
      const uint32_t b = l.operands[i].buffer;
      if (b == z || (b == r && i >= l.num_reads)) return true;
    }
  }
  return false;
}

}  // namespace

void fuse_sums(Graph& graph) {
  std::vector<Users> users = users_of(graph);
  std::vector<bool> fused(graph.launches.size());
  for (size_t k = 0; k < graph.launches.size(); ++k) {
    const GraphLaunch& sum = graph.launches[k];
    if (!sum.hints.is_sum) continue;
    const GraphOperand z = sum.operands[2];
    // What has left the plan, a kept result, is not written any earlier.
    const Role role = graph.buffers[z.buffer].role;
    if (role != Role::intermediate && role != Role::output) continue;
    for (const size_t i : {0, 1}) {
      const GraphOperand y = sum.operands[i], r = sum.operands[1 - i];
      const Users& u = users[y.buffer];
      if (graph.buffers[y.buffer].role != Role::intermediate || u.reads != 1 || u.writes != 1) continue;
      GraphLaunch& l = graph.launches[u.writer];
      if (!l.hints.add_residual || !same_place(l.operands[l.num_reads], y)) continue;
      if (r.bytes != y.bytes || disturbed(graph, u.writer, k, r.buffer, z.buffer)) continue;
      l.hints.add_residual(l.args.data());
      l.hints.add_residual = nullptr;
      if (l.hints.flops >= 0) l.hints.flops += sum.flops();
      l.operands[l.num_reads] = z;
      l.operands.insert(l.operands.begin() + static_cast<ptrdiff_t>(l.num_reads++), r);
      users[z.buffer].writer = u.writer;
      fused[k] = true;
      break;
    }
  }
  size_t at = 0;
  std::erase_if(graph.launches, [&](const GraphLaunch&) { return fused[at++]; });
}

}  // namespace lamina
