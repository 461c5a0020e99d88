// What is known of the labels of examples shown, and what of it the weights have been told.
//
// A positive is due at once; a negative when it is closed (the viewer left) or its task's window ends.
// A positive that comes after a negative was told is corrected: the step back from a negative and on
// to a positive is the loss -[log p - log(1 - p)] = -logit, of gradient -1 whatever p is (Sliver's
// and Moment&Cross's late positives). One that finds its negative still untold simply replaces it.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "base/status.h"
#include "model/batch.h"
#include "model/schema.h"

namespace heed::train {

struct LabelWindow {          // of one task, event time from the impression
  int64_t window_ms = 0;      // without a positive by then: negative
  int64_t correction_ms = 0;  // a positive up to here still corrects that; >= window_ms
};

struct LedgerOptions {
  std::vector<LabelWindow> windows;  // one a task
  // Bit t: task t is an amount. It is told when it comes; that it does not come tells nothing of it.
  uint64_t value_tasks = 0;
  size_t max_examples = 50'000;  // the oldest are evicted, their untold labels never told
};

enum class LabelState : uint8_t { kOpen, kPositive, kNegative, kCorrected };

// Not thread-safe. Deterministic. Memory: the features of the examples (2-4 KB each for the live
// rankers) plus about 200 bytes each, for as long as the longest correction window.
class LabelLedger {
 public:
  struct Example {
    int64_t ts = 0;
    std::shared_ptr<const model::Batch> features;
    std::vector<float> predicted;    // [T], calibrated, when it was shown
    std::vector<LabelState> states;  // [T]: what is known
    std::vector<LabelState> told;    // [T]: what the weights have been told; kOpen: nothing
    float worth = 0;                 // of the first positive of a value
    bool learns = true;              // false: only watched (an influence cap)
    uint64_t queued = 0;             // tasks in the queue
    bool stored = false;             // SerializeChange has given its features
  };
  enum class Step : uint8_t { kPositive, kNegative, kCorrection };
  struct Due {
    uint64_t id = 0;
    const Example* example = nullptr;  // until the next call of Advance or Shown
    size_t task = 0;
    LabelState known = LabelState::kOpen;
    Step step = Step::kPositive;
  };
  // A task's outcome at the end of its window, in the order of the ends: what early positives hide.
  struct Matured {
    size_t task = 0;
    bool positive = false;
    uint64_t id = 0;
    float predicted = 0;  // of the task, when it was shown
    float worth = 0;      // of a value: what it brought
  };
  struct Counts {           // of one task
    uint64_t open = 0;      // now
    uint64_t positive = 0;  // ever, as all below
    uint64_t negative = 0;  // those corrected later included
    uint64_t corrected = 0;
    uint64_t too_late = 0;  // positives after the correction window
    uint64_t evicted = 0;   // open when their example was evicted
  };

  explicit LabelLedger(LedgerOptions options);

  // False, and nothing changes: the example is known or older than one that was forgotten, so that a
  // replay may tell everything again.
  bool Shown(uint64_t id, int64_t ts, std::shared_ptr<const model::Batch> features,
             std::vector<float> predicted, bool learns = true);
  bool Knows(uint64_t id) const { return id <= forgotten_ || examples_.count(id) > 0; }
  // `tasks`: bit t is task t; `worth`: of those that are values. Of examples that are not known: ignored.
  void Positive(uint64_t id, uint64_t tasks, int64_t ts, float worth = 0);
  void Close(uint64_t id, uint64_t tasks);
  // Ends windows up to `now_ts` and forgets examples that nothing can happen to any more. The outcomes
  // are appended to `matured` (may be null).
  void Advance(int64_t now_ts, std::vector<Matured>* matured);

  // Labels that the weights must be told, oldest first. What is taken is no longer due; it counts as
  // told when Tell says so.
  size_t due() const { return queue_.size(); }
  bool Take(Due* due);
  void Tell(uint64_t id, size_t task, LabelState known);
  // The weights went back to older ones: what was told is not known to be in them, so that a late
  // positive counts as new. Nothing is told again by itself: some of it may have been the harm.
  void ForgetTold();

  size_t size() const { return examples_.size(); }
  uint64_t evicted() const { return evicted_; }
  const std::vector<Counts>& counts() const { return counts_; }
  int64_t now_ts() const { return now_ts_; }

  std::string Serialize(const model::Schema& schema) const;
  // The same without the features that SerializeChange has given already, of its owner's only chain of
  // them: nearly all of the bytes. `whole`: with all features, such a chain's beginning.
  std::string SerializeChange(const model::Schema& schema, bool whole);
  // Into an empty ledger of the same options. kCorruption when the bytes do not fit together. `before`:
  // the ledger as it was at the change before; null where all features are there.
  Status Restore(const model::Schema& schema, std::string_view bytes,
                 const LabelLedger* before = nullptr);

 private:
  using Place = std::tuple<int64_t, uint64_t, uint32_t>;  // ts, example, task

  bool IsValue(size_t task) const { return (options_.value_tasks >> task & 1) != 0; }
  void Queue(uint64_t id, size_t task, Example* example);
  void Close(uint64_t id, size_t task, Example* example);
  void Forget(std::map<uint64_t, Example>::iterator which);
  std::string Write(const model::Schema& schema, bool all_features) const;

  LedgerOptions options_;
  int64_t keep_ms_ = 0;  // the longest correction window
  std::map<uint64_t, Example> examples_;
  std::set<Place> ends_;     // of windows
  std::set<Place> forgets_;  // of examples, task 0
  std::deque<std::pair<uint64_t, uint32_t>> queue_;
  uint64_t forgotten_ = 0;  // the newest id forgotten
  int64_t now_ts_ = 0;
  uint64_t evicted_ = 0;
  std::vector<Counts> counts_;
};

}  // namespace heed::train
