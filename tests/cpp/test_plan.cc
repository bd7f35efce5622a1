// Passes over graphs that no Python program makes: many operands, odd hints, and blocks of any size and life.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "plan/graph.h"
#include "plan/placement.h"

namespace lamina {
namespace {

constexpr int64_t kItems = 8192;
constexpr size_t kBytes = kItems * sizeof(float);

Status run_nothing(const void*, Buffers) { return {}; }

uint32_t add_buffer(Graph& graph, Role role = Role::intermediate, size_t bytes = kBytes) {
  graph.buffers.push_back({role, bytes, 0, {}});
  return static_cast<uint32_t>(graph.buffers.size() - 1);
}

// A launch over whole buffers, itemwise unless `items` is 0; `strided` operands are not walked item by item.
GraphLaunch& add_launch(Graph& graph, std::vector<uint32_t> reads, std::vector<uint32_t> writes,
                        int64_t items = kItems, uint64_t strided = 0) {
  GraphLaunch l{"test", 0, run_nothing, {}, {}, reads.size(), 0, {}, 0};
  for (const auto* list : {&reads, &writes}) {
    for (const uint32_t b : *list) l.operands.push_back({b, 0, graph.buffers[b].bytes});
  }
  l.hints.items = items;
  l.hints.unit = items > 0 ? ~strided : 0;
  graph.launches.push_back(std::move(l));
  return graph.launches.back();
}

using Lengths = std::vector<uint32_t>;

TEST(Place, BlocksThatLiveTogetherLieApart) {
  std::mt19937 rng(7);
  const auto draw = [&](uint32_t n) { return static_cast<uint32_t>(rng() % n); };
  for (int round = 0; round < 300; ++round) {
    const uint32_t steps = 1 + draw(30);
    std::vector<Block> blocks;
    for (uint32_t i = 1 + draw(60); i > 0; --i) {
      const uint32_t a = draw(steps), b = draw(steps);
      const size_t bytes = draw(8) == 0 ? 0 : size_t{1} << draw(20) | draw(5000);
      blocks.push_back({bytes, std::min(a, b), std::max(a, b)});
    }
    const size_t total = place(blocks);
    size_t sum = 0, least = 0;
    for (uint32_t step = 0; step < steps; ++step) {
      size_t now = 0;
      for (const Block& b : blocks) now += b.first <= step && step <= b.last ? (b.bytes + 63) / 64 * 64 : 0;
      least = std::max(least, now);
    }
    for (size_t i = 0; i < blocks.size(); ++i) {
      const Block& a = blocks[i];
      sum += (a.bytes + 63) / 64 * 64;
      ASSERT_EQ(a.offset % 64, 0u);
      ASSERT_LE(a.offset + a.bytes, total);
      for (size_t j = 0; j < i; ++j) {
        const Block& b = blocks[j];
        if (a.last < b.first || b.last < a.first) continue;
        ASSERT_TRUE(a.offset + a.bytes <= b.offset || b.offset + b.bytes <= a.offset || !a.bytes || !b.bytes);
      }
    }
    ASSERT_LE(least, total);
    ASSERT_LE(total, sum);
  }
}

TEST(Place, TakesTheTightestGap) {
  std::vector<Block> blocks{{640, 0, 9}, {320, 0, 3}, {256, 0, 9}, {192, 0, 3}, {128, 0, 9}, {100, 4, 9}};
  EXPECT_EQ(place(blocks), 640u + 320 + 256 + 192 + 128);
  EXPECT_EQ(blocks[5].offset, blocks[3].offset);
}

TEST(GroupItemwise, RunsOfOneLength) {
  Graph graph;
  const uint32_t x = add_buffer(graph, Role::input), a = add_buffer(graph), b = add_buffer(graph),
                 c = add_buffer(graph, Role::intermediate, kBytes / 2);
  add_launch(graph, {x}, {a});
  add_launch(graph, {a, x}, {b});
  add_launch(graph, {x}, {c}, kItems / 2, 1);  // every other item
  add_launch(graph, {b}, {a}, 0);
  EXPECT_EQ(group_itemwise(graph), (Lengths{2, 1, 1}));
}

TEST(GroupItemwise, ReadsOfTheGroupsOwnResultsMustBeItemByItem) {
  Graph graph;
  const uint32_t x = add_buffer(graph, Role::input), a = add_buffer(graph), b = add_buffer(graph);
  add_launch(graph, {x}, {a}, kItems, 1);  // x backwards, say
  add_launch(graph, {a, a}, {b}, kItems, 2);
  EXPECT_EQ(group_itemwise(graph), (Lengths{1, 1}));
  graph.launches[1].hints.unit = ~uint64_t{0};
  EXPECT_EQ(group_itemwise(graph), (Lengths{2}));
  graph.launches[1].operands[0].byte_offset = 4;
  EXPECT_EQ(group_itemwise(graph), (Lengths{1, 1}));
}

TEST(GroupItemwise, AWriteOverWhatTheGroupReadAnotherWayEndsIt) {
  Graph graph;
  const uint32_t x = add_buffer(graph, Role::input), v = add_buffer(graph), a = add_buffer(graph);
  add_launch(graph, {v}, {a}, kItems, 1);
  add_launch(graph, {x}, {v});
  EXPECT_EQ(group_itemwise(graph), (Lengths{1, 1}));
  graph.launches[0].hints.unit = ~uint64_t{0};
  EXPECT_EQ(group_itemwise(graph), (Lengths{2}));
}

TEST(GroupItemwise, StateIsWrittenInGroupsOfItsOwn) {
  Graph graph;
  const uint32_t x = add_buffer(graph, Role::input), a = add_buffer(graph),
                 v = add_buffer(graph, Role::state), k = add_buffer(graph, Role::kept);
  add_launch(graph, {x}, {a});
  add_launch(graph, {a}, {v});
  add_launch(graph, {a}, {k});
  EXPECT_EQ(group_itemwise(graph), (Lengths{1, 2}));
}

// Hints name 64 operands; those beyond are never walked item by item.
TEST(Hints, OperandsBeyondTheMask) {
  Graph graph;
  const uint32_t x = add_buffer(graph, Role::input), a = add_buffer(graph), b = add_buffer(graph);
  add_launch(graph, {x}, {a});
  std::vector<uint32_t> reads(70, x);
  reads.back() = a;
  add_launch(graph, reads, {b});
  EXPECT_EQ(group_itemwise(graph), (Lengths{1, 1}));
  const Placement placed = place_intermediates(graph, group_itemwise(graph));
  EXPECT_NE(placed.buffer_offset[a], placed.buffer_offset[b]);
}

TEST(PlaceIntermediates, AResultTakesThePlaceOfWhatDies) {
  Graph graph;
  const uint32_t x = add_buffer(graph, Role::input), a = add_buffer(graph), b = add_buffer(graph),
                 c = add_buffer(graph), y = add_buffer(graph, Role::output);
  add_launch(graph, {x}, {a});
  add_launch(graph, {a, x}, {b});
  add_launch(graph, {b}, {c});
  add_launch(graph, {c, b}, {y});
  const Lengths groups = group_itemwise(graph);
  EXPECT_EQ(groups, (Lengths{4}));
  const Placement placed = place_intermediates(graph, groups);
  EXPECT_EQ(placed.buffer_offset[a], placed.buffer_offset[b]);
  EXPECT_NE(placed.buffer_offset[b], placed.buffer_offset[c]);
  EXPECT_EQ(placed.arena_bytes, 2 * kBytes);
}

TEST(PlaceIntermediates, NotWhereTheGroupReadsItAnotherWay) {
  Graph graph;
  const uint32_t x = add_buffer(graph, Role::input), a = add_buffer(graph), b = add_buffer(graph),
                 c = add_buffer(graph), y = add_buffer(graph, Role::output);
  add_launch(graph, {x}, {a}, 0);
  add_launch(graph, {a, x}, {b}, kItems, 1);  // a backwards, in the group in which a dies
  add_launch(graph, {a}, {c});
  add_launch(graph, {b, c}, {y});
  const Lengths groups = group_itemwise(graph);
  EXPECT_EQ(groups, (Lengths{1, 3}));
  const Placement placed = place_intermediates(graph, groups);
  EXPECT_NE(placed.buffer_offset[a], placed.buffer_offset[b]);
  EXPECT_NE(placed.buffer_offset[a], placed.buffer_offset[c]);
}

// y = ... by a launch that may add, z = y + r.
struct SumGraph {
  Graph graph;
  uint32_t x = add_buffer(graph, Role::input), r = add_buffer(graph, Role::state), y = add_buffer(graph), z;

