#include "train/sequences.h"

#include <simdjson.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <unordered_map>

#include "base/hash.h"
#include "base/random.h"

namespace heed::train {
namespace {

using Format = SequenceSpec::Format;

// Lines of a file with their numbers, empty ones left out.
class Lines {
 public:
  static Result<Lines> Open(const std::string& path) {
    Lines lines;
    lines.path_ = path;
    lines.in_.open(path, std::ios::binary);
    if (!lines.in_ || std::filesystem::is_directory(path)) {
      return NotFound(path + ": cannot be opened");
    }
    return lines;
  }

  bool Next(std::string_view* line) {
    while (std::getline(in_, text_)) {
      ++number_;
      if (!text_.empty() && text_.back() == '\r') text_.pop_back();
      if (text_.find_first_not_of(" \t") == std::string::npos) continue;
      *line = text_;
      return true;
    }
    return false;
  }
  Status Error(const std::string& what) const {
    return InvalidArgument(path_ + ":" + std::to_string(number_) + ": " + what);
  }

 private:
  std::string path_, text_;
  std::ifstream in_;
  size_t number_ = 0;
};

std::vector<std::string_view> Words(std::string_view line) {
  std::vector<std::string_view> words;
  for (size_t at = line.find_first_not_of(" \t"); at != std::string_view::npos;) {
    const size_t end = std::min(line.find_first_of(" \t", at), line.size());
    words.push_back(line.substr(at, end - at));
    at = line.find_first_not_of(" \t", end);
  }
  return words;
}

// Names to numbers in the order of first mention.
class Numbering {
 public:
  uint32_t Number(std::string_view name) {
    const auto [found, fresh] = numbers_.try_emplace(std::string(name), names_.size());
    if (fresh) names_.emplace_back(name);
    return found->second;
  }
  // names().size() when unknown.
  uint32_t Find(std::string_view name) const {
    const auto found = numbers_.find(std::string(name));
    return found == numbers_.end() ? static_cast<uint32_t>(names_.size()) : found->second;
  }
  const std::vector<std::string>& names() const { return names_; }

 private:
  std::unordered_map<std::string, uint32_t> numbers_;
  std::vector<std::string> names_;
};

class Reader {
 public:
  Reader(const SequenceSpec& spec, const std::string& folder) : spec_(spec), folder_(folder) {}

  Result<SequenceData> Read() {
    switch (spec_.format) {
      case Format::kPairs: HEED_RETURN_IF_ERROR(ReadPairs()); break;
      case Format::kLists: HEED_RETURN_IF_ERROR(ReadLists()); break;
      case Format::kSessions: HEED_RETURN_IF_ERROR(ReadSessions()); break;
    }
    if (data_.sequences.empty()) return InvalidArgument(Path(spec_.path) + ": no sequences");
    if (spec_.format == Format::kSessions) {
      HoldOutSessions();
      HEED_RETURN_IF_ERROR(ReadTestCases());
    } else {
      LeaveOneOut();
    }
    data_.names = users_.names();
    if (!spec_.negatives_path.empty()) HEED_RETURN_IF_ERROR(ReadNegatives());
    data_.catalog.ids = items_.names();
    if (!spec_.attributes_path.empty()) HEED_RETURN_IF_ERROR(ReadAttributes());
    return std::move(data_);
  }

 private:
  std::string Path(const std::string& relative) const {
    return (std::filesystem::path(folder_) / relative).string();
  }

  std::vector<uint32_t> Items(std::span<const std::string_view> words) {
    std::vector<uint32_t> items;
    for (const std::string_view word : words) items.push_back(items_.Number(word));
    return items;
  }

  Status ReadPairs() {
    HEED_ASSIGN_OR_RETURN(Lines lines, Lines::Open(Path(spec_.path)));
    for (std::string_view line; lines.Next(&line);) {
      const std::vector<std::string_view> words = Words(line);
      if (words.size() != 2) {
        return lines.Error("expected 'user item', found " + std::to_string(words.size()) +
                           (words.size() == 1 ? " word" : " words"));
      }
      const uint32_t user = users_.Number(words[0]);
      if (user == data_.sequences.size()) data_.sequences.emplace_back();
      data_.sequences[user].push_back(items_.Number(words[1]));
    }
    return {};
  }

