#include "media/moment_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <string>
#include <utility>

#include "media/moment_file.h"
#include "text/normalize.h"

namespace heed::media {
namespace {

namespace json = boost::json;

constexpr int64_t kFarthestMs = kMaxSecond * 1000;
constexpr int64_t kLatestMs = 253'402'300'799'999;  // the year 9999
constexpr uint32_t kMaxFrames = 1'000'000;
constexpr size_t kMaxRoomBytes = 512, kMaxModeBytes = 64, kMaxTextBytes = 64'000;
constexpr float kMaxZ = 8;  // RunningNormConfig::limit

// RFC 6901: ~ and / are escaped.
std::string Pointer(std::string_view parent, std::string_view name) {
  std::string out(parent);
  out += '/';
  for (const char c : name) {
    if (c == '~' || c == '/') {
      out += c == '~' ? "~0" : "~1";
    } else {
      out += c;
    }
  }
  return out;
}

Status ReadWhole(const json::value& value, const std::string& at, int64_t low, int64_t high,
                 int64_t* out) {
  json::error_code error;
  const auto number = value.to_number<int64_t>(error);
  if (!value.is_number() || error || number < low || number > high) {
    return InvalidArgument(fmt::format("must be a whole number from {} to {}", low, high), at);
  }
  *out = number;
  return {};
}

// A finite one within the range, as a float.
Status ReadReal(const json::value& value, const std::string& at, float low, float high,
                float* out) {
  json::error_code error;
  const auto number = value.is_number() ? static_cast<float>(value.to_number<double>(error)) : NAN;
  if (error || !(number >= low && number <= high)) {
    return InvalidArgument(fmt::format("must be a number from {} to {}, or null", low, high), at);
  }
  *out = number;
  return {};
}

Status ReadText(const json::value& value, const std::string& at, size_t max_bytes,
                std::string* out) {
  const json::string* text = value.if_string();
  if (text == nullptr) return InvalidArgument("must be a text", at);
  if (text->size() > max_bytes) {
    return InvalidArgument(fmt::format("is longer than {} bytes", max_bytes), at);
  }
  out->assign(text->data(), text->size());
  return {};
}

Status NotAnObject(const std::string& at) { return InvalidArgument("must be an object", at); }
Status Unknown(UnknownNames unknown, const std::string& at, const char* what) {
  if (unknown == UnknownNames::kPass) return {};
  return InvalidArgument(std::string("is no ") + what + " that this version knows", at);
}

Status ReadCoverage(Modality modality, const json::value& value, const std::string& at,
                    UnknownNames unknown, Moment* moment) {
  const json::object* object = value.if_object();
  if (object == nullptr) return NotAnObject(at);
  Coverage& seen = moment->of(modality);
  for (const auto& [name, member] : *object) {
    const std::string here = Pointer(at, name);
    if (name == "ok") {
      // Written as 0 and 1.
      int64_t ok = 0;
      if (!member.is_bool()) HEED_RETURN_IF_ERROR(ReadWhole(member, here, 0, 1, &ok));
      seen.ok = member.is_bool() ? member.get_bool() : ok == 1;
    } else if (name == "cover") {
      HEED_RETURN_IF_ERROR(ReadReal(member, here, 0, 1, &seen.cover));
    } else if (name == "age_ms") {
      if (member.is_null()) continue;
      HEED_RETURN_IF_ERROR(ReadWhole(member, here, 0, kFarthestMs, &seen.age_ms));
    } else if (name == "frames" && modality == Modality::kPicture) {
      int64_t frames = 0;
      HEED_RETURN_IF_ERROR(ReadWhole(member, here, 0, kMaxFrames, &frames));
      moment->frames = static_cast<uint32_t>(frames);
    } else if (name == "mode" && modality == Modality::kPicture) {
      HEED_RETURN_IF_ERROR(ReadText(member, here, kMaxModeBytes, &moment->mode));
    } else {
      HEED_RETURN_IF_ERROR(Unknown(unknown, here, "member"));
    }
  }
  return {};
}

Status ReadModalities(const json::value& value, UnknownNames unknown, Moment* moment) {
  const json::object* object = value.if_object();
  if (object == nullptr) return NotAnObject("/mod");
  for (const auto& [name, member] : *object) {
    const std::string here = Pointer("/mod", name);
    size_t i = 0;
    while (i < kModalities && ModalityName(static_cast<Modality>(i)) != std::string_view(name)) ++i;
    HEED_RETURN_IF_ERROR(
        i == kModalities ? Unknown(unknown, here, "modality")
                         : ReadCoverage(static_cast<Modality>(i), member, here, unknown, moment));
  }
  return {};
}

// z-values have one range for all.
Status ReadColumns(const json::value& value, const char* at, bool z, UnknownNames unknown,
                   MomentValues* values) {
  const json::object* object = value.if_object();
  if (object == nullptr) return NotAnObject(at);
  for (const auto& [name, member] : *object) {
    const std::string here = Pointer(at, name);
    const std::optional<Feature> feature = FeatureByName(name);
    if (!feature) HEED_RETURN_IF_ERROR(Unknown(unknown, here, "column"));
    if (!feature || member.is_null()) continue;
    const MomentFeatureInfo& info = InfoOf(*feature);
    float number = 0;
    HEED_RETURN_IF_ERROR(
        ReadReal(member, here, z ? -kMaxZ : info.low, z ? kMaxZ : info.high, &number));
    values->SetUnbounded(*feature, number);
  }
  return {};
}

Status ReadMember(std::string_view name, const json::value& value, UnknownNames unknown,
                  Moment* moment) {
  const std::string at = Pointer("", name);
  if (name == "v") {
    int64_t version = 0;
    return ReadWhole(value, at, 1, 1, &version);
  }
  if (name == "room") return ReadText(value, at, kMaxRoomBytes, &moment->room);
  if (name == "epoch") {
    int64_t epoch = 0;
    HEED_RETURN_IF_ERROR(ReadWhole(value, at, 0, UINT32_MAX, &epoch));
    moment->epoch = static_cast<uint32_t>(epoch);
    return {};
  }
  if (name == "t") return ReadWhole(value, at, -kMaxSecond, kMaxSecond, &moment->second);
  if (name == "wall_ms") return ReadWhole(value, at, 0, kLatestMs, &moment->wall_ms);
  if (name == "lag_ms") return ReadWhole(value, at, -kFarthestMs, kFarthestMs, &moment->lag_ms);
  if (name == "mod") return ReadModalities(value, unknown, moment);
  if (name == "f") return ReadColumns(value, "/f", /*z=*/false, unknown, &moment->values);
  if (name == "z") return ReadColumns(value, "/z", /*z=*/true, unknown, &moment->z);
  if (name == "text") return ReadText(value, at, kMaxTextBytes, &moment->screen_text);
  return Unknown(unknown, at, "member");
}

}  // namespace

Result<Moment> MomentFromJson(std::string_view line, UnknownNames unknown) {
  if (text::ValidUtf8(line) != line) return InvalidArgument("is not UTF-8");
  json::error_code error;
  const json::value value = json::parse(json::string_view(line.data(), line.size()), error);
  if (error) return InvalidArgument("is not JSON: " + error.message());
  const json::object* object = value.if_object();
  if (object == nullptr) return NotAnObject("");
  for (const char* name : {"v", "t"}) {
    if (!object->contains(name)) return InvalidArgument("is required", Pointer("", name));
  }
  Moment moment;
  for (const auto& [name, member] : *object) {
    HEED_RETURN_IF_ERROR(ReadMember(name, member, unknown, &moment));
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
