#include "train/moment_files.h"

#include <simdjson.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "base/file.h"
#include "media/moment_json.h"
#include "train/moment_rows.h"

namespace heed::train {
namespace {

namespace dom = simdjson::dom;
constexpr size_t kOutcomes = model::kMomentOutcomes;

struct Outcomes {
  float viewers = 0;
  std::array<float, kOutcomes> counts = {};
};

Result<float> ReadCount(const dom::object& outcomes, std::string_view name) {
  double value = 0;
  if (outcomes[name].get(value) != simdjson::SUCCESS || !std::isfinite(value) || value < 0 ||
      value > 1e9) {
    return InvalidArgument("\"outcomes\": \"" + std::string(name) + "\" is not a number of people");
  }
  return static_cast<float>(value);
}

Result<Outcomes> ReadOutcomes(std::string_view line) {
  dom::parser parser;
  dom::object object, outcomes;
  Outcomes read;
  if (parser.parse(line.data(), line.size()).get(object) != simdjson::SUCCESS) return read;
  dom::element element;
  if (object["outcomes"].get(element) != simdjson::SUCCESS || element.is_null()) return read;
  if (element.get(outcomes) != simdjson::SUCCESS) {
    return InvalidArgument("\"outcomes\" is not an object");
  }
  HEED_ASSIGN_OR_RETURN(read.viewers, ReadCount(outcomes, "viewers"));
  for (size_t k = 0; k < kOutcomes; ++k) {
    HEED_ASSIGN_OR_RETURN(read.counts[k], ReadCount(outcomes, model::kMomentOutcomeNames[k]));
  }
  return read;
}

Result<MomentRoom> ReadRoom(const std::string& path, const model::MomentAttentionConfig& config) {
  HEED_ASSIGN_OR_RETURN(const std::string bytes, ReadWholeFile(path));
  std::vector<media::Moment> moments;
  std::vector<Outcomes> outcomes;
  size_t number = 0;
  for (size_t at = 0; at < bytes.size();) {
    const size_t end = std::min(bytes.find('\n', at), bytes.size());
    const std::string_view line = std::string_view(bytes).substr(at, end - at);
    at = end + 1;
    const std::string where = path + ":" + std::to_string(++number);
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    Result<media::Moment> moment = media::MomentFromJson(line);
    if (!moment.ok()) return moment.status().Within(where);
    const Result<Outcomes> did = ReadOutcomes(line);
    if (!did.ok()) return did.status().Within(where);
    if (!moments.empty() && moment.value().second <= moments.back().second) {
      return InvalidArgument(where + ": second " + std::to_string(moment.value().second) +
                             " does not come after " + std::to_string(moments.back().second));
    }
    moments.push_back(std::move(moment).value());
    outcomes.push_back(did.value());
  }
  auto series = MomentSeriesOf(moments, config);
  if (!series.ok()) return series.status().Within(path);
  MomentRoom room{.series = std::move(series).value(), .counts = {}, .viewers = {}};
  room.counts.Resize(room.series.seconds(), kOutcomes);
  room.counts.Fill(0);
  room.viewers.assign(room.series.seconds(), 0);
  for (size_t i = 0; i < moments.size(); ++i) {
    const auto t = static_cast<size_t>(moments[i].second - room.series.first_second);
    room.viewers[t] = outcomes[i].viewers;
    std::copy_n(outcomes[i].counts.begin(), kOutcomes, room.counts.Row(t));
  }
  return room;
}

}  // namespace

Result<std::vector<MomentRoom>> ReadMomentRooms(const std::string& folder,
                                                const model::MomentAttentionConfig& config) {
  std::vector<std::string> files;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    if (entry.path().extension() == ".jsonl") files.push_back(entry.path().string());
  }
  if (files.empty()) return NotFound(folder + ": no .jsonl files with moments");
  std::sort(files.begin(), files.end());
  std::vector<MomentRoom> rooms;
  for (const std::string& file : files) {
    HEED_ASSIGN_OR_RETURN(MomentRoom room, ReadRoom(file, config));
    rooms.push_back(std::move(room));
  }
  return rooms;
}

}  // namespace heed::train
