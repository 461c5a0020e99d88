// Training examples from the event log: replays it through a State of its own and, at every
// impression, keeps the features as they stood just before it; what the viewer did afterwards
// becomes the labels.
//
// Windows are in event time. A label whose window is still open when the log ends is not known (NaN),
// also where it came true already: keeping only those would make late rows look better than they are.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "model/batch.h"
#include "model/live_features.h"
#include "state/state.h"
#include "store/event_log.h"
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

// Not thread-safe. Memory: the state, plus about 2-4 KB an example kept.
class LogExamples {
 public:
  explicit LogExamples(size_t max_rows_each);

  void Apply(const store::LogRecord& record);
  // Call once, after the last record.
  void Finish();

  const ExamplePool& hosts() const { return hosts_; }
  const ExamplePool& products() const { return products_; }
  const state::State& state() const { return state_; }

  static constexpr int64_t kEnterWindowMs = 60'000;
  static constexpr int64_t kStayWindowMs = kEnterWindowMs + model::kStayMs;
  static constexpr int64_t kClickWindowMs = 5 * 60'000;
  static constexpr int64_t kOrderWindowMs = 30 * 60'000;

 private:
  enum HostTask : size_t { kEnter, kStay, kEngage, kHostOrder };
  enum ProductTask : size_t { kClick, kCart, kProductOrder };

  struct Open {  // a viewer's last impression of a room or product
    uint64_t row = 0;
    int64_t ts = 0;
    int64_t enter_ts = 0;  // hosts: of the visit it led to; 0: none
    bool left = false;     // hosts: and that ended
  };
  using Who = std::string;  // tenant, user, room or product, NUL-separated

  void AddImpression(const event::Event& event);
  void AddProductImpression(const event::Event& event, const std::string& product);
  void MarkHost(const event::Event& event, HostTask task);
  void MarkProduct(const event::Event& event, const std::string& product, ProductTask task,
                   int64_t window_ms);

  state::State state_;
  ExamplePool hosts_, products_;
  std::unordered_map<Who, Open> open_rooms_, open_products_;
  int64_t now_ts_ = 0;  // newest event time seen
  model::Batch scratch_;
};

}  // namespace heed::train
