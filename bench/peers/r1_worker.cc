// R1 by Heed: the reference model written as a RankerConfig, its weights put in place, compiled by
// infer/ as a served model is.
#include <fmt/format.h>

#include <cstdlib>
#include <map>
#include <memory>
#include <utility>

#include "infer/compiled_ranker.h"
#include "kernels/table.h"
#include "peers/r1_data.h"
#include "peers/r1_net.h"
#include "peers/worker.h"

namespace heed::r1 {
namespace {

using kernels::Precision;
using model::Batch;

template <typename T>
T OrDie(Result<T> result) {
  if (!result.ok()) {
    fmt::print(stderr, "r1_worker: {}\n", result.status().ToString());
    std::exit(1);  // NOLINT(concurrency-mt-unsafe): one thread
  }
  return std::move(result).value();
}

// Viewers and contexts come with the request; here each request has a row of its own.
std::shared_ptr<const model::Ranker> Served(const Data& data, Family family) {
  std::vector<float> viewers, contexts;
  for (size_t r = 0; r < data.requests(); ++r) {
    const Request request = data.request(r);
    viewers.insert(viewers.end(), request.viewer.begin(), request.viewer.end());
    contexts.insert(contexts.end(), request.context.begin(), request.context.end());
  }
  return model::Ranker::Of(*NetOf(data, family, viewers, contexts));
}

Batch BatchOf(const Data& data, size_t index) {
  const Request request = data.request(index);
  Batch batch;
  batch.requests = 1;
  batch.candidates = static_cast<uint32_t>(data.candidates());
  batch.request_of.assign(data.candidates(), 0);
  batch.request_keys = {index + 1, index + 1};
  for (const uint32_t id : request.candidates) batch.candidate_keys.push_back(id + 1);
  model::SequenceBatch& history = batch.sequences.emplace_back();
  for (const uint32_t id : request.history) history.keys.push_back(id + 1);
  history.age_s.assign(data.history(), 0.0f);
  history.offsets = {0, static_cast<uint32_t>(data.history())};
  return batch;
}

// All items there are, so that a cached variant finds each. What serving does by and by.
void Warm(const Data& data, const infer::CompiledRanker& compiled) {
  infer::Arena arena;
  Batch batch = BatchOf(data, 0);
  std::vector<float> logits(batch.candidates * kOutputs);
  for (size_t item = 0; item < data.rows(0);) {
    for (size_t n = 0; n < batch.candidates; ++n) {
      const size_t one = std::min(item, data.rows(0) - 1);
      batch.candidate_keys[n * kTables] = one + 1;
      batch.candidate_keys[n * kTables + 1] = data.author_of()[one] + 1;
      batch.candidate_keys[n * kTables + 2] = data.category_of()[one] + 1;
      ++item;
    }
    if (!compiled.Logits(batch, &arena, logits).ok()) std::abort();
  }
}

struct Shared {
  std::vector<Batch> batches;
  std::map<const uint32_t*, size_t> index_of;  // by where a request's candidates lie
  infer::Arena arena;
};

std::vector<Variant> Variants(const Data& data) {
  auto shared = std::make_shared<Shared>();
  for (size_t r = 0; r < data.requests(); ++r) {
    shared->batches.push_back(BatchOf(data, r));
    shared->index_of[data.request(r).candidates.data()] = r;
  }
  std::vector<Variant> variants;
  const auto add = [&](const std::string& name, Family family,
                       const std::shared_ptr<const model::Ranker>& ranker,
                       const infer::CompileOptions& options) {
    // Calibrated on requests that the truth does not cover.
    const std::vector<Batch> calibration(shared->batches.begin() + 8, shared->batches.begin() + 24);
    std::shared_ptr<const infer::CompiledRanker> compiled =
        OrDie(infer::CompiledRanker::Compile(ranker, options, calibration));
    if (options.cached_items > 0) Warm(data, *compiled);
    variants.push_back({name, family, [shared, compiled](const Request& request, float* logits) {
                          const Batch& batch =
                              shared->batches[shared->index_of.at(request.candidates.data())];
                          const Status done = compiled->Logits(
                              batch, &shared->arena, {logits, batch.candidates * kOutputs});
                          if (!done.ok()) std::abort();
                        }});
  };
  const size_t all = data.rows(0);
  {
    const auto dot = Served(data, Family::kDot);
    add("dot_fp32", Family::kDot, dot, {});
    add("dot_fp32_cached", Family::kDot, dot, {.cached_items = all});
    add("dot_bf16_cached", Family::kDot, dot, {.precision = Precision::kBf16, .cached_items = all});
    add("dot_int8_cached", Family::kDot, dot, {.precision = Precision::kInt8, .cached_items = all});
  }
  const auto din = Served(data, Family::kDin);
  add("din_fp32", Family::kDin, din, {});
  add("din_int8", Family::kDin, din, {.precision = Precision::kInt8});
  return variants;
}

}  // namespace
}  // namespace heed::r1

int main(int argc, char** argv) {
  const auto level = heed::kernels::LevelName(heed::kernels::ActiveLevel());
  return heed::r1::ServeWorker(argc, argv, fmt::format("heed {}", level), heed::r1::Variants);
}
