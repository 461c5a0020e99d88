// What online learning costs on one core, with the host ranker that an engine trains.
//   cmake --build --preset release --target train_bench && build/release/src/train/train_bench
#include <benchmark/benchmark.h>

#include "model/batch_for_test.h"
#include "model/live_features.h"
#include "train/online_trainer.h"

namespace heed::train {
namespace {

std::unique_ptr<OnlineTrainer> Make(uint32_t batch_size) {
  model::RankerConfig config{.schema = model::HostSchema(), .hidden = {128, 64}, .admit_after = 2};
  OnlineOptions options;
  for (const int64_t window : Attribution::kHostWindowsMs) {
    options.ledger.windows.push_back({window, window});
  }
  options.ledger.max_examples = 10'000;
  options.batch_size = batch_size;
  return OnlineTrainer::Create(model::Ranker::Create(config, 1).value()->Copy(), options).value();
}

// Keys are drawn from 10000 a column, histories are full.
std::vector<Feedback> Examples(size_t count) {
  Random random(1);
  std::vector<Feedback> out;
  for (size_t i = 0; i < count; ++i) {
    Feedback shown{.kind = Feedback::Kind::kShown, .ts = 0, .viewer = random.Next()};
    shown.features = std::make_shared<model::Batch>(model::RandomBatch(
        model::HostSchema(),
        {.requests = 1, .keys = 10'000, .labels = false, .full_histories = true}, random));
    out.push_back(std::move(shown));
  }
  return out;
}

void BM_Show(benchmark::State& state) {
  const auto trainer = Make(32);
  std::vector<Feedback> examples = Examples(1'000);
  uint64_t id = 0;
  for ([[maybe_unused]] auto unused : state) {
    Feedback& shown = examples[id % examples.size()];
    shown.example = ++id;
    if (!trainer->Add(shown).ok()) state.SkipWithError("refused");
  }
  state.SetItemsProcessed(static_cast<int64_t>(id));
}
BENCHMARK(BM_Show)->Unit(benchmark::kMicrosecond);

// One step over so many examples, of which one label each is due.
void BM_Learn(benchmark::State& state) {
  const auto trainer = Make(static_cast<uint32_t>(state.range(0)));
  std::vector<Feedback> examples = Examples(1'000);
  uint64_t id = 0;
  for ([[maybe_unused]] auto unused : state) {
    state.PauseTiming();
    for (int64_t i = 0; i < state.range(0); ++i) {
      Feedback shown = examples[id % examples.size()];
      shown.example = ++id;
      Status status = trainer->Add(shown);
      shown.kind = Feedback::Kind::kPositive;
      shown.tasks = 1;
      if (status.ok()) status = trainer->Add(shown);
      if (!status.ok()) state.SkipWithError(status.ToString().c_str());
    }
    state.ResumeTiming();
    benchmark::DoNotOptimize(trainer->Learn(0, 1));
  }
  state.SetItemsProcessed(static_cast<int64_t>(id));
}
BENCHMARK(BM_Learn)->Arg(1)->Arg(8)->Arg(32)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace heed::train
