// Gradients that are rows of their parameters: made ready for a step on the named rows alone.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ops/optimizer_launch.h"

namespace lamina {

struct Bump;

class SparseGradients {
 public:
  SparseGradients(const StepArgs& a, Buffers b);

  // Sums the rows of equal ids, in their order, into gradients of distinct rows; gathers what factored.h
  // keeps for each row. Writes no operand; reports an id out of range.
  Status gather();
  // Puts back what was gathered.
  void scatter();

  // The launch as the step sees it: rows_of, with the sizes of the gradients at hand, and its buffers.
  const Row* rows() const { return rows_; }
  Buffers buffers() const { return {address_, rest_}; }
  // [i]: the rows that the i-th gradient's rows belong to, rising.
  const int64_t* const* ids() const { return ids_; }

 private:
  struct Entry {
    int64_t id, at;
  };
  // The i-th parameter: row u of its gradient sums those of entries [first[u], first[u + 1]).
  struct Part {
    int64_t i, count, *ids, *first;
    Entry* entries;
    char *gradient, *v, *r;
  };
  friend size_t sparse_scratch(const StepArgs& a, const Row* rows);
  static Part take_part(const StepArgs& a, const Row& row, int64_t i, Bump& bump);
  static Entry* sorted(Entry* entries, Entry* spare, int64_t count, int64_t n);
  Status read(Part& part, const void* ids);
  void sum(const Part& part);

  const StepArgs& a_;
  void* const* operand_;  // the launch's addresses
  void** address_;        // the step's
  Row* rows_;
  const int64_t** ids_;
  Part* parts_;
  void* rest_;  // the scratch of the step itself
};

// Bytes of scratch; rows: the launch's, before it runs.
size_t sparse_scratch(const StepArgs& a, const Row* rows);

}  // namespace lamina
