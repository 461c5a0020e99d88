#include "train/sequence_trainer.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <limits>

#include "base/hash.h"
#include "base/random.h"
#include "base/suggest.h"
#include "kernels/gemm.h"
#include "kernels/table.h"

namespace heed::train {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kProgressEveryS = 0.2;
constexpr size_t kCasesAtOnce = 256;

double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// What is learned from, piece by piece: at most max_length inputs and the target of each.
struct Piece {
  uint32_t sequence, first, last;  // inputs first .. last - 1, targets first + 1 .. last
};

std::vector<Piece> Pieces(const SequenceData& data, const std::vector<uint32_t>& lengths,
                          SequenceTraining::Windows windows, uint32_t max_length) {
  std::vector<Piece> pieces;
  for (uint32_t s = 0; s < data.sequences.size(); ++s) {
    for (uint32_t last = lengths[s]; last > 1;) {
      const uint32_t inputs = std::min(last - 1, max_length), first = last - 1 - inputs;
      pieces.push_back({s, first, last - 1});
      if (windows == SequenceTraining::Windows::kNewest) break;
      last = first + 1;
    }
  }
  return pieces;
}

class Run {
 public:
  struct Plan {
    std::string phase;
    const std::vector<uint32_t>& lengths;
    double epochs, stop_epochs;  // the schedule's length; where to end
    bool judge;
  };

  Run(const SequenceData& data, const model::NextItemConfig& config,
      const SequenceTraining& training, const SequenceJudging& judging, Plan plan,
      const ProgressCallback& progress, const std::atomic<bool>* stop)
      : data_(data),
        config_(config),
        training_(training),
        judging_(judging),
        plan_(std::move(plan)),
        progress_(progress),
        stop_(stop),
        pieces_(Pieces(data, plan_.lengths, training.windows, config.max_length)) {}

  Result<SequenceResult> Go() {
    start_ = Now();
    if (pieces_.empty()) return InvalidArgument("no sequence has two items to learn from");
    HEED_ASSIGN_OR_RETURN(model_,
                          model::NextItemModel::Create(config_, data_.catalog, training_.seed));
    model_->SetCounts(data_.Counts(plan_.lengths));
    PickValidCases();
    per_epoch_ = (pieces_.size() + training_.batch_size - 1) / training_.batch_size;
    planned_ = static_cast<uint64_t>(plan_.epochs * static_cast<double>(per_epoch_));
    last_ = static_cast<uint64_t>(plan_.stop_epochs * static_cast<double>(per_epoch_));
    uint32_t without_gain = 0;
    for (uint64_t epoch = 0; result_.steps < last_; ++epoch) {
      HEED_RETURN_IF_ERROR(Epoch(epoch));
      if (result_.stopped) break;
      const bool judged = (epoch + 1) % training_.evaluate_every == 0 || result_.steps >= last_;
      if (!plan_.judge || valid_.empty() || !judged) continue;
      HEED_ASSIGN_OR_RETURN(const bool gained, Judge());
      without_gain = gained ? 0 : without_gain + 1;
      if (without_gain >= training_.patience) break;
    }
    if (best_ == nullptr) {
      result_.best_metric = kNan;
      result_.best_epochs = Epochs();
      best_ = std::move(model_);
    }
    result_.model = std::move(best_);
    return std::move(result_);
  }

 private:
  double Epochs() const {
    return static_cast<double>(result_.steps) / static_cast<double>(per_epoch_);
  }

  void PickValidCases() {
    if (!plan_.judge) return;
    const size_t n = data_.valid.size();
    const size_t wanted = judging_.valid_cases > 0 ? std::min<size_t>(judging_.valid_cases, n) : n;
    for (size_t i = 0; i < wanted; ++i) valid_.push_back(data_.valid[i * n / wanted]);
    negatives_ = NegativesOf(data_, valid_, judging_, false);
  }

