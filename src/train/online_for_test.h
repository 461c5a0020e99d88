// A small ranker that learns online, and a stream with a rule in it. For tests.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "base/random.h"
#include "model/batch_for_test.h"
#include "train/online_trainer.h"

namespace heed::train {

inline std::unique_ptr<model::Ranker> MakeRanker(uint64_t seed = 7) {
  model::RankerConfig config = model::SmallConfig();
  config.init_deviation = 0.3f;
  auto ranker = model::Ranker::Create(config, seed);
  EXPECT_TRUE(ranker.ok()) << ranker.status().ToString();
  ranker.value()->SetCalibration({1.3f, 0.8f}, {-0.2f, 0.1f});
  return std::move(ranker).value();
}

inline OnlineOptions Options() {
  OnlineOptions options;
  options.ledger.windows = {{1'000, 5'000}, {3'000, 5'000}};
  options.batch_size = 8;
  options.viewer_share = 1.0;
  options.optimizer.dense_rate = options.optimizer.table_rate = 2e-3f;
  return options;
}

inline std::unique_ptr<OnlineTrainer> Make(const OnlineOptions& options) {
  auto trainer = OnlineTrainer::Create(MakeRanker(), options);
  EXPECT_TRUE(trainer.ok()) << trainer.status().ToString();
  return std::move(trainer).value();
}

// Examples whose first key decides: even items are clicked, odd ones are not.
class Stream {
 public:
  explicit Stream(uint64_t seed, uint64_t keys = 20) : random_(seed), keys_(keys) {}

  Feedback Show(int64_t ts) {
    Feedback out{.kind = Feedback::Kind::kShown, .example = ++id_, .ts = ts};
    out.viewer = 1 + random_.Below(500);
    auto batch = std::make_shared<model::Batch>(model::RandomBatch(
        model::SmallConfig().schema, {.requests = 1, .keys = keys_, .labels = false}, random_));
    clicked_ = batch->candidate_keys[0] % 2 == 0;
    out.features = std::move(batch);
    return out;
  }
  Feedback Positive(int64_t ts, uint64_t tasks = 1) const {
    return {.kind = Feedback::Kind::kPositive, .example = id_, .ts = ts, .tasks = tasks};
  }
  bool clicked() const { return clicked_; }
  uint64_t id() const { return id_; }
  void set_id(uint64_t id) { id_ = id; }

 private:
  Random random_;
  uint64_t keys_;
  uint64_t id_ = 0;
  bool clicked_ = false;
};

inline void Feed(OnlineTrainer* trainer, const Feedback& feedback) {
  const Status status = trainer->Add(feedback);
  ASSERT_TRUE(status.ok()) << status.ToString();
}

// Shows and learns `count` examples a hundred milliseconds apart.
inline void Play(OnlineTrainer* trainer, Stream* stream, int count, int64_t* ts,
                 bool flipped = false) {
  for (int i = 0; i < count; ++i) {
    *ts += 100;
    Feed(trainer, stream->Show(*ts));
    if (stream->clicked() != flipped) Feed(trainer, stream->Positive(*ts + 10));
    trainer->Learn(*ts, 4);
  }
}

}  // namespace heed::train
