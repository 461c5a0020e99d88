#include "engine/model_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <utility>

#include "base/checksum.h"
#include "base/file.h"
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

std::string ModelFiles::PathOf(std::string_view version) const {
  return directory_ + "/" + std::string(version) + std::string(kSuffix);
}

std::string ModelFiles::RolesPath(const std::string& name) const {
  return directory_ + "/" + name + ".roles";
}

std::string ModelFiles::NameOf(std::string_view version) {
  return std::string(version.substr(0, version.rfind('-')));
}

Result<std::string> ModelFiles::Save(const std::string& name, const model::Ranker& ranker) {
  std::error_code error;
  fs::create_directories(directory_, error);
  if (error) return IoError(directory_ + ": " + error.message());
  const std::vector<uint64_t> numbers = Numbers(directory_, name);
  const uint64_t number = numbers.empty() ? 1 : numbers.back() + 1;
  std::string version = VersionName(name, number);
  HEED_RETURN_IF_ERROR(ranker.Save(PathOf(version)));
  const ModelRoles roles = ReadRoles(name);
  for (size_t i = 0; i + keep_ <= numbers.size(); ++i) {
    const std::string old = VersionName(name, numbers[i]);
    if (old != roles.active && old != roles.shadow) fs::remove(PathOf(old), error);
  }
  return version;
}

Result<std::shared_ptr<model::Ranker>> ModelFiles::Load(const std::string& version,
                                                        const model::Schema& schema) const {
  const std::vector<std::string> known = Versions(NameOf(version));
  if (std::find(known.begin(), known.end(), version) == known.end()) {
    return NotFound("no model version '" + version + "'");
  }
  HEED_ASSIGN_OR_RETURN(std::shared_ptr<model::Ranker> ranker,
                        model::Ranker::Load(PathOf(version)));
  if (ranker->config().schema != schema) {
    return InvalidArgument("model " + version + " was trained for other features; train again");
  }
  return ranker;
}

ModelFiles::Loaded ModelFiles::LoadActive(const std::string& name,
                                          const model::Schema& schema) const {
  std::vector<std::string> order = Versions(name);
  if (const std::string active = ReadRoles(name).active; !active.empty()) order.push_back(active);
  for (auto version = order.rbegin(); version != order.rend(); ++version) {
    Result<std::shared_ptr<model::Ranker>> ranker = Load(*version, schema);
    if (ranker.ok()) return {*version, std::move(ranker).value()};
    LogError("model {} is refused: {}", *version, ranker.status().ToString());
  }
  return {};
}

// "heed-roles 1 CHECKSUM", then one line a role; the checksum is of these lines.
ModelRoles ModelFiles::ReadRoles(const std::string& name) const {
  const std::string path = RolesPath(name);
  const Result<std::string> bytes = ReadWholeFile(path);
  if (bytes.status().code() == Code::kNotFound) return {};
  if (bytes.ok()) {
    const size_t end = bytes.value().find('\n');
    const std::string lines = end == std::string::npos ? "" : bytes.value().substr(end + 1);
    if (bytes.value() == fmt::format("heed-roles 1 {:08x}\n{}", Crc32(lines), lines)) {
      ModelRoles roles;
      for (size_t at = 0; at < lines.size();) {
        const size_t stop = std::min(lines.find('\n', at), lines.size());
        const std::string_view line = std::string_view(lines).substr(at, stop - at);
        at = stop + 1;
        if (line.starts_with("active ")) roles.active = line.substr(7);
        if (line.starts_with("shadow ")) roles.shadow = line.substr(7);
      }
      return roles;
    }
  }
  LogError("{} is damaged: the newest model serves", path);
  return {};
}

Status ModelFiles::WriteRoles(const std::string& name, const ModelRoles& roles) {
  const std::string lines = fmt::format("active {}\nshadow {}\n", roles.active, roles.shadow);
  return ReplaceFile(RolesPath(name), fmt::format("heed-roles 1 {:08x}\n{}", Crc32(lines), lines));
}

std::vector<std::string> ModelFiles::Versions(const std::string& name) const {
  std::vector<std::string> versions;
  for (const uint64_t number : Numbers(directory_, name)) {
    versions.push_back(VersionName(name, number));
  }
  return versions;
}

}  // namespace heed::engine
