#include "plan/graph.h"

#include <algorithm>

#include "base/parallel.h"

namespace lamina {
namespace {

// Below this many items a run of launches stays in the nearest cache anyway.
constexpr int64_t kMinGroupItems = 4096;

struct Access {
  bool read = false, written = false;
};

// Which buffers a set of launches touches.
class Touched {
 public:
  explicit Touched(size_t buffers) : access_(buffers) {}
  void add(const GraphLaunch& l) {
    for (size_t i = 0; i < l.operands.size(); ++i) {
      Access& a = access_[l.operands[i].buffer];
      (i < l.num_reads ? a.read : a.written) = true;
    }
  }
  // Whether `l` and the set could not change places.
  bool conflicts(const GraphLaunch& l) const {
    for (size_t i = 0; i < l.operands.size(); ++i) {
      const Access& a = access_[l.operands[i].buffer];
      if (a.written || (i >= l.num_reads && a.read)) return true;
    }
    return false;
  }

 private:
  std::vector<Access> access_;
};

void erase_launches(Graph& graph, const std::vector<bool>& drop) {
  size_t at = 0;
  std::erase_if(graph.launches, [&](const GraphLaunch&) { return drop[at++]; });
}

}  // namespace

const char* role_name(Role role) {
  constexpr const char* kNames[] = {"input", "state", "constant", "kept", "output", "intermediate"};
  return kNames[static_cast<int>(role)];
}

size_t Graph::bytes_of(const GraphLaunch& l) const {
  size_t sum = 0;
  for (size_t i = 0; i < l.operands.size(); ++i) {
    const GraphOperand& o = l.operands[i];
    const auto first = l.operands.begin() + static_cast<ptrdiff_t>(i < l.num_reads ? 0 : l.num_reads);
    const auto here = l.operands.begin() + static_cast<ptrdiff_t>(i);
    const bool again = std::any_of(first, here, [&](const GraphOperand& other) {
      return other.buffer == o.buffer && other.byte_offset == o.byte_offset;
    });
    if (!again) sum += std::min(o.bytes, buffers[o.buffer].bytes);
  }
  return sum;
}

bool Graph::writes_state(const GraphLaunch& l) const {
  return std::any_of(l.operands.begin() + l.num_reads, l.operands.end(), [&](const GraphOperand& o) {
    return buffers[o.buffer].role == Role::state || buffers[o.buffer].role == Role::kept;
  });
}

void fold_constants(Graph& graph) {
  std::vector<int> writers(graph.buffers.size());
  for (const GraphLaunch& l : graph.launches) {
    for (size_t i = l.num_reads; i < l.operands.size(); ++i) ++writers[l.operands[i].buffer];
  }
  std::vector<bool> folded(graph.launches.size());
  for (size_t k = 0; k < graph.launches.size(); ++k) {
    const GraphLaunch& l = graph.launches[k];
    bool fold = true;
    for (size_t i = 0; i < l.operands.size(); ++i) {
      const GraphBuffer& b = graph.buffers[l.operands[i].buffer];
      const bool read = i < l.num_reads;
      fold = fold && (read ? b.role == Role::constant
                           : b.role == Role::intermediate && writers[l.operands[i].buffer] == 1);
    }
    if (!fold) continue;
    std::vector<void*> address;
    for (size_t i = 0; i < l.operands.size(); ++i) {
      GraphBuffer& b = graph.buffers[l.operands[i].buffer];
      if (i >= l.num_reads && b.role != Role::constant) {
        b.storage = StoragePtr::allocate(b.bytes);
        b.role = Role::constant;
      }
      address.push_back(static_cast<char*>(b.storage->data) + l.operands[i].byte_offset);
    }
    const StoragePtr scratch = StoragePtr::allocate(l.scratch_bytes);
    const DenormalGuard flush;
    check_status(l.op, l.run(l.args.data(), Buffers{address.data(), scratch->data}));
    folded[k] = true;
  }
  erase_launches(graph, folded);
}

void drop_dead_launches(Graph& graph) {
  std::vector<bool> needed(graph.buffers.size()), dead(graph.launches.size());
  for (size_t i = 0; i < needed.size(); ++i) needed[i] = graph.buffers[i].role != Role::intermediate;
  for (size_t k = graph.launches.size(); k-- > 0;) {
    const GraphLaunch& l = graph.launches[k];
    dead[k] = std::none_of(l.operands.begin() + l.num_reads, l.operands.end(),
                           [&](const GraphOperand& o) { return needed[o.buffer]; });
    if (dead[k]) continue;
    for (const GraphOperand& o : l.operands) needed[o.buffer] = true;
  }
  erase_launches(graph, dead);

  // What only they touched need not be held.
  std::vector<bool> used(graph.buffers.size());
  for (const GraphLaunch& l : graph.launches) {
    for (const GraphOperand& o : l.operands) used[o.buffer] = true;
  }
  for (size_t i = 0; i < used.size(); ++i) {
    GraphBuffer& b = graph.buffers[i];
    if (!used[i] && b.storage) b = {Role::intermediate, b.bytes, 0, {}};
  }
}

void defer_state_writes(Graph& graph) {
  Touched later(graph.buffers.size());  // by the launches that stay, from here on
  std::vector<bool> deferred(graph.launches.size());
  for (size_t k = graph.launches.size(); k-- > 0;) {
    const GraphLaunch& l = graph.launches[k];
    const bool only_state =
        std::all_of(l.operands.begin() + l.num_reads, l.operands.end(),
                    [&](const GraphOperand& o) { return graph.buffers[o.buffer].role == Role::state; });
    deferred[k] = only_state && !later.conflicts(l);
    if (!deferred[k]) later.add(l);
  }
  std::vector<GraphLaunch> order;
  order.reserve(graph.launches.size());
  for (const bool last : {false, true}) {
    for (size_t k = 0; k < deferred.size(); ++k) {
      if (deferred[k] == last) order.push_back(std::move(graph.launches[k]));
    }
  }
  graph.launches = std::move(order);
}

std::vector<uint32_t> group_itemwise(const Graph& graph) {
  // How the run so far touches a buffer: at one offset, item by item, or in some other way.
  struct Use {
    size_t run = 0;
    int64_t byte_offset = 0;
    size_t bytes = 0;
    bool itemwise = true, written = false;
  };
  std::vector<Use> uses(graph.buffers.size());
  std::vector<uint32_t> lengths;
  size_t run = 0;
  int64_t items = 0;
  bool state = false;
  const auto joins = [&](const GraphLaunch& l) {
    if (l.hints.items < kMinGroupItems || l.hints.items != items || graph.writes_state(l) != state)
      return false;
    for (size_t i = 0; i < l.operands.size(); ++i) {
      const GraphOperand& o = l.operands[i];
      const Use& u = uses[o.buffer];
      const bool writes = i >= l.num_reads;
      if (u.run != run || (!u.written && !writes)) continue;
      const bool same_items =
          u.itemwise && l.hints.is_unit(i) && u.byte_offset == o.byte_offset && u.bytes == o.bytes;
      if (!same_items) return false;
    }
    return true;
  };
  for (const GraphLaunch& l : graph.launches) {
    if (!lengths.empty() && joins(l)) {
      ++lengths.back();
    } else {
      lengths.push_back(1);
      ++run;
      items = l.hints.items;
      state = graph.writes_state(l);
    }
    for (size_t i = 0; i < l.operands.size(); ++i) {
      const GraphOperand& o = l.operands[i];
      Use& u = uses[o.buffer];
      const bool unit = l.hints.is_unit(i);
      if (u.run != run) {
        u = {run, o.byte_offset, o.bytes, unit, i >= l.num_reads};
        continue;
      }
      u.itemwise = u.itemwise && unit && u.byte_offset == o.byte_offset && u.bytes == o.bytes;
      u.written = u.written || i >= l.num_reads;
    }
  }
  return lengths;
}

}  // namespace lamina
