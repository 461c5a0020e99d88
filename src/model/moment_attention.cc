#include "model/moment_attention.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "model/moment_net.h"
#include "nn/optimizer.h"

namespace heed::model {
namespace {

constexpr size_t kOutcomes = kMomentOutcomes;
constexpr size_t kMaxWidth = 1024, kMaxSeconds = 3600, kMaxKnots = 64;

double Clock(double second) { return std::log(60 + std::max(0.0, second)); }

std::vector<nn::ConstMat> Views(const std::vector<nn::Matrix>& all) {
  std::vector<nn::ConstMat> views;
  views.reserve(all.size());
  for (const nn::Matrix& m : all) views.push_back(m.view());
  return views;
}

// counts, expected [K] summed over the seconds of a segment, at rates without a level.
struct Sums {
  std::array<double, kOutcomes> counts = {}, expected = {};
};

Sums SumOf(const nn::Matrix& log_rates, size_t offset, const MomentTargets& targets, size_t first,
           size_t count) {
  Sums sums;
  for (size_t t = first; t < first + count; ++t) {
    const auto exposure = static_cast<double>(targets.exposure[t]);
    if (exposure <= 0) continue;
    for (size_t k = 0; k < kOutcomes; ++k) {
      sums.counts[k] += static_cast<double>(targets.counts.Row(t)[k]);
      sums.expected[k] += exposure * std::exp(static_cast<double>(log_rates.Row(t - offset)[k]));
    }
  }
  return sums;
}

// -sum of counts (log rate + level) and of the same at a constant rate; expected events equal the counts in
// both, so they cancel.
double LossOf(const nn::Matrix& log_rates, size_t offset, const MomentTargets& targets,
              size_t first, size_t count) {
  const Sums sums = SumOf(log_rates, offset, targets, first, count);
  double exposure = 0, loss = 0;
  for (size_t t = first; t < first + count; ++t) {
    exposure += static_cast<double>(std::max(0.0f, targets.exposure[t]));
  }
  for (size_t k = 0; k < kOutcomes; ++k) {
    if (sums.counts[k] <= 0) continue;
    // log of (counts / expected) less log of (counts / exposure)
    const double level = std::log(exposure / sums.expected[k]);
    for (size_t t = first; t < first + count; ++t) {
      if (targets.exposure[t] <= 0) continue;
      loss -= static_cast<double>(targets.counts.Row(t)[k]) *
              (static_cast<double>(log_rates.Row(t - offset)[k]) + level);
    }
  }
  return loss;
}

}  // namespace

size_t MomentAttentionConfig::features() const {
  size_t all = 0;
  for (const MomentModality& modality : modalities) all += modality.features.size();
  return all;
}

Status ValidateMomentAttention(const MomentAttentionConfig& config) {
  if (config.modalities.empty()) return InvalidArgument("modalities: none");
  std::set<std::string> names, features;
  for (const MomentModality& modality : config.modalities) {
    if (!names.insert(modality.name).second) {
      return InvalidArgument("modalities: '" + modality.name + "' twice");
    }
    if (modality.features.empty()) {
      return InvalidArgument("modality '" + modality.name + "': no features");
    }
    for (const std::string& feature : modality.features) {
      if (!features.insert(feature).second) {
        return InvalidArgument("features: '" + feature + "' twice");
      }
    }
  }
  const auto within = [](const char* name, size_t value, size_t most) {
    if (value >= 1 && value <= most) return Status();
    return InvalidArgument(std::string(name) + ": " + std::to_string(value) +
                           " is not within 1 and " + std::to_string(most));
  };
  HEED_RETURN_IF_ERROR(within("modalities", config.modalities.size(), 64));
  HEED_RETURN_IF_ERROR(within("features", features.size(), 4096));
  HEED_RETURN_IF_ERROR(within("look_back_s", config.look_back_s, kMaxSeconds));
  HEED_RETURN_IF_ERROR(within("horizon_s", config.horizon_s, kMaxSeconds));
  HEED_RETURN_IF_ERROR(within("encoder_width", config.encoder_width, kMaxWidth));
  HEED_RETURN_IF_ERROR(within("fusion_width", config.fusion_width, kMaxWidth));
  HEED_RETURN_IF_ERROR(within("phase_knots_s", config.phase_knots_s.size(), kMaxKnots));
  for (size_t c = 0; c < config.phase_knots_s.size(); ++c) {
    const float knot = config.phase_knots_s[c];
    const bool right = c == 0 ? knot == 0 : knot > config.phase_knots_s[c - 1];
    if (!right || !std::isfinite(knot)) {
      return InvalidArgument("phase_knots_s: not ascending from 0");
    }
  }
  for (const float weight : config.highlight) {
    if (!std::isfinite(weight)) return InvalidArgument("highlight: not finite");
  }
  return {};
}

MomentTargetsByView MakeMomentTargets(const nn::Matrix& counts, std::span<const float> viewers,
                                      uint32_t horizon_s) {
  const size_t T = counts.rows();
  assert(viewers.size() == T && counts.cols() == kOutcomes);
  MomentTargetsByView targets;
  for (MomentTargets& view : targets) {
    view.counts.Resize(T, kOutcomes);
    view.exposure.resize(T);
  }
  std::vector<std::array<double, kOutcomes + 1>> until(T + 1);  // sums of the seconds before
  for (size_t t = 0; t < T; ++t) {
    const bool known = viewers[t] > 0;
    targets[0].exposure[t] = known ? viewers[t] : 0;
    until[t + 1] = until[t];
    for (size_t k = 0; k < kOutcomes; ++k) {
      targets[0].counts.Row(t)[k] = counts.Row(t)[k];
      if (known) until[t + 1][k] += static_cast<double>(counts.Row(t)[k]);
    }
    if (known) until[t + 1][kOutcomes] += static_cast<double>(viewers[t]);
  }
  for (size_t t = 0; t < T; ++t) {
    const size_t end = std::min(T, t + 1 + horizon_s);
    for (size_t k = 0; k < kOutcomes; ++k) {
      targets[1].counts.Row(t)[k] = static_cast<float>(until[end][k] - until[t + 1][k]);
    }
    targets[1].exposure[t] = static_cast<float>(until[end][kOutcomes] - until[t + 1][kOutcomes]);
  }
  return targets;
}

MomentAttention::Net::Net(const MomentAttentionConfig& moment_config, uint64_t seed)
    : config(moment_config), first_feature{0} {
  Random random(seed);
  const size_t C = config.phase_knots_s.size(), M = modalities();
  for (const MomentModality& modality : config.modalities) {
    first_feature.push_back(first_feature.back() + modality.features.size());
    encoders.emplace_back("encoder." + modality.name, 2 * modality.features.size(),
                          config.encoder_width, random);
  }
  for (size_t v = 0; v < kMomentViews; ++v) {
    const std::string name = v == 0 ? "now" : "next";
    View& view = views[v];
    for (const MomentModality& modality : config.modalities) {
      view.lags.emplace_back(
          name + ".lag." + modality.name,
          nn::LagShape{.width = config.encoder_width,
                       .look_back = config.look_back_s,
                       // The next minute draws on everything shown within the lag alike.
                       .sudden = v == static_cast<size_t>(MomentView::kNow)});
    }
    view.fusion =
        nn::FusionAttention(name + ".fusion",
                            {.modality_widths = std::vector<size_t>(M, config.encoder_width),
                             .context_width = C,
                             .heads = 1,
                             .width = config.fusion_width},
                            random);
    view.head = nn::Linear(name + ".head", config.fusion_width * C, kOutcomes, random);
  }
}

std::vector<nn::Parameter*> MomentAttention::Net::Trained() {
  std::vector<nn::Parameter*> all;
  for (nn::Linear& encoder : encoders) all.insert(all.end(), {&encoder.weight, &encoder.bias});
  for (View& view : views) {
    for (nn::LagAttention& lag : view.lags) {
      for (nn::Parameter* p : lag.Parameters()) all.push_back(p);
    }
    for (nn::Parameter* p : view.fusion.Parameters()) all.push_back(p);
    all.push_back(&view.head.weight);
  }
  return all;
}

std::vector<nn::Parameter*> MomentAttention::Net::All() {
  std::vector<nn::Parameter*> all = Trained();
  for (View& view : views) all.push_back(&view.head.bias);
  return all;
}

bool MomentAttention::Net::Encode(size_t m, std::span<const float> values,
                                  std::span<const uint8_t> measured, nn::Mat input,
                                  nn::Mat token) const {
  const size_t first = first_feature[m], width = first_feature[m + 1] - first;
  bool any = false;
  float* x = input.Row(0);
  for (size_t f = 0; f < width; ++f) {
    const bool known = measured[first + f] != 0;
    any |= known;
    x[f] = known ? values[first + f] : 0;
    x[width + f] = known ? 1 : 0;
  }
  if (!any) return false;
  encoders[m].Forward(input, token);
  nn::ReluForward(token);
  return true;
}

// Hats over log(60 + second): the first minutes of a show are told apart finer than its hours.
void MomentAttention::Net::Phase(int64_t second, float* phase) const {
  const std::vector<float>& knots = config.phase_knots_s;
  std::fill_n(phase, knots.size(), 0.0f);
  const auto at = static_cast<double>(second);
  size_t c = 0;
  while (c + 1 < knots.size() && at >= static_cast<double>(knots[c + 1])) ++c;
  if (c + 1 == knots.size()) {
    phase[c] = 1;
    return;
  }
  const double low = Clock(static_cast<double>(knots[c]));
  const double high = Clock(static_cast<double>(knots[c + 1]));
  const double part = std::clamp((Clock(at) - low) / (high - low), 0.0, 1.0);
  phase[c] = static_cast<float>(1 - part);
  phase[c + 1] = static_cast<float>(part);
}

void MomentAttention::Net::Fuse(const View& view, nn::ConstMat phase,
                                MomentPass::View* pass) const {
  const size_t T = phase.rows, W = config.fusion_width, C = phase.cols;
  pass->y.Resize(T, W);
  pass->fused_evidence.Resize(T, 1);
  const std::vector<nn::ConstMat> seen = Views(pass->seen);
  view.fusion.Forward({seen, pass->present, phase}, &pass->fusion, pass->y.view(),
                      pass->fused_evidence.view());
  pass->spread.Resize(T, W * C);
  for (size_t t = 0; t < T; ++t) {
    for (size_t w = 0; w < W; ++w) {
      for (size_t c = 0; c < C; ++c) {
        pass->spread.Row(t)[w * C + c] = pass->y.Row(t)[w] * phase.Row(t)[c];
      }
    }
  }
  pass->log_rates.Resize(T, kOutcomes);
  view.head.Forward(pass->spread.view(), pass->log_rates.view());
}

void MomentAttention::Net::Forward(const MomentSeries& series, size_t first, size_t count,
                                   size_t omit, MomentPass* pass) const {
  const size_t M = modalities(), D = config.encoder_width;
  assert(first + count <= series.seconds());
  assert(series.values.cols() == config.features());
  assert(series.measured.size() == series.values.size());
  pass->inputs.resize(M), pass->tokens.resize(M), pass->present.resize(M);
  pass->phase.Resize(count, config.phase_knots_s.size());
  for (size_t t = 0; t < count; ++t) {
    Phase(series.first_second + static_cast<int64_t>(first + t), pass->phase.Row(t));
  }
  for (size_t m = 0; m < M; ++m) {
    pass->inputs[m].Resize(count, encoders[m].inputs());
    pass->tokens[m].Resize(count, D);
    pass->present[m].assign(count, 0);
    pass->inputs[m].Fill(0), pass->tokens[m].Fill(0);
    if (m == omit) continue;
    const nn::Mat input = pass->inputs[m].view(), token = pass->tokens[m].view();
    for (size_t t = 0; t < count; ++t) {
      const size_t F = series.values.cols();
      pass->present[m][t] =
          Encode(m, {series.values.Row(first + t), F},
                 {series.measured.data() + (first + t) * F, F}, input.Rows(t, 1), token.Rows(t, 1));
    }
  }
  for (size_t v = 0; v < kMomentViews; ++v) {
    MomentPass::View& out = pass->views[v];
    out.lags.resize(M), out.seen.resize(M), out.evidence.resize(M);
    out.present.assign(count * M, 0);
    for (size_t m = 0; m < M; ++m) {
      out.seen[m].Resize(count, D);
      out.evidence[m].resize(count);
      views[v].lags[m].Forward({pass->tokens[m].view(), pass->present[m]}, &out.lags[m],
                               out.seen[m].view(), out.evidence[m]);
      for (size_t t = 0; t < count; ++t) out.present[t * M + m] = out.evidence[m][t] > 0;
    }
    Fuse(views[v], pass->phase.view(), &out);
  }
}

void MomentAttention::Net::Backward(MomentPass* pass) {
  const size_t M = modalities(), T = pass->phase.rows(), C = pass->phase.cols();
  const size_t W = config.fusion_width, D = config.encoder_width;
  pass->d_tokens.resize(M);
  for (nn::Matrix& d : pass->d_tokens) d.Resize(T, D), d.Fill(0);
  nn::Matrix d_phase(T, C), no_evidence(T, 1);
  no_evidence.Fill(0);
  for (size_t v = 0; v < kMomentViews; ++v) {
    MomentPass::View& at = pass->views[v];
    at.d_spread.Resize(T, W * C);
    nn::Mat d_spread = at.d_spread.view();
    views[v].head.Backward(at.spread.view(), at.d_log_rates.view(), &d_spread);
    at.d_y.Resize(T, W);
    at.d_y.Fill(0);
    for (size_t t = 0; t < T; ++t) {
      for (size_t w = 0; w < W; ++w) {
        for (size_t c = 0; c < C; ++c) {
          at.d_y.Row(t)[w] += at.d_spread.Row(t)[w * C + c] * pass->phase.Row(t)[c];
        }
      }
    }
    at.d_seen.resize(M);
    std::vector<nn::Mat> d_seen;
    for (nn::Matrix& d : at.d_seen) {
      d.Resize(T, D), d.Fill(0);
      d_seen.push_back(d.view());
    }
    d_phase.Fill(0);  // the phase is given
    const std::vector<nn::ConstMat> seen = Views(at.seen);
    views[v].fusion.Backward({seen, at.present, pass->phase.view()}, &at.fusion, at.d_y.view(),
                             no_evidence.view(), d_phase.view(), d_seen);
    for (size_t m = 0; m < M; ++m) {
      views[v].lags[m].Backward({pass->tokens[m].view(), pass->present[m]}, at.lags[m],
                                at.d_seen[m].view(), pass->d_tokens[m].view());
    }
  }
  for (size_t m = 0; m < M; ++m) {
    nn::ReluBackward(pass->tokens[m].view(), pass->d_tokens[m].view());
    encoders[m].Backward(pass->inputs[m].view(), pass->d_tokens[m].view(), nullptr);
  }
}

void MomentAttention::Net::Explain(const View& view, nn::ConstMat phase,
                                   const MomentPass::View& pass, nn::Matrix* contributions,
                                   nn::Matrix* weights) const {
  const size_t T = phase.rows, M = modalities(), W = config.fusion_width, C = phase.cols;
  nn::Matrix parts(T * M, W);
  view.fusion.Parts(pass.fusion, parts.view());
  contributions->Resize(T, M * kOutcomes);
  contributions->Fill(0);
  weights->Resize(T, M + 1);
  std::copy_n(pass.fusion.attention.weights.data(), T * (M + 1), weights->data());
  std::array<float, kOutcomes> slope;
  for (size_t t = 0; t < T; ++t) {
    for (size_t w = 0; w < W; ++w) {
      slope.fill(0);
      for (size_t c = 0; c < C; ++c) {
        const float* row = view.head.weight.value.Row(w * C + c);
        for (size_t k = 0; k < kOutcomes; ++k) slope[k] += phase.Row(t)[c] * row[k];
      }
      for (size_t m = 0; m < M; ++m) {
        const float part = parts.Row(t * M + m)[w];
        for (size_t k = 0; k < kOutcomes; ++k)
          contributions->Row(t)[m * kOutcomes + k] += part * slope[k];
      }
    }
  }
}

MomentAttention::MomentAttention(std::unique_ptr<Net> net) : net_(std::move(net)) {}
MomentAttention::~MomentAttention() = default;

Result<std::unique_ptr<MomentAttention>> MomentAttention::Create(
    const MomentAttentionConfig& config, uint64_t seed) {
  HEED_RETURN_IF_ERROR(ValidateMomentAttention(config));
  return std::unique_ptr<MomentAttention>(new MomentAttention(std::make_unique<Net>(config, seed)));
}

const MomentAttentionConfig& MomentAttention::config() const { return net_->config; }

double MomentAttention::Loss(const nn::Matrix& log_rates, const MomentTargets& targets,
                             size_t first, size_t count) {
  return LossOf(log_rates, 0, targets, first, count);
}

Result<double> MomentAttention::TrainStep(const MomentSeries& series,
                                          const MomentTargetsByView& targets, size_t first,
                                          size_t count, const MomentTraining& training) {
  Net& net = *net_;
  const size_t reach = net.config.look_back_s - 1;
  const size_t begin = first > reach ? first - reach : 0, offset = first - begin;
  MomentPass& pass = net.training;
  net.Forward(series, begin, offset + count, kNone, &pass);
  double loss = 0;
  for (size_t v = 0; v < kMomentViews; ++v) {
    // Horizons overlap: each second of the room is in horizon_s of them.
    const double weight = 1.0 / static_cast<double>(count * (v == 0 ? 1 : net.config.horizon_s));
    const nn::Matrix& log_rates = pass.views[v].log_rates;
    loss += weight * LossOf(log_rates, begin, targets[v], first, count);
    const Sums sums = SumOf(log_rates, begin, targets[v], first, count);
    nn::Matrix& d = pass.views[v].d_log_rates;
    d.Resize(offset + count, kOutcomes);
    d.Fill(0);
    for (size_t t = first; t < first + count; ++t) {
      const auto exposure = static_cast<double>(targets[v].exposure[t]);
      if (exposure <= 0) continue;
      for (size_t k = 0; k < kOutcomes; ++k) {
        if (sums.counts[k] <= 0) continue;
        const double expected = exposure *
                                std::exp(static_cast<double>(log_rates.Row(t - begin)[k])) *
                                sums.counts[k] / sums.expected[k];
        d.Row(t - begin)[k] = static_cast<float>(
            weight * (expected - static_cast<double>(targets[v].counts.Row(t)[k])));
      }
    }
  }
  const std::vector<nn::Parameter*> trained = net.Trained();
  for (nn::Parameter* p : net.All()) p->grad.Fill(0);
  net.Backward(&pass);
  const double norm = std::sqrt(nn::GradientSquares(trained));
  if (!std::isfinite(loss) || !std::isfinite(norm)) {
    return InvalidArgument("moment attention: the loss is not finite");
  }
  ++net.updates;
  const float shrink = norm > static_cast<double>(training.clip_norm) && training.clip_norm > 0
                           ? static_cast<float>(static_cast<double>(training.clip_norm) / norm)
                           : 1.0f;
  std::set<const nn::Parameter*> lags;
  for (Net::View& view : net.views) {
    for (nn::LagAttention& lag : view.lags) lags.insert({&lag.lag, &lag.decay, &lag.rise});
  }
  for (nn::Parameter* p : trained) {
    for (size_t i = 0; i < p->grad.size(); ++i) p->grad.data()[i] *= shrink;
    nn::Apply({.rate = (lags.contains(p) ? training.lag_rate : training.rate) * net.rate_scale,
               .l2 = p->decays ? training.l2 : 0.0f,
               .step = net.updates},
              *p);
  }
  for (Net::View& view : net.views) {
    for (nn::LagAttention& lag : view.lags) lag.ClampToRange();
  }
  return loss;
}

void MomentAttention::SetRateScale(float scale) { net_->rate_scale = scale; }

void MomentAttention::FitBase(std::span<const MomentSeries> series,
                              std::span<const MomentTargetsByView> targets) {
  assert(series.size() == targets.size());
  std::array<Sums, kMomentViews> all;
  for (Net::View& view : net_->views) view.head.bias.value.Fill(0);
  MomentPass pass;
  for (size_t i = 0; i < series.size(); ++i) {
    const size_t T = series[i].seconds();
    net_->Forward(series[i], 0, T, kNone, &pass);
    for (size_t v = 0; v < kMomentViews; ++v) {
      const Sums sums = SumOf(pass.views[v].log_rates, 0, targets[i][v], 0, T);
      for (size_t k = 0; k < kOutcomes; ++k) {
        all[v].counts[k] += sums.counts[k], all[v].expected[k] += sums.expected[k];
      }
    }
  }
  for (size_t v = 0; v < kMomentViews; ++v) {
    for (size_t k = 0; k < kOutcomes; ++k) {
      // Half an event, so that an outcome that never came has a rate.
      net_->views[v].head.bias.value.data()[k] = static_cast<float>(
          std::log((all[v].counts[k] + 0.5) / std::max(all[v].expected[k], 1.0)));
    }
  }
}

void MomentAttention::Answer(const MomentSeries& series, MomentAnswer* answer, size_t omit) const {
  MomentPass pass;
  net_->Forward(series, 0, series.seconds(), omit, &pass);
  for (size_t v = 0; v < kMomentViews; ++v) {
    MomentAnswer::View& out = answer->views[v];
    net_->Explain(net_->views[v], pass.phase.view(), pass.views[v], &out.contributions,
                  &out.weights);
    out.log_rates = std::move(pass.views[v].log_rates);
  }
}

double MomentAttention::base(MomentView view, MomentOutcome outcome) const {
  return static_cast<double>(
      net_->views[static_cast<size_t>(view)].head.bias.value.data()[static_cast<size_t>(outcome)]);
}

double MomentAttention::highlight(const MomentAnswer& answer, size_t second) const {
  const float* log_rates =
      answer.views[static_cast<size_t>(MomentView::kNext)].log_rates.Row(second);
  double sum = 0;
  for (size_t k = 0; k < kOutcomes; ++k) {
    sum += static_cast<double>(net_->config.highlight[k]) *
           (static_cast<double>(log_rates[k]) -
            base(MomentView::kNext, static_cast<MomentOutcome>(k)));
  }
  return sum;
}

MomentAttention::Lag MomentAttention::lag(MomentView view, size_t modality) const {
  const nn::LagAttention& lag = net_->views[static_cast<size_t>(view)].lags[modality];
  const auto number = [](const nn::Parameter& p) { return static_cast<double>(p.value.data()[0]); };
  return {number(lag.lag), number(lag.decay), number(lag.rise)};
}

}  // namespace heed::model
