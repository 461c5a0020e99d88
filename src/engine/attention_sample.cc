#include "engine/attention_sample.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "event/json.h"

namespace heed::engine {
namespace {

namespace json = boost::json;

constexpr auto kNext = static_cast<size_t>(model::MomentView::kNext);

double Coverage(const MomentReader& reader, const media::Moment& moment) {
  std::vector<float> values(reader.rows.columns());
  std::vector<uint8_t> measured(values.size());
  reader.rows.Row(moment, values, measured);
  const auto sum = std::accumulate(measured.begin(), measured.end(), size_t{0});
  return static_cast<double>(sum) / static_cast<double>(measured.size());
}

json::object Components(const std::vector<model::MomentModality>& modalities,
                        const model::MomentReading& reading) {
  const auto lift = [&](model::MomentOutcome outcome) {
    return reading.lift[kNext][static_cast<size_t>(outcome)];
  };
  json::object weights;
  for (size_t m = 0; m < modalities.size(); ++m) {
    weights[modalities[m].name] = reading.modalities[m].weight[kNext];
  }
  return {{"comment_lift", lift(model::MomentOutcome::kComment)},
          {"click_lift", lift(model::MomentOutcome::kClick)},
          {"highlight", reading.highlight},
          {"weights", std::move(weights)},
          {"nothing", reading.nothing[kNext]}};
}

}  // namespace

bool RestsOnAnything(const model::MomentReading& reading) {
  return std::any_of(reading.modalities.begin(), reading.modalities.end(),
                     [](const auto& modality) { return modality.weight[kNext] > 0; });
}

Result<event::Event> AttentionSampleOf(const MomentReader& reader, const std::string& tenant,
                                       const std::string& room, const std::string& session,
                                       const KeptMoment& kept) {
  const model::MomentAttentionConfig& config = reader.model->config();
  if (!std::isfinite(kept.reading->stay)) return InvalidArgument("is no number", "/data/a");
  event::AttentionSample sample;
  sample.a = std::clamp(kept.reading->stay, 0.0, 1.0);
  sample.window_s = config.horizon_s;
  sample.coverage = Coverage(reader, kept.moment);
  sample.components = event::RawJson{json::serialize(Components(config.modalities, *kept.reading))};
  sample.model = std::filesystem::path(reader.name).stem().string();
  sample.scope = event::AttentionScope::kRoom;
  event::Event event;
  event.id = fmt::format("attention-{:016x}-{}", HashBytes(room), kept.ts);
  event.ts = kept.ts;
  event.tenant = tenant;
  event.room = room;
  event.session = session;
  event.src = {.platform = "heed", .adapter = "moments"};
  event.data = std::move(sample);
  // Through the door of what comes from outside: names are the model's, and a log holds nothing that it could not
  // read back.
  return event::JsonReader().ReadOne(event::ToJson(event));
}

}  // namespace heed::engine