  Status ReadLists() {
    HEED_ASSIGN_OR_RETURN(Lines lines, Lines::Open(Path(spec_.path)));
    for (std::string_view line; lines.Next(&line);) {
      const std::vector<std::string_view> words = Words(line);
      if (words.size() < 2) return lines.Error("expected 'user item item ...', found no item");
      if (users_.Number(words[0]) != data_.sequences.size()) {
        return lines.Error("user '" + std::string(words[0]) + "' has a line already");
      }
      data_.sequences.push_back(Items(std::span(words).subspan(1)));
    }
    return {};
  }

  Status ReadSessions() {
    HEED_ASSIGN_OR_RETURN(Lines lines, Lines::Open(Path(spec_.path)));
    for (std::string_view line; lines.Next(&line);) data_.sequences.push_back(Items(Words(line)));
    return {};
  }

  void LeaveOneOut() {
    for (uint32_t s = 0; s < data_.sequences.size(); ++s) {
      const std::vector<uint32_t>& items = data_.sequences[s];
      const auto n = static_cast<uint32_t>(items.size());
      const bool judged = n >= std::max(spec_.min_length, 3u);
      data_.train_lengths.push_back(judged ? n - 2 : n);
      data_.refit_lengths.push_back(judged ? n - 1 : n);
      if (!judged) continue;
      data_.valid.push_back({s, n - 2, items[n - 2]});
      data_.test.push_back({s, n - 1, items[n - 1]});
    }
  }

  void HoldOutSessions() {
    const size_t n = data_.sequences.size();
    const auto held = static_cast<size_t>(static_cast<double>(n) * spec_.valid_share);
    for (uint32_t s = 0; s < n; ++s) {
      const std::vector<uint32_t>& items = data_.sequences[s];
      const auto length = static_cast<uint32_t>(items.size());
      data_.refit_lengths.push_back(length);
      data_.train_lengths.push_back(s < n - held ? length : 0);
      if (s < n - held) continue;
      for (uint32_t t = 1; t < length; ++t) data_.valid.push_back({s, t, items[t]});
    }
  }

  Status ReadTestCases() {
    HEED_ASSIGN_OR_RETURN(Lines lines, Lines::Open(Path(spec_.test_path)));
    for (std::string_view line; lines.Next(&line);) {
      const size_t tab = line.find('\t');
      if (tab == std::string_view::npos) return lines.Error("expected target<TAB>item item ...");
      const std::vector<std::string_view> target = Words(line.substr(0, tab)),
                                          prefix = Words(line.substr(tab + 1));
      if (target.size() != 1 || prefix.empty()) {
        return lines.Error("expected one target, a tab and at least one item");
      }
      const uint32_t item = items_.Number(target[0]);
      const auto s = static_cast<uint32_t>(data_.sequences.size());
      data_.sequences.push_back(Items(prefix));
      data_.train_lengths.push_back(0);
      data_.refit_lengths.push_back(0);
      data_.test.push_back({s, static_cast<uint32_t>(prefix.size()), item});
    }
    if (data_.test.empty()) return InvalidArgument(Path(spec_.test_path) + ": no test cases");
    return {};
  }

  Status ReadNegatives() {
    HEED_ASSIGN_OR_RETURN(Lines lines, Lines::Open(Path(spec_.negatives_path)));
    data_.test_negatives.resize(data_.sequences.size());
    for (std::string_view line; lines.Next(&line);) {
      const std::vector<std::string_view> words = Words(line);
      const uint32_t user = users_.Find(words[0]);
      if (user == users_.names().size()) {
        return lines.Error("user '" + std::string(words[0]) + "' has no sequence");
      }
      data_.test_negatives[user] = Items(std::span(words).subspan(1));
    }
    for (const SequenceCase& one : data_.test) {
      if (data_.test_negatives[one.sequence].empty()) {
        return InvalidArgument(Path(spec_.negatives_path) + ": none for user '" +
                               data_.names[one.sequence] + "'");
      }
    }
    return {};
  }

