#include "infer/model_handle.h"

#include <algorithm>

#include "base/log.h"

namespace heed::infer {
namespace {

// Live hosts and the tokens of viewers' histories, of one tenant after another; memory is taken as
// rows come. A full cache keeps what it has.
constexpr size_t kCachedItems = 1 << 16, kCachedTokens = 1 << 16;

}  // namespace

std::shared_ptr<ServingModel> ServingModel::Make(std::string version,
                                                 std::shared_ptr<const model::Ranker> ranker,
                                                 kernels::Precision precision) {
  auto model = std::make_shared<ServingModel>();
  model->version = std::move(version);
  model->ranker = std::move(ranker);
  CompileOptions options{
      .precision = precision, .cached_items = kCachedItems, .cached_tokens = kCachedTokens};
  auto compiled = CompiledRanker::Compile(model->ranker, options);
  if (!compiled.ok() && precision == kernels::Precision::kInt8) {
    spdlog::warn("model {} does not serve in int8: {}", model->version,
                 compiled.status().message());
    options.precision = kernels::Precision::kFp32;
    compiled = CompiledRanker::Compile(model->ranker, options);
  }
  if (compiled.ok()) {
    model->compiled = std::move(compiled).value();
  } else {
    spdlog::warn("model {} serves without its compiled form: {}", model->version,
                 compiled.status().message());
  }
  return model;
}

Status ServingModel::Score(const model::Batch& batch, std::span<float> probabilities) const {
  if (compiled != nullptr) {
    thread_local Arena arena;
    return compiled->Score(batch, &arena, probabilities);
  }
  model::Scores scores;
  HEED_RETURN_IF_ERROR(ranker->Forward(batch, /*with_attention=*/false, &scores));
  std::copy(scores.probabilities.begin(), scores.probabilities.end(), probabilities.begin());
  return {};
}

}  // namespace heed::infer
