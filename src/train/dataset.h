// A described data set in memory, ready to fill batches: no text, no parsing, columns of numbers.
//
// Letters: S samples (rows that are in a split, in the order of time), T tasks.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "model/batch.h"
#include "model/schema.h"
#include "train/dataset_spec.h"

namespace heed::train {

// How much of the past a judged row may know. Rows of the training split always know everything
// strictly earlier; the settings differ for rows of `valid` and `test`.
enum class Setting : uint8_t {
  kOnline,     // everything strictly earlier: state moves through the judged rows
  kDayLagged,  // rows of earlier days only (midnight in the data set's zone)
  kFrozen,     // rows before the first row of its own split only
};
Result<Setting> ParseSetting(const std::string& name);  // "online", "day_lagged", "frozen"
std::string SettingName(Setting setting);

// Which rows a table's min_count is counted on; rarer keys are given as absent (0). kAll gives every
// key: for judging and serving, where a key the model has not seen counts as absent anyway.
enum class Vocabulary : uint8_t { kAll, kTrain, kTrainAndValid };

struct View {
  Setting setting = Setting::kOnline;
  Vocabulary vocabulary = Vocabulary::kAll;
};

struct Segments {                  // the values of one column
  std::vector<uint32_t> of;        // [S]: index into names
  std::vector<std::string> names;  // [0] is "": missing
};

// Immutable but for Prepare(); const members are safe from many threads.
class Dataset {
 public:
  // Reads and computes everything for Setting::kOnline.
  static Result<std::unique_ptr<Dataset>> Load(const DatasetSpec& spec, const std::string& folder);
  ~Dataset();

  const DatasetSpec& spec() const;
  const model::Schema& schema() const;
  uint32_t samples() const;
  uint32_t history_rows() const;  // rows that came from [[history]] files
  const std::vector<uint32_t>& samples_of(Split split) const;  // ascending, so in time order

  // Computes the state of another setting; again is free. Needed before FillBatch with it.
  Status Prepare(Setting setting);

  // `samples` as N rows, each its own request. O(N * (fields + tokens)).
  void FillBatch(const View& view, std::span<const uint32_t> samples, model::Batch* batch) const;

  float label(uint32_t sample, size_t task) const;  // NaN: unknown
  uint32_t group(uint32_t sample) const;            // for GAUC
  int64_t time_ms(uint32_t sample) const;
  // Mean and deviation of each of schema().numerics over `samples`, absent values left out; a
  // constant has deviation 1.
  void NumericScaling(const View& view, std::span<const uint32_t> samples, std::vector<float>* mean,
                      std::vector<float>* deviation) const;
  // A column listed under `segments` in the spec.
  Result<Segments> SegmentsBy(const std::string& column) const;

 private:
  struct Impl;
  explicit Dataset(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace heed::train
