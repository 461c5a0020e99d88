#include "train/dataset_spec.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "base/suggest.h"

namespace heed::train {
namespace {

using model::Side;
using Source = FeatureSpec::Source;
using Transform = FeatureSpec::Transform;

const std::vector<std::string> kSplitNames = {"train", "valid", "test"};

char ReadSeparator(const TomlTable& table, char otherwise) {
  if (!table.Has("separator")) return otherwise;
  const std::string text = table.String("separator", "");
  if (text == "tab") return '\t';
  if (text.size() == 1 && text != "\"" && text != "\n") return text[0];
  table.Fail("separator", "'separator' must be one character or \"tab\"");
  return otherwise;
}

// "+08:00" → 28800.
int32_t ReadZone(const TomlTable& table) {
  const std::string text = table.String("zone", "+00:00");
  const auto digit = [&](size_t i) { return text[i] - '0'; };
  const bool shaped = text.size() == 6 && (text[0] == '+' || text[0] == '-') && text[3] == ':' &&
                      std::all_of(text.begin() + 1, text.end(),
                                  [](char c) { return c == ':' || (c >= '0' && c <= '9'); }) &&
                      text[1] != ':' && text[2] != ':' && text[4] != ':' && text[5] != ':';
  const int32_t hours = shaped ? digit(1) * 10 + digit(2) : 99;
  const int32_t minutes = shaped ? digit(4) * 10 + digit(5) : 99;
  if (hours > 14 || minutes > 59) {
    table.Fail("zone", "'zone' must be an offset from UTC such as \"+08:00\"");
    return 0;
  }
  return (text[0] == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
}

// Reads one [[...]] block after another into a spec, with the rules between them.
class SpecReader {
 public:
  explicit SpecReader(const TomlTable& root) : root_(root) {}

  Result<DatasetSpec> Read() {
    ReadColumns();
    ReadFiles();
    ReadSplit();
    ReadLabels();
    ReadSideTables();
    for (const TomlTable& table : root_.Tables("field")) ReadColumnFeatures(table, true);
    for (const TomlTable& table : root_.Tables("numeric")) ReadColumnFeatures(table, false);
    for (const TomlTable& table : root_.Tables("derived")) ReadDerived(table);
    for (const TomlTable& table : root_.Tables("sequence")) ReadSequence(table);
    const TomlTable tables = root_.Table("table");
    for (const std::string& name : tables.Keys()) {
      spec_.table_min_count[name] = tables.Table(name).Count("min_count", spec_.min_count, 1);
    }
    NeedTimeAndUser();
    HEED_RETURN_IF_ERROR(root_.Finish());
    if (Status schema = spec_.Schema().Validate(); !schema.ok()) {
      return schema.Within(root_.Where(""));
    }
    return std::move(spec_);
  }

 private:
  void ReadColumns() {
    spec_.name = root_.RequiredString("name");
    spec_.time = root_.String("time", "");
    spec_.user = root_.String("user", "");
    spec_.item = root_.String("item", "");
    spec_.host = root_.String("host", "");
    spec_.group = root_.String("group", spec_.user);
    spec_.weight = root_.String("weight", "");
    const double per_second[] = {1, 1e3, 1e6};
    spec_.time_per_second = per_second[root_.Choice("time_unit", {"s", "ms", "us"}, 1)];
    spec_.zone_offset_s = ReadZone(root_);
    spec_.missing = root_.Strings("missing");
    spec_.min_count = root_.Count("min_count", 1, 1);
    spec_.after_impression = root_.Strings("after_impression");
    spec_.ignore = root_.Strings("ignore");
    spec_.segments = root_.Strings("segments");
    late_.insert(spec_.after_impression.begin(), spec_.after_impression.end());
  }

  // What happened before needs a time, whose history it is a user.
  void NeedTimeAndUser() const {
    const auto need = [&](bool used, const std::string& what, const std::string& column,
                          const char* key) {
      if (used && column.empty()) {
        root_.Fail("", what + " needs '" + key + "', the column of the " + key);
      }
    };
    need(!spec_.histories.empty(), "[[history]]", spec_.time, "time");
    need(!spec_.histories.empty(), "[[history]]", spec_.user, "user");
    need(!spec_.sequences.empty(), "[[sequence]]", spec_.time, "time");
    need(!spec_.sequences.empty(), "[[sequence]]", spec_.user, "user");
    need(spec_.split.by == SplitSpec::By::kShare, "a [split] by share", spec_.time, "time");
    for (const FeatureSpec& feature : spec_.features) {
      const bool of_time = feature.derived() || feature.source == Source::kHour ||
                           feature.source == Source::kWeekday || feature.source == Source::kSince;
      need(of_time, "feature '" + feature.name + "'", spec_.time, "time");
    }
  }

  void ReadFiles() {
    for (const TomlTable& table : root_.Tables("file")) {
      FileSpec file;
      file.path = table.RequiredString("path");
      file.separator = ReadSeparator(table, ',');
      file.split = static_cast<Split>(table.Choice("split", kSplitNames, 3));
      file.history_only = table.Flag("history_only", false);
      const TomlTable set = table.Table("set");
      for (const std::string& column : set.Keys()) file.set[column] = set.Text(column);
      spec_.files.push_back(std::move(file));
    }
    if (spec_.files.empty()) root_.Fail("", "no [[file]]: where are the rows?");
  }

  void ReadSplit() {
    const TomlTable table = root_.Table("split");
    SplitSpec& split = spec_.split;
    const std::string by = table.String("by", "file");
    if (by == "file") return;
    if (by == "share") {
      split.by = SplitSpec::By::kShare;
      split.share[0] = table.Number("train", 0.8, 0, 1);
      split.share[1] = table.Number("valid", 0.1, 0, 1);
      split.share[2] = table.Number("test", 1 - split.share[0] - split.share[1], -1e-9, 1);
      if (split.share[0] + split.share[1] + split.share[2] > 1 + 1e-9) {
        table.Fail("by", "the shares add up to more than 1");
      }
      return;
    }
    split.by = SplitSpec::By::kColumn;
    split.column = by;
    for (size_t i = 0; i < kSplitNames.size(); ++i) {
      const std::vector<double> range = table.Numbers(kSplitNames[i]);
      if (range.empty()) continue;
      if (range.size() != 2 || range[0] > range[1]) {
        table.Fail(kSplitNames[i], "'" + kSplitNames[i] + "' must be [first, last], both included");
        continue;
      }
      split.low[i] = range[0], split.high[i] = range[1];
    }
  }

  void ReadLabels() {
    for (const TomlTable& table : root_.Tables("label")) {
      LabelSpec label;
      label.name = table.RequiredString("name");
      label.column = table.String("column", label.name);
      label.at_least = table.Number("at_least", label.at_least);
      label.missing_is_zero = table.Flag("missing_is_zero", false);
      label.task = table.Flag("task", true);
      label.loss_weight = static_cast<float>(table.Number("loss_weight", 1, 0, 1e6));
      label.value = static_cast<float>(table.Number("value", 1, -1e6, 1e6));
      late_.insert(label.column);
      const std::string kind = table.String("kind", "binary");
      if (kind == "value") {
        ReadValue(table, &label);
      } else if (kind != "binary") {
        table.Fail("kind", "'kind' is binary or value, not '" + kind + "'");
      } else {
        label_names_.push_back(label.name);
      }
      spec_.labels.push_back(std::move(label));
    }
    if (spec_.labels.empty()) root_.Fail("", "no [[label]]: nothing to learn");
  }

  void ReadSideTables() {
    for (const TomlTable& table : root_.Tables("join")) {
      JoinSpec join;
      join.path = table.RequiredString("path");
      join.separator = ReadSeparator(table, ',');
      join.on = Early(table, "on", table.RequiredString("on"));
      join.key = table.String("key", join.on);
      join.columns = table.Strings("columns");
      join.fill = table.Strings("fill");
      join.prefix = table.String("prefix", "");
      join.first_wins = table.Choice("duplicates", {"error", "first"}, 0) == 1;
      join.ignore = table.Strings("ignore");
      spec_.joins.push_back(std::move(join));
    }
    for (const TomlTable& table : root_.Tables("history")) {
      HistorySpec history;
      history.path = table.RequiredString("path");
      history.separator = ReadSeparator(table, '\t');
      history.user = table.String("user", spec_.user);
      history.time = table.RequiredString("time");
      history.items = table.RequiredString("items");
      history.ignore = table.Strings("ignore");
      const TomlTable marks = table.Table("marks");
      for (const std::string& label : marks.Keys()) {
        KnownLabel(marks, label, label);
        history.marks[label] = marks.RequiredString(label);
      }
      if (spec_.item.empty()) table.Fail("items", "a [[history]] needs 'item' to be stated");
      spec_.histories.push_back(std::move(history));
    }
  }

  // [[field]] and [[numeric]]: one feature for each of `columns`, or a single named one.
  void ReadColumnFeatures(const TomlTable& table, bool categorical) {
    FeatureSpec feature;
    feature.categorical = categorical;
    feature.side = ReadSide(table);
    feature.bucket = ReadBucket(table);
    feature.transform = ReadTransform(table, Transform::kNone);
    if (categorical && feature.transform != Transform::kNone) {
      table.Fail("transform", "a field has no 'transform'; use 'bucket'");
    }
    if (!categorical && feature.bucket.kind != BucketSpec::Kind::kNone) {
      table.Fail("bucket", "a [[numeric]] has no 'bucket'; make it a [[field]]");
    }
    const std::string shared_table = table.String("table", "");
    const auto add = [&](const std::string& name, Source source, const std::string& column) {
      FeatureSpec one = feature;
      one.name = name;
      one.source = source;
      one.column = column;
      if (categorical) one.table = shared_table.empty() ? name : shared_table;
      AddFeature(table, std::move(one));
    };
    const std::string name = table.String("name", "");
    const std::vector<std::string> columns = table.Strings("columns");
    for (const std::string& column : columns) {
      add(column, Source::kColumn, Early(table, "columns", column));
    }
    if (!columns.empty()) {
      if (!name.empty()) table.Fail("name", "'name' goes with 'column', not with 'columns'");
      return;
    }
    if (table.Has("of_time")) {
      const size_t part = table.Choice("of_time", {"hour", "weekday"}, 0);
      const std::string part_name = part == 0 ? "hour" : "weekday";
      add(name.empty() ? part_name : name, part == 0 ? Source::kHour : Source::kWeekday, "");
    } else if (table.Has("since")) {
      add(table.RequiredString("name"), Source::kSince,
          Early(table, "since", table.String("since", "")));
      if (categorical && feature.bucket.kind == BucketSpec::Kind::kNone) {
        table.Fail("since", "seconds as a field need a 'bucket'");
      }
    } else {
      const std::string column = table.String("column", name);
      if (column.empty()) table.Fail("", "a feature needs 'name', 'column' or 'columns'");
      add(name.empty() ? column : name, Source::kColumn, Early(table, "column", column));
    }
  }

  void ReadDerived(const TomlTable& table) {
    FeatureSpec feature;
    const size_t kind = table.Choice("kind", {"rate", "count", "gap", "feedback"}, 4);
    if (kind == 4) return table.Fail("", "'kind' is missing: rate, count, gap or feedback");
    feature.source = static_cast<Source>(static_cast<size_t>(Source::kRate) + kind);
    const std::string name = table.RequiredString("name");
    feature.side = ReadSide(table);
    feature.by = table.Strings("by");
    if (feature.by.empty()) table.Fail("", "'by' is missing: the columns of the group");
    for (const std::string& column : feature.by) Early(table, "by", column);
    feature.with_history = ReadFrom(table);
    feature.window_s = table.Number("window_s", 0, 0, 1e12);
    feature.max_s = table.Number("max_s", feature.max_s, 1, 1e12);
    feature.position = table.Count("position", 1, 1, 1000);
    feature.bucket = ReadBucket(table);
    feature.categorical =
        feature.source == Source::kFeedback || feature.bucket.kind != BucketSpec::Kind::kNone;
    const Transform usual[] = {Transform::kLogit, Transform::kLog1p, Transform::kLog1p,
                               Transform::kNone};
    feature.transform = ReadTransform(table, feature.categorical ? Transform::kNone : usual[kind]);
    const std::string shared_table = table.String("table", "");
    const std::vector<std::string> labels = table.Strings("labels");
    for (const std::string& label : labels) KnownLabel(table, "labels", label);
    const auto add = [&](FeatureSpec one, const std::string& full_name) {
      one.name = full_name;
      if (one.categorical) one.table = shared_table.empty() ? full_name : shared_table;
      AddFeature(table, std::move(one));
    };
    if (feature.source != Source::kRate) {
      feature.labels = labels;
      if (feature.source == Source::kFeedback && labels.empty()) {
        table.Fail("", "'labels' is missing: which feedback");
      }
      if (feature.source == Source::kCount && labels.size() > 1) {
        table.Fail("labels", "a count is of all rows or of those with one label");
      }
      return add(std::move(feature), name);
    }
    const std::vector<double> priors = table.Numbers("prior");
    const std::vector<double> strengths = table.Numbers("strength");
    if (labels.empty()) table.Fail("", "'labels' is missing: the rate of what");
    if (priors.empty()) table.Fail("", "'prior' is missing: the rate of a group never seen");
    for (size_t i = 0; i < labels.size(); ++i) {
      FeatureSpec one = feature;
      one.labels = {labels[i]};
      one.prior = PerLabel(table, "prior", priors, i, labels.size(), 0.5);
      one.strength = PerLabel(table, "strength", strengths, i, labels.size(), feature.strength);
      if (one.prior <= 0 || one.prior >= 1) table.Fail("prior", "'prior' must be within (0, 1)");
      if (one.strength <= 0) table.Fail("strength", "'strength' must be above 0");
      add(std::move(one), name + "." + labels[i]);
    }
  }

  void ReadSequence(const TomlTable& table) {
    SequenceFeatureSpec sequence;
    sequence.name = table.RequiredString("name");
    sequence.max_length = table.Count("max_length", 50, 1, 10000);
    sequence.query = table.Strings("query");
    sequence.only = table.String("only", "");
    if (!sequence.only.empty()) KnownLabel(table, "only", sequence.only);
    sequence.with_history = ReadFrom(table);
    for (const TomlTable& part_table : table.Tables("parts")) {
      SequencePartSpec part;
      part.labels = part_table.Strings("labels");
      for (const std::string& label : part.labels) KnownLabel(part_table, "labels", label);
      part.column = Early(part_table, "column", part_table.String("column", ""));
      if (part.column.empty() == part.labels.empty()) {
        part_table.Fail("", "a part has either 'column' or 'labels'");
      }
      part.table = part_table.String("table", "");
      if (part.table.empty()) part.table = part.column.empty() ? "feedback" : TableOf(part.column);
      sequence.parts.push_back(std::move(part));
    }
    if (sequence.parts.empty()) table.Fail("", "'parts' is missing: what a token is made of");
    spec_.sequences.push_back(std::move(sequence));
  }

  void AddFeature(const TomlTable& table, FeatureSpec feature) {
    if (!names_.insert(feature.name).second) {
      table.Fail("name", "two features are called '" + feature.name + "'");
    }
    spec_.features.push_back(std::move(feature));
  }

  // The rule that makes leakage by configuration impossible.
  std::string Early(const TomlTable& table, const std::string& key, const std::string& column) {
    if (late_.contains(column)) {
      table.Fail(key, "column '" + column +
                          "' comes after the impression, so it cannot be a feature; earlier rows' "
                          "feedback enters by [[derived]] and [[sequence]]");
    }
    return column;
  }

  // label_names_, which features and conditions are made of, has probabilities only.
  void ReadValue(const TomlTable& table, LabelSpec* label) {
    label->kind = model::TaskKind::kValue;
    label->huber_delta = static_cast<float>(table.Number("huber_delta", 0, 0, 1e12));
    if (label->huber_delta <= 0) table.Fail("huber_delta", "a value needs a 'huber_delta' above 0");
    label->given = table.String("given", "");
    if (!label->given.empty()) KnownLabel(table, "given", label->given);
    if (!label->task || label->missing_is_zero || !std::isnan(label->at_least)) {
      table.Fail("", "a value has neither 'at_least' nor 'missing_is_zero', and is a task");
    }
  }

  void KnownLabel(const TomlTable& table, const std::string& key, const std::string& label) {
    if (std::find(label_names_.begin(), label_names_.end(), label) == label_names_.end()) {
      table.Fail(key, "unknown label '" + label + "'" + Suggestion(label, label_names_));
    }
  }

  std::string TableOf(const std::string& column) const {
    for (const FeatureSpec& feature : spec_.features) {
      if (feature.categorical && feature.source == Source::kColumn && feature.column == column) {
        return feature.table;
      }
    }
    return column;
  }

  static Side ReadSide(const TomlTable& table) {
    return static_cast<Side>(table.Choice("side", {"request", "candidate"}, 0));
  }
  static bool ReadFrom(const TomlTable& table) {
    return table.Choice("from", {"rows", "all"}, 1) == 1;
  }
  static Transform ReadTransform(const TomlTable& table, Transform otherwise) {
    return static_cast<Transform>(
        table.Choice("transform", {"none", "log1p", "logit"}, static_cast<size_t>(otherwise)));
  }

  static BucketSpec ReadBucket(const TomlTable& parent) {
    BucketSpec bucket;
    if (!parent.Has("bucket")) return bucket;
    const TomlTable table = parent.Table("bucket");
    bucket.edges = table.Numbers("edges");
    if (table.Has("quantiles")) bucket.quantiles = table.Count("quantiles", 10, 2, 1000);
    bucket.per_octave = table.Number("log2", 0, 0, 100);  // 0: not asked for
    bucket.scale = table.Number("scale", 1, 1e-12, 1e12);
    const int given = static_cast<int>(!bucket.edges.empty()) +
                      static_cast<int>(bucket.quantiles > 0) +
                      static_cast<int>(bucket.per_octave > 0);
    if (given != 1) parent.Fail("bucket", "'bucket' has one of 'edges', 'quantiles', 'log2'");
    if (!std::is_sorted(bucket.edges.begin(), bucket.edges.end())) {
      table.Fail("edges", "'edges' must ascend");
    }
    bucket.kind = !bucket.edges.empty()  ? BucketSpec::Kind::kEdges
                  : bucket.quantiles > 0 ? BucketSpec::Kind::kQuantiles
                                         : BucketSpec::Kind::kLog2;
    return bucket;
  }

  static double PerLabel(const TomlTable& table, const std::string& key,
                         const std::vector<double>& values, size_t i, size_t labels,
                         double otherwise) {
    if (values.empty()) return otherwise;
    if (values.size() == 1) return values[0];
    if (values.size() == labels) return values[i];
    table.Fail(key, "'" + key + "' needs one value, or one for each of 'labels'");
    return otherwise;
  }

  const TomlTable& root_;
  DatasetSpec spec_;
  std::set<std::string> late_;  // columns known only after the impression
  std::set<std::string> names_;
  std::vector<std::string> label_names_;
};

}  // namespace

model::Schema DatasetSpec::Schema() const {
  model::Schema schema;
  for (const FeatureSpec& feature : features) {
    if (feature.categorical) {
      schema.fields.push_back({feature.name, feature.table, feature.side});
    } else {
      schema.numerics.push_back({feature.name, feature.side});
    }
  }
  for (const SequenceFeatureSpec& sequence : sequences) {
    model::SequenceSpec out{sequence.name, {}, sequence.query, sequence.max_length};
    for (const SequencePartSpec& part : sequence.parts) out.tables.push_back(part.table);
    schema.sequences.push_back(std::move(out));
  }
  for (const LabelSpec& label : labels) {
    if (!label.task) continue;
    schema.tasks.push_back(
        {label.name, label.loss_weight, label.value, label.kind, label.huber_delta, label.given});
  }
  return schema;
}

Status DatasetSpec::Drop(const std::vector<std::string>& names) {
  for (const std::string& unwanted : names) {
    const auto named = [&](const auto& feature) { return feature.name == unwanted; };
    if (std::erase_if(features, named) + std::erase_if(sequences, named) > 0) continue;
    std::vector<std::string> known;
    for (const FeatureSpec& feature : features) known.push_back(feature.name);
    for (const SequenceFeatureSpec& sequence : sequences) known.push_back(sequence.name);
    return InvalidArgument(
        "there is no feature '" + unwanted + "' to drop" + Suggestion(unwanted, known), unwanted);
  }
  return {};
}

Result<DatasetSpec> ParseDatasetSpec(const TomlTable& root) { return SpecReader(root).Read(); }

Result<DatasetSpec> LoadDatasetSpec(const std::string& path) {
  HEED_ASSIGN_OR_RETURN(const TomlTable root, TomlTable::ReadFile(path));
  return ParseDatasetSpec(root);
}

}  // namespace heed::train
