#include "infer/model_handle.h"

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
    LogWarn("model {} does not serve in int8: {}", model->version, compiled.status().message());
    options.precision = kernels::Precision::kFp32;
    compiled = CompiledRanker::Compile(model->ranker, options);
  }
  model->compiled = std::move(compiled).value();
  return model;
}

Status ServingModel::Score(const model::Batch& batch, std::span<float> probabilities) const {
  thread_local Arena arena;
  return compiled->Score(batch, &arena, probabilities);
}

}  // namespace heed::infer
