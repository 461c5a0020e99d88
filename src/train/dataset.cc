#include "train/dataset.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <numeric>
#include <optional>
#include <tuple>
#include <unordered_map>

#include "base/hash.h"
#include "base/suggest.h"
#include "train/causal.h"
#include "train/row_log.h"

namespace heed::train {
namespace {

using model::Batch;
using model::Key;
using model::Side;
using Source = FeatureSpec::Source;

constexpr std::array<const char*, 3> kSettingNames = {"online", "day_lagged", "frozen"};
constexpr int64_t kDayMs = 86400000;

// Codes and what they mean to the model, by vocabulary. No keys: a code is its own key.
struct KeyTable {
  std::array<std::vector<Key>, 3> keys;  // [vocabulary][code]
};

struct KeyColumn {
  std::vector<uint32_t> codes;      // [S] or, in a sequence, [tokens]
  const KeyTable* table = nullptr;  // null: key = code
};

Key KeyOf(const std::string& text) { return std::max<Key>(1, HashBytes(text)); }

int64_t FloorDiv(int64_t a, int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }

double Transformed(double x, FeatureSpec::Transform transform) {
  switch (transform) {
    case FeatureSpec::Transform::kLog1p: return std::log1p(std::max(x, 0.0));
    case FeatureSpec::Transform::kLogit: return std::log(x / (1 - x));
    case FeatureSpec::Transform::kNone: break;
  }
  return x;
}

// A bucket's number from 1; 0 is absent.
uint32_t BucketOf(const BucketSpec& bucket, double x) {
  if (std::isnan(x)) return 0;
  if (bucket.kind == BucketSpec::Kind::kLog2) {
    return 1 + static_cast<uint32_t>(bucket.per_octave *
                                     std::log2(1 + std::max(0.0, x) * bucket.scale));
  }
  return 1 + static_cast<uint32_t>(std::upper_bound(bucket.edges.begin(), bucket.edges.end(), x) -
                                   bucket.edges.begin());
}

// Quantile edges from the values of the training rows.
BucketSpec Fitted(BucketSpec bucket, const std::vector<double>& values,
                  const std::vector<uint32_t>& training) {
  if (bucket.kind != BucketSpec::Kind::kQuantiles) return bucket;
  std::vector<double> sorted;
  for (const uint32_t sample : training) {
    if (!std::isnan(values[sample])) sorted.push_back(values[sample]);
  }
  std::sort(sorted.begin(), sorted.end());
  for (uint32_t q = 1; q < bucket.quantiles && !sorted.empty(); ++q) {
    bucket.edges.push_back(sorted[sorted.size() * q / bucket.quantiles]);
  }
  bucket.edges.erase(std::unique(bucket.edges.begin(), bucket.edges.end()), bucket.edges.end());
  return bucket;
}

struct SequenceColumns {
  std::vector<uint32_t> rows;    // [tokens]: log rows by user, in the order of time
  std::vector<KeyColumn> parts;  // [K]
};

// What depends on the setting.
struct State {
  std::vector<Viewpoint> viewpoints;                   // [S]
  std::map<size_t, KeyColumn> keys;                    // of derived categorical features
  std::map<size_t, std::vector<float>> numbers;        // of derived numerics
  std::vector<std::vector<GroupIndex::Range>> tokens;  // [sequences][S]
};

}  // namespace

struct Dataset::Impl {
  DatasetSpec spec;
  model::Schema schema;
  RowLog log;
  std::vector<uint32_t> row_of;                 // [S]
  std::array<std::vector<uint32_t>, 3> splits;  // sample numbers
  std::map<std::string, KeyTable> text_keys;    // "table column"
  std::map<size_t, KeyColumn> static_keys;      // feature → column
  std::map<size_t, std::vector<float>> static_numbers;
  std::map<size_t, BucketSpec> buckets;  // fitted, of derived features
  std::vector<SequenceColumns> sequences;
  std::vector<GroupIndex> sequence_index;
  std::map<std::tuple<std::vector<std::string>, bool>, GroupIndex> indices;
  std::array<std::optional<State>, 3> states;
  std::vector<size_t> label_of_task;  // [T]: index into spec.labels

