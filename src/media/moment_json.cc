#include "media/moment_json.h"

#include <simdjson.h>

#include <cmath>

#include "media/moment_file.h"

namespace heed::media {
namespace {

namespace dom = simdjson::dom;

Status Wrong(std::string_view member, const char* what) {
  return InvalidArgument("\"" + std::string(member) + "\": " + what);
}

// Leaves *out alone where there is no such member, or null.
Status ReadInteger(const dom::object& object, const char* name, int64_t low, int64_t high,
                   int64_t* out) {
  dom::element element;
  if (object[name].get(element) != simdjson::SUCCESS || element.is_null()) return {};
  if (element.get(*out) != simdjson::SUCCESS) return Wrong(name, "not a whole number");
  if (*out < low || *out > high) return Wrong(name, "out of range");
  return {};
}

Status ReadText(const dom::object& object, const char* name, std::string* out) {
  dom::element element;
  if (object[name].get(element) != simdjson::SUCCESS || element.is_null()) return {};
  std::string_view text;
  if (element.get(text) != simdjson::SUCCESS) return Wrong(name, "not a string");
  *out = text;
  return {};
}

Status ReadColumns(const dom::object& line, const char* name, bool bounded, MomentValues* out) {
  dom::element element;
  if (line[name].get(element) != simdjson::SUCCESS) return {};
  dom::object columns;
  if (element.get(columns) != simdjson::SUCCESS) return Wrong(name, "not an object");
  for (const auto& column : columns) {
    const std::optional<Feature> feature = FeatureByName(column.key);
    if (!feature || column.value.is_null()) continue;
    double value = 0;
    if (column.value.get(value) != simdjson::SUCCESS) return Wrong(column.key, "not a number");
    const bool set = bounded ? out->Set(*feature, value) : out->SetUnbounded(*feature, value);
    if (!set) return Wrong(column.key, "not a finite number");
  }
  return {};
}

Status ReadModality(const dom::object& all, Modality modality, Moment* moment) {
  const std::string_view name = ModalityName(modality);
  dom::object seen;
  dom::element element;
  if (all[name].get(element) != simdjson::SUCCESS) return {};
  if (element.get(seen) != simdjson::SUCCESS) return Wrong(name, "not an object");
  Coverage& coverage = moment->of(modality);
  int64_t ok = 0, frames = 0;
  HEED_RETURN_IF_ERROR(ReadInteger(seen, "ok", 0, 1, &ok));
  HEED_RETURN_IF_ERROR(ReadInteger(seen, "age_ms", 0, INT64_MAX, &coverage.age_ms));
  HEED_RETURN_IF_ERROR(ReadInteger(seen, "frames", 0, UINT32_MAX, &frames));
  coverage.ok = ok == 1;
  double cover = 0;
  if (seen["cover"].get(element) == simdjson::SUCCESS && element.get(cover) != simdjson::SUCCESS) {
    return Wrong("cover", "not a number");
  }
  coverage.cover = static_cast<float>(std::clamp(cover, 0.0, 1.0));
  if (modality != Modality::kPicture) return {};
  moment->frames = static_cast<uint32_t>(frames);
  return ReadText(seen, "mode", &moment->mode);
}

}  // namespace

Result<Moment> MomentFromJson(std::string_view line) {
  dom::parser parser;
  dom::object object;
  const simdjson::error_code error = parser.parse(line.data(), line.size()).get(object);
  if (error != simdjson::SUCCESS) {
    return InvalidArgument(std::string("not a JSON object: ") + simdjson::error_message(error));
  }
  Moment moment;
  int64_t version = 0, epoch = 0;
  HEED_RETURN_IF_ERROR(ReadInteger(object, "v", 0, INT64_MAX, &version));
  if (version != 1) return Wrong("v", "not 1: no moment, or of another version");
  HEED_RETURN_IF_ERROR(ReadText(object, "room", &moment.room));
  HEED_RETURN_IF_ERROR(ReadInteger(object, "epoch", 0, UINT32_MAX, &epoch));
  moment.epoch = static_cast<uint32_t>(epoch);
  dom::element element;
  if (object["t"].get(element) != simdjson::SUCCESS) return Wrong("t", "missing");
  HEED_RETURN_IF_ERROR(ReadInteger(object, "t", -kMaxSecond, kMaxSecond, &moment.second));
  HEED_RETURN_IF_ERROR(ReadInteger(object, "wall_ms", INT64_MIN, INT64_MAX, &moment.wall_ms));
  HEED_RETURN_IF_ERROR(ReadInteger(object, "lag_ms", INT64_MIN, INT64_MAX, &moment.lag_ms));
  HEED_RETURN_IF_ERROR(ReadColumns(object, "f", true, &moment.values));
  HEED_RETURN_IF_ERROR(ReadColumns(object, "z", false, &moment.z));
  HEED_RETURN_IF_ERROR(ReadText(object, "text", &moment.screen_text));
  dom::object modalities;
  if (object["mod"].get(element) == simdjson::SUCCESS) {
    if (element.get(modalities) != simdjson::SUCCESS) return Wrong("mod", "not an object");
    for (size_t i = 0; i < kModalities; ++i) {
      HEED_RETURN_IF_ERROR(
          ReadModality(modalities, static_cast<Modality>(i), &moment).Within("mod"));
    }
  }
  return moment;
}

Result<std::vector<Moment>> ReadMoments(std::string_view bytes, const std::string& name) {
  std::vector<Moment> moments;
  if (bytes.starts_with("HEEDMOM")) {
    auto reader = MomentFileReader::Open(bytes);
    if (!reader.ok()) return reader.status().Within(name);
    while (true) {
      Result<std::optional<Moment>> next = reader.value().Next();
      if (!next.ok()) return next.status().Within(name);
      if (!next.value()) return moments;
      moments.push_back(std::move(*next.value()));
    }
  }
  size_t number = 0;
  for (size_t at = 0; at < bytes.size();) {
    const size_t end = std::min(bytes.find('\n', at), bytes.size());
    const std::string_view line = bytes.substr(at, end - at);
    at = end + 1;
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    Result<Moment> moment = MomentFromJson(line);
    if (!moment.ok()) return moment.status().Within(name + ":" + std::to_string(number));
    moments.push_back(std::move(moment).value());
  }
  return moments;
}

}  // namespace heed::media
