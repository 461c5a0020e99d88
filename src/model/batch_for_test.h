// Small random batches for tests, benchmarks and the PyTorch judge.
#pragma once

#include <cmath>
#include <limits>
#include <string>

#include "base/random.h"
#include "model/batch.h"
#include "model/ranker.h"

namespace heed::model {

// Every kind of input once or twice: shared tables, both sides, two sequences of unlike tokens.
inline RankerConfig SmallConfig() {
  RankerConfig config;
  config.schema.fields = {{"user", "user", Side::kRequest},
                          {"item", "item", Side::kCandidate},
                          {"hour", "hour", Side::kRequest},
                          {"host", "host", Side::kCandidate}};
  config.schema.numerics = {
      {"price", Side::kCandidate}, {"activity", Side::kRequest}, {"stock", Side::kCandidate}};
  config.schema.sequences = {{"views", {"item", "host", "feedback"}, {"item", "host"}, 12},
                             {"orders", {"item"}, {"item"}, 5}};
  config.schema.tasks = {{"click", 1.0f, 1.0f}, {"order", 0.5f, 3.0f}};
  config.embedding_width = 4;
  config.attention_heads = 2;
  config.attention_width = 6;
  config.hidden = {8, 5};
  config.init_deviation = 0.5f;
  return config;
}

struct BatchSize {
  uint32_t requests = 4;
  uint32_t per_request = 1;  // candidates
  uint64_t keys = 20;        // distinct keys of a column; one in ten is absent
  bool labels = true;
  bool full_histories = false;  // always max_length tokens
};

inline Batch RandomBatch(const Schema& schema, const BatchSize& size, Random& random) {
  Batch batch;
  batch.Clear(schema);
  batch.requests = size.requests;
  batch.candidates = size.requests * size.per_request;
  for (uint32_t n = 0; n < batch.candidates; ++n) batch.request_of.push_back(n / size.per_request);
  const auto key = [&] { return random.Chance(0.1) ? 0 : 1 + random.Below(size.keys); };
  const auto number = [&] {
    return random.Chance(0.1) ? std::numeric_limits<float>::quiet_NaN()
                              : static_cast<float>(random.Normal());
  };
  const auto fill = [](auto* out, size_t count, auto draw) {
    for (size_t i = 0; i < count; ++i) out->push_back(draw());
  };
  fill(&batch.request_keys, batch.requests * schema.FieldsOf(Side::kRequest).size(), key);
  fill(&batch.candidate_keys, batch.candidates * schema.FieldsOf(Side::kCandidate).size(), key);
  fill(&batch.request_numerics, batch.requests * schema.NumericsOf(Side::kRequest).size(), number);
  fill(&batch.candidate_numerics, batch.candidates * schema.NumericsOf(Side::kCandidate).size(),
       number);
  for (size_t s = 0; s < schema.sequences.size(); ++s) {
    const SequenceSpec& spec = schema.sequences[s];
    SequenceBatch& sequence = batch.sequences[s];
    for (uint32_t r = 0; r < batch.requests; ++r) {
      const uint64_t length =
          size.full_histories ? spec.max_length : random.Below(spec.max_length + 1);
      fill(&sequence.keys, length * spec.tables.size(), key);
      fill(&sequence.age_s, length,
           [&] { return static_cast<float>(random.Exponential(86400.0)); });
      sequence.offsets.push_back(static_cast<uint32_t>(sequence.age_s.size()));
    }
  }
  if (size.labels) {
    fill(&batch.labels, batch.candidates * schema.tasks.size(), [&] {
      return random.Chance(0.1) ? std::numeric_limits<float>::quiet_NaN()
                                : static_cast<float>(random.Chance(0.4));
    });
    const size_t T = schema.tasks.size();
    for (size_t i = 0; i < batch.labels.size(); ++i) {
      const TaskSpec& task = schema.tasks[i % T];
      if (task.kind == TaskKind::kBinary || std::isnan(batch.labels[i])) continue;
      batch.labels[i] = static_cast<float>(random.Uniform(0.0, 4.0)) * task.huber_delta;
    }
    fill(&batch.weights, batch.candidates, [&] { return static_cast<float>(random.Uniform()); });
  }
  return batch;
}

}  // namespace heed::model
