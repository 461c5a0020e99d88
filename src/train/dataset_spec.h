// What a data set is, as data: which files, which columns, what each column means. The TOML form and
// every key are explained in docs/datasets.md; examples/datasets holds two.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/toml_table.h"
#include "model/schema.h"
#include "train/examples.h"

namespace heed::train {

struct FileSpec {
  std::string path;  // relative to the data folder
  char separator = ',';
  Split split = Split::kNone;              // used when [split] by = "file"
  bool history_only = false;               // its rows are never samples
  std::map<std::string, std::string> set;  // constant columns: {is_click = "1"}
};

struct SplitSpec {
  enum class By : uint8_t { kFile, kColumn, kShare };
  By by = By::kFile;
  std::string column;
  // Of the column, inclusive; rows in no range are history only.
  double low[3] = {0, 0, 0}, high[3] = {-1, -1, -1};
  double share[3] = {1, 0, 0};  // of the rows in time order; equal times are never parted
};

struct LabelSpec {
  std::string name;
  std::string column;
  double at_least = std::numeric_limits<double>::quiet_NaN();  // a threshold makes it 0 or 1
  bool missing_is_zero = false;  // otherwise a missing label is unknown: no loss, no metric
  bool task = true;              // false: feedback that features may use, but no output
  float loss_weight = 1.0f, value = 1.0f;
  // kValue: amounts; a row whose amount is missing or 0 is none's. Nothing else is made of such a label.
  model::TaskKind kind = model::TaskKind::kBinary;
  float huber_delta = 1.0f;
  std::string given;
};

struct JoinSpec {  // a side table: one row a key
  std::string path;
  char separator = ',';
  std::string on;                    // column of the rows
  std::string key;                   // column of the side table
  std::string prefix;                // before the names of `columns`: two tables may share names
  std::vector<std::string> columns;  // added to the rows
  std::vector<std::string> fill;     // only where the row (of a history) has no value itself
  bool first_wins = false;           // a key twice: the first row of the file counts; else an error
  std::vector<std::string> ignore;
};

struct HistorySpec {  // what users did before the first row: a list of items a line, oldest first
  std::string path;
  char separator = '\t';
  std::string user, time, items;  // columns of the file; the user's, of the last item, the list
  std::map<std::string, std::string> marks;  // label → column with the sublist that had it
  std::vector<std::string> ignore;
};

struct BucketSpec {  // a number as a category
  enum class Kind : uint8_t { kNone, kEdges, kQuantiles, kLog2 };
  Kind kind = Kind::kNone;
  std::vector<double> edges;  // ascending; bucket = how many are <= x
  uint32_t quantiles = 0;     // edges taken from the training rows
  double per_octave = 1;      // kLog2: floor(per_octave * log2(1 + scale * x)), x >= 0
  double scale = 1;
};

struct FeatureSpec {
  enum class Source : uint8_t {
    kColumn,    // of the row or of a side table
    kHour,      // 0..23 of the row's time in the stated zone
    kWeekday,   // 0 Monday .. 6
    kSince,     // seconds from the time in `column` to the row's time
    kRate,      // (ones + strength * prior) / (known + strength) of a label in the group so far
    kCount,     // rows in the group so far, or those of them with the label 1
    kGap,       // seconds since the group's last row, at most `max_s`
    kFeedback,  // labels of the group's k-th last row, as one category
  };
  enum class Transform : uint8_t { kNone, kLog1p, kLogit };

  std::string name;
  bool categorical = false;
  model::Side side = model::Side::kRequest;
  std::string table;  // categorical
  Source source = Source::kColumn;
  std::string column;
  std::vector<std::string> by;      // group of a derived feature
  std::vector<std::string> labels;  // kRate: one; kCount: none or one; kFeedback: any number
  double prior = 0.5;
  double strength = 20;
  double window_s = 0;        // only rows so recent; 0: all
  double max_s = 30 * 86400;  // kGap
  uint32_t position = 1;      // kFeedback: 1 is the newest
  bool with_history = true;   // whether rows of [[history]] count
  Transform transform = Transform::kNone;
  BucketSpec bucket;

  bool derived() const { return source >= Source::kRate; }
};

struct SequencePartSpec {
  std::string column;               // or
  std::vector<std::string> labels;  // the past row's feedback as one category
  std::string table;
};

struct SequenceFeatureSpec {  // the user's own strictly earlier rows
  std::string name;
  uint32_t max_length = 50;
  std::vector<std::string> query;  // names of candidate fields
  std::vector<SequencePartSpec> parts;
  std::string only;  // keep only rows with this label 1; "": all
  bool with_history = true;
};

struct DatasetSpec {
  std::string name;
  // Columns; all but the group may be missing. Without a time every row is at time 0 and nothing is
  // earlier than anything else; without a group all rows are one (GAUC is then AUC).
  std::string time, user, item, host, group, weight;
  double time_per_second = 1000;
  int32_t zone_offset_s = 0;
  std::vector<std::string> missing;  // texts that mean "no value", beside the empty one
  uint32_t min_count = 1;            // rarer keys of a table become "absent" in training
  std::map<std::string, uint32_t> table_min_count;
  std::vector<std::string> after_impression, ignore, segments;
  std::vector<FileSpec> files;
  SplitSpec split;
  std::vector<LabelSpec> labels;
  std::vector<JoinSpec> joins;
  std::vector<HistorySpec> histories;
  std::vector<FeatureSpec> features;
  std::vector<SequenceFeatureSpec> sequences;

  model::Schema Schema() const;
  // Leaves out features and sequences by name; a name that does not exist is an error.
  Status Drop(const std::vector<std::string>& names);
};

// Refuses, naming file, line and key: unknown keys, wrong types, doubled names, and any feature made
// of a column that comes after the impression (`after_impression` and the labels' own columns).
Result<DatasetSpec> ParseDatasetSpec(const TomlTable& root);
Result<DatasetSpec> LoadDatasetSpec(const std::string& path);

}  // namespace heed::train
