// Low precision for most candidates, fp32 for those that decide: the best k come out as fp32 would
// have them, in its order and with its numbers.
//
// A request is scored in low precision. Its best k are scored again in fp32; what that moves their
// logits by on average is the request's shift (most of the error is common to all its candidates).
// Then every other candidate whose score could reach the k-th of these, its logits moved by the shift
// and by at most the bound, is scored again, too. The bound is measured, task by task, on calibration
// requests in the same way; a candidate that errs by more than it may be missed.
//
// Letters: N candidates, T tasks.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/status.h"
#include "infer/compiled_ranker.h"

namespace heed::infer {

struct ExactOptions {
  CompileOptions compile;  // of the low precision
  uint32_t k = 10;
  // The share of calibration's candidates whose error the bound holds; 1: of all.
  double coverage = 1.0;
};

class ExactRanker {
 public:
  // `calibration` sets the ranges of int8, as for CompiledRanker; `requests` the bound: rankings of
  // more than k candidates as they will be served, best not the same ones. kInvalidArgument without.
  static Result<std::unique_ptr<ExactRanker>> Make(
      const std::shared_ptr<const model::Ranker>& ranker, const ExactOptions& options,
      const std::vector<model::Batch>& calibration, const std::vector<model::Batch>& requests);
  ~ExactRanker();

  struct Use {
    uint32_t candidates = 0, rescored = 0;
  };
  // Logits [N, T] of one request (R = 1): fp32's where scored again, moved by the request's shift
  // elsewhere. The score is the sum of weights[t] * probability; weights >= 0, not all 0. Thread-safe,
  // with one arena a thread.
  Status Logits(const model::Batch& batch, std::span<const float> weights, Arena* arena,
                std::span<float> logits, Use* use) const;

  const std::vector<float>& bound() const;  // [T], of a logit
  const CompiledRanker& low() const;

 private:
  struct Impl;
  explicit ExactRanker(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace heed::infer
