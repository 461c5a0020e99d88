// How cost grows: what a request takes at twice the candidates, at twice the history, on two cores, what
// a lookup takes in a table a hundred times as large, and a training step in one ten times as large. Ratios of times taken alternately in one
// process, so that a machine that is slow for a while is slow for both. docs/benchmarks.md.
//
// ./run bench scaling [--json] [--only growth|lookup|cores|training]; status 1 when a gate is missed.
#include <fmt/format.h>
#include <sched.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/large_pages.h"
#include "base/random.h"
#include "infer/compiled_ranker.h"
#include "kernels/table.h"
#include "model/ranker_net.h"
#include "peers/r1_ranker.h"

namespace heed::r1 {
namespace {

using Clock = std::chrono::steady_clock;
using kernels::Precision;

double Milliseconds(Clock::time_point since) {
  return std::chrono::duration<double, std::milli>(Clock::now() - since).count();
}

double Median(std::vector<double> x) {
  std::nth_element(x.begin(), x.begin() + static_cast<ptrdiff_t>(x.size() / 2), x.end());
  return x[x.size() / 2];
}

[[noreturn]] void Die(const Status& status) {
  fmt::print(stderr, "scaling: {}\n", status.ToString());
  std::exit(2);  // NOLINT(concurrency-mt-unsafe): no other thread runs
}

// One line of the result: the same work at two sizes.
struct Row {
  std::string what, from, to;
  double small = 0, large = 0;
  std::string unit;
  double ratio = 0;
  double gate = 0;  // 0: reported only
  bool at_least = false;

  bool missed() const { return gate > 0 && (at_least ? ratio < gate : ratio > gate); }
};

struct Options {
  bool json = false;
  std::string only;
  int rounds = 25;
  size_t large_rows = 100'000'000;
};

class Report {
 public:
  explicit Report(bool json) : json_(json) {
    if (!json_) {
      fmt::print("{:<34}{:>22}{:>11}{:>11} {:<9}{:>7}  {}\n", "cost of", "sizes", "small", "large",
                 "", "ratio", "gate");
    }
  }

  void Add(const Row& row) {
    missed_ |= row.missed();
    if (json_) {
      fmt::print(
          "{{\"bench\":\"scaling\",\"what\":\"{}\",\"from\":\"{}\",\"to\":\"{}\",\"small\":{:.5g},"
          "\"large\":{:.5g},\"unit\":\"{}\",\"ratio\":{:.4g},\"gate\":{},\"met\":{}}}\n",
          row.what, row.from, row.to, row.small, row.large, row.unit, row.ratio,
          row.gate > 0 ? fmt::format("{:.4g}", row.gate) : "null", !row.missed());
    } else {
      const std::string gate =
          row.gate > 0 ? fmt::format("{} {:.2f} {}", row.at_least ? ">=" : "<=", row.gate,
                                     row.missed() ? "MISSED" : "met")
                       : "";
      fmt::print("{:<34}{:>22}{:>11.4g}{:>11.4g} {:<9}{:>7.2f}  {}\n", row.what,
                 row.from + " -> " + row.to, row.small, row.large, row.unit, row.ratio, gate);
    }
    std::fflush(stdout);
  }
  bool missed() const { return missed_; }

