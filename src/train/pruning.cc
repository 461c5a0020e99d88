#include "train/pruning.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <span>
#include <utility>

#include "base/random.h"
#include "model/prune.h"
#include "model/ranker_net.h"
#include "train/agreement.h"

namespace heed::train {
namespace {

constexpr size_t kBatchRows = 1024;
constexpr size_t kMeanRows = 8192;  // training rows that give the means of heads
constexpr int kBisections = 8;

struct Quality {
  double auc = 0, log_loss = 0;
};

class Pruner {
 public:
  Pruner(const model::Ranker& ranker, const Examples& data, const PruneOptions& options,
         const std::function<void(const PruneTrial&)>& on_trial)
      : given_(ranker), data_(data), options_(options), on_trial_(on_trial) {}

  Result<PruneResult> Run() {
    HEED_ASSIGN_OR_RETURN(before_, Judge(given_));
    report_.auc = before_.auc, report_.log_loss = before_.log_loss;
    report_.heads_before = Heads(given_), report_.experts_before = Experts(given_);
    report_.rows_before = Rows(given_);
    if (options_.heads) HEED_RETURN_IF_ERROR(DropHeads());
    if (options_.experts) HEED_RETURN_IF_ERROR(DropExperts());
    if (options_.rows) HEED_RETURN_IF_ERROR(DropRows());
    report_.heads = Heads(Current()), report_.experts = Experts(Current());
    report_.rows = Rows(Current());
    HEED_ASSIGN_OR_RETURN(const Quality after, Judge(Current()));
    report_.auc_loss = before_.auc - after.auc;
    report_.log_loss_rise = after.log_loss - before_.log_loss;
    if (pruned_ == nullptr) pruned_ = given_.Copy();
    return PruneResult{std::move(pruned_), std::move(report_)};
  }

 private:
  const model::Ranker& Current() const { return pruned_ == nullptr ? given_ : *pruned_; }
  View view() const { return {options_.setting, Vocabulary::kAll}; }

  static uint32_t Heads(const model::Ranker& ranker) {
    const model::Net& net = ranker.net();
    for (size_t s = 0; s < net.layout.sequences.size(); ++s) {
      if (net.config.PoolOf(s).kind == model::PoolKind::kDot) return net.config.attention_heads;
    }
    return 0;
  }
  static uint32_t Experts(const model::Ranker& ranker) {
    const model::HeadConfig& head = ranker.config().head;
    return head.kind == model::HeadKind::kShared ? 0 : head.experts;
  }
  static uint64_t Rows(const model::Ranker& ranker) {
    uint64_t rows = 0;
    for (const nn::EmbeddingTable& table : ranker.net().tables) rows += table.rows();
    return rows;
  }

  // Means over the tasks whose rows have both classes.
  Result<Quality> Judge(const model::Ranker& ranker) const {
    HEED_ASSIGN_OR_RETURN(
        const std::vector<Predictions> predictions,
        PredictBy(ScorerOf(ranker), ranker, data_, view(), data_.samples_of(options_.split)));
    Quality mean;
    double tasks = 0;
    for (size_t t = 0; t < predictions.size(); ++t) {
      if (data_.schema().tasks[t].kind == model::TaskKind::kValue) continue;
      const MetricSet metrics = Measure(predictions[t]);
      if (std::isnan(metrics.auc)) continue;
      mean.auc += metrics.auc, mean.log_loss += metrics.log_loss, tasks += 1;
    }
    if (tasks == 0) return InvalidArgument("no task has rows of both classes to measure on");
    return Quality{mean.auc / tasks, mean.log_loss / tasks};
  }

  // Judges `ranker` and notes it; a number in report_.trials.
  Result<size_t> Try(const model::Ranker& ranker, std::string what) {
    HEED_ASSIGN_OR_RETURN(const Quality quality, Judge(ranker));
    report_.trials.push_back({.what = std::move(what),
                              .auc_loss = before_.auc - quality.auc,
                              .log_loss_rise = quality.log_loss - before_.log_loss});
    if (on_trial_) on_trial_(report_.trials.back());
    return report_.trials.size() - 1;
  }
  bool Affordable(size_t trial) const { return report_.trials[trial].auc_loss <= options_.budget; }

