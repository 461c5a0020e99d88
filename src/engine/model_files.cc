#include "engine/model_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <utility>

#include "base/log.h"

namespace heed::engine {
namespace {

namespace fs = std::filesystem;
constexpr std::string_view kSuffix = ".heed";

// "hosts-000012.heed" → 12; 0 for anything else.
uint64_t NumberOf(std::string_view file, std::string_view name) {
  if (!file.starts_with(name) || !file.ends_with(kSuffix)) return 0;
  file.remove_prefix(name.size());
  file.remove_suffix(kSuffix.size());
  if (!file.starts_with('-')) return 0;
  file.remove_prefix(1);
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(file.data(), file.data() + file.size(), number);
  return error == std::errc() && end == file.data() + file.size() ? number : 0;
}

std::string VersionName(std::string_view name, uint64_t number) {
  return fmt::format("{}-{:06}", name, number);
}

std::vector<uint64_t> Numbers(const std::string& directory, std::string_view name) {
  std::vector<uint64_t> numbers;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory, error)) {
    if (const uint64_t number = NumberOf(entry.path().filename().string(), name)) {
      numbers.push_back(number);
    }
  }
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

}  // namespace

Result<std::string> ModelFiles::Save(const std::string& name, const model::Ranker& ranker) {
  std::error_code error;
  fs::create_directories(directory_, error);
  if (error) return IoError(directory_ + ": " + error.message());
  std::vector<uint64_t> numbers = Numbers(directory_, name);
  const uint64_t number = numbers.empty() ? 1 : numbers.back() + 1;
  const std::string version = VersionName(name, number);
  HEED_RETURN_IF_ERROR(ranker.Save(directory_ + "/" + version + std::string(kSuffix)));
  numbers.push_back(number);
  while (numbers.size() > keep_) {
    fs::remove(directory_ + "/" + VersionName(name, numbers.front()) + std::string(kSuffix), error);
    numbers.erase(numbers.begin());
  }
  return version;
}

std::shared_ptr<const infer::ServingModel> ModelFiles::LoadNewest(
    const std::string& name, const model::Schema& schema) const {
  std::vector<uint64_t> numbers = Numbers(directory_, name);
  for (auto number = numbers.rbegin(); number != numbers.rend(); ++number) {
    const std::string version = VersionName(name, *number);
    Result<std::unique_ptr<model::Ranker>> ranker =
        model::Ranker::Load(directory_ + "/" + version + std::string(kSuffix));
    if (!ranker.ok()) {
      spdlog::error("model {} is refused: {}", version, ranker.status().ToString());
      continue;
    }
    if (ranker.value()->config().schema != schema) {
      spdlog::error("model {} is refused: it was trained for other features; train again", version);
      continue;
    }
    return infer::ServingModel::Make(version, std::move(ranker).value(), precision_);
  }
  return nullptr;
}

std::vector<std::string> ModelFiles::Versions(const std::string& name) const {
  std::vector<std::string> versions;
  for (const uint64_t number : Numbers(directory_, name)) {
    versions.push_back(VersionName(name, number));
  }
  return versions;
}

}  // namespace heed::engine
