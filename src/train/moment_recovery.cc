#include "train/moment_recovery.h"

#include <cmath>

namespace heed::train {
namespace {

constexpr size_t kOutcomes = model::kMomentOutcomes, kThirds = 3;

// Of pairs that arrive one by one.
struct Moments2 {
  double n = 0, x = 0, y = 0, xx = 0, yy = 0, xy = 0;

  void Add(double a, double b) { n += 1, x += a, y += b, xx += a * a, yy += b * b, xy += a * b; }
  double Covariance() const { return xy - x * y / n; }
  double Correlation() const {
    const double spread = (xx - x * x / n) * (yy - y * y / n);
    return spread > 0 ? Covariance() / std::sqrt(spread) : 0;
  }
  double Slope() const {  // of y by x
    const double spread = xx - x * x / n;
    return spread > 0 ? Covariance() / spread : 0;
  }
};

// Seconds whose look-back the modality was in sight for.
std::vector<size_t> WholeSeconds(const model::MomentAttentionConfig& config,
                                 const model::MomentSeries& series, size_t first_feature,
                                 size_t features) {
  std::vector<size_t> whole;
  size_t in_sight = 0;
  for (size_t t = 0; t < series.seconds(); ++t) {
    bool any = false;
    for (size_t f = 0; f < features; ++f) {
      any |= series.measured[t * series.values.cols() + first_feature + f] != 0;
    }
    in_sight = any ? in_sight + 1 : 0;
    if (in_sight >= config.look_back_s) whole.push_back(t);
  }
  return whole;
}

}  // namespace

MomentRecovery MeasureMomentRecovery(const model::MomentAttention& model, const MomentWorld& world,
                                     std::span<const uint32_t> rooms) {
  const model::MomentAttentionConfig& config = model.config();
  const size_t M = config.modalities.size();
  std::vector<Moments2> slopes(M * kThirds * kOutcomes);
  Moments2 contributions;
  for (const uint32_t room : rooms) {
    const MomentRoom& of = world.rooms()[room];
    const size_t T = of.series.seconds();
    model::MomentAnswer answer;
    model.Answer(of.series, &answer);
    const nn::Matrix& found =
        answer.views[static_cast<size_t>(model::MomentView::kNow)].contributions;
    size_t first_feature = 0;
    for (size_t m = 0; m < M; ++m) {
      const size_t features = config.modalities[m].features.size();
      const std::vector<size_t> whole = WholeSeconds(config, of.series, first_feature, features);
      first_feature += features;
      for (size_t k = 0; k < kOutcomes; ++k) {
        std::vector<double> learned, made;
        double learned_mean = 0, made_mean = 0;
        for (const size_t t : whole) {
          const auto response = static_cast<double>(world.responses(room).Row(t)[m]);
          learned.push_back(static_cast<double>(found.Row(t)[m * kOutcomes + k]));
          made.push_back(world.effect(m, k, static_cast<double>(t)) * response);
          learned_mean += learned.back(), made_mean += made.back();
          slopes[(m * kThirds + t * kThirds / T) * kOutcomes + k].Add(response, learned.back());
        }
        for (size_t i = 0; i < whole.size(); ++i) {
          const auto n = static_cast<double>(whole.size());
          contributions.Add(learned[i] - learned_mean / n, made[i] - made_mean / n);
        }
      }
    }
  }
  MomentRecovery recovery{
      .contributions = contributions.Correlation(), .lag_errors_s = {}, .learned = {}, .truth = {}};
  Moments2 effects;
  const double length = static_cast<double>(world.rooms()[0].series.seconds());
  for (size_t m = 0; m < M; ++m) {
    for (size_t third = 0; third < kThirds; ++third) {
      const double middle = length * (static_cast<double>(third) + 0.5) / kThirds;
      for (size_t k = 0; k < kOutcomes; ++k) {
        recovery.learned.push_back(slopes[(m * kThirds + third) * kOutcomes + k].Slope());
        recovery.truth.push_back(world.effect(m, k, middle));
        effects.Add(recovery.learned.back(), recovery.truth.back());
      }
    }
    recovery.lag_errors_s.push_back(
        std::abs(model.lag(model::MomentView::kNow, m).lag_s - world.lag_s(m)));
  }
  recovery.effects = effects.Correlation();
  return recovery;
}

}  // namespace heed::train
