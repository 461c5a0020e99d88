#include "train/log_examples.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace heed::train {
namespace {

constexpr float kUnknown = std::numeric_limits<float>::quiet_NaN();

}  // namespace

uint64_t ExamplePool::Add(const model::Batch& row, int64_t ts) {
  if (chunks_.empty() || chunks_.back().rows.candidates == kChunkRows) {
    chunks_.emplace_back();
    chunks_.back().rows.Clear(schema_);
  }
  Chunk& chunk = chunks_.back();
  model::AppendRow(schema_, row, 0, &chunk.rows);
  for (const model::TaskSpec& task : schema_.tasks) {
    chunk.rows.labels.push_back(task.kind == model::TaskKind::kBinary ? 0.0f : kUnknown);
  }
  chunk.shown_ts.push_back(ts);
  ++end_;
  if (size() > max_rows_ + kChunkRows) {
    begin_ += chunks_.front().rows.candidates;
    chunks_.pop_front();
  }
  return end_ - 1;
}

void ExamplePool::SetLabel(uint64_t row, size_t task, float label) {
  if (row < begin_) return;
  const uint64_t position = row - begin_;
  chunks_[position / kChunkRows]
      .rows.labels[(position % kChunkRows) * schema_.tasks.size() + task] = label;
}

void ExamplePool::SetValue(uint64_t row, size_t task, float value) {
  if (row >= begin_ && std::isnan(label(static_cast<uint32_t>(row - begin_), task))) {
    SetLabel(row, task, value);
  }
}

float ExamplePool::label(uint32_t sample, size_t task) const {
  return chunks_[sample / kChunkRows]
      .rows.labels[(sample % kChunkRows) * schema_.tasks.size() + task];
}

void ExamplePool::Finish(int64_t now_ts, std::span<const int64_t> windows_ms) {
  const auto n = static_cast<uint32_t>(size());
  for (std::vector<uint32_t>& samples : split_) samples.clear();
  for (uint32_t i = 0; i < n; ++i) {
    const uint64_t tenth = uint64_t{i} * 10 / n;
    split_[tenth < 8 ? 0 : tenth - 7].push_back(i);
    const int64_t age_ms = now_ts - chunks_[i / kChunkRows].shown_ts[i % kChunkRows];
    for (size_t task = 0; task < windows_ms.size(); ++task) {
      if (age_ms <= windows_ms[task]) SetLabel(begin_ + i, task, kUnknown);
    }
  }
}

const std::vector<uint32_t>& ExamplePool::samples_of(Split split) const {
  static const std::vector<uint32_t> none;
  return split == Split::kNone ? none : split_[static_cast<size_t>(split)];
}

// The features were fixed when the example was taken, so every view is the same.
void ExamplePool::FillBatch(const View& /*view*/, std::span<const uint32_t> samples,
                            model::Batch* batch) const {
  batch->Clear(schema_);
  for (const uint32_t sample : samples) {
    model::AppendRow(schema_, chunks_[sample / kChunkRows].rows,
                     static_cast<uint32_t>(sample % kChunkRows), batch);
  }
}

uint32_t ExamplePool::group(uint32_t sample) const {
  // The viewer's key is the first request field of both live schemas.
  const model::Batch& chunk = chunks_[sample / kChunkRows].rows;
  const size_t fields = schema_.FieldsOf(model::Side::kRequest).size();
  return static_cast<uint32_t>(chunk.request_keys[(sample % kChunkRows) * fields] >> 32);
}

void ExamplePool::NumericScaling(const View& /*view*/, std::span<const uint32_t> samples,
                                 std::vector<float>* mean, std::vector<float>* deviation) const {
  const std::vector<size_t> sides[2] = {schema_.NumericsOf(model::Side::kRequest),
                                        schema_.NumericsOf(model::Side::kCandidate)};
  const size_t columns = schema_.numerics.size();
  mean->assign(columns, 0.0f);
  deviation->assign(columns, 1.0f);
  for (size_t side = 0; side < 2; ++side) {
    const size_t width = sides[side].size();
    for (size_t i = 0; i < width; ++i) {
      double sum = 0, squares = 0, n = 0;
      for (const uint32_t sample : samples) {
        const model::Batch& chunk = chunks_[sample / kChunkRows].rows;
        const std::vector<float>& numerics =
            side == 0 ? chunk.request_numerics : chunk.candidate_numerics;
        const double x = numerics[(sample % kChunkRows) * width + i];
        if (std::isnan(x)) continue;
        sum += x, squares += x * x, n += 1;
      }
      if (n == 0) continue;
      const double average = sum / n;
      const double variance = squares / n - average * average;
      (*mean)[sides[side][i]] = static_cast<float>(average);
      if (variance > 1e-12) (*deviation)[sides[side][i]] = static_cast<float>(std::sqrt(variance));
    }
  }
}

class LogExamples::Sink final : public FeedbackSink {
 public:
  explicit Sink(LogExamples* to) : to_(to) {}

  void Add(Feedback feedback) override {
    Rows& rows = feedback.ranker == LiveRanker::kHosts ? to_->hosts_ : to_->products_;
    if (feedback.kind == Feedback::Kind::kShown) {
      rows.pool.Add(*feedback.features, feedback.ts);
      rows.examples.push_back(feedback.example);
    } else if (feedback.kind == Feedback::Kind::kPositive) {
      const auto found =
          std::lower_bound(rows.examples.begin(), rows.examples.end(), feedback.example);
      for (size_t task = 0; task < rows.pool.schema().tasks.size(); ++task) {
        if ((feedback.tasks >> task & 1) == 0) continue;
        const auto row = static_cast<uint64_t>(found - rows.examples.begin());
        if (rows.pool.schema().tasks[task].kind == model::TaskKind::kBinary) {
          rows.pool.SetLabel(row, task, 1.0f);
        } else {
          rows.pool.SetValue(row, task, feedback.worth);
        }
      }
    }
  }

 private:
  LogExamples* to_;
};

LogExamples::LogExamples(size_t max_rows_each)
    : hosts_{ExamplePool(model::HostSchema(), max_rows_each), {}},
      products_{ExamplePool(model::ProductSchema(), max_rows_each), {}} {}

void LogExamples::Apply(const store::LogRecord& record) {
  now_ts_ = std::max(now_ts_, record.event.ts);
  Sink sink(this);
  attribution_.Apply(record, state_, &sink);
  state_.Apply(record.sequence, record.event);
}

void LogExamples::Finish() {
  hosts_.pool.Finish(now_ts_, Attribution::kHostWindowsMs);
  products_.pool.Finish(now_ts_, Attribution::kProductWindowsMs);
}

}  // namespace heed::train