  std::vector<float> CandidateMean(const model::Net& net) const {
    const std::vector<uint32_t>& all = data_.samples_of(Split::kTrain);
    std::vector<double> sum(net.layout.candidate_width, 0.0);
    model::Batch batch;
    model::Workspace work;
    Random random(1);
    const size_t count = std::min(kMeanRows, all.size());
    std::vector<uint32_t> rows(kBatchRows);
    for (size_t first = 0; first < count; first += kBatchRows) {
      for (uint32_t& row : rows) row = all[random.Below(all.size())];
      data_.FillBatch(view(), rows, &batch);
      net.Resolve(batch, &work);
      net.Forward(batch, {}, &work);
      for (size_t n = 0; n < batch.candidates; ++n) {
        for (size_t i = 0; i < sum.size(); ++i) {
          sum[i] += static_cast<double>(work.x_candidate.Row(n)[i]);
        }
      }
    }
    const size_t batches = (count + kBatchRows - 1) / kBatchRows;
    const auto total = static_cast<double>(batches * kBatchRows);
    std::vector<float> mean(sum.size());
    for (size_t i = 0; i < sum.size() && total > 0; ++i) {
      mean[i] = static_cast<float>(sum[i] / total);
    }
    return mean;
  }

  // One head of each history a round. With several histories their heads are chosen one after the
  // other, the first one's while the others' choice is still head 0.
  Status DropHeads() {
    while (Heads(Current()) > 1) {
      const model::Net& net = Current().net();
      const std::vector<float> mean = CandidateMean(net);
      std::vector<uint32_t> choice(net.layout.sequences.size(), 0);
      size_t best_trial = 0;
      std::unique_ptr<model::Ranker> best;
      for (size_t s = 0; s < choice.size(); ++s) {
        if (net.config.PoolOf(s).kind != model::PoolKind::kDot) continue;
        std::optional<uint32_t> best_head;
        for (uint32_t h = 0; h < net.config.attention_heads; ++h) {
          choice[s] = h;
          auto tried = model::WithoutHeads(Current(), choice, mean);
          if (!tried.ok()) {
            report_.kept_whole = tried.status().message();
            return {};
          }
          HEED_ASSIGN_OR_RETURN(const size_t trial,
                                Try(*tried.value(), fmt::format("head {} of '{}', {} left", h,
                                                                net.config.schema.sequences[s].name,
                                                                net.config.attention_heads - 1)));
          if (!best_head || report_.trials[trial].auc_loss < report_.trials[best_trial].auc_loss) {
            best_head = h, best_trial = trial, best = std::move(tried).value();
          }
        }
        choice[s] = *best_head;
      }
      if (best == nullptr || !Affordable(best_trial)) return {};
      report_.trials[best_trial].dropped = true;
      pruned_ = std::move(best);
    }
    return {};
  }

  Status DropExperts() {
    while (Experts(Current()) > 1) {
      size_t best_trial = 0;
      std::unique_ptr<model::Ranker> best;
      for (uint32_t e = 0; e < Experts(Current()); ++e) {
        auto tried = model::WithoutExpert(Current(), e);
        if (!tried.ok()) {
          report_.kept_whole = tried.status().message();
          return {};
        }
        HEED_ASSIGN_OR_RETURN(
            const size_t trial,
            Try(*tried.value(), fmt::format("expert {}, {} left", e, Experts(Current()) - 1)));
        if (best == nullptr ||
            report_.trials[trial].auc_loss < report_.trials[best_trial].auc_loss) {
          best_trial = trial, best = std::move(tried).value();
        }
      }
      if (!Affordable(best_trial)) return {};
      report_.trials[best_trial].dropped = true;
      pruned_ = std::move(best);
    }
    return {};
  }

