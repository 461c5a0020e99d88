#include "media/moment_file.h"

#include <fmt/format.h>

#include <cmath>
#include <iterator>
#include <utility>

#include "base/bytes.h"
#include "base/checksum.h"
#include "text/normalize.h"

namespace heed::media {
namespace {

constexpr std::string_view kMagic = "HEEDMOM1";
constexpr size_t kMaxColumns = 4096;
constexpr size_t kFrameBytes = 8;  // length and checksum

void AppendJsonString(std::string_view text, std::string* out) {
  *out += '"';
  for (const char c : text::ValidUtf8(text)) {
    if (c == '"' || c == '\\') {
      *out += '\\';
      *out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      fmt::format_to(std::back_inserter(*out), "\\u{:04x}", static_cast<int>(c));
    } else {
      *out += c;
    }
  }
  *out += '"';
}

void AppendValues(const MomentValues& values, std::string* out) {
  ByteWriter writer(*out);
  uint8_t bits = 0;
  for (size_t i = 0; i < kFeatureCount; ++i) {
    if (values.Get(static_cast<Feature>(i))) bits = static_cast<uint8_t>(bits | 1u << i % 8);
    if (i % 8 == 7 || i + 1 == kFeatureCount) writer.Fixed(std::exchange(bits, uint8_t{0}));
  }
  for (size_t i = 0; i < kFeatureCount; ++i)
    if (const auto value = values.Get(static_cast<Feature>(i))) writer.Fixed(*value);
}

// False when a value is none.
bool ReadValues(ByteReader* reader, const std::vector<std::optional<Feature>>& features,
                MomentValues* out) {
  const std::string_view bits = reader->Raw((features.size() + 7) / 8);
  if (!reader->ok()) return false;
  for (size_t i = 0; i < features.size(); ++i) {
    if ((static_cast<uint8_t>(bits[i / 8]) >> i % 8 & 1) == 0) continue;
    const auto value = reader->Fixed<float>();
    if (!std::isfinite(value)) return false;
    if (features[i]) out->SetUnbounded(*features[i], value);
  }
  return reader->ok();
}

}  // namespace

std::string MomentToJson(const Moment& moment) {
  std::string out = R"({"v":1,"room":)";
  AppendJsonString(moment.room, &out);
  out += fmt::format(R"(,"epoch":{},"t":{},"wall_ms":{},"lag_ms":{},"mod":{{)", moment.epoch,
                     moment.second, moment.wall_ms, moment.lag_ms);
  for (size_t i = 0; i < kModalities; ++i) {
    const auto modality = static_cast<Modality>(i);
    const Coverage& seen = moment.of(modality);
    out +=
        fmt::format(R"({}"{}":{{"ok":{:d},"cover":{},"age_ms":)", i == 0 ? "" : ",",
                    ModalityName(modality), seen.ok, std::isfinite(seen.cover) ? seen.cover : 0.0f);
    out += seen.age_ms < 0 ? "null" : std::to_string(seen.age_ms);
    if (modality == Modality::kPicture) {
      out += fmt::format(R"(,"frames":{},"mode":)", moment.frames);
      AppendJsonString(moment.mode, &out);
    }
    out += '}';
  }
  out += R"(},"f":{)";
  for (size_t i = 0; i < kFeatureCount; ++i) {
    const auto feature = static_cast<Feature>(i);
    out += fmt::format(R"({}"{}":)", i == 0 ? "" : ",", InfoOf(feature).name);
    const auto value = moment.values.Get(feature);
    out += value ? fmt::format("{}", *value) : "null";
  }
  out += R"(},"z":{)";
  bool first = true;
  for (const MomentFeatureInfo& info : Features()) {
    const auto value = moment.z.Get(info.feature);
    if (!value) continue;
    out += fmt::format(R"({}"{}":{:.3f})", first ? "" : ",", info.name, *value);
    first = false;
  }
  out += R"(},"text":)";
  AppendJsonString(moment.screen_text, &out);
  out += '}';
  return out;
}

std::string MomentFileHeader() {
  std::string out(kMagic);
  ByteWriter writer(out);
  writer.Varint(kModalities);
  for (size_t i = 0; i < kModalities; ++i) writer.String(ModalityName(static_cast<Modality>(i)));
  writer.Varint(kFeatureCount);
  for (const MomentFeatureInfo& info : Features()) writer.String(info.name);
  writer.Fixed(Crc32(out));
  return out;
}

void AppendMoment(const Moment& moment, std::string* file) {
  std::string record;
  ByteWriter writer(record);
  writer.String(moment.room);
  writer.Varint(moment.epoch);
  writer.Signed(moment.second);
  writer.Signed(moment.wall_ms);
  writer.Signed(moment.lag_ms);
  writer.String(moment.mode);
  writer.Varint(moment.frames);
  for (const Coverage& seen : moment.modalities) {
    writer.Fixed(static_cast<uint8_t>(seen.ok ? 1 : 0));
    writer.Fixed(std::isfinite(seen.cover) ? seen.cover : 0.0f);
    writer.Signed(seen.age_ms);
  }
  AppendValues(moment.values, &record);
  AppendValues(moment.z, &record);
  writer.String(moment.screen_text);
  AppendFramed(record, file);
}

void AppendFramed(std::string_view record, std::string* file) {
  ByteWriter writer(*file);
  writer.Fixed(static_cast<uint32_t>(record.size()));
  writer.Fixed(Crc32(record));
  *file += record;
}

Result<MomentFileReader> MomentFileReader::Open(std::string_view bytes) {
  const Status damaged = Corruption("moments: the file does not begin with a whole header");
  ByteReader reader(bytes);
  if (reader.Raw(kMagic.size()) != kMagic) return damaged;
  MomentFileReader out;
  const uint64_t modalities = reader.Varint();
  for (uint64_t i = 0; i < modalities && reader.ok(); ++i) {
    if (i == kMaxColumns) return damaged;
    const std::string_view name = reader.String();
    out.modalities_.emplace_back();
    for (size_t m = 0; m < kModalities; ++m)
      if (ModalityName(static_cast<Modality>(m)) == name)
        out.modalities_.back() = static_cast<Modality>(m);
  }
  const uint64_t features = reader.Varint();
  for (uint64_t i = 0; i < features && reader.ok(); ++i) {
    if (i == kMaxColumns) return damaged;
    out.features_.push_back(FeatureByName(reader.String()));
  }
  const size_t checked = bytes.size() - reader.remaining();
  const auto sum = reader.Fixed<uint32_t>();
  if (!reader.ok() || sum != Crc32(bytes.substr(0, checked))) return damaged;
  out.bytes_ = bytes;
  out.at_ = bytes.size() - reader.remaining();
  return out;
}

Result<std::optional<Moment>> MomentFileReader::Next() {
  if (at_ == bytes_.size()) return std::optional<Moment>();
  const auto damaged = [&](const char* what) {
    return Corruption(fmt::format("moments: the record at byte {} {}", at_, what));
  };
  ByteReader frame(bytes_.substr(at_));
  const auto size = frame.Fixed<uint32_t>();
  const auto sum = frame.Fixed<uint32_t>();
  const std::string_view record = frame.Raw(size);
  if (!frame.ok()) return damaged("is cut off");
  if (Crc32(record) != sum) return damaged("has a bad checksum");
  ByteReader reader(record);
  Moment out;
  out.room = reader.String();
  out.epoch = static_cast<uint32_t>(reader.Varint());
  out.second = reader.Signed();
  out.wall_ms = reader.Signed();
  out.lag_ms = reader.Signed();
  out.mode = reader.String();
  out.frames = static_cast<uint32_t>(reader.Varint());
  for (const std::optional<Modality>& modality : modalities_) {
    Coverage seen{.ok = reader.Fixed<uint8_t>() == 1,
                  .cover = reader.Fixed<float>(),
                  .age_ms = reader.Signed()};
    if (!std::isfinite(seen.cover)) return damaged("holds what is no number");
    if (modality) out.of(*modality) = seen;
  }
  if (!ReadValues(&reader, features_, &out.values) || !ReadValues(&reader, features_, &out.z))
    return damaged("holds what is no number, or too little");
  out.screen_text = reader.String();
  if (!reader.ok() || reader.remaining() != 0) return damaged("is not what its columns say");
  at_ += kFrameBytes + size;
  return std::optional<Moment>(std::move(out));
}

}  // namespace heed::media
