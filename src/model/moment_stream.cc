#include "model/moment_stream.h"

#include <algorithm>
#include <cmath>

#include "model/moment_net.h"

namespace heed::model {
namespace {

constexpr size_t kOutcomes = kMomentOutcomes;
constexpr auto kNext = static_cast<size_t>(MomentView::kNext);

}  // namespace

// Every second is written twice, at `at` and `at + L`, so that the last L always lie in one piece.
struct MomentStream::Rings {
  struct Modality {
    nn::Matrix tokens;                                     // [2 L, D]
    std::array<std::vector<double>, kMomentViews> mass;    // [2 L]
    std::array<std::vector<double>, kMomentViews> kernel;  // [L]
    nn::Matrix input, token;                               // [1, 2 F_m], [1, D]
  };

  std::vector<Modality> modalities;
  size_t at = 0;  // of the newest second, below L
  bool any = false;
  int64_t second = 0;
  // Rows of the pass: the second, then the second without modality 0, 1, …
  MomentPass::View pass;
  nn::Matrix phase, contributions, weights;
  std::array<double, kOutcomes> seen = {}, expected = {};  // faded, of the audience
};

MomentStream::MomentStream(std::shared_ptr<const MomentAttention> model)
    : model_(std::move(model)), rings_(std::make_unique<Rings>()) {
  const MomentAttention::Net& net = model_->net();
  const size_t L = net.config.look_back_s, D = net.config.encoder_width, M = net.modalities();
  rings_->modalities.resize(M);
  for (size_t m = 0; m < M; ++m) {
    Rings::Modality& ring = rings_->modalities[m];
    ring.tokens.Resize(2 * L, D);
    ring.tokens.Fill(0);
    for (size_t v = 0; v < kMomentViews; ++v) {
      ring.mass[v].assign(2 * L, 0);
      ring.kernel[v] = net.views[v].lags[m].Kernel();
    }
    ring.input.Resize(1, net.encoders[m].inputs());
    ring.token.Resize(1, D);
  }
  rings_->phase.Resize(M + 1, net.config.phase_knots_s.size());
  rings_->pass.seen.resize(M);
  for (nn::Matrix& seen : rings_->pass.seen) seen.Resize(M + 1, D);
}

MomentStream::~MomentStream() = default;

Result<MomentReading> MomentStream::Advance(int64_t second, std::span<const float> values,
                                            std::span<const uint8_t> measured,
                                            const std::optional<MomentAudience>& audience) {
  const MomentAttention::Net& net = model_->net();
  Rings& rings = *rings_;
  const size_t L = net.config.look_back_s, D = net.config.encoder_width, M = net.modalities();
  if (values.size() != net.config.features() || measured.size() != values.size()) {
    return InvalidArgument("moment attention: " + std::to_string(values.size()) +
                           " features, and the model reads " +
                           std::to_string(net.config.features()));
  }
  if (rings.any && second <= rings.second) {
    return InvalidArgument("moment attention: second " + std::to_string(second) +
                           " is not after second " + std::to_string(rings.second));
  }
  // Seconds that nobody reported push the old ones out; L of them empty the ring.
  const auto gap =
      rings.any ? static_cast<uint64_t>(second) - static_cast<uint64_t>(rings.second) - 1 : 0;
  for (uint64_t skipped = 0; skipped < std::min<uint64_t>(gap, L); ++skipped) {
    rings.at = (rings.at + 1) % L;
    for (Rings::Modality& ring : rings.modalities) {
      for (auto& mass : ring.mass) mass[rings.at] = mass[rings.at + L] = 0;
    }
  }
  rings.at = (rings.at + 1) % L;
  rings.any = true;
  rings.second = second;
  for (size_t m = 0; m < M; ++m) {
    Rings::Modality& ring = rings.modalities[m];
    const bool known = net.Encode(m, values, measured, ring.input.view(), ring.token.view());
    for (const size_t place : {rings.at, rings.at + L}) {
      std::copy_n(ring.token.data(), D, ring.tokens.Row(place));
      for (size_t v = 0; v < kMomentViews; ++v) {
        ring.mass[v][place] = known ? net.views[v].lags[m].Mass(ring.token.data()) : 0;
      }
    }
  }
  for (size_t i = 0; i <= M; ++i) net.Phase(second, rings.phase.Row(i));

  MomentReading reading{.second = second};
  reading.modalities.resize(M);
  for (size_t v = 0; v < kMomentViews; ++v) {
    const size_t rows = v == kNext ? M + 1 : 1;
    MomentPass::View& pass = rings.pass;
    pass.present.assign(rows * M, 0);
    for (size_t m = 0; m < M; ++m) {
      const Rings::Modality& ring = rings.modalities[m];
      nn::Matrix& seen = pass.seen[m];
      seen.Resize(rows, D);
      const std::span<const double> mass(ring.mass[v].data() + rings.at + 1, L);
      const double evidence = net.views[v].lags[m].Read(
          ring.kernel[v], ring.tokens.view().Rows(rings.at + 1, L), mass, seen.Row(0));
      for (size_t i = 0; i < rows; ++i) {
        if (i > 0) std::copy_n(seen.Row(0), D, seen.Row(i));
        pass.present[i * M + m] = static_cast<float>(evidence) > 0 && i != m + 1;
      }
    }
    const nn::ConstMat phase = rings.phase.view().Rows(0, rows);
    net.Fuse(net.views[v], phase, &pass);
    net.Explain(net.views[v], phase, pass, &rings.contributions, &rings.weights);
    reading.nothing[v] = rings.weights.Row(0)[M];
    const float* log_rates = pass.log_rates.Row(0);
    for (size_t k = 0; k < kOutcomes; ++k) {
      const double rate = std::exp(static_cast<double>(log_rates[k]));
      if (v == 0 && audience && audience->viewers > 0) {
        rings.seen[k] += static_cast<double>(audience->counts[k]);
        rings.expected[k] += static_cast<double>(audience->viewers) * rate;
      }
      const double level = (kPriorEvents + rings.seen[k]) / (kPriorEvents + rings.expected[k]);
      const double base = model_->base(static_cast<MomentView>(v), static_cast<MomentOutcome>(k));
      reading.rates[v][k] = rate * level;
      reading.lift[v][k] = rate / std::exp(base);
      if (v == kNext) {
        reading.highlight +=
            static_cast<double>(net.config.highlight[k]) * std::log(reading.lift[v][k]);
      }
    }
    for (size_t m = 0; m < M; ++m) {
      MomentReading::Modality& of = reading.modalities[m];
      of.weight[v] = rings.weights.Row(0)[m];
      for (size_t k = 0; k < kOutcomes; ++k) {
        of.contribution[v][k] = rings.contributions.Row(0)[m * kOutcomes + k];
        if (v != kNext) continue;
        of.without[k] = pass.log_rates.Row(m + 1)[k] - log_rates[k];
        of.highlight_without += net.config.highlight[k] * of.without[k];
      }
    }
  }
  const double fade = std::exp2(-1 / kLevelHalfLife);
  for (size_t k = 0; k < kOutcomes; ++k) rings.seen[k] *= fade, rings.expected[k] *= fade;
  const auto leave = static_cast<size_t>(MomentOutcome::kLeave);
  reading.stay = std::exp(-reading.rates[kNext][leave] * static_cast<double>(net.config.horizon_s));
  return reading;
}

}  // namespace heed::model
