#include "train/recovery_world.h"

#include <algorithm>
#include <cmath>

#include "base/random.h"

namespace heed::train {
namespace {

constexpr size_t kLatent = 4;
constexpr double kNoiseScore = -12.0;

using Latents = std::vector<std::vector<double>>;

Latents Normals(size_t count, Random& random) {
  Latents all(count, std::vector<double>(kLatent));
  for (auto& one : all) {
    for (double& x : one) x = random.Normal();
  }
  return all;
}

// Pearson's r of pairs that arrive one by one.
class Correlation {
 public:
  void Add(double x, double y) {
    n_ += 1, x_ += x, y_ += y, xx_ += x * x, yy_ += y * y, xy_ += x * y;
  }
  double value() const {
    const double spread = (xx_ - x_ * x_ / n_) * (yy_ - y_ * y_ / n_);
    return spread > 0 ? (xy_ - x_ * y_ / n_) / std::sqrt(spread) : 0;
  }

 private:
  double n_ = 0, x_ = 0, y_ = 0, xx_ = 0, yy_ = 0, xy_ = 0;
};

class Mean {
 public:
  void Add(double x) { sum_ += x, n_ += 1; }
  double value() const { return n_ > 0 ? sum_ / n_ : 0; }

 private:
  double sum_ = 0, n_ = 0;
};

}  // namespace

RecoveryWorld::RecoveryWorld(const RecoveryWorldOptions& options, uint64_t seed) {
  schema_.fields = {{"candidate", "candidate", model::Side::kCandidate}};
  schema_.sequences = {{"history", {"item"}, {"candidate"}, options.max_length}};
  schema_.tasks = {{"click"}};

  Random random(seed);
  const Latents keys = Normals(options.types, random);
  const Latents queries = Normals(options.candidates, random);
  std::vector<double> values;
  for (uint32_t i = 0; i < options.types; ++i) values.push_back(random.Normal());
  const auto noise = static_cast<uint32_t>(options.noise_types * options.types);  // types below it
  for (uint32_t n = 0; n < options.rows; ++n) {
    Row row;
    row.candidate = static_cast<uint32_t>(random.Below(options.candidates));
    row.first = static_cast<uint32_t>(items_.size());
    row.length = static_cast<uint32_t>(random.Below(options.max_length + 1));
    row.only_noise = row.length > 0 && random.Chance(options.noise_histories);
    std::vector<double> ages;
    for (uint32_t i = 0; i < row.length; ++i) ages.push_back(random.Exponential(24 * 3600.0));
    std::sort(ages.rbegin(), ages.rend());
    std::vector<double> exps;
    double total = 1.0, pooled = 0.0;  // the null slot's exp(0)
    for (const double age : ages) {
      const auto type = static_cast<uint32_t>(random.Below(row.only_noise ? noise : options.types));
      double score = kNoiseScore;
      if (type >= noise) {
        score = 0.0;
        for (size_t d = 0; d < kLatent; ++d) score += queries[row.candidate][d] * keys[type][d];
        score = options.sharpness * score / std::sqrt(static_cast<double>(kLatent)) -
                options.decay * std::log1p(age / static_cast<double>(options.age_scale_s));
      }
      items_.push_back(type);
      ages_s_.push_back(static_cast<float>(age));
      exps.push_back(std::exp(score));
      total += exps.back();
      pooled += exps.back() * values[type];
    }
    for (const double e : exps) weights_.push_back(static_cast<float>(e / total));
    weights_.push_back(static_cast<float>(1.0 / total));
    const double logit = options.bias + options.gain * pooled / total;
    row.click = random.Chance(1.0 / (1.0 + std::exp(-logit))) ? 1.0f : 0.0f;
    rows_.push_back(row);
    splits_[n % 10 < 8 ? 0 : n % 10 - 7].push_back(n);
  }
}

const std::vector<uint32_t>& RecoveryWorld::samples_of(Split split) const {
  static const std::vector<uint32_t> kNone;
  return split == Split::kNone ? kNone : splits_[static_cast<size_t>(split)];
}

void RecoveryWorld::FillBatch(const View&, std::span<const uint32_t> samples,
                              model::Batch* batch) const {
  batch->Clear(schema_);
  batch->requests = batch->candidates = static_cast<uint32_t>(samples.size());
  model::SequenceBatch& history = batch->sequences[0];
  for (uint32_t n = 0; n < samples.size(); ++n) {
    const Row& row = rows_[samples[n]];
    batch->request_of.push_back(n);
    batch->candidate_keys.push_back(row.candidate + 1);
    batch->labels.push_back(row.click);
    for (uint32_t i = row.first; i < row.first + row.length; ++i) {
      history.keys.push_back(items_[i] + 1);
      history.age_s.push_back(ages_s_[i]);
    }
    history.offsets.push_back(static_cast<uint32_t>(history.keys.size()));
  }
}

std::span<const float> RecoveryWorld::TrueWeights(uint32_t sample) const {
  const Row& row = rows_[sample];
  return {weights_.data() + row.first + sample, row.length + 1};
}

Result<Recovery> MeasureRecovery(const model::Ranker& ranker, const RecoveryWorld& world,
                                 Split split) {
  Correlation correlation;
  Mean null_on_noise, true_null_on_noise, null_on_others, true_null_on_others;
  const std::vector<uint32_t>& samples = world.samples_of(split);
  model::Batch batch;
  model::Scores scores;
  for (size_t first = 0; first < samples.size(); first += 1000) {
    const auto part =
        std::span(samples).subspan(first, std::min<size_t>(1000, samples.size() - first));
    world.FillBatch({}, part, &batch);
    HEED_RETURN_IF_ERROR(ranker.Forward(batch, true, &scores));
    const model::Attention& attention = scores.attention.at(0);
    for (size_t n = 0; n < part.size(); ++n) {
      const std::span<const float> truth = world.TrueWeights(part[n]);
      const float* learned = attention.weights.data() + attention.starts[n];
      const size_t length = truth.size() - 1;
      for (size_t i = 0; i < length; ++i) correlation.Add(learned[i], truth[i]);
      if (length == 0) continue;
      (world.OnlyNoise(part[n]) ? null_on_noise : null_on_others).Add(learned[length]);
      (world.OnlyNoise(part[n]) ? true_null_on_noise : true_null_on_others).Add(truth[length]);
    }
  }
  return Recovery{correlation.value(), null_on_noise.value(), true_null_on_noise.value(),
                  null_on_others.value(), true_null_on_others.value()};
}

}  // namespace heed::train
