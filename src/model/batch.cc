#include "model/batch.h"

#include <algorithm>
#include <cmath>

namespace heed::model {
namespace {

Status CheckSize(size_t have, size_t want, const char* array) {
  if (have == want) return {};
  return InvalidArgument(std::string(array) + ": " + std::to_string(have) + " values where " +
                             std::to_string(want) + " belong",
                         array);
}

template <typename Good>
Status CheckValues(const std::vector<float>& values, const char* array, const char* want,
                   Good good) {
  for (size_t i = 0; i < values.size(); ++i) {
    if (!good(values[i])) {
      return InvalidArgument(std::string(array) + "[" + std::to_string(i) +
                                 "]: " + std::to_string(values[i]) + " where " + want + " belongs",
                             array);
    }
  }
  return {};
}

bool Finite(float v) { return std::isfinite(v); }

Status CheckSequence(const SequenceBatch& batch, const SequenceSpec& spec, size_t requests) {
  HEED_RETURN_IF_ERROR(CheckSize(batch.offsets.size(), requests + 1, "offsets"));
  if (batch.offsets[0] != 0) return InvalidArgument("offsets do not start at 0", "offsets");
  for (size_t r = 0; r < requests; ++r) {
    if (batch.offsets[r + 1] < batch.offsets[r]) {
      return InvalidArgument("offsets fall at request " + std::to_string(r), "offsets");
    }
    if (batch.offsets[r + 1] - batch.offsets[r] > spec.max_length) {
      return InvalidArgument("history of request " + std::to_string(r) + " is longer than " +
                                 std::to_string(spec.max_length),
                             "offsets");
    }
  }
  const size_t tokens = batch.offsets[requests];
  HEED_RETURN_IF_ERROR(CheckSize(batch.keys.size(), tokens * spec.tables.size(), "keys"));
  HEED_RETURN_IF_ERROR(CheckSize(batch.age_s.size(), tokens, "age_s"));
  return CheckValues(batch.age_s, "age_s", "a number of seconds, 0 or more,",
                     [](float v) { return Finite(v) && v >= 0.0f; });
}

}  // namespace

void Batch::Clear(const Schema& schema) {
  requests = 0;
  candidates = 0;
  request_of.clear();
  request_keys.clear();
  candidate_keys.clear();
  request_numerics.clear();
  candidate_numerics.clear();
  sequences.resize(schema.sequences.size());
  for (SequenceBatch& sequence : sequences) {
    sequence.offsets.assign(1, 0);
    sequence.keys.clear();
    sequence.age_s.clear();
  }
  labels.clear();
  weights.clear();
}

Status Batch::Validate(const Schema& schema) const {
  const auto count = [](const auto& specs, Side side) {
    return static_cast<size_t>(std::count_if(specs.begin(), specs.end(),
                                             [&](const auto& spec) { return spec.side == side; }));
  };
  const size_t R = requests, N = candidates, T = schema.tasks.size();
  HEED_RETURN_IF_ERROR(CheckSize(request_of.size(), N, "request_of"));
  for (size_t n = 0; n < N; ++n) {
    if (request_of[n] >= R || (n > 0 && request_of[n] < request_of[n - 1])) {
      return InvalidArgument("request_of[" + std::to_string(n) + "] is not a request, or falls",
                             "request_of");
    }
  }
  HEED_RETURN_IF_ERROR(
      CheckSize(request_keys.size(), R * count(schema.fields, Side::kRequest), "request_keys"));
  HEED_RETURN_IF_ERROR(CheckSize(candidate_keys.size(), N * count(schema.fields, Side::kCandidate),
                                 "candidate_keys"));
  HEED_RETURN_IF_ERROR(CheckSize(request_numerics.size(),
                                 R * count(schema.numerics, Side::kRequest), "request_numerics"));
  HEED_RETURN_IF_ERROR(CheckSize(candidate_numerics.size(),
                                 N * count(schema.numerics, Side::kCandidate),
                                 "candidate_numerics"));
  const auto number_or_absent = [](float v) { return !std::isinf(v); };
  HEED_RETURN_IF_ERROR(
      CheckValues(request_numerics, "request_numerics", "a number or NaN", number_or_absent));
  HEED_RETURN_IF_ERROR(
      CheckValues(candidate_numerics, "candidate_numerics", "a number or NaN", number_or_absent));
  HEED_RETURN_IF_ERROR(CheckSize(sequences.size(), schema.sequences.size(), "sequences"));
  for (size_t s = 0; s < sequences.size(); ++s) {
    if (Status status = CheckSequence(sequences[s], schema.sequences[s], R); !status.ok()) {
      return status.Within("sequence " + schema.sequences[s].name + ": ");
    }
  }
  if (!labels.empty()) {
    HEED_RETURN_IF_ERROR(CheckSize(labels.size(), N * T, "labels"));
    const auto fits = [](const TaskSpec& task, float v) {
      if (task.kind == TaskKind::kValue) return std::isnan(v) || (Finite(v) && v >= 0.0f);
      return std::isnan(v) || v == 0.0f || v == 1.0f;
    };
    for (size_t i = 0; i < labels.size(); ++i) {
      if (fits(schema.tasks[i % T], labels[i])) continue;
      return InvalidArgument("labels[" + std::to_string(i) + "]: " + std::to_string(labels[i]) +
                                 " where 0, 1 or NaN belongs, or, of a value, a number, 0 or more",
                             "labels");
    }
  }
  if (!weights.empty()) {
    HEED_RETURN_IF_ERROR(CheckSize(weights.size(), weights.size() == N * T ? N * T : N, "weights"));
    HEED_RETURN_IF_ERROR(CheckValues(weights, "weights", "a number, 0 or more,",
                                     [](float v) { return Finite(v) && v >= 0.0f; }));
  }
  return {};
}

}  // namespace heed::model
