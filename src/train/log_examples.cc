#include "train/log_examples.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <variant>

namespace heed::train {
namespace {

constexpr float kUnknown = std::numeric_limits<float>::quiet_NaN();

std::string Join(const std::string& tenant, const std::string& user, const std::string& what) {
  std::string key = tenant;
  key.append(1, '\0').append(user).append(1, '\0').append(what);
  return key;
}

bool IsViewer(const event::Event& event) {
  return event.actor && event.actor->kind == event::ActorKind::kViewer &&
         !(event.flags && event.flags->test.value_or(false));
}

}  // namespace

uint64_t ExamplePool::Add(const model::Batch& row, int64_t ts) {
  if (chunks_.empty() || chunks_.back().rows.candidates == kChunkRows) {
    chunks_.emplace_back();
    chunks_.back().rows.Clear(schema_);
  }
  Chunk& chunk = chunks_.back();
  model::AppendRow(schema_, row, 0, &chunk.rows);
  chunk.rows.labels.insert(chunk.rows.labels.end(), schema_.tasks.size(), 0.0f);
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

LogExamples::LogExamples(size_t max_rows_each)
    : hosts_(model::HostSchema(), max_rows_each),
      products_(model::ProductSchema(), max_rows_each) {}

void LogExamples::Apply(const store::LogRecord& record) {
  const event::Event& event = record.event;
  now_ts_ = std::max(now_ts_, event.ts);
  if (IsViewer(event)) {
    // Features first, from the state before this event; then what this event says of earlier ones.
    if (std::holds_alternative<event::RoomImpression>(event.data)) {
      AddImpression(event);
    } else if (const auto* shown = std::get_if<event::ProductImpression>(&event.data)) {
      AddProductImpression(event, shown->product_id);
    } else if (std::holds_alternative<event::ViewerEnter>(event.data)) {
      MarkHost(event, kEnter);
    } else if (const auto* beat = std::get_if<event::ViewerHeartbeat>(&event.data)) {
      if (beat->watch_ms >= model::kStayMs) MarkHost(event, kStay);
    } else if (const auto* leave = std::get_if<event::ViewerLeave>(&event.data)) {
      if (leave->watch_ms >= model::kStayMs) MarkHost(event, kStay);
      const auto open = open_rooms_.find(Join(event.tenant, event.actor->id, event.room));
      if (open != open_rooms_.end()) open->second.left = true;
    } else if (std::holds_alternative<event::CommentPost>(event.data) ||
               std::holds_alternative<event::Like>(event.data) ||
               std::holds_alternative<event::Share>(event.data) ||
               std::holds_alternative<event::Follow>(event.data) ||
               std::holds_alternative<event::Gift>(event.data)) {
      MarkHost(event, kEngage);
    } else if (const auto* click = std::get_if<event::ProductClick>(&event.data)) {
      MarkProduct(event, click->product_id, kClick, kClickWindowMs);
    } else if (const auto* cart = std::get_if<event::CartAdd>(&event.data)) {
      MarkProduct(event, cart->product_id, kCart, kOrderWindowMs);
    } else if (const auto* create = std::get_if<event::OrderCreate>(&event.data)) {
      MarkHost(event, kHostOrder);
      for (const event::OrderLine& line : create->lines) {
        MarkProduct(event, line.product_id, kProductOrder, kOrderWindowMs);
      }
    }
  }
  state_.Apply(record.sequence, event);
}

void LogExamples::AddImpression(const event::Event& event) {
  const state::Index room_index = state_.Find(state::Kind::kRoom, event.tenant, event.room);
  if (room_index == state::kNone) return;  // a room nothing is known of is never a candidate
  const state::RoomSummary room = state_.Summarize(room_index);
  if (room.host == state::kNone) return;
  const std::string key = Join(event.tenant, event.actor->id, event.room);
  const auto found = open_rooms_.find(key);
  if (found != open_rooms_.end()) {
    // Shown again before anything came of it: one exposure, not two negatives.
    if (found->second.enter_ts == 0 && event.ts - found->second.ts < kEnterWindowMs) return;
  }
  const model::Viewer viewer =
      model::ReadViewer(state_, state_.Find(state::Kind::kUser, event.tenant, event.actor->id));
  scratch_.Clear(model::HostSchema());
  model::AddHostRequest(state_, viewer, event.ts, &scratch_);
  model::AddHostCandidate(state_, viewer, state_.ReadHost(room.host), room, event.ts, &scratch_);
  open_rooms_[key] = {hosts_.Add(scratch_, event.ts), event.ts};
}

void LogExamples::AddProductImpression(const event::Event& event, const std::string& product) {
  const state::Index index = state_.Find(state::Kind::kProduct, event.tenant, product);
  const state::Index room_index = state_.Find(state::Kind::kRoom, event.tenant, event.room);
  if (index == state::kNone || room_index == state::kNone) return;
  const std::string key = Join(event.tenant, event.actor->id, product);
  const auto found = open_products_.find(key);
  if (found != open_products_.end() && event.ts - found->second.ts < kClickWindowMs) return;
  const model::Viewer viewer =
      model::ReadViewer(state_, state_.Find(state::Kind::kUser, event.tenant, event.actor->id));
  const state::RoomView room = state_.ReadRoom(room_index);
  scratch_.Clear(model::ProductSchema());
  model::AddProductRequest(state_, viewer, room, event.ts, &scratch_);
  model::AddProductCandidate(state_, viewer, state_.ReadProduct(index), room, event.ts, &scratch_);
  open_products_[key] = {products_.Add(scratch_, event.ts), event.ts};
}

void LogExamples::MarkHost(const event::Event& event, HostTask task) {
  const auto found = open_rooms_.find(Join(event.tenant, event.actor->id, event.room));
  if (found == open_rooms_.end()) return;
  Open& open = found->second;
  const int64_t age_ms = event.ts - open.ts;
  if (age_ms < 0) return;
  if (task == kEnter) {
    // A second entry under the same impression is not its doing.
    if (age_ms > kEnterWindowMs || open.enter_ts != 0) return;
    open.enter_ts = event.ts;
  } else {
    // Engagement belongs to the visit; payment may follow it.
    const bool over = task == kEngage ? open.left : false;
    const bool late = task != kStay && age_ms > kOrderWindowMs;
    if (open.enter_ts == 0 || over || late) return;
  }
  hosts_.SetLabel(open.row, task, 1.0f);
}

void LogExamples::MarkProduct(const event::Event& event, const std::string& product,
                              ProductTask task, int64_t window_ms) {
  const auto found = open_products_.find(Join(event.tenant, event.actor->id, product));
  if (found == open_products_.end()) return;
  const int64_t age_ms = event.ts - found->second.ts;
  if (age_ms < 0 || age_ms > window_ms) return;
  products_.SetLabel(found->second.row, task, 1.0f);
}

void LogExamples::Finish() {
  for (const auto& [who, open] : open_rooms_) {
    // Still inside after a minute is a stay, whether or not anything reported it.
    if (open.enter_ts != 0 && !open.left && now_ts_ - open.enter_ts >= model::kStayMs) {
      hosts_.SetLabel(open.row, kStay, 1.0f);
    }
  }
  open_rooms_.clear();
  open_products_.clear();
  constexpr int64_t kHostWindows[] = {kEnterWindowMs, kStayWindowMs, kOrderWindowMs,
                                      kOrderWindowMs};
  constexpr int64_t kProductWindows[] = {kClickWindowMs, kOrderWindowMs, kOrderWindowMs};
  hosts_.Finish(now_ts_, kHostWindows);
  products_.Finish(now_ts_, kProductWindows);
}

}  // namespace heed::train