  // {"item": [attribute, ...], ...}; items that no sequence mentions are left out.
  Status ReadAttributes() {
    const std::string path = Path(spec_.attributes_path);
    simdjson::padded_string text;
    if (simdjson::padded_string::load(path).get(text) != simdjson::SUCCESS) {
      return NotFound(path + ": cannot be opened");
    }
    namespace json = simdjson::ondemand;
    json::parser parser;
    json::document document;
    std::vector<std::vector<uint32_t>> of_item(items_.names().size());
    Numbering attributes;
    const auto read = [&]() -> simdjson::error_code {
      if (auto error = parser.iterate(text).get(document)) return error;
      json::object object;
      if (auto error = document.get_object().get(object)) return error;
      for (auto field : object) {
        std::string_view item;
        if (auto error = field.unescaped_key().get(item)) return error;
        const uint32_t number = items_.Find(item);
        json::array list;
        if (auto error = field.value().get_array().get(list)) return error;
        for (auto element : list) {
          json::value value;
          if (auto error = element.get(value)) return error;
          json::json_type type{};
          if (auto error = value.type().get(type)) return error;
          if (type != json::json_type::string && type != json::json_type::number) {
            return simdjson::INCORRECT_TYPE;
          }
          const std::string_view name = value.raw_json_token();
          if (number == of_item.size()) continue;
          const size_t end = name.find_last_not_of(" \t\r\n");
          of_item[number].push_back(attributes.Number(name.substr(0, end + 1)));
        }
      }
      const char* rest = nullptr;  // there is none after the last token
      const bool more = document.current_location().get(rest) == simdjson::SUCCESS;
      return more ? simdjson::TAPE_ERROR : simdjson::SUCCESS;
    };
    if (const simdjson::error_code error = read(); error != simdjson::SUCCESS) {
      const char* at = nullptr;
      size_t line = 1;
      if (document.current_location().get(at) == simdjson::SUCCESS) {
        line += static_cast<size_t>(std::count(static_cast<const char*>(text.data()), at, '\n'));
      }
      return InvalidArgument(path + ":" + std::to_string(line) + ": " +
                             simdjson::error_message(error) +
                             " (expected {\"item\": [attribute, ...], ...})");
    }
    model::ItemCatalog& catalog = data_.catalog;
    catalog.attributes = static_cast<uint32_t>(attributes.names().size());
    for (const std::vector<uint32_t>& list : of_item) {
      catalog.attribute_numbers.insert(catalog.attribute_numbers.end(), list.begin(), list.end());
      catalog.attribute_offsets.push_back(static_cast<uint32_t>(catalog.attribute_numbers.size()));
    }
    return {};
  }

  const SequenceSpec& spec_;
  const std::string& folder_;
  SequenceData data_;
  Numbering items_, users_;
};

}  // namespace

std::vector<uint32_t> SequenceData::Counts(const std::vector<uint32_t>& lengths) const {
  std::vector<uint32_t> counts(catalog.ids.size(), 0);
  for (size_t s = 0; s < sequences.size(); ++s) {
    for (uint32_t t = 0; t < lengths[s]; ++t) ++counts[sequences[s][t]];
  }
  return counts;
}

Result<SequenceData> ReadSequences(const SequenceSpec& spec, const std::string& folder) {
  return Reader(spec, folder).Read();
}

std::vector<uint32_t> DrawNegatives(const SequenceData& data, const SequenceCase& one,
                                    uint32_t count, uint64_t seed) {
  const size_t V = data.catalog.ids.size();
  std::vector<uint32_t> own = data.sequences[one.sequence];
  own.push_back(one.target);
  std::sort(own.begin(), own.end());
  own.erase(std::unique(own.begin(), own.end()), own.end());
  Random random(MixHash(seed + MixHash(one.sequence + 1)));
  std::vector<uint32_t> drawn, taken = own;
  const size_t wanted = std::min<size_t>(count, V - own.size());
  while (drawn.size() < wanted) {
    const auto item = static_cast<uint32_t>(random.Below(V));
    const auto place = std::lower_bound(taken.begin(), taken.end(), item);
    if (place != taken.end() && *place == item) continue;
    taken.insert(place, item);
    drawn.push_back(item);
  }
  return drawn;
}

}  // namespace heed::train