  Status Epoch(uint64_t epoch) {
    Random random(MixHash(training_.seed + MixHash(epoch + 1)));
    random.Shuffle(pieces_);
    double sum = 0;
    uint64_t steps = 0;
    model::ItemSequences batch;
    for (size_t first = 0; first < pieces_.size(); first += training_.batch_size) {
      if (stop_ != nullptr && stop_->load(std::memory_order_relaxed)) {
        result_.stopped = true;
        return {};
      }
      batch.Clear();
      const size_t last = std::min<size_t>(first + training_.batch_size, pieces_.size());
      for (size_t p = first; p < last; ++p) {
        const std::vector<uint32_t>& items = data_.sequences[pieces_[p].sequence];
        for (size_t t = pieces_[p].first; t < pieces_[p].last; ++t) {
          batch.items.push_back(items[t]);
          batch.targets.push_back(items[t + 1]);
        }
        batch.offsets.push_back(static_cast<uint32_t>(batch.items.size()));
      }
      model_->SetRateScale(static_cast<float>(
          RateScale(training_.schedule, training_.warmup, result_.steps, planned_)));
      const Result<double> loss = model_->TrainStep(batch, training_.step);
      if (!loss.ok()) {
        return loss.status().Within(plan_.phase + ", step " + std::to_string(result_.steps + 1));
      }
      sum += loss.value();
      ++steps;
      ++result_.steps;
      rows_ += batch.items.size();
      result_.loss = sum / static_cast<double>(steps);
      Report(kNan);
    }
    return {};
  }

  Result<bool> Judge() {
    HEED_ASSIGN_OR_RETURN(const std::vector<uint32_t> ranks,
                          Ranks(*model_, data_, valid_, negatives_));
    const double metric = Measure(ranks, training_.stop_metric);
    result_.valid.push_back({result_.steps, Epochs(), metric});
    Report(metric);
    if (best_ != nullptr && metric <= result_.best_metric) return false;
    best_ = model_->Copy();
    result_.best_metric = metric;
    result_.best_epochs = Epochs();
    return true;
  }

  void Report(double valid) {
    const double now = Now();
    if (!progress_ || (now - reported_ < kProgressEveryS && std::isnan(valid))) return;
    reported_ = now;
    const double elapsed = std::max(now - start_, 1e-9);
    progress_({.phase = plan_.phase,
               .step = result_.steps,
               .steps = last_,
               .rows_per_s = static_cast<double>(rows_) / elapsed,
               .eta_s = elapsed / static_cast<double>(result_.steps) *
                        static_cast<double>(last_ - result_.steps),
               .loss = result_.loss,
               .valid = valid});
  }

  const SequenceData& data_;
  const model::NextItemConfig& config_;
  const SequenceTraining& training_;
  const SequenceJudging& judging_;
  const Plan plan_;
  const ProgressCallback& progress_;
  const std::atomic<bool>* stop_;

  std::vector<Piece> pieces_;
  std::vector<SequenceCase> valid_;
  std::vector<std::vector<uint32_t>> negatives_;
  std::unique_ptr<model::NextItemModel> model_, best_;
  uint64_t per_epoch_ = 0, planned_ = 0, last_ = 0, rows_ = 0;
  double start_ = 0, reported_ = 0;
  SequenceResult result_;
};

}  // namespace

Result<RankingMetric> RankingMetric::Parse(const std::string& text) {
  const size_t at = text.find('@');
  const std::string name = text.substr(0, at);
  RankingMetric metric;
  if (name == "NDCG") metric.kind = Kind::kNdcg;
  if (name == "MRR") metric.kind = Kind::kMrr;
  const char* first = at == std::string::npos ? text.data() : text.data() + at + 1;
  const char* last = text.data() + text.size();
  const auto [end, error] = std::from_chars(first, last, metric.cutoff);
  const bool known = name == "HR" || name == "P" || name == "NDCG" || name == "MRR";
  if (!known || at == std::string::npos || error != std::errc() || end != last ||
      metric.cutoff == 0) {
    return InvalidArgument("'" + text + "' is no metric" +
                           Suggestion(name, {"HR", "P", "NDCG", "MRR"}) +
                           "; known are HR@k, P@k, NDCG@k, MRR@k");
  }
  return metric;
}

