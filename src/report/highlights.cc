#include "report/highlights.h"

#include <algorithm>
#include <cmath>
#include <numeric>

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
  std::vector<size_t> order(score.size()), peaks;
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return score[a] > score[b]; });
  for (const size_t t : order) {
    if (peaks.size() == count || !(score[t] > least)) break;
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

Highlight ExplainByModel(const model::MomentAttention& model, const model::MomentSeries& series,
                         size_t second) {
  const size_t L = model.config().look_back_s, F = series.values.cols();
  const size_t first = second + 1 > L ? second + 1 - L : 0;
  model::MomentSeries window = Slice(series, first, second);
  const size_t newest = second - first, rows = newest + 1;
  model::MomentAnswer answer;
  model.Answer(window, &answer);
  Highlight highlight{.second = second, .score = model.highlight(answer, newest), .reasons = {}};
  const model::MomentAnswer::View next =
      std::move(answer.views[static_cast<size_t>(model::MomentView::kNext)]);
  size_t begin = 0;
  double largest = 0;
  for (size_t m = 0; m < model.config().modalities.size(); ++m) {
    const size_t end = begin + model.config().modalities[m].features.size();
    const double weight = static_cast<double>(next.weights.Row(newest)[m]);
    model.Answer(window, &answer, m);
    Reason reason{.modality = m,
                  .share = highlight.score - model.highlight(answer, newest),
                  .weight = weight,
                  .features = {}};
    for (size_t f = begin; f < end && weight > 0; ++f) {
      std::vector<uint8_t> kept(rows);
      MovedFeature moved{.column = f};
      for (size_t t = 0; t < rows; ++t) {
        uint8_t& measured = window.measured[t * F + f];
        kept[t] = std::exchange(measured, uint8_t{0});
        const float z = window.values.Row(t)[f];
        if (kept[t] != 0 && std::abs(z) >= std::abs(moved.z)) moved.z = z, moved.second = first + t;
      }
      if (moved.z != 0) {
        model.Answer(window, &answer);
        moved.change = highlight.score - model.highlight(answer, newest);
        reason.features.push_back(moved);
      }
      for (size_t t = 0; t < rows; ++t) window.measured[t * F + f] = kept[t];
    }
    KeepLargest(&reason.features, kMostFeatures, std::abs(reason.share) / 10,
                [](const MovedFeature& f) { return std::abs(f.change); });
    largest = std::max(largest, std::abs(reason.share));
    if (weight > 0) highlight.reasons.push_back(std::move(reason));
    begin = end;
  }
  KeepLargest(&highlight.reasons, kMostReasons, largest / 10,
              [](const Reason& r) { return std::abs(r.share); });
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