 private:
  bool json_, missed_ = false;
};

// Both works in turn, each the best of `tries` in a round; the ratio is the median of the rounds'.
void Compare(Row* row, int rounds, int tries, const std::function<double()>& small,
             const std::function<double()>& large) {
  std::vector<double> a, b, ratios;
  for (int round = -1; round < rounds; ++round) {
    double best[2] = {1e300, 1e300};
    for (int t = 0; t < tries; ++t) {
      best[0] = std::min(best[0], small());
      best[1] = std::min(best[1], large());
    }
    if (round < 0) continue;  // warms up
    a.push_back(best[0]);
    b.push_back(best[1]);
    ratios.push_back(best[1] / best[0]);
  }
  row->small = Median(a);
  row->large = Median(b);
  row->ratio = Median(ratios);
}

constexpr size_t kRows[kTables] = {1'000'000, 1'000'000, 100'000};

std::shared_ptr<const model::Ranker> RandomRanker(Family family) {
  model::Net net(ConfigOf(family), 1);
  Random random(2);
  std::vector<float> values(kRows[0] * kWidth);
  for (float& v : values) v = static_cast<float>(random.Uniform(-0.8, 0.8));
  for (size_t i = 0; i < net.layout.tables.size(); ++i) {
    for (size_t t = 0; t < kTables; ++t) {
      if (net.layout.tables[i] == kItemTables[t]) {
        net.tables[i] = TableOf(net.tables[i].shape(), values.data(), kRows[t]);
      }
    }
  }
  return model::Ranker::Of(net);
}

model::Batch RandomBatch(size_t L, size_t N, Random& random) {
  model::Batch batch;
  batch.requests = 1;
  batch.candidates = static_cast<uint32_t>(N);
  batch.request_of.assign(N, 0);
  batch.request_keys = {1, 1};
  const auto draw = [&](size_t n, std::vector<model::Key>* keys) {
    for (size_t i = 0; i < n * kTables; ++i) keys->push_back(1 + random.Below(kRows[i % kTables]));
  };
  draw(N, &batch.candidate_keys);
  model::SequenceBatch& history = batch.sequences.emplace_back();
  draw(L, &history.keys);
  history.age_s.assign(L, 0.0f);
  history.offsets = {0, static_cast<uint32_t>(L)};
  return batch;
}

// Scores requests of one size, a different one each time.
class Requests {
 public:
  Requests(std::shared_ptr<const infer::CompiledRanker> ranker, size_t L, size_t N, uint64_t seed)
      : ranker_(std::move(ranker)), logits_(N * kOutputs) {
    Random random(seed);
    for (size_t i = 0; i < 32; ++i) batches_.push_back(RandomBatch(L, N, random));
  }
  double operator()() {  // milliseconds
    const model::Batch& batch = batches_[next_++ % batches_.size()];
    const auto start = Clock::now();
    if (const Status status = ranker_->Logits(batch, &arena_, logits_); !status.ok()) Die(status);
    return Milliseconds(start);
  }

 private:
  std::shared_ptr<const infer::CompiledRanker> ranker_;
  std::vector<model::Batch> batches_;
  std::vector<float> logits_;
  infer::Arena arena_;
  size_t next_ = 0;
};

std::shared_ptr<const infer::CompiledRanker> Compiled(
    const std::shared_ptr<const model::Ranker>& ranker, Precision precision) {
  Random random(3);
  std::vector<model::Batch> calibration;
  calibration.reserve(4);
  for (int i = 0; i < 4; ++i) calibration.push_back(RandomBatch(100, 500, random));
  auto compiled = infer::CompiledRanker::Compile(ranker, {.precision = precision}, calibration);
  if (!compiled.ok()) Die(compiled.status());
  return std::move(compiled).value();
}

void Growth(const Options& options, Report* report) {
  struct Pair {
    size_t events[2], candidates[2];
    double gate;  // of dot attention; DIN is linear in L N
  };
  for (const Family family : {Family::kDot, Family::kDin}) {
    const bool dot = family == Family::kDot;
    const auto ranker = RandomRanker(family);
    for (const Precision precision : {Precision::kFp32, Precision::kInt8}) {
      const auto compiled = Compiled(ranker, precision);
      for (const Pair pair : {Pair{{100, 100}, {250, 500}, 2.1}, Pair{{100, 100}, {500, 1000}, 2.1},
                              Pair{{100, 200}, {500, 500}, dot ? 1.3 : 2.1}}) {
        const bool longer = pair.events[0] != pair.events[1];
        Row row{.what = fmt::format("{} {}", dot ? "dot" : "DIN",
                                    precision == Precision::kFp32 ? "fp32" : "int8"),
                .from = longer ? fmt::format("L {}", pair.events[0])
                               : fmt::format("N {}", pair.candidates[0]),
                .to = std::to_string(longer ? pair.events[1] : pair.candidates[1]),
                .unit = "ms",
                .gate = precision == Precision::kFp32 ? pair.gate : 0};
        Requests small(compiled, pair.events[0], pair.candidates[0], 5),
            large(compiled, pair.events[1], pair.candidates[1], 6);
        Compare(&row, dot ? options.rounds : options.rounds / 3 + 1, 8, std::ref(small),
                std::ref(large));
        report->Add(row);
      }
    }
  }
}

// Lookups come kLookups at a time, as many as R1 has events and candidates, and kStream times kLookups
// before one comes again.
constexpr size_t kLookups = 600, kStream = 512, kLookupWidth = 16;

// Nanoseconds a lookup: of kStream requests the middle one, not the best, since a lookup is made of its
// misses.
double MiddleOfStream(const std::function<void(size_t)>& request) {
  std::vector<double> times(kStream);
  for (size_t i = 0; i < kStream; ++i) {
    const auto start = Clock::now();
    request(i);
    times[i] = Milliseconds(start) * 1e6 / kLookups;
  }
  return Median(times);
}

class Table {
 public:
  Table(size_t rows, Precision precision)
      : rows_(rows), precision_(precision), out_(kLookups * kLookupWidth) {
    nn::EmbeddingTable::Stored stored;
    stored.keys.resize(rows + 2);
    stored.values.resize((rows + 2) * kLookupWidth);
    for (size_t row = 2; row < rows + 2; ++row) {
      stored.keys[row] = row - 1;
      stored.values[row * kLookupWidth] = ValueOf(row - 1);
    }
    table_ = nn::EmbeddingTable({.width = kLookupWidth});
    if (const Status status = table_.Restore(std::move(stored)); !status.ok()) Die(status);
    table_.StoreAs(precision);
  }

  // Every key as often as any other, or the k-th as often as 1/k (Zipf); rows in order of rank, as when
  // keys are admitted at first sight.
  std::vector<uint64_t> Keys(bool zipf) const {
    Random random(rows_);
    std::vector<uint64_t> keys(kLookups * kStream);
    const double n = static_cast<double>(rows_);
    for (uint64_t& key : keys) {
      key = zipf ? static_cast<uint64_t>(std::pow(n, random.Uniform())) : 1 + random.Below(rows_);
    }
    return keys;
  }

  double operator()(const std::vector<uint64_t>& keys) {
    const auto request = [&](size_t i) {
      table_.LookUp(keys.data() + i * kLookups, 1,
                    {out_.data(), kLookups, kLookupWidth, kLookupWidth});
    };
    const double ns = MiddleOfStream(request);
    for (size_t i = 0; i < kLookups; ++i) {
      const float want = ValueOf(keys[(kStream - 1) * kLookups + i]);
      // A rounded row's largest number comes back but for its own rounding.
      const float off = precision_ == Precision::kFp32 ? 0.0f : want / 256;
      if (!(std::abs(out_[i * kLookupWidth] - want) <= off)) {
        Die(Corruption("a lookup found another row"));
      }
    }
    return ns;
  }

 private:
  static float ValueOf(uint64_t key) { return static_cast<float>(key % 16'777'216); }

  size_t rows_;
  Precision precision_;
  nn::EmbeddingTable table_;
  std::vector<float> out_;
};

// What the machine itself takes: for each lookup one line out of as much memory as the table's index
// takes and one out of as much as its rows, known beforehand, nothing compared or copied.
class BareReads {
 public:
  explicit BareReads(size_t rows)
      : index_(rows * 5 / 3 * 16), values_(rows * kLookupWidth * sizeof(float)) {
    Random random(rows);
    for (LargeBytes* memory : {&index_, &values_}) {
      for (size_t i = 0; i < memory->size(); i += 4096) memory->data()[i] = std::byte{1};
      for (size_t i = 0; i < kLookups * kStream; ++i) {
        lines_.push_back(memory->data() + random.Below(memory->size() / 64) * 64);
      }
    }
  }

  double operator()() {
    return MiddleOfStream([this](size_t request) {
      const std::byte* const* lines[2] = {lines_.data() + request * kLookups,
                                          lines_.data() + (kStream + request) * kLookups};
      constexpr size_t kAhead = 16;
      for (size_t i = 0; i < kLookups; ++i) {
        for (const std::byte* const* line : lines) {
          if (i + kAhead < kLookups) __builtin_prefetch(line[i + kAhead]);
          sum_ = sum_ + static_cast<int>(*line[i]);
        }
      }
    });
  }

 private:
  LargeBytes index_, values_;
  std::vector<const std::byte*> lines_;
  volatile int sum_ = 0;
};

void Lookup(const Options& options, Report* report) {
  constexpr size_t kMillion = 1'000'000;
  const std::string to = fmt::format("{}M", options.large_rows / kMillion);
  Row bare{.what = "bare reads of both lines", .from = "1M rows", .to = to, .unit = "ns"};
  {
    BareReads small(kMillion), large(options.large_rows);
    Compare(&bare, options.rounds, 1, std::ref(small), std::ref(large));
  }
  report->Add(bare);
  for (const Precision precision : {Precision::kFp32, Precision::kInt8}) {
    Table million(kMillion, precision), ten(10 * kMillion, precision),
        large(options.large_rows, precision);
    const auto compare = [&](Table* small, const char* from, bool zipf, double gate) {
      Row row{.what = fmt::format("lookup of 16, {}, {}", kernels::PrecisionName(precision),
                                  zipf ? "Zipf" : "uniform"),
              .from = from,
              .to = to,
              .unit = "ns",
              .gate = gate};
      const std::vector<uint64_t> a = small->Keys(zipf), b = large.Keys(zipf);
      Compare(
          &row, options.rounds, 1, [&] { return (*small)(a); }, [&] { return large(b); });
      report->Add(row);
    };
    compare(&million, "1M rows", true, 0);
    compare(&ten, "10M rows", false, 0);
    compare(&million, "1M rows", false, 2.0);
  }
}

// Requests a second on each of `cores` at once.
double Throughput(const std::vector<int>& cores, std::vector<Requests>& requests, double seconds) {
  std::atomic<size_t> done{0};
  std::atomic<int> waiting{static_cast<int>(cores.size())};
  std::vector<std::thread> threads;
  for (size_t i = 0; i < cores.size(); ++i) {
    threads.emplace_back([&, i] {
      cpu_set_t set;
      CPU_ZERO(&set);
      CPU_SET(cores[i], &set);
      sched_setaffinity(0, sizeof set, &set);
      waiting.fetch_sub(1);
      while (waiting.load() > 0) {
      }
      size_t own = 0;
      for (const auto start = Clock::now(); Milliseconds(start) < 1e3 * seconds; ++own) {
        requests[i]();
      }
      done.fetch_add(own);
    });
  }
  for (std::thread& thread : threads) thread.join();
  return static_cast<double>(done.load()) / seconds;
}

void Cores(const Options& options, Report* report) {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> cores;
  if (sched_getaffinity(0, sizeof set, &set) == 0) {
    for (int i = 0; i < CPU_SETSIZE && cores.size() < 2; ++i) {
      if (CPU_ISSET(i, &set)) cores.push_back(i);
    }
  }
  if (cores.size() < 2) {
    fmt::print(stderr, "scaling: two cores: left out, this process may use one only\n");
    return;
  }
  const auto compiled = Compiled(RandomRanker(Family::kDot), Precision::kFp32);
  std::vector<Requests> requests;
  for (uint64_t i = 0; i < 2; ++i) requests.emplace_back(compiled, 100, 500, 7 + i);
  std::vector<double> one, two, ratios;
  for (int round = -1; round < options.rounds / 3; ++round) {
    // Each core alone, so that a busy neighbour of one does not count as scaling.
    const double alone =
        (Throughput({cores[0]}, requests, 0.15) + Throughput({cores[1]}, requests, 0.15)) / 2;
    const double both = Throughput(cores, requests, 0.3);
    if (round < 0) continue;
    one.push_back(alone);
    two.push_back(both);
    ratios.push_back(both / alone);
  }
  report->Add({.what = "dot fp32, throughput",
               .from = "1 core",
               .to = "2",
               .small = Median(one),
               .large = Median(two),
               .unit = "requests/s",
               .ratio = Median(ratios),
               .gate = 1.9,
               .at_least = true});
}

// R1's dot family in training, its items in a table of `rows`, drawn evenly.
class Training {
 public:
  explicit Training(size_t rows)
      : ranker_(std::move(model::Ranker::Create(ConfigOf(Family::kDot), 1)).value()) {
    Random random(rows);
    // Every key first, so that the table has its size; a history's other parts stay small.
    for (size_t first = 1; first <= rows; first += kSamples * kEvents) {
      uint64_t next = first;
      if (const Status status = ranker_->CountKeys(Draw([&] { return next++; }, &random));
          !status.ok()) {
        Die(status);
      }
    }
    for (int i = 0; i < 8; ++i) {
      batches_.push_back(Draw([&] { return 1 + random.Below(rows); }, &random));
    }
  }

  double operator()() {  // milliseconds
    constexpr auto kAdagrad = model::OptimizerConfig::Kind::kAdagrad;
    const model::Batch& batch = batches_[next_++ % batches_.size()];
    const auto start = Clock::now();
    const auto loss = ranker_->TrainStep(batch, {.dense = kAdagrad, .tables = kAdagrad});
    if (!loss.ok()) Die(loss.status());
    return Milliseconds(start);
  }

 private:
  static constexpr size_t kSamples = 1024, kEvents = 100, kOthers = 100'000;

  static model::Batch Draw(const std::function<uint64_t()>& item, Random* random) {
    model::Batch batch;
    batch.requests = batch.candidates = kSamples;
    model::SequenceBatch& history = batch.sequences.emplace_back();
    const auto draw = [&](std::vector<model::Key>* keys) {
      keys->push_back(item());
      for (size_t k = 1; k < kTables; ++k) keys->push_back(1 + random->Below(kOthers));
    };
    for (uint32_t n = 0; n < kSamples; ++n) {
      batch.request_of.push_back(n);
      batch.request_keys.insert(batch.request_keys.end(), 2, n + 1);
      for (size_t t = 0; t < kEvents; ++t) draw(&history.keys);
      batch.candidate_keys.insert(batch.candidate_keys.end(), kTables, 1 + n);
      history.offsets.push_back(static_cast<uint32_t>((n + 1) * kEvents));
    }
    history.age_s.assign(kSamples * kEvents, 0.0f);
    for (size_t i = 0; i < kSamples * kOutputs; ++i) {
      batch.labels.push_back(static_cast<float>(random->Chance(0.2)));
    }
    return batch;
  }

  std::unique_ptr<model::Ranker> ranker_;
  std::vector<model::Batch> batches_;
  size_t next_ = 0;
};

void TrainingGrowth(const Options& options, Report* report) {
  Training small(1'000'000), large(10'000'000);
  Row row{.what = "training step, dot, 1024 samples",
          .from = "1M rows",
          .to = "10M",
          .unit = "ms",
          .gate = 1.3};
  Compare(&row, options.rounds, 3, std::ref(small), std::ref(large));
  report->Add(row);
}

}  // namespace

int Run(int argc, char** argv) {
  Options options;
  CLI::App app("How the cost of a ranking grows, by ratios", "./run bench scaling");
  app.add_flag("--json", options.json, "one object a line");
  app.add_option("--only", options.only, "one part")
      ->check(CLI::IsMember({"growth", "lookup", "cores", "training"}));
  app.add_option("--rounds", options.rounds)->check(CLI::Range(3, 1000))->capture_default_str();
  app.add_option("--large-rows", options.large_rows, "of the large table; 100M take 14 GB")
      ->check(CLI::Range(size_t{1'000'000}, size_t{1} << 31))
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  Report report(options.json);
  const auto wanted = [&](const char* part) {
    return options.only.empty() || options.only == part;
  };
  if (wanted("growth")) Growth(options, &report);
  if (wanted("cores")) Cores(options, &report);
  if (wanted("training")) TrainingGrowth(options, &report);
  if (wanted("lookup")) Lookup(options, &report);
  return report.missed() ? 1 : 0;
}

}  // namespace heed::r1

int main(int argc, char** argv) { return heed::r1::Run(argc, argv); }
