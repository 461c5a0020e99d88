#include "train/agreement.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>

#include "base/random.h"
#include "model/ranker_net.h"
#include "nn/loss.h"

namespace heed::train {
namespace {

constexpr size_t kBatchRows = 1024;

std::vector<uint32_t> Best(std::span<const float> scores, size_t k) {
  std::vector<uint32_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0u);
  std::partial_sort(order.begin(), order.begin() + static_cast<ptrdiff_t>(k), order.end(),
                    [&](uint32_t a, uint32_t b) {
                      return scores[a] != scores[b] ? scores[a] > scores[b] : a < b;
                    });
  order.resize(k);
  return order;
}

// The request's part of `from` (R = 1).
void CopyRequest(const model::Batch& from, model::Batch* to) {
  to->requests = 1;
  to->request_keys = from.request_keys;
  to->request_numerics = from.request_numerics;
  to->sequences = from.sequences;
}

class Sums {  // of one task over requests
 public:
  void Add(std::span<const float> a, std::span<const float> b, size_t k) {
    const OrderAgreement order = CompareOrders(a, b, k);
    overlap_ += order.overlap;
    least_ = std::min(least_, order.overlap);
    same_ += order.same ? 1 : 0;
    flipped_ += order.flipped;
    pairs_ += order.pairs;
    for (size_t i = 0; i < a.size(); ++i) {
      const double x = static_cast<double>(a[i]), off = static_cast<double>(b[i]) - x;
      sum_ += x, squares_ += x * x, off_squares_ += off * off;
      largest_ = std::max(largest_, std::abs(off));
    }
    count_ += static_cast<double>(a.size());
    requests_ += 1;
  }
  void Finish(TaskAgreement* out) const {
    if (requests_ == 0 || count_ == 0) return;
    out->overlap = overlap_ / requests_;
    out->least_overlap = least_;
    out->same_order = same_ / requests_;
    out->flips = pairs_ > 0 ? flipped_ / pairs_ : 0;
    out->rms = std::sqrt(off_squares_ / count_);
    out->largest = largest_;
    out->deviation = std::sqrt(std::max(0.0, squares_ / count_ - sum_ * sum_ / count_ / count_));
  }

 private:
  double overlap_ = 0, least_ = 1, same_ = 0, flipped_ = 0, pairs_ = 0;
  double sum_ = 0, squares_ = 0, off_squares_ = 0, largest_ = 0, count_ = 0, requests_ = 0;
};

}  // namespace

Scorer ScorerOf(const model::Ranker& ranker) {
  return [&ranker](const model::Batch& batch, std::span<float> logits) -> Status {
    model::Scores scores;
    HEED_RETURN_IF_ERROR(ranker.Forward(batch, false, &scores));
    std::copy(scores.logits.begin(), scores.logits.end(), logits.begin());
    return {};
  };
}

Result<std::vector<Predictions>> PredictBy(const Scorer& scorer, const model::Ranker& calibrated,
                                           const Examples& data, const View& view,
                                           std::span<const uint32_t> samples) {
  const size_t tasks = data.schema().tasks.size();
  std::vector<Predictions> out(tasks);
  model::Batch batch;
  std::vector<float> logits, outcomes;
  for (size_t first = 0; first < samples.size(); first += kBatchRows) {
    const auto rows = samples.subspan(first, std::min(kBatchRows, samples.size() - first));
    data.FillBatch(view, rows, &batch);
    logits.resize(rows.size() * tasks);
    HEED_RETURN_IF_ERROR(scorer(batch, logits));
    outcomes = logits;
    calibrated.net().Outcomes(outcomes.data(), rows.size());
    for (size_t i = 0; i < rows.size(); ++i) {
      for (size_t t = 0; t < tasks; ++t) {
        out[t].scores.push_back(logits[i * tasks + t]);
        out[t].probabilities.push_back(outcomes[i * tasks + t]);
        out[t].labels.push_back(batch.labels[i * tasks + t]);
        out[t].groups.push_back(data.group(rows[i]));
      }
    }
  }
  return out;
}

std::vector<model::Batch> DrawRequests(const Examples& data, const View& view,
                                       std::span<const uint32_t> samples, const RequestPlan& plan) {
  std::vector<model::Batch> out;
  if (samples.empty()) return out;
  const size_t fields = data.schema().FieldsOf(model::Side::kCandidate).size();
  const size_t numerics = data.schema().NumericsOf(model::Side::kCandidate).size();
  Random random(plan.seed);
  model::Batch context, rows;
  for (uint32_t r = 0; r < plan.requests; ++r) {
    const uint32_t who = samples[random.Below(samples.size())];
    data.FillBatch(view, {&who, 1}, &context);
    model::Batch& made = out.emplace_back();
    made.Clear(data.schema());
    CopyRequest(context, &made);
    std::set<std::vector<model::Key>> seen;
    // Twice as many draws as asked for: a set with fewer different candidates gives what it has.
    for (uint32_t tries = 0; tries < 2 && made.candidates < plan.candidates; ++tries) {
      std::vector<uint32_t> drawn(plan.candidates);
      for (uint32_t& sample : drawn) sample = samples[random.Below(samples.size())];
      data.FillBatch(view, drawn, &rows);
      for (uint32_t i = 0; i < drawn.size() && made.candidates < plan.candidates; ++i) {
        const auto keys = rows.candidate_keys.begin() + static_cast<ptrdiff_t>(i * fields);
        if (!seen.insert({keys, keys + static_cast<ptrdiff_t>(fields)}).second) continue;
        const auto numbers = rows.candidate_numerics.begin() + static_cast<ptrdiff_t>(i * numerics);
        made.candidate_keys.insert(made.candidate_keys.end(), keys,
                                   keys + static_cast<ptrdiff_t>(fields));
        made.candidate_numerics.insert(made.candidate_numerics.end(), numbers,
                                       numbers + static_cast<ptrdiff_t>(numerics));
        ++made.candidates;
      }
    }
    made.request_of.assign(made.candidates, 0);
  }
  return out;
}

