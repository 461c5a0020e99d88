#include "store/snapshots.h"

#include <rocksdb/env.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/checksum.h"
#include "base/log.h"
#include "store/handles.h"

namespace heed::store {
namespace {

constexpr std::string_view kMagic = "HEEDSNAP";
constexpr uint32_t kVersion = 1;
constexpr size_t kHeaderSize = 36;
constexpr size_t kPiece = 1u << 20;  // written and read in pieces of this size
constexpr size_t kDigits = 20;       // of the sequence in the name: names sort as numbers
constexpr std::string_view kSuffix = ".snapshot";
constexpr std::string_view kDamaged = ".damaged";
constexpr std::string_view kTemporary = ".tmp";

struct Header {
  uint64_t sequence = 0;
  uint64_t size = 0;
  uint32_t checksum = 0;  // of the bytes
};

std::string EncodeHeader(const Header& header) {
  std::string bytes;
  ByteWriter out(bytes);
  out.Raw(kMagic.data(), kMagic.size());
  out.Fixed(kVersion);
  out.Fixed(header.sequence);
  out.Fixed(header.size);
  out.Fixed(header.checksum);
  out.Fixed(Crc32(bytes));
  return bytes;
}

Result<Header> ParseHeader(std::string_view bytes) {
  ByteReader in(bytes);
  if (in.Raw(kMagic.size()) != kMagic) return Corruption("not a snapshot");
  const auto version = in.Fixed<uint32_t>();
  Header header;
  header.sequence = in.Fixed<uint64_t>();
  header.size = in.Fixed<uint64_t>();
  header.checksum = in.Fixed<uint32_t>();
  const auto checksum = in.Fixed<uint32_t>();
  if (!in.ok()) return Corruption("cut short in the header");
  if (checksum != Crc32(bytes.substr(0, kHeaderSize - sizeof checksum))) {
    return Corruption("bad checksum of the header");
  }
  if (version != kVersion) return Corruption("unknown version " + std::to_string(version));
  return header;
}

std::string FileName(uint64_t sequence) {
  std::string digits = std::to_string(sequence);
  digits.insert(0, kDigits - digits.size(), '0');
  return digits + std::string(kSuffix);
}

std::optional<uint64_t> SequenceOf(std::string_view name, std::string_view suffix) {
  if (name.size() != kDigits + suffix.size() || !name.ends_with(suffix)) return std::nullopt;
  uint64_t sequence = 0;
  const char* end = name.data() + kDigits;
  const auto parsed = std::from_chars(name.data(), end, sequence);
  if (parsed.ec != std::errc() || parsed.ptr != end) return std::nullopt;
  return sequence;
}

// Names of the whole ones, newest first. No directory yet: none.
Result<std::vector<std::string>> List(rocksdb::Env& env, const std::string& directory) {
  std::vector<std::string> names;
  const rocksdb::Status listed = env.GetChildren(directory, &names);
  if (listed.IsNotFound() || listed.IsPathNotFound()) return std::vector<std::string>();
  if (!listed.ok()) return FromRocks(listed, "listing " + directory);
  std::erase_if(names, [](const std::string& name) { return !SequenceOf(name, kSuffix); });
  std::sort(names.rbegin(), names.rend());
  return names;
}

rocksdb::Status WriteFile(rocksdb::Env& env, const std::string& path, std::string_view header,
                          std::string_view bytes) {
  std::unique_ptr<rocksdb::WritableFile> file;
  rocksdb::Status status = env.NewWritableFile(path, &file, rocksdb::EnvOptions());
  if (status.ok()) status = file->Append({header.data(), header.size()});
  for (size_t at = 0; status.ok() && at < bytes.size(); at += kPiece) {
    const std::string_view piece = bytes.substr(at, kPiece);
    status = file->Append({piece.data(), piece.size()});
  }
  if (status.ok()) status = file->Sync();
  if (status.ok()) status = file->Close();
  return status;
}

// Makes the names in it durable.
rocksdb::Status SyncDirectory(rocksdb::Env& env, const std::string& path) {
  std::unique_ptr<rocksdb::Directory> directory;
  const rocksdb::Status opened = env.NewDirectory(path, &directory);
  return opened.ok() ? directory->Fsync() : opened;
}

// kCorruption: damaged; other codes: the disk refused.
Result<Snapshot> ReadFile(rocksdb::Env& env, const std::string& path) {
  uint64_t file_size = 0;
  HEED_RETURN_IF_ERROR(FromRocks(env.GetFileSize(path, &file_size), "reading"));
  std::unique_ptr<rocksdb::SequentialFile> file;
  HEED_RETURN_IF_ERROR(
      FromRocks(env.NewSequentialFile(path, &file, rocksdb::EnvOptions()), "reading"));
  std::string scratch(kPiece, '\0');
  rocksdb::Slice piece;
  HEED_RETURN_IF_ERROR(FromRocks(file->Read(kHeaderSize, &piece, scratch.data()), "reading"));
  HEED_ASSIGN_OR_RETURN(const Header header, ParseHeader({piece.data(), piece.size()}));
  // Before memory is taken for it.
  if (header.size != file_size - kHeaderSize) return Corruption("of the wrong size");
  Snapshot snapshot{header.sequence, {}};
  snapshot.bytes.reserve(header.size);
  while (snapshot.bytes.size() < header.size) {
    const size_t wanted = std::min<uint64_t>(kPiece, header.size - snapshot.bytes.size());
    HEED_RETURN_IF_ERROR(FromRocks(file->Read(wanted, &piece, scratch.data()), "reading"));
    if (piece.empty()) return Corruption("cut short");
    snapshot.bytes.append(piece.data(), piece.size());
  }
  if (Crc32(snapshot.bytes) != header.checksum) return Corruption("bad checksum");
  return snapshot;
}

}  // namespace

Result<Snapshot> ParseSnapshot(std::string_view file) {
  HEED_ASSIGN_OR_RETURN(const Header header, ParseHeader(file));
  const std::string_view bytes = file.substr(kHeaderSize);
  if (header.size != bytes.size()) return Corruption("of the wrong size");
  if (Crc32(bytes) != header.checksum) return Corruption("bad checksum");
  return Snapshot{header.sequence, std::string(bytes)};
}

Snapshots::Snapshots(Database& database, size_t keep)
    : database_(database),
      keep_(std::max<size_t>(keep, 1)),
      directory_(database.directory() + "/snapshots") {}

Status Snapshots::Write(uint64_t sequence, std::string_view bytes) {
  rocksdb::Env& env = database_.env();
  const std::string name = FileName(sequence);
  const std::string path = directory_ + "/" + name;
  const std::string temporary = path + std::string(kTemporary);
  const std::string header = EncodeHeader({sequence, bytes.size(), Crc32(bytes)});

  rocksdb::Status status = env.CreateDirIfMissing(directory_);
  if (status.ok()) status = SyncDirectory(env, database_.directory());
  if (status.ok()) status = WriteFile(env, temporary, header, bytes);
  if (status.ok()) status = env.RenameFile(temporary, path);
  if (status.ok()) status = SyncDirectory(env, directory_);
  HEED_RETURN_IF_ERROR(FromRocks(status, "writing snapshot " + name));

  // Only now that the new one is sure to be found: the old ones, and what crashes left behind.
  HEED_ASSIGN_OR_RETURN(const std::vector<std::string> whole, List(env, directory_));
  const std::string oldest_kept = whole[std::min(keep_, whole.size()) - 1];
  std::vector<std::string> names;
  HEED_RETURN_IF_ERROR(FromRocks(env.GetChildren(directory_, &names), "listing " + directory_));
  for (const std::string& other : names) {
    const bool old =
        (SequenceOf(other, kSuffix) || SequenceOf(other, std::string(kSuffix) += kDamaged)) &&
        other < oldest_kept;
    if (!old && !other.ends_with(kTemporary)) continue;
    HEED_RETURN_IF_ERROR(
        FromRocks(env.DeleteFile(directory_ + "/" + other), "removing snapshot " + other));
  }
  return {};
}

Result<std::optional<Snapshot>> Snapshots::ReadNewest() const {
  rocksdb::Env& env = database_.env();
  HEED_ASSIGN_OR_RETURN(const std::vector<std::string> names, List(env, directory_));
  for (const std::string& name : names) {
    const std::string path = directory_ + "/" + name;
    Result<Snapshot> read = ReadFile(env, path);
    if (read.ok() && read.value().sequence != SequenceOf(name, kSuffix)) {
      read = Corruption("of another sequence than its name says");
    }
    if (read.ok()) return std::optional<Snapshot>(std::move(read).value());
    LogError("snapshot {} passed over: {}", name, read.status().ToString());
    if (read.status().code() == Code::kCorruption) {
      const rocksdb::Status renamed = env.RenameFile(path, path + std::string(kDamaged));
      if (!renamed.ok()) LogError("snapshot {} not renamed: {}", name, renamed.ToString());
    }
  }
  return std::optional<Snapshot>();
}

}  // namespace heed::store