  struct RowWeight {
    double weight = 0;
    uint32_t table = 0, row = 0;
  };
  // Rows that may go, the least missed first.
  std::vector<RowWeight> RowWeights(const model::Net& net) const {
    std::vector<std::vector<double>> looked_up;
    for (const nn::EmbeddingTable& table : net.tables) looked_up.emplace_back(table.rows(), 0.0);
    model::Batch batch;
    model::Workspace work;
    const std::span<const uint32_t> all = data_.samples_of(Split::kTrain);
    for (size_t first = 0; first < all.size(); first += kBatchRows) {
      data_.FillBatch(view(), all.subspan(first, std::min(kBatchRows, all.size() - first)), &batch);
      net.Resolve(batch, &work);
      const auto count = [&](const std::vector<uint32_t>& rows, size_t column, size_t columns,
                             size_t table) {
        for (size_t i = column; i < rows.size(); i += columns) looked_up[table][rows[i]] += 1;
      };
      const model::Layout& layout = net.layout;
      for (size_t f = 0; f < layout.request_fields.size(); ++f) {
        count(work.request_rows, f, layout.request_fields.size(), layout.request_fields[f].table);
      }
      for (size_t f = 0; f < layout.candidate_fields.size(); ++f) {
        count(work.candidate_rows, f, layout.candidate_fields.size(),
              layout.candidate_fields[f].table);
      }
      for (size_t s = 0; s < layout.sequences.size(); ++s) {
        const std::vector<size_t>& tables = layout.sequences[s].tables;
        for (size_t k = 0; k < tables.size(); ++k) {
          count(work.sequences[s].rows, k, tables.size(), tables[k]);
        }
      }
    }
    std::vector<RowWeight> out;
    for (uint32_t t = 0; t < net.tables.size(); ++t) {
      const nn::EmbeddingTable& table = net.tables[t];
      const float* unseen = table.Row(nn::EmbeddingTable::kUnseen);
      for (uint32_t row = 2; row < table.rows(); ++row) {
        double squares = 0;
        for (size_t i = 0; i < table.width(); ++i) {
          const double off = static_cast<double>(table.Row(row)[i] - unseen[i]);
          squares += off * off;
        }
        out.push_back({looked_up[t][row] * squares, t, row});
      }
    }
    std::stable_sort(out.begin(), out.end(),
                     [](const RowWeight& a, const RowWeight& b) { return a.weight < b.weight; });
    return out;
  }

  Status DropRows() {
    const model::Net& net = Current().net();
    const std::vector<RowWeight> order = RowWeights(net);
    size_t good = 0, bad = order.size() + 1;
    std::unique_ptr<model::Ranker> best;
    size_t best_trial = 0;
    for (int i = 0; i < kBisections && good + 1 < bad; ++i) {
      const size_t count = good + (bad - good) / 2;
      std::vector<std::vector<uint32_t>> dropped(net.tables.size());
      for (size_t j = 0; j < count; ++j) dropped[order[j].table].push_back(order[j].row);
      HEED_ASSIGN_OR_RETURN(auto tried, model::WithoutRows(Current(), dropped));
      HEED_ASSIGN_OR_RETURN(const size_t trial,
                            Try(*tried, fmt::format("{} of {} rows", count, order.size())));
      if (Affordable(trial)) {
        good = count, best_trial = trial, best = std::move(tried);
      } else {
        bad = count;
      }
    }
    if (best == nullptr) return {};
    report_.trials[best_trial].dropped = true;
    pruned_ = std::move(best);
    return {};
  }

  const model::Ranker& given_;
  const Examples& data_;
  const PruneOptions& options_;
  const std::function<void(const PruneTrial&)>& on_trial_;
  std::unique_ptr<model::Ranker> pruned_;  // null: nothing dropped yet
  PruneReport report_;
  Quality before_;
};

}  // namespace

Result<PruneResult> Prune(const model::Ranker& ranker, const Examples& data,
                          const PruneOptions& options,
                          const std::function<void(const PruneTrial&)>& trial) {
  HEED_RETURN_IF_ERROR(CheckSchema(ranker.config().schema, data.schema()));
  if (!(options.budget >= 0.0)) return InvalidArgument("negative or no number", "budget");
  if (options.split == Split::kNone || data.samples_of(options.split).empty()) {
    return InvalidArgument("the data set has no rows in that split", "split");
  }
  return Pruner(ranker, data, options, trial).Run();
}

}  // namespace heed::train
