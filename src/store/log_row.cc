#include "store/log_row.h"

#include "base/bytes.h"
#include "base/checksum.h"

namespace heed::store {
namespace {

constexpr uint8_t kVersion = 1;

}  // namespace

std::string LogKey(uint64_t first_sequence) {
  std::string key(8, '\0');
  for (size_t i = 0; i < 8; ++i) key[i] = static_cast<char>(first_sequence >> (56 - 8 * i));
  return key;
}

void LogRowBuilder::Add(std::string_view encoded_event) {
  ByteWriter(events_).String(encoded_event);
  ++count_;
}

std::string LogRowBuilder::Finish(uint64_t first_sequence) {
  std::string count;
  ByteWriter(count).Varint(count_);
  // The key goes into the checksum: a row that turns up under another sequence is damage too.
  const uint32_t checksum = Crc32(events_, Crc32(count, Crc32(LogKey(first_sequence))));
  std::string value;
  value.reserve(sizeof kVersion + sizeof checksum + count.size() + events_.size());
  ByteWriter out(value);
  out.Fixed(kVersion);
  out.Fixed(checksum);
  value += count;
  value += events_;
  events_.clear();
  count_ = 0;
  return value;
}

Result<LogRow> ParseLogRow(std::string_view key, std::string_view value) {
  if (key.size() != 8) return Corruption("a key of " + std::to_string(key.size()) + " bytes");
  LogRow row;
  for (const char c : key) row.first_sequence = row.first_sequence << 8 | static_cast<uint8_t>(c);

  ByteReader in(value);
  const auto version = in.Fixed<uint8_t>();
  const auto checksum = in.Fixed<uint32_t>();
  if (!in.ok()) return Corruption("cut short");
  if (version != kVersion) return Corruption("unknown version " + std::to_string(version));
  if (Crc32(in.rest(), Crc32(key)) != checksum) return Corruption("bad checksum");
  const uint64_t count = in.Varint();
  if (count == 0 || count > LogRowBuilder::kMaxEvents) {
    return Corruption("a row of " + std::to_string(count) + " events");
  }
  row.events.reserve(count);
  for (uint64_t i = 0; i < count; ++i) row.events.push_back(in.String());
  if (!in.ok() || in.remaining() != 0) return Corruption("sizes do not add up");
  return row;
}

}  // namespace heed::store
