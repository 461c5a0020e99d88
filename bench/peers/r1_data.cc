#include "peers/r1_data.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/json.hpp>

#include "base/file.h"

namespace heed::r1 {

namespace json = boost::json;

namespace {

const char* Name(Family family) { return family == Family::kDot ? "dot" : "din"; }

std::vector<size_t> Shape(const json::value& entry) {
  return json::value_to<std::vector<size_t>>(entry.at("shape"));
}

size_t Count(const std::vector<size_t>& shape) {
  size_t count = 1;
  for (const size_t extent : shape) count *= extent;
  return count;
}

}  // namespace

template <typename T>
Status Data::Map(const std::string& path, size_t count, std::span<const T>& out) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return NotFound(path + " cannot be opened");
  struct stat found {};
  const bool sized =
      fstat(file, &found) == 0 && static_cast<size_t>(found.st_size) == count * sizeof(T);
  void* address =
      sized ? mmap(nullptr, count * sizeof(T), PROT_READ, MAP_PRIVATE, file, 0) : MAP_FAILED;
  close(file);
  if (!sized) {
    return Corruption(path + " does not hold " + std::to_string(count * sizeof(T)) + " bytes");
  }
  if (address == MAP_FAILED) return IoError(path + " cannot be mapped");
  mappings_.push_back({address, count * sizeof(T)});
  out = {static_cast<const T*>(address), count};
  return {};
}

Status Data::Read(const std::string& folder) {
  HEED_ASSIGN_OR_RETURN(const std::string text, ReadWholeFile(folder + "/manifest.json"));
  const json::value manifest = json::parse(text);
  history_ = manifest.at("history").to_number<size_t>();
  candidates_ = manifest.at("candidates").to_number<size_t>();
  requests_ = manifest.at("requests").to_number<size_t>();
  truths_ = manifest.at("truths").to_number<size_t>();

  const json::object& tensors = manifest.at("tensors").as_object();
  const auto map = [&](const std::string& name, auto& out) {
    const json::value& entry = tensors.at(name);
    return Map(folder + "/" + json::value_to<std::string>(entry.at("file")), Count(Shape(entry)),
               out);
  };
  for (size_t table = 0; table < kTables; ++table) {
    HEED_RETURN_IF_ERROR(map("table" + std::to_string(table), tables_[table]));
  }
  HEED_RETURN_IF_ERROR(map("author_of", author_of_));
  HEED_RETURN_IF_ERROR(map("category_of", category_of_));
  HEED_RETURN_IF_ERROR(map("ids", ids_));
  HEED_RETURN_IF_ERROR(map("viewers", viewers_));
  HEED_RETURN_IF_ERROR(map("contexts", contexts_));
  if (ids_.size() != requests_ * (history_ + candidates_) * kTables ||
      viewers_.size() != requests_ * kWidth || contexts_.size() != requests_ * kWidth) {
    return Corruption(folder + "/manifest.json: ids, viewers or contexts are not of `requests`");
  }
  for (const Family family : {Family::kDot, Family::kDin}) {
    std::span<const double>& truth = truth_[static_cast<size_t>(family)];
    HEED_RETURN_IF_ERROR(map(std::string("truth_") + Name(family), truth));
    if (truth.size() != truths_ * candidates_ * kOutputs) {
      return Corruption(folder + "/manifest.json: the truth is not of `truths` requests");
    }
  }
  train_batch_ = manifest.at("train_batch").to_number<size_t>();
  const auto map_samples = [&](const std::string& name, Samples* samples) -> Status {
    HEED_RETURN_IF_ERROR(map(name + "_ids", samples->ids));
    HEED_RETURN_IF_ERROR(map(name + "_viewers", samples->viewers));
    HEED_RETURN_IF_ERROR(map(name + "_contexts", samples->contexts));
    HEED_RETURN_IF_ERROR(map(name + "_labels", samples->labels));
    samples->count = samples->labels.size() / kOutputs;
    const bool whole = samples->ids.size() == samples->count * (history_ + 1) * kTables &&
                       samples->viewers.size() == samples->count * kWidth &&
                       samples->contexts.size() == samples->viewers.size();
    return whole ? Status() : Corruption(folder + "/manifest.json: sizes of " + name + " disagree");
  };
  HEED_RETURN_IF_ERROR(map_samples("train", &train_));
  HEED_RETURN_IF_ERROR(map_samples("agreement", &agreement_));
  for (const auto& [name, entry] : tensors) {
    for (const Family family : {Family::kDot, Family::kDin}) {
      const std::string prefix = std::string("gradient.") + Name(family) + ".";
      if (!name.starts_with(prefix)) continue;
      auto& found = gradients_[static_cast<size_t>(family)];
      HEED_RETURN_IF_ERROR(map(name, found[std::string(name.substr(prefix.size()))]));
    }
    if (!name.starts_with("dot.") && !name.starts_with("din.")) continue;
    Tensor& weight = weights_[std::string(name)];
    HEED_RETURN_IF_ERROR(map(name, weight.values));
    weight.shape = Shape(entry);
  }
  return {};
}

Result<std::unique_ptr<Data>> Data::Open(const std::string& folder) {
  std::unique_ptr<Data> data(new Data);
  try {
    HEED_RETURN_IF_ERROR(data->Read(folder));
  } catch (const std::exception& error) {
    return Corruption(folder + "/manifest.json: " + error.what());
  }
  return data;
}

Data::~Data() {
  for (const Mapping& mapping : mappings_) munmap(mapping.address, mapping.bytes);
}

Request Data::request(size_t index) const {
  const size_t length = (history_ + candidates_) * kTables;
  const std::span<const uint32_t> ids = ids_.subspan(index * length, length);
  return {.history = ids.first(history_ * kTables),
          .candidates = ids.subspan(history_ * kTables),
          .viewer = viewers_.subspan(index * kWidth, kWidth),
          .context = contexts_.subspan(index * kWidth, kWidth)};
}

std::span<const double> Data::Truth(Family family, size_t request) const {
  const size_t length = candidates_ * kOutputs;
  return truth_[static_cast<size_t>(family)].subspan(request * length, length);
}

const Tensor& Data::Weight(Family family, const std::string& name) const {
  return weights_.at(std::string(Name(family)) + "." + name);
}

}  // namespace heed::r1