double Measure(const std::vector<uint32_t>& ranks, const RankingMetric& metric) {
  double sum = 0;
  for (const uint32_t rank : ranks) {
    if (rank > metric.cutoff) continue;
    switch (metric.kind) {
      case RankingMetric::Kind::kHitRate: sum += 1; break;
      case RankingMetric::Kind::kNdcg: sum += 1 / std::log2(1.0 + rank); break;
      case RankingMetric::Kind::kMrr: sum += 1.0 / rank; break;
    }
  }
  return ranks.empty() ? kNan : sum / static_cast<double>(ranks.size());
}

std::vector<std::vector<uint32_t>> NegativesOf(const SequenceData& data,
                                               const std::vector<SequenceCase>& cases,
                                               const SequenceJudging& judging, bool test) {
  std::vector<std::vector<uint32_t>> negatives;
  if (judging.negatives == 0) return negatives;
  for (const SequenceCase& one : cases) {
    if (test && !data.test_negatives.empty()) {
      negatives.push_back(data.test_negatives[one.sequence]);
    } else {
      negatives.push_back(
          DrawNegatives(data, one, judging.negatives, judging.negatives_seed + (test ? 0 : 1)));
    }
  }
  return negatives;
}

Result<std::vector<uint32_t>> Ranks(const model::NextItemModel& model, const SequenceData& data,
                                    const std::vector<SequenceCase>& cases,
                                    const std::vector<std::vector<uint32_t>>& negatives) {
  const kernels::Table& k = kernels::Active();
  const size_t W = model.config().width, V = data.catalog.ids.size();
  nn::Matrix vectors(V, W), h, scores;
  model.ItemVectors(vectors.view());
  std::vector<uint32_t> ranks;
  for (size_t first = 0; first < cases.size(); first += kCasesAtOnce) {
    const size_t count = std::min(kCasesAtOnce, cases.size() - first);
    model::ItemSequences batch;
    for (size_t c = first; c < first + count; ++c) {
      batch.Add(data.Prefix(cases[c]), model.config().max_length);
    }
    h.Resize(count, W);
    HEED_RETURN_IF_ERROR(model.Represent(batch, h.view()));
    if (negatives.empty()) {
      scores.Resize(count, V);
      kernels::Gemm(kernels::Trans::kNo, kernels::Trans::kYes, count, V, W, h.data(), W,
                    vectors.data(), W, 0.0f, scores.data(), V);
    }
    for (size_t c = 0; c < count; ++c) {
      const uint32_t target = cases[first + c].target;
      uint32_t rank = 1;
      if (negatives.empty()) {
        const float* row = scores.Row(c);
        for (size_t item = 0; item < V; ++item) {
          rank += static_cast<uint32_t>(item != target && !(row[item] < row[target]));
        }
      } else {
        const float right = k.dot(h.Row(c), vectors.Row(target), W);
        for (const uint32_t item : negatives[first + c]) {
          rank += static_cast<uint32_t>(item != target &&
                                        !(k.dot(h.Row(c), vectors.Row(item), W) < right));
        }
      }
      ranks.push_back(rank);
    }
  }
  return ranks;
}

Result<SequenceResult> TrainSequences(const SequenceData& data, const model::NextItemConfig& config,
                                      const SequenceTraining& training,
                                      const SequenceJudging& judging,
                                      const ProgressCallback& progress,
                                      const std::atomic<bool>* stop) {
  const double epochs = training.epochs;
  Run fit(data, config, training, judging, {"fit", data.train_lengths, epochs, epochs, true},
          progress, stop);
  HEED_ASSIGN_OR_RETURN(SequenceResult first, fit.Go());
  if (!training.refit || first.stopped || std::isnan(first.best_metric)) return first;
  Run refit(data, config, training, judging,
            {"refit", data.refit_lengths, epochs, first.best_epochs, false}, progress, stop);
  HEED_ASSIGN_OR_RETURN(SequenceResult second, refit.Go());
  if (second.stopped) {  // half a refit is worse than the whole fit before it
    first.stopped = true;
    return first;
  }
  second.valid = std::move(first.valid);
  second.best_metric = first.best_metric;
  return second;
}

}  // namespace heed::train