  void CollectSamples();
  void CountKeys();
  KeyTable& TextKeys(const std::string& table, const std::string& column) {
    return text_keys[table + "\n" + column];
  }
  std::vector<double> StaticValues(const FeatureSpec& feature) const;
  void BuildStatic();
  Status BuildSequences();
  Status BuildState(Setting setting);
  Viewpoint ViewpointOf(uint32_t sample, Setting setting) const;
  void FillSequence(const View& view, const State& state, size_t which,
                    std::span<const uint32_t> samples, model::SequenceBatch* out) const;
};

void Dataset::Impl::CollectSamples() {
  for (uint32_t row = 0; row < log.rows(); ++row) {
    if (log.split[row] == Split::kNone) continue;
    splits[static_cast<size_t>(log.split[row])].push_back(static_cast<uint32_t>(row_of.size()));
    row_of.push_back(row);
  }
}

// Keys of each (table, text column) pair, and which are frequent enough in each vocabulary.
void Dataset::Impl::CountKeys() {
  struct Use {
    std::string table, column;
    bool in_fields = false, in_tokens = false;
  };
  std::map<std::string, Use> uses;
  const auto use = [&](const std::string& table, const std::string& column) -> Use& {
    Use& out = uses[table + "\n" + column];
    out.table = table, out.column = column;
    return out;
  };
  for (const FeatureSpec& feature : spec.features) {
    if (feature.categorical && feature.source == Source::kColumn &&
        feature.bucket.kind == BucketSpec::Kind::kNone) {
      use(feature.table, feature.column).in_fields = true;
    }
  }
  for (const SequenceFeatureSpec& sequence : spec.sequences) {
    for (const SequencePartSpec& part : sequence.parts) {
      if (!part.column.empty()) use(part.table, part.column).in_tokens = true;
    }
  }
  // counts[v][table][key]; rows that are history only count where tokens use the table.
  std::array<std::map<std::string, std::unordered_map<Key, uint32_t>>, 3> counts;
  const auto first_row = [&](Split split) {
    const auto& samples = splits[static_cast<size_t>(split)];
    return samples.empty() ? log.rows() : row_of[samples[0]];
  };
  const uint32_t end[] = {0, std::min(first_row(Split::kValid), first_row(Split::kTest)),
                          first_row(Split::kTest)};
  for (const auto& [id, one] : uses) {
    const TextColumn& column = log.texts.at(one.column);
    KeyTable& table = TextKeys(one.table, one.column);
    std::vector<Key>& all = table.keys[0];
    all.assign(column.dictionary.size(), 0);
    for (uint32_t code = 1; code < all.size(); ++code)
      all[code] = KeyOf(column.dictionary.text(code));
    for (size_t v = 1; v < 3; ++v) {
      std::vector<uint32_t> seen(all.size(), 0);
      for (uint32_t row = 0; row < log.rows(); ++row) {
        const Split split = log.split[row];
        const bool sample = split == Split::kTrain || (split == Split::kValid && v == 2);
        const bool token_only = split == Split::kNone && row < end[v];
        if ((one.in_fields && sample) || (one.in_tokens && token_only)) ++seen[column.codes[row]];
      }
      auto& total = counts[v][one.table];
      for (uint32_t code = 1; code < all.size(); ++code) {
        if (seen[code] > 0) total[all[code]] += seen[code];
      }
    }
  }
  for (const auto& [id, one] : uses) {
    const auto special = spec.table_min_count.find(one.table);
    const uint32_t least = special == spec.table_min_count.end() ? spec.min_count : special->second;
    KeyTable& table = TextKeys(one.table, one.column);
    for (size_t v = 1; v < 3; ++v) {
      table.keys[v] = table.keys[0];
      if (least <= 1) continue;
      const auto& total = counts[v][one.table];
      for (Key& key : table.keys[v]) {
        const auto found = total.find(key);
        if (found == total.end() || found->second < least) key = 0;
      }
    }
  }
}

std::vector<double> Dataset::Impl::StaticValues(const FeatureSpec& feature) const {
  std::vector<double> out(row_of.size());
  for (size_t s = 0; s < out.size(); ++s) {
    const uint32_t row = row_of[s];
    const int64_t local_ms = log.time_ms[row] + int64_t{1000} * spec.zone_offset_s;
    switch (feature.source) {
      case Source::kHour: out[s] = static_cast<double>(FloorDiv(local_ms, 3600000) % 24); break;
      case Source::kWeekday:  // 1 January 1970 was a Thursday
        out[s] = static_cast<double>((FloorDiv(local_ms, kDayMs) + 3) % 7);
        break;
      case Source::kSince:
        out[s] = static_cast<double>(log.time_ms[row]) / 1e3 -
                 log.numbers.at(feature.column)[row] / spec.time_per_second;
        break;
      default: out[s] = log.numbers.at(feature.column)[row]; break;
    }
  }
  return out;
}

void Dataset::Impl::BuildStatic() {
  for (size_t f = 0; f < spec.features.size(); ++f) {
    const FeatureSpec& feature = spec.features[f];
    if (feature.derived()) continue;
    if (feature.categorical && feature.source == Source::kColumn &&
        feature.bucket.kind == BucketSpec::Kind::kNone) {
      KeyColumn& column = static_keys[f];
      column.table = &TextKeys(feature.table, feature.column);
      const std::vector<uint32_t>& codes = log.texts.at(feature.column).codes;
      for (const uint32_t row : row_of) column.codes.push_back(codes[row]);
      continue;
    }
    const std::vector<double> values = StaticValues(feature);
    if (!feature.categorical) {
      for (const double x : values) {
        static_numbers[f].push_back(static_cast<float>(Transformed(x, feature.transform)));
      }
      continue;
    }
    const BucketSpec bucket = Fitted(feature.bucket, values, splits[0]);
    for (const double x : values) {
      static_keys[f].codes.push_back(bucket.kind == BucketSpec::Kind::kNone
                                         ? 1 + static_cast<uint32_t>(x)
                                         : BucketOf(bucket, x));
    }
  }
}

Status Dataset::Impl::BuildSequences() {
  for (const SequenceFeatureSpec& sequence : spec.sequences) {
    const auto label_index = [&](const std::string& name) {
      const auto found = std::find_if(spec.labels.begin(), spec.labels.end(),
                                      [&](const LabelSpec& label) { return label.name == name; });
      return static_cast<size_t>(found - spec.labels.begin());
    };
    const GroupIndex::Filter filter{
        sequence.with_history,
        sequence.only.empty() ? nullptr : &log.labels[label_index(sequence.only)]};
    HEED_ASSIGN_OR_RETURN(GroupIndex index, GroupIndex::Build(log, {spec.user}, filter));
    SequenceColumns columns;
    columns.rows = index.order();
    for (const SequencePartSpec& part : sequence.parts) {
      KeyColumn out;
      out.codes.reserve(columns.rows.size());
      if (part.column.empty()) {
        std::vector<size_t> labels;
        for (const std::string& name : part.labels) labels.push_back(label_index(name));
        for (const uint32_t row : columns.rows) out.codes.push_back(FeedbackCode(log, labels, row));
      } else {
        out.table = &TextKeys(part.table, part.column);
        const std::vector<uint32_t>& codes = log.texts.at(part.column).codes;
        for (const uint32_t row : columns.rows) out.codes.push_back(codes[row]);
      }
      columns.parts.push_back(std::move(out));
    }
    sequences.push_back(std::move(columns));
    sequence_index.push_back(std::move(index));
  }
  return {};
}

Viewpoint Dataset::Impl::ViewpointOf(uint32_t sample, Setting setting) const {
  const uint32_t row = row_of[sample];
  int64_t cut_ms = log.time_ms[row];
  if (log.split[row] != Split::kTrain && setting == Setting::kDayLagged) {
    const int64_t zone_ms = int64_t{1000} * spec.zone_offset_s;
    cut_ms = FloorDiv(cut_ms + zone_ms, kDayMs) * kDayMs - zone_ms;
  }
  if (log.split[row] != Split::kTrain && setting == Setting::kFrozen) {
    cut_ms = log.time_ms[row_of[splits[static_cast<size_t>(log.split[row])][0]]];
  }
  return {row, log.FirstAtOrAfter(cut_ms), cut_ms};
}

Status Dataset::Impl::BuildState(Setting setting) {
  std::optional<State>& slot = states[static_cast<size_t>(setting)];
  if (slot.has_value()) return {};
  State state;
  state.viewpoints.reserve(row_of.size());
  for (uint32_t s = 0; s < row_of.size(); ++s) state.viewpoints.push_back(ViewpointOf(s, setting));
  for (size_t f = 0; f < spec.features.size(); ++f) {
    const FeatureSpec& feature = spec.features[f];
    if (!feature.derived()) continue;
    const auto key = std::make_tuple(feature.by, feature.with_history);
    auto index = indices.find(key);
    if (index == indices.end()) {
      HEED_ASSIGN_OR_RETURN(GroupIndex built,
                            GroupIndex::Build(log, feature.by, {feature.with_history, nullptr}));
      index = indices.emplace(key, std::move(built)).first;
    }
    const std::vector<double> values = Derive(feature, spec, log, index->second, state.viewpoints);
    if (!feature.categorical) {
      std::vector<float>& out = state.numbers[f];
      out.reserve(values.size());
      for (const double x : values) {
        out.push_back(static_cast<float>(Transformed(x, feature.transform)));
      }
      continue;
    }
    std::vector<uint32_t>& codes = state.keys[f].codes;
    codes.reserve(values.size());
    const bool feedback = feature.source == Source::kFeedback;
    // Edges are fitted once, on the training rows, which every setting describes alike.
    if (!buckets.contains(f)) buckets[f] = Fitted(feature.bucket, values, splits[0]);
    for (const double x : values) {
      codes.push_back(feedback ? static_cast<uint32_t>(x) : BucketOf(buckets[f], x));
    }
  }
  for (size_t q = 0; q < sequences.size(); ++q) {
    std::vector<GroupIndex::Range>& ranges = state.tokens.emplace_back();
    ranges.reserve(row_of.size());
    for (const Viewpoint& at : state.viewpoints) {
      GroupIndex::Range range = sequence_index[q].Between(at.row, 0, at.cut);
      range.begin = range.end - std::min(range.size(), spec.sequences[q].max_length);
      ranges.push_back(range);
    }
  }
  slot = std::move(state);
  return {};
}

void Dataset::Impl::FillSequence(const View& view, const State& state, size_t which,
                                 std::span<const uint32_t> samples,
                                 model::SequenceBatch* out) const {
  const SequenceColumns& columns = sequences[which];
  const size_t parts = columns.parts.size();
  out->offsets.assign(1, 0);
  for (const uint32_t sample : samples) {
    out->offsets.push_back(out->offsets.back() + state.tokens[which][sample].size());
  }
  const size_t tokens = out->offsets.back();
  out->keys.resize(tokens * parts);
  out->age_s.resize(tokens);
  for (size_t k = 0; k < parts; ++k) {
    const KeyColumn& column = columns.parts[k];
    const Key* keys = column.table == nullptr
                          ? nullptr
                          : column.table->keys[static_cast<size_t>(view.vocabulary)].data();
    size_t at = k;
    for (const uint32_t sample : samples) {
      const GroupIndex::Range range = state.tokens[which][sample];
      for (uint32_t i = range.begin; i < range.end; ++i, at += parts) {
        out->keys[at] = keys == nullptr ? column.codes[i] : keys[column.codes[i]];
      }
    }
  }
  size_t at = 0;
  for (const uint32_t sample : samples) {
    const GroupIndex::Range range = state.tokens[which][sample];
    const int64_t now = log.time_ms[row_of[sample]];
    for (uint32_t i = range.begin; i < range.end; ++i) {
      out->age_s[at++] = static_cast<float>(now - log.time_ms[columns.rows[i]]) / 1e3f;
    }
  }
}

Dataset::Dataset(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Dataset::~Dataset() = default;

Result<std::unique_ptr<Dataset>> Dataset::Load(const DatasetSpec& spec, const std::string& folder) {
  auto impl = std::make_unique<Impl>();
  impl->spec = spec;
  impl->schema = spec.Schema();
  for (size_t i = 0; i < spec.labels.size(); ++i) {
    if (spec.labels[i].task) impl->label_of_task.push_back(i);
  }
  HEED_RETURN_IF_ERROR(impl->schema.Validate());
  HEED_ASSIGN_OR_RETURN(impl->log, LoadRows(spec, folder));
  impl->CollectSamples();
  if (impl->splits[0].empty()) {
    return InvalidArgument("data set '" + spec.name + "': no row is in the training split");
  }
  impl->CountKeys();
  impl->BuildStatic();
  HEED_RETURN_IF_ERROR(impl->BuildSequences());
  HEED_RETURN_IF_ERROR(impl->BuildState(Setting::kOnline));
  return std::unique_ptr<Dataset>(new Dataset(std::move(impl)));
}

const DatasetSpec& Dataset::spec() const { return impl_->spec; }
const model::Schema& Dataset::schema() const { return impl_->schema; }
uint32_t Dataset::samples() const { return static_cast<uint32_t>(impl_->row_of.size()); }
uint32_t Dataset::history_rows() const {
  return static_cast<uint32_t>(
      std::count(impl_->log.is_history.begin(), impl_->log.is_history.end(), 1));
}
const std::vector<uint32_t>& Dataset::samples_of(Split split) const {
  assert(split != Split::kNone && "rows in no split are not samples");
  return impl_->splits[static_cast<size_t>(split)];
}
Status Dataset::Prepare(Setting setting) { return impl_->BuildState(setting); }

void Dataset::FillBatch(const View& view, std::span<const uint32_t> samples, Batch* batch) const {
  const std::optional<State>& prepared = impl_->states[static_cast<size_t>(view.setting)];
  assert(prepared.has_value() && "Prepare() comes first");
  const State& state = *prepared;
  const auto rows = static_cast<uint32_t>(samples.size());
  batch->Clear(impl_->schema);
  batch->requests = batch->candidates = rows;
  batch->request_of.resize(rows);
  std::iota(batch->request_of.begin(), batch->request_of.end(), 0u);

  size_t fields[2] = {0, 0}, numerics[2] = {0, 0};
  for (const FeatureSpec& feature : impl_->spec.features) {
    ++(feature.categorical ? fields : numerics)[static_cast<size_t>(feature.side)];
  }
  std::vector<Key>* keys[2] = {&batch->request_keys, &batch->candidate_keys};
  std::vector<float>* numbers[2] = {&batch->request_numerics, &batch->candidate_numerics};
  for (size_t side = 0; side < 2; ++side) {
    keys[side]->resize(rows * fields[side]);
    numbers[side]->resize(rows * numerics[side]);
  }
  size_t next_field[2] = {0, 0}, next_numeric[2] = {0, 0};
  for (size_t f = 0; f < impl_->spec.features.size(); ++f) {
    const FeatureSpec& feature = impl_->spec.features[f];
    const auto side = static_cast<size_t>(feature.side);
    if (feature.categorical) {
      const KeyColumn& column = (feature.derived() ? state.keys : impl_->static_keys).at(f);
      const Key* table = column.table == nullptr
                             ? nullptr
                             : column.table->keys[static_cast<size_t>(view.vocabulary)].data();
      Key* out = keys[side]->data() + next_field[side]++;
      for (uint32_t i = 0; i < rows; ++i, out += fields[side]) {
        const uint32_t code = column.codes[samples[i]];
        *out = table == nullptr ? code : table[code];
      }
    } else {
      const auto& column = (feature.derived() ? state.numbers : impl_->static_numbers).at(f);
      float* out = numbers[side]->data() + next_numeric[side]++;
      for (uint32_t i = 0; i < rows; ++i, out += numerics[side]) *out = column[samples[i]];
    }
  }
  batch->sequences.resize(impl_->sequences.size());
  for (size_t q = 0; q < impl_->sequences.size(); ++q) {
    impl_->FillSequence(view, state, q, samples, &batch->sequences[q]);
  }
  const size_t tasks = impl_->schema.tasks.size();
  batch->labels.resize(rows * tasks);
  for (uint32_t i = 0; i < rows; ++i) {
    for (size_t t = 0; t < tasks; ++t) batch->labels[i * tasks + t] = label(samples[i], t);
  }
  if (impl_->spec.weight.empty()) return;
  const NumberColumn& weights = impl_->log.numbers.at(impl_->spec.weight);
  for (const uint32_t sample : samples) {
    const double weight = weights[impl_->row_of[sample]];
    batch->weights.push_back(std::isnan(weight) ? 1.0f : static_cast<float>(weight));
  }
}

float Dataset::label(uint32_t sample, size_t task) const {
  return impl_->log.labels[impl_->label_of_task[task]][impl_->row_of[sample]];
}
uint32_t Dataset::group(uint32_t sample) const {
  if (impl_->spec.group.empty()) return 0;
  return impl_->log.texts.at(impl_->spec.group).codes[impl_->row_of[sample]];
}
int64_t Dataset::time_ms(uint32_t sample) const {
  return impl_->log.time_ms[impl_->row_of[sample]];
}

void Dataset::NumericScaling(const View& view, std::span<const uint32_t> samples,
                             std::vector<float>* mean, std::vector<float>* deviation) const {
  const State& state = *impl_->states[static_cast<size_t>(view.setting)];
  mean->clear(), deviation->clear();
  for (size_t f = 0; f < impl_->spec.features.size(); ++f) {
    const FeatureSpec& feature = impl_->spec.features[f];
    if (feature.categorical) continue;
    const auto& column = (feature.derived() ? state.numbers : impl_->static_numbers).at(f);
    double count = 0, sum = 0, squares = 0;
    for (const uint32_t sample : samples) {
      if (std::isnan(column[sample])) continue;
      count += 1, sum += column[sample];
    }
    const double middle = count > 0 ? sum / count : 0;
    for (const uint32_t sample : samples) {
      if (!std::isnan(column[sample])) squares += std::pow(column[sample] - middle, 2);
    }
    const double spread = count > 0 ? std::sqrt(squares / count) : 0;
    mean->push_back(static_cast<float>(middle));
    deviation->push_back(spread > 1e-9 ? static_cast<float>(spread) : 1.0f);
  }
}

Result<Segments> Dataset::SegmentsBy(const std::string& column) const {
  const std::vector<std::string>& known = impl_->spec.segments;
  if (std::find(known.begin(), known.end(), column) == known.end()) {
    return InvalidArgument(
        "'" + column + "' is not among the data set's 'segments'" + Suggestion(column, known),
        column);
  }
  const TextColumn& text = impl_->log.texts.at(column);
  Segments out;
  for (uint32_t code = 0; code < text.dictionary.size(); ++code) {
    out.names.push_back(text.dictionary.text(code));
  }
  for (const uint32_t row : impl_->row_of) out.of.push_back(text.codes[row]);
  return out;
}

Result<Setting> ParseSetting(const std::string& name) {
  for (size_t i = 0; i < kSettingNames.size(); ++i) {
    if (name == kSettingNames[i]) return static_cast<Setting>(i);
  }
  return InvalidArgument("'" + name + "' is no setting; known are: online, day_lagged, frozen" +
                         Suggestion(name, {kSettingNames.begin(), kSettingNames.end()}));
}

std::string SettingName(Setting setting) { return kSettingNames[static_cast<size_t>(setting)]; }

}  // namespace heed::train