  explicit SumGraph(Role of_z) : z(add_buffer(graph, of_z)) {
    add_launch(graph, {x}, {y}, 0).hints.add_residual = [](void* args) { *static_cast<int*>(args) += 1; };
    graph.launches[0].args.resize(1);
  }
  int added() {
    add_launch(graph, {r, y}, {z}).hints.is_sum = true;
    fuse_sums(graph);
    return *reinterpret_cast<int*>(graph.launches[0].args.data());
  }
};

TEST(FuseSums, TheOtherOperandComesAfterAllReads) {
  SumGraph s(Role::output);
  EXPECT_EQ(s.added(), 1);
  ASSERT_EQ(s.graph.launches.size(), 1u);
  const GraphLaunch& l = s.graph.launches[0];
  ASSERT_EQ(l.num_reads, 2u);
  EXPECT_EQ(l.operands[1].buffer, s.r);
  EXPECT_EQ(l.operands[2].buffer, s.z);
}

TEST(FuseSums, NotWhereItWouldReadOrWriteTooEarly) {
  SumGraph kept(Role::kept), written(Role::output), used(Role::output), read(Role::output),
      part(Role::output);
  add_launch(written.graph, {written.x}, {written.r});
  add_launch(used.graph, {used.z}, {add_buffer(used.graph)});
  add_launch(read.graph, {read.y}, {add_buffer(read.graph)});
  part.graph.launches[0].operands[1].bytes /= 2;
  for (SumGraph* s : {&kept, &written, &used, &read, &part}) {
    const size_t launches = s->graph.launches.size();
    EXPECT_EQ(s->added(), 0);
    EXPECT_EQ(s->graph.launches.size(), launches + 1);
  }
}

TEST(DeferStateWrites, NotPastReadsOfTheSameState) {
  Graph graph;
  const uint32_t x = add_buffer(graph, Role::input), v = add_buffer(graph, Role::state),
                 w = add_buffer(graph, Role::state), y = add_buffer(graph, Role::output);
  add_launch(graph, {x}, {v}).op = "v";
  add_launch(graph, {x}, {w}).op = "w";
  add_launch(graph, {v}, {y}).op = "y";
  add_launch(graph, {y}, {v}).op = "v again";
  defer_state_writes(graph);
  std::vector<std::string> order;
  for (const GraphLaunch& l : graph.launches) order.emplace_back(l.op);
  EXPECT_EQ(order, (std::vector<std::string>{"v", "y", "w", "v again"}));
}

}  // namespace
}  // namespace lamina
