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
#include "train/examples.h"

namespace heed::train {

Result<Setting> ParseSetting(const std::string& name);  // "online", "day_lagged", "frozen"
std::string SettingName(Setting setting);

struct Segments {                  // the values of one column
  std::vector<uint32_t> of;        // [S]: index into names
  std::vector<std::string> names;  // [0] is "": missing
};

// Immutable but for Prepare(); const members are safe from many threads.
class Dataset final : public Examples {
 public:
  // Reads and computes everything for Setting::kOnline.
  static Result<std::unique_ptr<Dataset>> Load(const DatasetSpec& spec, const std::string& folder);
  ~Dataset() override;

  const DatasetSpec& spec() const;
  const model::Schema& schema() const override;
  uint32_t samples() const;
  uint32_t history_rows() const;  // rows that came from [[history]] files
  const std::vector<uint32_t>& samples_of(Split split) const override;

  // Computes the state of another setting; again is free. Needed before FillBatch with it.
  Status Prepare(Setting setting);

  // O(N * (fields + tokens)).
  void FillBatch(const View& view, std::span<const uint32_t> samples,
                 model::Batch* batch) const override;

  float label(uint32_t sample, size_t task) const override;
  uint32_t group(uint32_t sample) const override;
  int64_t time_ms(uint32_t sample) const;
  void NumericScaling(const View& view, std::span<const uint32_t> samples, std::vector<float>* mean,
                      std::vector<float>* deviation) const override;
  // A column listed under `segments` in the spec.
  Result<Segments> SegmentsBy(const std::string& column) const;

 private:
  struct Impl;
  explicit Dataset(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace heed::train
