#include "train/moment_rows.h"

#include <algorithm>

namespace heed::train {

std::vector<model::MomentModality> MomentColumns() {
  std::vector<model::MomentModality> modalities;
  for (size_t m = 0; m < media::kModalities; ++m) {
    const auto modality = static_cast<media::Modality>(m);
    model::MomentModality columns{.name = std::string(media::ModalityName(modality)),
                                  .features = {}};
    for (const media::MomentFeatureInfo& info : media::Features()) {
      const auto proxies = media::Proxies();
      const bool proxy = std::find(proxies.begin(), proxies.end(), info.feature) != proxies.end();
      if (info.modality == modality && !proxy) columns.features.emplace_back(info.name);
    }
    modalities.push_back(std::move(columns));
  }
  return modalities;
}

MomentRows::MomentRows(const model::MomentAttentionConfig& config) {
  for (const model::MomentModality& modality : config.modalities) {
    for (const std::string& name : modality.features) {
      columns_.push_back(media::FeatureByName(name));
    }
  }
}

void MomentRows::Row(const media::Moment& moment, std::span<float> values,
                     std::span<uint8_t> measured) const {
  for (size_t i = 0; i < columns_.size(); ++i) {
    const std::optional<float> z = columns_[i] ? moment.z.Get(*columns_[i]) : std::nullopt;
    values[i] = z.value_or(0);
    measured[i] = z.has_value();
  }
}

Result<model::MomentSeries> MomentSeriesOf(std::span<const media::Moment> moments,
                                           const model::MomentAttentionConfig& config,
                                           size_t most) {
  const MomentRows rows(config);
  model::MomentSeries series;
  if (moments.empty()) return series;
  series.first_second = moments.front().second;
  int64_t last = series.first_second;
  for (const media::Moment& moment : moments) last = std::max(last, moment.second);
  const uint64_t span = static_cast<uint64_t>(last) - static_cast<uint64_t>(series.first_second);
  if (span >= most) {
    return InvalidArgument("seconds " + std::to_string(series.first_second) + " to " +
                           std::to_string(last) + " of one room are more than " +
                           std::to_string(most));
  }
  const size_t T = static_cast<size_t>(span) + 1, F = rows.columns();
  series.values.Resize(T, F);
  series.values.Fill(0);
  series.measured.assign(T * F, 0);
  int64_t next = series.first_second;
  for (const media::Moment& moment : moments) {
    if (moment.second < next) continue;
    const auto t = static_cast<size_t>(moment.second - series.first_second);
    rows.Row(moment, {series.values.Row(t), F}, {series.measured.data() + t * F, F});
    next = moment.second + 1;
  }
  return series;
}

}  // namespace heed::train
