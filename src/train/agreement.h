// How far one way of scoring is from another: a ranker in low precision or with parts dropped, beside
// itself as it was trained. Pure functions but for Compare, which scores; all safe from any thread.
//
// Letters: R requests, N candidates, T tasks.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "model/batch.h"
#include "model/ranker.h"
#include "train/evaluate.h"
#include "train/examples.h"

namespace heed::train {

// Logits [N, T] of a batch.
using Scorer = std::function<Status(const model::Batch& batch, std::span<float> logits)>;
// Ranker::Forward. The ranker must outlive it.
Scorer ScorerOf(const model::Ranker& ranker);

// As Predict, by any scorer, in batches of one thread; `calibrated` gives the probabilities' Platt.
Result<std::vector<Predictions>> PredictBy(const Scorer& scorer, const model::Ranker& calibrated,
                                           const Examples& data, const View& view,
                                           std::span<const uint32_t> samples);

struct RequestPlan {
  uint32_t requests = 200;
  uint32_t candidates = 500;  // each; fewer where the samples hold fewer different ones
  uint64_t seed = 1;
};
// Rankings as they are served, from rows that show one candidate each: the requests' parts of
// `requests` drawn rows, each before the candidates' parts (as they stood in rows of their own) of
// `candidates` drawn rows, no two with the same keys within a request. R = 1 each; no labels.
std::vector<model::Batch> DrawRequests(const Examples& data, const View& view,
                                       std::span<const uint32_t> samples, const RequestPlan& plan);

// What is served of logits [N, T]: the sum over tasks of value * probability, [N].
std::vector<float> ServedScores(const model::Ranker& ranker, std::span<const float> logits);

// Two orders of the same candidates, best score first, equal scores in the order they are given.
struct OrderAgreement {
  double overlap = 0;  // share of one's best k among the other's best k
  bool same = false;   // the best k are the same in the same order
  double flipped = 0;  // pairs in opposite order; tied in one of the two only: half a pair
  double pairs = 0;    // of all N (N - 1) / 2
};
// O(N^2). k is cut to N; nothing to rank agrees.
OrderAgreement CompareOrders(std::span<const float> a, std::span<const float> b, size_t k);

struct TaskAgreement {
  std::string task;  // "score": the weighted sum of probabilities that is served; its AUC is NaN
  double auc = 0, auc_loss = 0;            // of the first scorer; how much less the second's is
  double log_loss = 0, log_loss_rise = 0;  // likewise
  double overlap = 0, least_overlap = 0;   // of the best k: mean over requests, and the worst
  double same_order = 0;                   // share of requests
  double flips = 0;                        // share of pairs
  double rms = 0, largest = 0;             // of the logits' difference, over the requests
  double deviation = 0;                    // of the first's logits, for comparison
};

struct AgreementOptions {
  Split split = Split::kTest;
  Setting setting = Setting::kOnline;
  RequestPlan plan;
  uint32_t k = 10;
};
struct AgreementReport {
  uint64_t rows = 0;      // for AUC and log loss
  uint64_t requests = 0;  // for the orders
  double candidates = 0;  // a request, mean
  uint32_t k = 0;
  std::vector<TaskAgreement> tasks;  // in the schema's order; "score" last where there are several
  const TaskAgreement& Worst() const;  // by overlap, of the tasks
};

// AUC and log loss on the split's rows, orders on drawn requests of it. kInvalidArgument where
// Evaluate says so. A Dataset must be prepared for the setting.
Result<AgreementReport> Compare(const Examples& data, const model::Ranker& ranker,
                                const Scorer& first, const Scorer& second,
                                const AgreementOptions& options);

}  // namespace heed::train
