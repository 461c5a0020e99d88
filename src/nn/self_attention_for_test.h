// A multi-head attention with random weights and random sequences for it, for tests and the judge.
#pragma once

#include <utility>
#include <vector>

#include "nn/attention_for_test.h"
#include "nn/self_attention.h"

namespace heed::nn {

struct MultiHeadCase {
  MultiHeadShape shape;
  MultiHeadAttention layer;
  Matrix queries, memory;
  std::vector<uint32_t> query_offsets = {0}, memory_offsets = {0};
  std::vector<uint8_t> excluded;
  std::vector<double> query_times, memory_times;
  bool self = false;  // the memory is the queries themselves

  // lengths: (queries, memory rows) of each sequence.
  MultiHeadCase(const MultiHeadShape& multi_head_shape,
                const std::vector<std::pair<uint32_t, uint32_t>>& lengths, Random& random)
      : shape(multi_head_shape), layer("layer", multi_head_shape, random) {
    for (const auto& [L, M] : lengths) {
      query_offsets.push_back(query_offsets.back() + L);
      memory_offsets.push_back(memory_offsets.back() + M);
    }
    queries.Resize(query_offsets.back(), shape.query_width);
    memory.Resize(memory_offsets.back(), shape.memory_width);
    FillNormal(&queries, random, 0.5);
    FillNormal(&memory, random, 0.5);
    query_times = Times(query_offsets, random);
    memory_times = Times(memory_offsets, random);
    for (Linear* linear : {&layer.query, &layer.value, &layer.out}) {
      FillNormal(&linear->bias.value, random, 0.5);
    }
    for (Parameter* p : {&layer.position, &layer.interval, &layer.null_score}) {
      FillNormal(&p->value, random, 0.5);
    }
    for (size_t h = 0; h < layer.decay.value.size(); ++h) {
      layer.decay.value.data()[h] = static_cast<float>(random.Uniform());
    }
    for (Parameter* p : layer.Parameters()) p->grad.Fill(0.0f);
  }
  // Attention of each sequence to itself.
  MultiHeadCase(const MultiHeadShape& multi_head_shape, const std::vector<uint32_t>& lengths,
                Random& random)
      : MultiHeadCase(multi_head_shape, Twice(lengths), random) {
    self = true;
  }

  MultiHeadInput Input() const {
    return {.queries = queries.view(),
            .memory = self ? queries.view() : memory.view(),
            .query_offsets = query_offsets,
            .memory_offsets = memory_offsets,
            .excluded = excluded,
            .query_times = query_times,
            .memory_times = self ? query_times : memory_times};
  }
  size_t out_width() const { return shape.out_width > 0 ? shape.out_width : shape.width; }
  size_t sequences() const { return query_offsets.size() - 1; }
  size_t L(size_t r) const { return query_offsets[r + 1] - query_offsets[r]; }
  size_t M(size_t r) const { return memory_offsets[r + 1] - memory_offsets[r]; }

 private:
  static std::vector<std::pair<uint32_t, uint32_t>> Twice(const std::vector<uint32_t>& lengths) {
    std::vector<std::pair<uint32_t, uint32_t>> pairs;
    pairs.reserve(lengths.size());
    for (const uint32_t n : lengths) pairs.emplace_back(n, n);
    return pairs;
  }
  static std::vector<double> Times(const std::vector<uint32_t>& offsets, Random& random) {
    std::vector<double> times;
    for (size_t i = 0; i < offsets.back(); ++i) times.push_back(random.Exponential(1e4));
    return times;
  }
};

struct MultiHeadAnswer {
  MultiHeadTape tape;
  Matrix y;

  explicit MultiHeadAnswer(const MultiHeadCase& c) : y(c.queries.rows(), c.out_width()) {
    c.layer.Forward(c.Input(), nullptr, &tape, y.view());
  }
  // Head h's weights of query i of sequence r: the memory rows, then the null slot.
  const float* Weights(const MultiHeadCase& c, size_t r, size_t h, size_t i) const {
    return tape.weights.data() + tape.starts[r] + (h * c.L(r) + i) * (c.M(r) + 1);
  }
};

// Runs the layer back from d_y; the memory's gradient is added to d_queries when it is the queries.
inline void MultiHeadBackward(MultiHeadCase* c, MultiHeadAnswer* answer, ConstMat d_y,
                              Matrix* d_queries, Matrix* d_memory) {
  d_queries->Resize(c->queries.rows(), c->queries.cols());
  d_memory->Resize(c->memory.rows(), c->memory.cols());
  d_queries->Fill(0.0f);
  d_memory->Fill(0.0f);
  c->layer.Backward(c->Input(), &answer->tape, d_y, d_queries->view(),
                    c->self ? d_queries->view() : d_memory->view());
}

}  // namespace heed::nn
