#include "model/checkpoint_chain.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "base/bytes.h"
#include "base/file.h"

namespace heed::model {
namespace {

namespace fs = std::filesystem;

// A tensor file's checksum is its last four bytes; whoever parsed the file has checked it.
uint64_t ChecksumOf(std::string_view bytes) {
  return ByteReader(bytes.substr(bytes.size() - 4)).Fixed<uint32_t>();
}

// The largest number of an increment in the folder, 0 when there is none.
uint64_t LastIncrement(const std::string& folder) {
  uint64_t last = 0;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    if (entry.path().extension() != ".increment") continue;
    last = std::max<uint64_t>(last, std::strtoull(entry.path().stem().c_str(), nullptr, 10));
  }
  return last;
}

}  // namespace

std::string CheckpointChain::PathOf(uint64_t increment) const {
  return folder_ + (increment == 0 ? "/whole.heed" : fmt::format("/{}.increment", increment));
}

Status CheckpointChain::Write(const std::string& path, const std::string& bytes) {
  begun_ = false;
  HEED_RETURN_IF_ERROR(ReplaceFile(path, bytes));
  begun_ = true;
  next_.follows = ChecksumOf(bytes);
  return {};
}

Status CheckpointChain::WriteWhole(Ranker* ranker) {
  std::error_code error;
  fs::create_directories(folder_, error);
  if (error) return IoError(folder_ + ": " + error.message());
  ranker->TrackChanges();
  HEED_RETURN_IF_ERROR(Write(PathOf(0), ranker->Serialize()));
  next_.number = 1;
  // Those of the chain before name another file as the one they follow: should they outlive a crash here,
  // they are refused.
  for (uint64_t i = LastIncrement(folder_); i > 0; --i) fs::remove(PathOf(i), error);
  return {};
}

Status CheckpointChain::WriteIncrement(Ranker* ranker) {
  if (!begun_) return InvalidArgument(folder_ + ": no chain to go on with; write it whole first");
  HEED_RETURN_IF_ERROR(Write(PathOf(next_.number), ranker->SerializeIncrement(next_)));
  ++next_.number;
  return {};
}

Result<CheckpointChain::Restored> CheckpointChain::Restore() {
  HEED_ASSIGN_OR_RETURN(const std::string whole, ReadWholeFile(PathOf(0)));
  Restored restored;
  auto parsed = Ranker::Parse(whole);
  if (!parsed.ok()) return parsed.status().Within(PathOf(0));
  restored.ranker = std::move(parsed).value();
  next_ = {.number = 1, .follows = ChecksumOf(whole)};
  for (const uint64_t last = LastIncrement(folder_); next_.number <= last; ++next_.number) {
    const std::string path = PathOf(next_.number);
    const Result<std::string> bytes = ReadWholeFile(path);
    if (!bytes.ok()) {
      restored.refused = bytes.status();
      break;
    }
    auto ranker = restored.ranker->WithIncrement(bytes.value(), next_);
    if (!ranker.ok()) {
      restored.refused = ranker.status().Within(path);
      break;
    }
    restored.ranker = std::move(ranker).value();
    restored.increments = next_.number;
    next_.follows = ChecksumOf(bytes.value());
  }
  restored.ranker->TrackChanges();
  begun_ = true;
  return restored;
}

}  // namespace heed::model
