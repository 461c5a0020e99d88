#include "report/highlights.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace heed::report {
namespace {

constexpr size_t kMostReasons = 3, kMostFeatures = 3;

// Rows first to last of a series.
model::MomentSeries Slice(const model::MomentSeries& series, size_t first, size_t last) {
  const size_t T = last - first + 1, F = series.values.cols();
  model::MomentSeries part{.first_second = series.first_second + static_cast<int64_t>(first),
                           .values = nn::Matrix(T, F),
                           .measured = {}};
  std::copy_n(series.values.Row(first), T * F, part.values.data());
  part.measured.assign(series.measured.begin() + static_cast<ptrdiff_t>(first * F),
                       series.measured.begin() + static_cast<ptrdiff_t>((last + 1) * F));
  return part;
}

// Largest first, those of no account left out.
template <typename T, typename Size>
void KeepLargest(std::vector<T>* all, size_t most, double least, Size size) {
  std::stable_sort(all->begin(), all->end(),
                   [&](const T& a, const T& b) { return size(a) > size(b); });
  while (!all->empty() && (all->size() > most || size(all->back()) < least)) all->pop_back();
}

}  // namespace

std::vector<size_t> Peaks(std::span<const double> score, size_t count, size_t apart, double least) {
  std::vector<size_t> order, peaks;
  for (size_t t = 0; t < score.size(); ++t) {
    if (score[t] > least) order.push_back(t);
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return score[a] > score[b]; });
  for (const size_t t : order) {
    if (peaks.size() == count) break;
    const bool free = std::all_of(peaks.begin(), peaks.end(),
                                  [&](size_t p) { return (p > t ? p - t : t - p) >= apart; });
    if (free) peaks.push_back(t);
  }
  return peaks;
}

nn::Matrix Unusual(const model::MomentAttentionConfig& config, const model::MomentSeries& series) {
  const size_t T = series.seconds(), F = series.values.cols();
  nn::Matrix unusual(T, config.modalities.size());
  for (size_t t = 0; t < T; ++t) {
    size_t f = 0;
    for (size_t m = 0; m < config.modalities.size(); ++m) {
      double squares = 0, n = 0;
      for (const size_t end = f + config.modalities[m].features.size(); f < end; ++f) {
        if (series.measured[t * F + f] == 0) continue;
        const auto z = static_cast<double>(series.values.Row(t)[f]);
        squares += z * z, n += 1;
      }
      unusual.Row(t)[m] = n > 0 ? static_cast<float>(std::sqrt(squares / n)) : 0;
    }
  }
  return unusual;
}

double Median(std::vector<double> of) {
  if (of.empty()) return 0;
  const auto middle = of.begin() + static_cast<ptrdiff_t>(of.size() / 2);
  std::nth_element(of.begin(), middle, of.end());
  return *middle;
}

Judgement Judge(const model::MomentAttention& model, const model::MomentSeries& series) {
  const size_t T = series.seconds();
  Judgement judgement;
  model.Answer(series, &judgement.answer);
  for (size_t t = 0; t < T; ++t) judgement.score.push_back(model.highlight(judgement.answer, t));
  // What a modality brings is only known of the seconds in which it has a weight.
  const nn::Matrix& weights =
      judgement.answer.views[static_cast<size_t>(model::MomentView::kNext)].weights;
  model::MomentAnswer without;
  for (size_t m = 0; m < model.config().modalities.size(); ++m) {
    model.Answer(series, &without, m);
    std::vector<double> share, known;
    for (size_t t = 0; t < T; ++t) {
      share.push_back(judgement.score[t] - model.highlight(without, t));
      if (weights.Row(t)[m] > 0) known.push_back(share.back());
    }
    const double usual = Median(known);
    for (size_t t = 0; t < T; ++t) share[t] = weights.Row(t)[m] > 0 ? share[t] - usual : 0;
    judgement.shares.push_back(std::move(share));
  }
  std::vector<double> known;
  const size_t M = model.config().modalities.size();
  for (size_t t = 0; t < T; ++t) {
    const float* weight = weights.Row(t);
    if (std::any_of(weight, weight + M, [](float w) { return w > 0; })) {
      known.push_back(judgement.score[t]);
    } else {
      judgement.score[t] = std::numeric_limits<double>::quiet_NaN();
    }
  }
  const double usual = Median(known);
  for (double& score : judgement.score) score -= usual;
  return judgement;
}

