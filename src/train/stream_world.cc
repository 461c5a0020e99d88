#include "train/stream_world.h"

#include <cmath>
#include <numeric>

#include "base/random.h"

namespace heed::train {
namespace {

constexpr size_t kLatent = 4;

std::vector<double> Normal(Random* random) {
  std::vector<double> out(kLatent);
  for (double& x : out) x = random->Normal();
  return out;
}

}  // namespace

StreamWorld::StreamWorld(const StreamWorldOptions& options, uint64_t seed) {
  schema_.fields = {{"kind", "kind", model::Side::kRequest},
                    {"item", "item", model::Side::kCandidate}};
  schema_.tasks = {{"click"}};
  Random random(seed);
  std::vector<std::vector<double>> kinds, items;
  std::vector<double> delays;
  for (uint32_t i = 0; i < options.kinds; ++i) kinds.push_back(Normal(&random));
  for (uint32_t i = 0; i < options.items; ++i) {
    items.push_back(Normal(&random));
    delays.push_back(1e3 * options.delay_s * random.Uniform(0.2, 1.8));
  }
  double ts = 0;
  for (uint32_t n = 0; n < options.train_rows + options.stream_rows; ++n) {
    if (options.drift_at > 0 && n == options.train_rows + options.drift_at) {
      for (auto& item : items) {
        if (random.Chance(options.drift_share)) item = Normal(&random);
      }
    }
    ts += random.Exponential(1e3 / options.rows_per_s);
    Row row;
    row.kind = static_cast<uint32_t>(random.Below(options.kinds));
    row.item = static_cast<uint32_t>(random.Below(options.items));
    row.ts = static_cast<int64_t>(ts);
    const auto& a = kinds[row.kind];
    const double match = std::inner_product(a.begin(), a.end(), items[row.item].begin(), 0.0);
    row.probability =
        1 / (1 + std::exp(-(options.bias + options.gain * match / std::sqrt(kLatent))));
    row.clicked = random.Chance(row.probability);
    row.delay_ms = static_cast<int64_t>(random.Exponential(delays[row.item]));
    rows_.push_back(row);
    const bool valid = n % 10 == 9;
    const Split split = n >= options.train_rows ? Split::kTest
                        : valid                 ? Split::kValid
                                                : Split::kTrain;
    splits_[static_cast<size_t>(split)].push_back(n);
  }
}

const std::vector<uint32_t>& StreamWorld::samples_of(Split split) const {
  static const std::vector<uint32_t> none;
  return split == Split::kNone ? none : splits_[static_cast<size_t>(split)];
}

void StreamWorld::FillBatch(const View& /*view*/, std::span<const uint32_t> samples,
                            model::Batch* batch) const {
  batch->Clear(schema_);
  for (const uint32_t sample : samples) {
    const Row& row = rows_[sample];
    batch->request_of.push_back(batch->requests);
    batch->request_keys.push_back(row.kind + 1);
    batch->candidate_keys.push_back(row.item + 1);
    batch->labels.push_back(row.clicked ? 1.0f : 0.0f);
    batch->requests = ++batch->candidates;
  }
}

}  // namespace heed::train
