#include "train/row_log.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>
#include <set>

#include "base/suggest.h"
#include "train/csv.h"

namespace heed::train {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr size_t kMaxRows = 0x7FFFFFFF;  // rows are numbered with 32 bits

bool Contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::vector<std::string_view> SplitWords(std::string_view text) {
  std::vector<std::string_view> words;
  while (!text.empty()) {
    const size_t end = std::min(text.find(' '), text.size());
    if (end > 0) words.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return words;
}

template <typename T>
void Permute(const std::vector<uint32_t>& order, std::vector<T>* values) {
  std::vector<T> sorted(values->size());
  for (size_t i = 0; i < order.size(); ++i) sorted[i] = (*values)[order[i]];
  *values = std::move(sorted);
}

// Which columns are wanted, and as what.
struct Wanted {
  std::set<std::string> text, number;

  explicit Wanted(const DatasetSpec& spec) {
    using Source = FeatureSpec::Source;
    const auto add_text = [&](const std::string& column) {
      if (!column.empty()) text.insert(column);
    };
    for (const std::string* column : {&spec.user, &spec.item, &spec.host, &spec.group}) {
      add_text(*column);
    }
    for (const std::string& column : spec.segments) add_text(column);
    for (const JoinSpec& join : spec.joins) add_text(join.on);
    for (const FeatureSpec& feature : spec.features) {
      const bool as_text = feature.categorical && feature.bucket.kind == BucketSpec::Kind::kNone;
      if (feature.source == Source::kColumn) (as_text ? text : number).insert(feature.column);
      if (feature.source == Source::kSince) number.insert(feature.column);
      for (const std::string& column : feature.by) add_text(column);
    }
    for (const SequenceFeatureSpec& sequence : spec.sequences) {
      for (const SequencePartSpec& part : sequence.parts) add_text(part.column);
    }
    if (!spec.time.empty()) number.insert(spec.time);
    if (!spec.weight.empty()) number.insert(spec.weight);
    if (spec.split.by == SplitSpec::By::kColumn) number.insert(spec.split.column);
    for (const LabelSpec& label : spec.labels) number.insert(label.column);
  }
  bool Has(const std::string& column) const {
    return text.contains(column) || number.contains(column);
  }
};

class Loader {
 public:
  Loader(const DatasetSpec& spec, std::string folder)
      : spec_(spec), folder_(std::move(folder)), wanted_(spec) {
    // The empty columns exist before any file is read, so that files may bring different ones.
    for (const std::string& column : wanted_.text) log_.texts[column];
    for (const std::string& column : wanted_.number) log_.numbers[column];
    log_.labels.resize(spec.labels.size());
  }

  Result<RowLog> Load() {
    for (const FileSpec& file : spec_.files) HEED_RETURN_IF_ERROR(ReadRows(file));
    if (log_.rows() == 0) return InvalidArgument(folder_ + ": the files hold no rows");
    for (const HistorySpec& history : spec_.histories) {
      HEED_RETURN_IF_ERROR(ReadHistory(history));
    }
    for (const JoinSpec& join : spec_.joins) HEED_RETURN_IF_ERROR(ReadJoin(join));
    HEED_RETURN_IF_ERROR(CheckColumns());
    SortByTime();
    AssignSplits();
    return std::move(log_);
  }

 private:
  bool IsMissing(std::string_view text) const {
    return text.empty() ||
           std::find(spec_.missing.begin(), spec_.missing.end(), text) != spec_.missing.end();
  }
  Result<double> ParseNumber(const std::string& where, const std::string& column,
                             std::string_view text) const {
    if (IsMissing(text)) return kNan;
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error == std::errc() && end == text.data() + text.size() && std::isfinite(value)) {
      return value;
    }
    return InvalidArgument(
        where + ": column '" + column + "': '" + std::string(text) + "' is not a number", column);
  }
  int64_t ToMs(double time) const {
    return static_cast<int64_t>(std::floor(time * 1000.0 / spec_.time_per_second));
  }

  Status ReadRows(const FileSpec& file) {
    HEED_ASSIGN_OR_RETURN(CsvReader csv,
                          CsvReader::Open(folder_ + "/" + file.path, file.separator));
    for (const std::string& column : csv.header()) {
      seen_.insert(column);
      if (file.set.contains(column)) {
        return InvalidArgument(csv.Where() + ": column '" + column + "' is also in 'set'", column);
      }
      if (!wanted_.Has(column) && !Contains(spec_.ignore, column) &&
          !Contains(spec_.after_impression, column)) {
        return InvalidArgument(csv.Where() + ": column '" + column +
                                   "' has no role; give it one or list it in 'ignore'",
                               column);
      }
    }
    for (const auto& [column, text] : file.set) seen_.insert(column);
    struct Binding {
      size_t index;          // of the file's columns
      std::string constant;  // when index is past them
    };
    const auto bind = [&](const std::string& column) {
      const auto found = std::find(csv.header().begin(), csv.header().end(), column);
      const auto set = file.set.find(column);
      return Binding{static_cast<size_t>(found - csv.header().begin()),
                     set == file.set.end() ? "" : set->second};
    };
    std::vector<std::pair<TextColumn*, Binding>> texts;
    std::vector<std::tuple<const std::string*, NumberColumn*, Binding>> numbers;
    for (auto& [column, values] : log_.texts) texts.emplace_back(&values, bind(column));
    for (auto& [column, values] : log_.numbers) {
      numbers.emplace_back(&column, &values, bind(column));
    }
    const NumberColumn* time = spec_.time.empty() ? nullptr : &log_.numbers[spec_.time];
    std::vector<std::string_view> fields;
    const auto value_of = [&](const Binding& binding) -> std::string_view {
      return binding.index < fields.size() ? fields[binding.index] : binding.constant;
    };
    while (true) {
      HEED_ASSIGN_OR_RETURN(const bool any, csv.Next(&fields));
      if (!any) return {};
      for (auto& [values, binding] : texts) {
        const std::string_view text = value_of(binding);
        values->codes.push_back(IsMissing(text) ? 0 : values->dictionary.Add(text));
      }
      for (auto& [column, values, binding] : numbers) {
        HEED_ASSIGN_OR_RETURN(const double number,
                              ParseNumber(csv.Where(), *column, value_of(binding)));
        values->push_back(number);
      }
      HEED_RETURN_IF_ERROR(AddRow(csv, time == nullptr ? 0.0 : time->back(), false));
      log_.split.push_back(file.history_only ? Split::kNone : file.split);
      may_be_sample_.push_back(file.history_only ? 0 : 1);
      for (size_t i = 0; i < spec_.labels.size(); ++i) {
        HEED_RETURN_IF_ERROR(AddLabel(csv, i));
      }
    }
  }

  Status AddRow(const CsvReader& csv, double time, bool is_history) {
    // Years 1970 to 2200 in milliseconds; outside, the unit is probably wrong.
    if (std::isnan(time) || time < 0 || ToMs(std::min(time, 1e18)) > 7258118400000) {
      return InvalidArgument(
          csv.Where() + ": no time, or one outside 1970..2200: check 'time_unit'", spec_.time);
    }
    if (log_.time_ms.size() >= kMaxRows) {
      return Status(Code::kTooLarge, csv.Where() + ": too many rows");
    }
    log_.time_ms.push_back(ToMs(time));
    log_.is_history.push_back(is_history ? 1 : 0);
    return {};
  }

  Status AddLabel(const CsvReader& csv, size_t i) {
    const LabelSpec& label = spec_.labels[i];
    double value = log_.numbers[label.column].back();
    if (label.kind == model::TaskKind::kValue) {
      if (value < 0) {
        return InvalidArgument(csv.Where() + ": label column '" + label.column + "' is below 0",
                               label.column);
      }
      if (value == 0) value = kNan;
      log_.labels[i].push_back(static_cast<float>(value));
      return {};
    }
    if (std::isnan(value) && label.missing_is_zero) value = 0;
    if (!std::isnan(label.at_least) && !std::isnan(value)) value = value >= label.at_least ? 1 : 0;
    if (!std::isnan(value) && value != 0 && value != 1) {
      return InvalidArgument(csv.Where() + ": label column '" + label.column +
                                 "' is neither 0 nor 1; 'at_least' makes it so",
                             label.column);
    }
    log_.labels[i].push_back(static_cast<float>(value));
    return {};
  }

  Result<size_t> ColumnOf(const CsvReader& csv, const std::string& column) const {
    const auto found = std::find(csv.header().begin(), csv.header().end(), column);
    if (found != csv.header().end()) return static_cast<size_t>(found - csv.header().begin());
    return InvalidArgument(
        csv.Where() + ": there is no column '" + column + "'" + Suggestion(column, csv.header()),
        column);
  }

  // Columns of a side file that neither the spec's list nor its `ignore` names.
  static Status CheckRest(const CsvReader& csv, const std::set<std::string>& used,
                          const std::vector<std::string>& ignore) {
    for (const std::string& column : csv.header()) {
      if (used.contains(column) || Contains(ignore, column)) continue;
      return InvalidArgument(csv.Where() + ": column '" + column +
                                 "' has no role; give it one or list it in this table's 'ignore'",
                             column);
    }
    for (const std::string& column : ignore) {
      if (Contains(csv.header(), column)) continue;
      return InvalidArgument(csv.Where() + ": 'ignore' names '" + column + "', which is not there" +
                                 Suggestion(column, csv.header()),
                             column);
    }
    return {};
  }

  Status ReadHistory(const HistorySpec& history) {
    HEED_ASSIGN_OR_RETURN(CsvReader csv,
                          CsvReader::Open(folder_ + "/" + history.path, history.separator));
    HEED_ASSIGN_OR_RETURN(const size_t user, ColumnOf(csv, history.user));
    HEED_ASSIGN_OR_RETURN(const size_t time, ColumnOf(csv, history.time));
    HEED_ASSIGN_OR_RETURN(const size_t items, ColumnOf(csv, history.items));
    std::set<std::string> used = {history.user, history.time, history.items};
    std::vector<size_t> marks(spec_.labels.size(), csv.header().size());
    for (size_t i = 0; i < spec_.labels.size(); ++i) {
      const auto mark = history.marks.find(spec_.labels[i].name);
      if (mark == history.marks.end()) continue;
      HEED_ASSIGN_OR_RETURN(marks[i], ColumnOf(csv, mark->second));
      used.insert(mark->second);
    }
    HEED_RETURN_IF_ERROR(CheckRest(csv, used, history.ignore));
    std::vector<std::string_view> fields;
    while (true) {
      HEED_ASSIGN_OR_RETURN(const bool any, csv.Next(&fields));
      if (!any) return {};
      const std::vector<std::string_view> list = SplitWords(fields[items]);
      if (list.empty()) continue;
      HEED_ASSIGN_OR_RETURN(const double when,
                            ParseNumber(csv.Where(), history.time, fields[time]));
      for (const std::string_view item : list) {
        HEED_RETURN_IF_ERROR(AddRow(csv, when, true));
        log_.split.push_back(Split::kNone);
        may_be_sample_.push_back(0);
        for (auto& [column, values] : log_.texts) {
          const std::string_view text =
              column == spec_.user ? fields[user] : (column == spec_.item ? item : "");
          values.codes.push_back(IsMissing(text) ? 0 : values.dictionary.Add(text));
        }
        for (auto& [column, values] : log_.numbers) values.push_back(kNan);
        log_.numbers[spec_.time].back() = when;
      }
      for (size_t i = 0; i < spec_.labels.size(); ++i) {
        const bool known = marks[i] < fields.size();
        MarkList(list, known ? SplitWords(fields[marks[i]]) : std::vector<std::string_view>(),
                 known, &log_.labels[i]);
      }
    }
  }

  // Which of `list` are in its sublist: matched from the newest back, because the sublist may reach
  // further into the past than the list.
  static void MarkList(const std::vector<std::string_view>& list,
                       const std::vector<std::string_view>& sublist, bool known,
                       std::vector<float>* labels) {
    const size_t first = labels->size();
    labels->resize(first + list.size(), known ? 0.0f : std::nanf(""));
    size_t left = sublist.size();
    for (size_t i = list.size(); i-- > 0 && left > 0;) {
      if (list[i] != sublist[left - 1]) continue;
      (*labels)[first + i] = 1;
      --left;
    }
  }

  Status ReadJoin(const JoinSpec& join) {
    HEED_ASSIGN_OR_RETURN(CsvReader csv,
                          CsvReader::Open(folder_ + "/" + join.path, join.separator));
    HEED_ASSIGN_OR_RETURN(const size_t key, ColumnOf(csv, join.key));
    std::set<std::string> used = {join.key};
    struct Target {
      std::string column;
      size_t index;
      std::vector<uint32_t> codes = {0};  // [1 + side rows]
      NumberColumn numbers = {kNan};
    };
    std::vector<Target> targets;
    for (const auto* list : {&join.columns, &join.fill}) {
      for (const std::string& name : *list) {
        HEED_ASSIGN_OR_RETURN(const size_t index, ColumnOf(csv, name));
        used.insert(name);
        const std::string column = list == &join.columns ? join.prefix + name : name;
        if (list == &join.columns && seen_.contains(column)) {
          return InvalidArgument(csv.Where() + ": the rows already have a column '" + column +
                                     "'; list it in 'fill' or in 'ignore'",
                                 column);
        }
        if (!wanted_.Has(column)) {
          return InvalidArgument(csv.Where() + ": column '" + column +
                                     "' is taken but has no role; list it in this table's 'ignore'",
                                 column);
        }
        targets.push_back({column, index});
      }
    }
    HEED_RETURN_IF_ERROR(CheckRest(csv, used, join.ignore));
    for (const Target& target : targets) seen_.insert(target.column);

    const TextColumn& on = log_.texts[join.on];
    std::vector<uint32_t> side_row(on.dictionary.size(), 0);
    uint32_t side_rows = 0;
    std::vector<std::string_view> fields;
    while (true) {
      HEED_ASSIGN_OR_RETURN(const bool any, csv.Next(&fields));
      if (!any) break;
      const uint32_t code = on.dictionary.Find(fields[key]);
      if (code == 0) continue;  // nobody asks for it
      if (side_row[code] != 0 && join.first_wins) continue;
      if (side_row[code] != 0) {
        return InvalidArgument(
            csv.Where() + ": key '" + std::string(fields[key]) + "' appears twice", join.key);
      }
      side_row[code] = ++side_rows;
      for (Target& target : targets) {
        const std::string_view text = fields[target.index];
        if (wanted_.text.contains(target.column)) {
          target.codes.push_back(IsMissing(text) ? 0
                                                 : log_.texts[target.column].dictionary.Add(text));
        }
        if (wanted_.number.contains(target.column)) {
          HEED_ASSIGN_OR_RETURN(const double number, ParseNumber(csv.Where(), target.column, text));
          target.numbers.push_back(number);
        }
      }
    }
    for (const Target& target : targets) {
      if (wanted_.text.contains(target.column)) {
        std::vector<uint32_t>& codes = log_.texts[target.column].codes;
        for (size_t i = 0; i < codes.size(); ++i) {
          if (codes[i] == 0) codes[i] = target.codes[side_row[on.codes[i]]];
        }
      }
      if (wanted_.number.contains(target.column)) {
        NumberColumn& numbers = log_.numbers[target.column];
        for (size_t i = 0; i < numbers.size(); ++i) {
          if (std::isnan(numbers[i])) numbers[i] = target.numbers[side_row[on.codes[i]]];
        }
      }
    }
    return {};
  }

  // A role whose column is in no file. `ignore` and `after_impression` too: a slip there would
  // leave the intended column unguarded.
  Status CheckColumns() const {
    const std::vector<std::string> known(seen_.begin(), seen_.end());
    for (const auto* names : {&wanted_.text, &wanted_.number}) {
      for (const std::string& column : *names) {
        HEED_RETURN_IF_ERROR(CheckColumn(column, "is used, but", known));
      }
    }
    for (const std::string& column : spec_.ignore) {
      HEED_RETURN_IF_ERROR(CheckColumn(column, "is to be ignored, but", known));
    }
    for (const std::string& column : spec_.after_impression) {
      HEED_RETURN_IF_ERROR(CheckColumn(column, "comes after the impression, but", known));
    }
    return {};
  }
  Status CheckColumn(const std::string& column, const std::string& role,
                     const std::vector<std::string>& known) const {
    if (seen_.contains(column)) return {};
    return InvalidArgument("data set '" + spec_.name + "': column '" + column + "' " + role +
                               " no file has it" + Suggestion(column, known),
                           column);
  }

  void SortByTime() {
    std::vector<uint32_t> order(log_.rows());
    std::iota(order.begin(), order.end(), 0u);
    std::stable_sort(order.begin(), order.end(),
                     [&](uint32_t a, uint32_t b) { return log_.time_ms[a] < log_.time_ms[b]; });
    Permute(order, &log_.time_ms);
    Permute(order, &log_.split);
    Permute(order, &log_.is_history);
    Permute(order, &may_be_sample_);
    for (auto& [column, values] : log_.texts) Permute(order, &values.codes);
    for (auto& [column, values] : log_.numbers) Permute(order, &values);
    for (auto& values : log_.labels) Permute(order, &values);
  }

  void AssignSplits() {
    if (spec_.split.by == SplitSpec::By::kFile) return;
    if (spec_.split.by == SplitSpec::By::kColumn) {
      const NumberColumn& column = log_.numbers[spec_.split.column];
      for (size_t i = 0; i < column.size(); ++i) {
        log_.split[i] = Split::kNone;
        for (uint8_t s = 0; s < 3 && may_be_sample_[i] != 0; ++s) {
          if (column[i] >= spec_.split.low[s] && column[i] <= spec_.split.high[s]) {
            log_.split[i] = static_cast<Split>(s);
          }
        }
      }
      return;
    }
    const auto samples =
        static_cast<double>(std::count(may_be_sample_.begin(), may_be_sample_.end(), 1));
    const double* share = spec_.split.share;
    double seen = 0;
    int64_t last_ms = -1;  // of the sample before: rows of one time stay in one split
    Split current = Split::kTrain;
    for (size_t i = 0; i < may_be_sample_.size(); ++i) {
      if (may_be_sample_[i] == 0) continue;
      if (log_.time_ms[i] != last_ms) {
        const double done = seen / samples;
        current = done < share[0]                         ? Split::kTrain
                  : done < share[0] + share[1]            ? Split::kValid
                  : done < share[0] + share[1] + share[2] ? Split::kTest
                                                          : Split::kNone;
      }
      log_.split[i] = current;
      last_ms = log_.time_ms[i];
      seen += 1;
    }
  }

  const DatasetSpec& spec_;
  std::string folder_;
  Wanted wanted_;
  RowLog log_;
  std::vector<uint8_t> may_be_sample_;
  std::set<std::string> seen_;  // every column some file brought
};

}  // namespace

uint32_t Dictionary::Add(std::string_view text) {
  const auto found = codes_.find(text);
  if (found != codes_.end()) return found->second;
  const auto code = static_cast<uint32_t>(texts_.size());
  texts_.emplace_back(text);
  codes_.emplace(texts_.back(), code);
  return code;
}

uint32_t Dictionary::Find(std::string_view text) const {
  const auto found = codes_.find(text);
  return found == codes_.end() ? 0 : found->second;
}

uint32_t RowLog::FirstAtOrAfter(int64_t time) const {
  return static_cast<uint32_t>(std::lower_bound(time_ms.begin(), time_ms.end(), time) -
                               time_ms.begin());
}

Result<RowLog> LoadRows(const DatasetSpec& spec, const std::string& folder) {
  return Loader(spec, folder).Load();
}

}  // namespace heed::train
