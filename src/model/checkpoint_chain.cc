#include "model/checkpoint_chain.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "base/bytes.h"
#include "base/file.h"
#include "nn/tensor_file.h"

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

std::string NameOf(size_t ranker) { return "ranker." + std::to_string(ranker); }

}  // namespace

std::string CheckpointChain::PathOf(uint64_t number) const {
  return folder_ + (number == 0 ? "/whole.checkpoint" : fmt::format("/{}.increment", number));
}

bool CheckpointChain::WholeIsDue() const {
  return !begun_ || increment_bytes_ >= whole_bytes_ || next_ > kMostIncrements;
}

Status CheckpointChain::Write(const std::vector<std::string>& rankers, std::string_view beside,
                              uint64_t* size) {
  begun_ = false;
  nn::TensorWriter file;
  file.Uint64s("link", std::vector<uint64_t>{next_, follows_, rankers.size()});
  for (size_t i = 0; i < rankers.size(); ++i) file.Bytes(NameOf(i), rankers[i]);
  file.Bytes("beside", beside);
  const std::string bytes = file.Finish();
  HEED_RETURN_IF_ERROR(ReplaceFile(PathOf(next_), bytes));
  begun_ = true;
  follows_ = ChecksumOf(bytes);
  *size += bytes.size();
  ++next_;
  return {};
}

Status CheckpointChain::WriteWhole(std::span<Ranker* const> rankers, std::string_view beside) {
  std::error_code error;
  fs::create_directories(folder_, error);
  if (error) return IoError(folder_ + ": " + error.message());
  std::vector<std::string> parts;
  for (Ranker* ranker : rankers) {
    ranker->TrackChanges();
    parts.push_back(ranker->Serialize());
  }
  next_ = follows_ = 0;
  whole_bytes_ = increment_bytes_ = 0;
  HEED_RETURN_IF_ERROR(Write(parts, beside, &whole_bytes_));
  // Those of the chain before name another file as the one they follow: should they outlive a crash here,
  // they are refused.
  for (uint64_t i = LastIncrement(folder_); i > 0; --i) fs::remove(PathOf(i), error);
  return {};
}

Status CheckpointChain::WriteIncrement(std::span<Ranker* const> rankers, std::string_view beside) {
  if (!begun_) return InvalidArgument(folder_ + ": no chain to go on with; write it whole first");
  std::vector<std::string> parts;
  for (Ranker* ranker : rankers) parts.push_back(ranker->SerializeIncrement());
  return Write(parts, beside, &increment_bytes_);
}

Status CheckpointChain::Read(std::string_view bytes, Restored* restored) const {
  HEED_ASSIGN_OR_RETURN(const nn::TensorReader in, nn::TensorReader::Open(bytes));
  HEED_ASSIGN_OR_RETURN(const auto link, in.Uint64s("link"));
  HEED_ASSIGN_OR_RETURN(const std::string_view beside, in.Bytes("beside"));
  if (link.size() != 3 || link[0] != next_) return Corruption("checkpoint: another number");
  if (link[1] != follows_) return Corruption("checkpoint: it follows another file");
  const uint64_t count = link[2];
  if (in.count() != count + 2 || (next_ > 0 && count != restored->rankers.size())) {
    return Corruption("checkpoint: another number of rankers");
  }
  std::vector<std::unique_ptr<Ranker>> rankers;
  for (size_t i = 0; i < count; ++i) {
    HEED_ASSIGN_OR_RETURN(const std::string_view part, in.Bytes(NameOf(i)));
    auto ranker = next_ == 0 ? Ranker::Parse(part) : restored->rankers[i]->WithIncrement(part);
    if (!ranker.ok()) return ranker.status().Within(NameOf(i));
    rankers.push_back(std::move(ranker).value());
  }
  restored->rankers = std::move(rankers);
  restored->beside.emplace_back(beside);
  return {};
}

Result<CheckpointChain::Restored> CheckpointChain::Restore() {
  begun_ = false;
  next_ = follows_ = 0;
  whole_bytes_ = increment_bytes_ = 0;
  Restored restored;
  const uint64_t last = LastIncrement(folder_);
  for (; next_ <= last; ++next_) {
    const Result<std::string> bytes = ReadWholeFile(PathOf(next_));
    const Status read =
        bytes.ok() ? Read(bytes.value(), &restored).Within(PathOf(next_)) : bytes.status();
    if (!read.ok() && next_ == 0) return read;
    if (!read.ok()) {
      restored.refused = read;
      break;
    }
    (next_ == 0 ? whole_bytes_ : increment_bytes_) += bytes.value().size();
    follows_ = ChecksumOf(bytes.value());
  }
  for (const auto& ranker : restored.rankers) ranker->TrackChanges();
  begun_ = true;
  return restored;
}

}  // namespace heed::model