std::vector<float> ServedScores(const model::Ranker& ranker, std::span<const float> logits) {
  const std::vector<model::TaskSpec>& tasks = ranker.config().schema.tasks;
  const size_t T = tasks.size();
  std::vector<float> scores(logits.size() / T, 0.0f), outcomes(logits.begin(), logits.end());
  ranker.net().Outcomes(outcomes.data(), scores.size());
  for (size_t i = 0; i < outcomes.size(); ++i) scores[i / T] += tasks[i % T].value * outcomes[i];
  return scores;
}

OrderAgreement CompareOrders(std::span<const float> a, std::span<const float> b, size_t k) {
  const size_t n = a.size();
  k = std::min(k, n);
  const std::vector<uint32_t> best_a = Best(a, k), best_b = Best(b, k);
  OrderAgreement out{.overlap = 1, .same = best_a == best_b};
  size_t both = 0;
  for (const uint32_t i : best_a) both += std::count(best_b.begin(), best_b.end(), i) > 0 ? 1 : 0;
  if (k > 0) out.overlap = static_cast<double>(both) / static_cast<double>(k);
  uint64_t halves = 0;
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j < i; ++j) {
      const int in_a = (a[i] > a[j]) - (a[i] < a[j]), in_b = (b[i] > b[j]) - (b[i] < b[j]);
      halves += static_cast<uint64_t>(std::abs(in_a - in_b));
    }
  }
  out.flipped = static_cast<double>(halves) / 2;
  out.pairs = static_cast<double>(n) * (static_cast<double>(n) - 1) / 2;
  return out;
}

const TaskAgreement& AgreementReport::Worst() const {
  return *std::min_element(
      tasks.begin(), tasks.end(),
      [](const TaskAgreement& a, const TaskAgreement& b) { return a.overlap < b.overlap; });
}

Result<AgreementReport> Compare(const Examples& data, const model::Ranker& ranker,
                                const Scorer& first, const Scorer& second,
                                const AgreementOptions& options) {
  HEED_RETURN_IF_ERROR(CheckSchema(ranker.config().schema, data.schema()));
  if (options.split == Split::kNone || data.samples_of(options.split).empty()) {
    return InvalidArgument("the data set has no rows in that split");
  }
  const std::vector<uint32_t>& samples = data.samples_of(options.split);
  const View view{options.setting, Vocabulary::kAll};
  HEED_ASSIGN_OR_RETURN(const auto before, PredictBy(first, ranker, data, view, samples));
  HEED_ASSIGN_OR_RETURN(const auto after, PredictBy(second, ranker, data, view, samples));
  const std::vector<model::TaskSpec>& specs = data.schema().tasks;
  const size_t T = specs.size();
  AgreementReport report{.rows = samples.size(), .k = options.k};
  for (size_t t = 0; t < T; ++t) {
    if (specs[t].kind == model::TaskKind::kValue) {
      constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
      report.tasks.push_back({.task = specs[t].name,
                              .auc = kNone,
                              .auc_loss = kNone,
                              .log_loss = kNone,
                              .log_loss_rise = kNone});
      continue;
    }
    const MetricSet was = Measure(before[t]), is = Measure(after[t]);
    report.tasks.push_back({.task = specs[t].name,
                            .auc = was.auc,
                            .auc_loss = was.auc - is.auc,
                            .log_loss = was.log_loss,
                            .log_loss_rise = is.log_loss - was.log_loss});
  }
  const double none = std::numeric_limits<double>::quiet_NaN();
  if (T > 1) {
    report.tasks.push_back(
        {.task = "score", .auc = none, .auc_loss = none, .log_loss = none, .log_loss_rise = none});
  }
  std::vector<Sums> sums(report.tasks.size());
  std::vector<float> a, b, of_a, of_b;
  for (const model::Batch& batch : DrawRequests(data, view, samples, options.plan)) {
    a.resize(batch.candidates * T), b.resize(batch.candidates * T);
    HEED_RETURN_IF_ERROR(first(batch, a));
    HEED_RETURN_IF_ERROR(second(batch, b));
    of_a.resize(batch.candidates), of_b.resize(batch.candidates);
    for (size_t t = 0; t < T; ++t) {
      for (size_t i = 0; i < batch.candidates; ++i) {
        of_a[i] = a[i * T + t], of_b[i] = b[i * T + t];
      }
      sums[t].Add(of_a, of_b, options.k);
    }
    if (T > 1) sums[T].Add(ServedScores(ranker, a), ServedScores(ranker, b), options.k);
    ++report.requests;
    report.candidates += batch.candidates;
  }
  if (report.requests > 0) report.candidates /= static_cast<double>(report.requests);
  for (size_t t = 0; t < sums.size(); ++t) sums[t].Finish(&report.tasks[t]);
  return report;
}

}  // namespace heed::train
