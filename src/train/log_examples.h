// Training examples from the event log: replays it through a State of its own and, at every
// impression, keeps the features as they stood just before it; what the viewer did afterwards
// becomes the labels (train/attribution.h).
//
// Windows are in event time. A label whose window is still open when the log ends is not known (NaN),
// also where it came true already: keeping only those would make late rows look better than they are.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "model/batch.h"
#include "model/live_features.h"
#include "state/state.h"
#include "store/event_log.h"
#include "train/attribution.h"
#include "train/examples.h"

namespace heed::train {

// Rows in time order, the oldest dropped beyond `max_rows`. Once split, the first four fifths train,
// the next tenth stops training early and calibrates, the last tenth judges.
class ExamplePool final : public Examples {
 public:
  ExamplePool(const model::Schema& schema, size_t max_rows)
      : schema_(schema), max_rows_(max_rows) {}

  const model::Schema& schema() const override { return schema_; }
  const std::vector<uint32_t>& samples_of(Split split) const override;  // after SplitByTime
  void FillBatch(const View& view, std::span<const uint32_t> samples,
                 model::Batch* batch) const override;
  uint32_t group(uint32_t sample) const override;  // the viewer
  void NumericScaling(const View& view, std::span<const uint32_t> samples, std::vector<float>* mean,
                      std::vector<float>* deviation) const override;
  float label(uint32_t sample, size_t task) const override;

  uint64_t size() const { return end_ - begin_; }
  // `row` is a Batch with one request and one candidate, shown at `ts`; its labels start at 0.
  // Returns its number, which stays the same when older rows are dropped.
  uint64_t Add(const model::Batch& row, int64_t ts);
  // Ignored when the row has been dropped.
  void SetLabel(uint64_t row, size_t task, float label);
  // Of a value: the first that comes.
  void SetValue(uint64_t row, size_t task, float value);
  // Once, at the end: what was shown less than windows_ms[task] before `now_ts` has an unknown label,
  // and the rows are split.
  void Finish(int64_t now_ts, std::span<const int64_t> windows_ms);

 private:
  static constexpr size_t kChunkRows = 1024;
  const model::Schema& schema_;
  size_t max_rows_;
  struct Chunk {  // kChunkRows rows, the last one filling
    model::Batch rows;
    std::vector<int64_t> shown_ts;
  };
  std::deque<Chunk> chunks_;
  uint64_t begin_ = 0, end_ = 0;    // numbers of the rows that exist; sample 0 is row begin_
  std::vector<uint32_t> split_[3];  // by Split
};

// Not thread-safe. Memory: the state, about 2-4 KB an example kept, 8 bytes an impression seen.
class LogExamples {
 public:
  explicit LogExamples(size_t max_rows_each);

  void Apply(const store::LogRecord& record);
  // Call once, after the last record.
  void Finish();

  const ExamplePool& hosts() const { return hosts_.pool; }
  const ExamplePool& products() const { return products_.pool; }
  const state::State& state() const { return state_; }

 private:
  struct Rows {
    ExamplePool pool;
    std::vector<uint64_t> examples;  // by row, ascending
  };
  class Sink;

  state::State state_;
  Attribution attribution_;
  Rows hosts_, products_;
  int64_t now_ts_ = 0;  // newest event time seen
};

}  // namespace heed::train