Highlight ExplainByModel(const model::MomentAttention& model, const model::MomentSeries& series,
                         const Judgement& judgement, size_t second) {
  const size_t L = model.config().look_back_s, F = series.values.cols();
  const std::vector<model::MomentModality>& modalities = model.config().modalities;
  Highlight highlight{.second = second, .score = judgement.score[second], .reasons = {}};
  const nn::Matrix& weights =
      judgement.answer.views[static_cast<size_t>(model::MomentView::kNext)].weights;
  double largest = 0;
  for (size_t m = 0; m < modalities.size(); ++m) {
    const double share = judgement.shares[m][second];
    largest = std::max(largest, std::abs(share));
    if (share != 0) {
      highlight.reasons.push_back({.modality = m,
                                   .share = share,
                                   .weight = static_cast<double>(weights.Row(second)[m]),
                                   .features = {}});
    }
  }
  KeepLargest(&highlight.reasons, kMostReasons, largest / 10,
              [](const Reason& r) { return std::abs(r.share); });

  const size_t first = second + 1 > L ? second + 1 - L : 0;
  model::MomentSeries window = Slice(series, first, second);
  const size_t newest = second - first, rows = newest + 1;
  model::MomentAnswer answer;
  model.Answer(window, &answer);
  const double whole = model.highlight(answer, newest);
  for (Reason& reason : highlight.reasons) {
    size_t begin = 0;
    for (size_t m = 0; m < reason.modality; ++m) begin += modalities[m].features.size();
    const size_t end = begin + modalities[reason.modality].features.size();
    for (size_t f = begin; f < end; ++f) {
      std::vector<uint8_t> kept(rows);
      MovedFeature moved{.column = f};
      for (size_t t = 0; t < rows; ++t) {
        kept[t] = std::exchange(window.measured[t * F + f], uint8_t{0});
        const float z = window.values.Row(t)[f];
        if (kept[t] != 0 && std::abs(z) >= std::abs(moved.z)) moved.z = z, moved.second = first + t;
      }
      if (moved.z != 0) {
        model.Answer(window, &answer);
        moved.change = whole - model.highlight(answer, newest);
        reason.features.push_back(moved);
      }
      for (size_t t = 0; t < rows; ++t) window.measured[t * F + f] = kept[t];
    }
    KeepLargest(&reason.features, kMostFeatures, 1e-3,
                [](const MovedFeature& f) { return std::abs(f.change); });
  }
  return highlight;
}

Highlight ExplainByMeasure(const model::MomentAttentionConfig& config,
                           const model::MomentSeries& series, const nn::Matrix& unusual,
                           size_t second, double score) {
  Highlight highlight{.second = second, .score = score, .reasons = {}};
  const size_t F = series.values.cols();
  size_t f = 0;
  for (size_t m = 0; m < config.modalities.size(); ++m) {
    Reason reason{.modality = m,
                  .share = static_cast<double>(unusual.Row(second)[m]),
                  .weight = 0,
                  .features = {}};
    for (const size_t end = f + config.modalities[m].features.size(); f < end; ++f) {
      if (series.measured[second * F + f] == 0) continue;
      reason.features.push_back({.column = f, .second = second, .z = series.values.Row(second)[f]});
    }
    KeepLargest(&reason.features, kMostFeatures, 1,
                [](const MovedFeature& moved) { return static_cast<double>(std::abs(moved.z)); });
    if (!reason.features.empty()) highlight.reasons.push_back(std::move(reason));
  }
  KeepLargest(&highlight.reasons, kMostReasons, 0.5, [](const Reason& r) { return r.share; });
  return highlight;
}

}  // namespace heed::report
