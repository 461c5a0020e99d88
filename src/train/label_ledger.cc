#include "train/label_ledger.h"

#include <algorithm>
#include <utility>

#include "model/live_features.h"
#include "nn/tensor_file.h"

namespace heed::train {
namespace {

template <typename Visit>
void EachTask(uint64_t tasks, size_t count, const Visit& visit) {
  for (size_t task = 0; task < count; ++task) {
    if ((tasks >> task & 1) != 0) visit(task);
  }
}

}  // namespace

LabelLedger::LabelLedger(LedgerOptions options)
    : options_(std::move(options)), counts_(options_.windows.size()) {
  for (LabelWindow& window : options_.windows) {
    window.correction_ms = std::max(window.correction_ms, window.window_ms);
    keep_ms_ = std::max(keep_ms_, window.correction_ms);
  }
}

bool LabelLedger::Shown(uint64_t id, int64_t ts, std::shared_ptr<const model::Batch> features,
                        std::vector<float> predicted, bool learns) {
  if (Knows(id)) return false;
  const size_t T = options_.windows.size();
  Example& example = examples_[id];
  example.ts = ts;
  example.features = std::move(features);
  example.predicted = std::move(predicted);
  example.learns = learns;
  example.states.assign(T, LabelState::kOpen);
  example.told.assign(T, LabelState::kOpen);
  for (uint32_t task = 0; task < T; ++task) {
    ends_.emplace(ts + options_.windows[task].window_ms, id, task);
    ++counts_[task].open;
  }
  forgets_.emplace(ts + keep_ms_, id, 0);
  if (examples_.size() > options_.max_examples) {
    ++evicted_;
    Forget(examples_.begin());
  }
  return true;
}

void LabelLedger::Positive(uint64_t id, uint64_t tasks, int64_t ts, float worth) {
  const auto found = examples_.find(id);
  if (found == examples_.end()) return;
  Example& example = found->second;
  EachTask(tasks, counts_.size(), [&](size_t task) {
    LabelState& state = example.states[task];
    Counts& counts = counts_[task];
    const bool first = state == LabelState::kOpen || state == LabelState::kNegative;
    if (IsValue(task) && first) example.worth = worth;
    if (state == LabelState::kOpen) {
      state = LabelState::kPositive;
      --counts.open, ++counts.positive;
      Queue(id, task, &example);
    } else if (state == LabelState::kNegative) {
      if (ts - example.ts > options_.windows[task].correction_ms) {
        ++counts.too_late;
        return;
      }
      state = LabelState::kCorrected;
      ++counts.corrected;
      Queue(id, task, &example);
    }
  });
}

void LabelLedger::Close(uint64_t id, uint64_t tasks) {
  const auto found = examples_.find(id);
  if (found == examples_.end()) return;
  EachTask(tasks, counts_.size(), [&](size_t task) { Close(id, task, &found->second); });
}

void LabelLedger::Close(uint64_t id, size_t task, Example* example) {
  if (example->states[task] != LabelState::kOpen) return;
  example->states[task] = LabelState::kNegative;
  --counts_[task].open, ++counts_[task].negative;
  if (!IsValue(task)) Queue(id, task, example);
}

void LabelLedger::Advance(int64_t now_ts, std::vector<Matured>* matured) {
  now_ts_ = std::max(now_ts_, now_ts);
  while (!ends_.empty() && std::get<0>(*ends_.begin()) < now_ts_) {
    const auto [ts, id, task] = *ends_.begin();
    ends_.erase(ends_.begin());
    Example& example = examples_.find(id)->second;
    Close(id, size_t{task}, &example);
    if (matured != nullptr) {
      const bool positive = example.states[task] != LabelState::kNegative;
      matured->push_back({.task = task,
                          .positive = positive,
                          .id = id,
                          .predicted = example.predicted[task],
                          .worth = positive && IsValue(task) ? example.worth : 0.0f});
    }
  }
  while (!forgets_.empty() && std::get<0>(*forgets_.begin()) < now_ts_) {
    const auto found = examples_.find(std::get<1>(*forgets_.begin()));
    if (found->second.queued > 0) break;  // told first
    Forget(found);
  }
}

void LabelLedger::Queue(uint64_t id, size_t task, Example* example) {
  const uint64_t bit = uint64_t{1} << task;
  if ((example->queued & bit) != 0) return;  // what is known when it is taken counts
  example->queued |= bit;
  queue_.emplace_back(id, static_cast<uint32_t>(task));
}

// With what still refers to it, but for the queue, which looks.
void LabelLedger::Forget(std::map<uint64_t, Example>::iterator which) {
  const auto& [id, example] = *which;
  for (uint32_t task = 0; task < counts_.size(); ++task) {
    ends_.erase({example.ts + options_.windows[task].window_ms, id, task});
    if (example.states[task] != LabelState::kOpen) continue;
    --counts_[task].open, ++counts_[task].evicted;
  }
  forgets_.erase({example.ts + keep_ms_, id, 0});
  forgotten_ = std::max(forgotten_, id);
  examples_.erase(which);
}

bool LabelLedger::Take(Due* due) {
  while (!queue_.empty()) {
    const auto [id, task] = queue_.front();
    queue_.pop_front();
    const auto found = examples_.find(id);
    if (found == examples_.end()) continue;  // evicted
    Example& example = found->second;
    example.queued &= ~(uint64_t{1} << task);
    const LabelState known = example.states[task];
    due->id = id;
    due->example = &example;
    due->task = task;
    due->known = known;
    due->step = known == LabelState::kNegative                ? Step::kNegative
                : example.told[task] == LabelState::kNegative ? Step::kCorrection
                                                              : Step::kPositive;
    return true;
  }
  return false;
}

void LabelLedger::Tell(uint64_t id, size_t task, LabelState known) {
  const auto found = examples_.find(id);
  if (found != examples_.end()) found->second.told[task] = known;
}

void LabelLedger::ForgetTold() {
  for (auto& [id, example] : examples_) {
    for (LabelState& told : example.told) told = LabelState::kOpen;
  }
}

std::string LabelLedger::Serialize(const model::Schema& schema) const {
  return Write(schema, true);
}

std::string LabelLedger::SerializeChange(const model::Schema& schema, bool whole) {
  std::string bytes = Write(schema, whole);
  for (auto& [id, example] : examples_) example.stored = true;
  return bytes;
}

std::string LabelLedger::Write(const model::Schema& schema, bool all_features) const {
  const size_t T = counts_.size();
  nn::TensorWriter out;
  std::vector<uint64_t> ids, words = {forgotten_, static_cast<uint64_t>(now_ts_), evicted_}, queue;
  std::vector<uint32_t> states, flags;
  std::vector<float> predicted, worth;
  model::Batch rows;
  rows.Clear(schema);
  for (const auto& [id, example] : examples_) {
    ids.push_back(id);
    ids.push_back(static_cast<uint64_t>(example.ts));
    for (size_t task = 0; task < T; ++task) {
      // The end of a window may have passed although the label is not open, and the other way round.
      const bool ended = ends_.count({example.ts + options_.windows[task].window_ms, id,
                                      static_cast<uint32_t>(task)}) == 0;
      states.push_back(static_cast<uint32_t>(example.states[task]) |
                       static_cast<uint32_t>(example.told[task]) << 2 |
                       static_cast<uint32_t>(ended) << 4);
      predicted.push_back(example.predicted[task]);
    }
    worth.push_back(example.worth);
    const bool has_features = all_features || !example.stored;
    flags.push_back((example.learns ? 1U : 0U) | (has_features ? 0U : 2U));
    if (has_features) model::AppendRow(schema, *example.features, 0, &rows);
  }
  for (const auto& [id, task] : queue_) queue.push_back(id), queue.push_back(task);
  for (const Counts& c : counts_) {
    words.insert(words.end(), {c.open, c.positive, c.negative, c.corrected, c.too_late, c.evicted});
  }
  out.Uint64s("ids", ids);
  out.Uint32s("states", states);
  out.Uint32s("flags", flags);
  out.Floats("predicted", predicted, {predicted.size()});
  out.Floats("worth", worth, {worth.size()});
  out.Uint64s("queue", queue);
  out.Uint64s("words", words);
  out.Uint64s("request.keys", rows.request_keys);
  out.Uint64s("candidate.keys", rows.candidate_keys);
  out.Floats("request.numerics", rows.request_numerics, {rows.request_numerics.size()});
  out.Floats("candidate.numerics", rows.candidate_numerics, {rows.candidate_numerics.size()});
  for (size_t s = 0; s < rows.sequences.size(); ++s) {
    const std::string name = "sequence." + std::to_string(s);
    out.Uint32s(name + ".offsets", rows.sequences[s].offsets);
    out.Uint64s(name + ".keys", rows.sequences[s].keys);
    out.Floats(name + ".age", rows.sequences[s].age_s, {rows.sequences[s].age_s.size()});
  }
  return out.Finish();
}

Status LabelLedger::Restore(const model::Schema& schema, std::string_view bytes,
                            const LabelLedger* before) {
  const size_t T = counts_.size();
  HEED_ASSIGN_OR_RETURN(const nn::TensorReader in, nn::TensorReader::Open(bytes));
  HEED_ASSIGN_OR_RETURN(const auto ids, in.Uint64s("ids"));
  HEED_ASSIGN_OR_RETURN(const auto states, in.Uint32s("states"));
  HEED_ASSIGN_OR_RETURN(const auto flags, in.Uint32s("flags"));
  HEED_ASSIGN_OR_RETURN(const auto queue, in.Uint64s("queue"));
  HEED_ASSIGN_OR_RETURN(const auto words, in.Uint64s("words"));
  const size_t n = ids.size() / 2;
  if (ids.size() != 2 * n || states.size() != n * T || flags.size() != n || queue.size() % 2 != 0 ||
      words.size() != 3 + 6 * T) {
    return Corruption("ledger: sizes disagree");
  }
  const auto floats = [&](const std::string& name, std::vector<float>* out) -> Status {
    HEED_ASSIGN_OR_RETURN(const uint64_t length, in.Length(name, nn::TensorType::kFloat32));
    out->resize(length);
    return in.Floats(name, {length}, *out);
  };
  std::vector<float> predicted, worth;
  HEED_RETURN_IF_ERROR(floats("predicted", &predicted));
  HEED_RETURN_IF_ERROR(floats("worth", &worth));
  if (predicted.size() != n * T || worth.size() != n) return Corruption("ledger: predictions");
  model::Batch rows;
  rows.Clear(schema);
  for (const uint32_t flag : flags) {
    if ((flag & 2) == 0) rows.request_of.push_back(rows.requests++);
  }
  rows.candidates = rows.requests;
  HEED_ASSIGN_OR_RETURN(rows.request_keys, in.Uint64s("request.keys"));
  HEED_ASSIGN_OR_RETURN(rows.candidate_keys, in.Uint64s("candidate.keys"));
  HEED_RETURN_IF_ERROR(floats("request.numerics", &rows.request_numerics));
  HEED_RETURN_IF_ERROR(floats("candidate.numerics", &rows.candidate_numerics));
  for (size_t s = 0; s < rows.sequences.size(); ++s) {
    const std::string name = "sequence." + std::to_string(s);
    HEED_ASSIGN_OR_RETURN(rows.sequences[s].offsets, in.Uint32s(name + ".offsets"));
    HEED_ASSIGN_OR_RETURN(rows.sequences[s].keys, in.Uint64s(name + ".keys"));
    HEED_RETURN_IF_ERROR(floats(name + ".age", &rows.sequences[s].age_s));
  }
  if (Status status = rows.Validate(schema); !status.ok()) {
    return Corruption("ledger: " + std::string(status.message()));
  }
  forgotten_ = words[0];
  now_ts_ = static_cast<int64_t>(words[1]);
  evicted_ = words[2];
  for (size_t task = 0; task < T; ++task) {
    const uint64_t* w = words.data() + 3 + 6 * task;
    counts_[task] = {w[0], w[1], w[2], w[3], w[4], w[5]};
  }
  uint32_t row = 0;
  for (uint32_t i = 0; i < n; ++i) {
    const uint64_t id = ids[2 * i];
    if (i > 0 && id <= ids[2 * i - 2]) return Corruption("ledger: examples out of order");
    Example& example = examples_[id];
    example.ts = static_cast<int64_t>(ids[2 * i + 1]);
    example.learns = (flags[i] & 1) != 0;
    example.worth = worth[i];
    if ((flags[i] & 2) == 0) {
      auto features = std::make_shared<model::Batch>();
      features->Clear(schema);
      model::AppendRow(schema, rows, row++, features.get());
      example.features = std::move(features);
    } else {
      if (before == nullptr || before->examples_.count(id) == 0) {
        return Corruption("ledger: an example without its features");
      }
      example.features = before->examples_.at(id).features;
    }
    example.stored = true;
    for (uint32_t task = 0; task < T; ++task) {
      const uint32_t packed = states[i * T + task];
      if (packed >= 32) return Corruption("ledger: a state that does not exist");
      example.states.push_back(static_cast<LabelState>(packed & 3));
      example.told.push_back(static_cast<LabelState>(packed >> 2 & 3));
      example.predicted.push_back(predicted[i * T + task]);
      if ((packed >> 4) == 0)
        ends_.emplace(example.ts + options_.windows[task].window_ms, id, task);
    }
    forgets_.emplace(example.ts + keep_ms_, id, 0);
  }
  for (size_t i = 0; i < queue.size(); i += 2) {
    if (queue[i + 1] >= T) return Corruption("ledger: a task that does not exist");
    queue_.emplace_back(queue[i], static_cast<uint32_t>(queue[i + 1]));
    const auto found = examples_.find(queue[i]);
    if (found != examples_.end()) found->second.queued |= uint64_t{1} << queue[i + 1];
  }
  return {};
}

}  // namespace heed::train
