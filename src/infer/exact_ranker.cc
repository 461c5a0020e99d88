#include "infer/exact_ranker.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <string>
#include <utility>

#include "model/ranker_net.h"
#include "nn/loss.h"

namespace heed::infer {

using model::Batch;

namespace {

// The request of `from` with the candidates `rows` alone.
void Choose(const Batch& from, const model::Layout& layout, std::span<const uint32_t> rows,
            Batch* to) {
  const size_t fields = layout.candidate_fields.size(), numerics = layout.candidate_numerics;
  to->requests = from.requests;
  to->request_keys = from.request_keys;
  to->request_numerics = from.request_numerics;
  to->sequences = from.sequences;
  to->candidates = static_cast<uint32_t>(rows.size());
  to->request_of.assign(rows.size(), 0);
  to->candidate_keys.clear();
  to->candidate_numerics.clear();
  for (const uint32_t row : rows) {
    const auto keys = from.candidate_keys.begin() + static_cast<ptrdiff_t>(row * fields);
    to->candidate_keys.insert(to->candidate_keys.end(), keys,
                              keys + static_cast<ptrdiff_t>(fields));
    const auto numbers = from.candidate_numerics.begin() + static_cast<ptrdiff_t>(row * numerics);
    to->candidate_numerics.insert(to->candidate_numerics.end(), numbers,
                                  numbers + static_cast<ptrdiff_t>(numerics));
  }
}

}  // namespace

struct ExactRanker::Impl {
  std::unique_ptr<CompiledRanker> low, full;
  size_t k = 10, T = 1;
  std::vector<float> bound;  // [T]

  const model::Net& net() const { return low->ranker().net(); }

  // Sum over tasks of weight * probability; `up` is added to each task's logit.
  float Score(const float* logits, std::span<const float> weights,
              std::span<const float> up) const {
    float score = 0.0f;
    for (size_t t = 0; t < T; ++t) {
      // A calibration may turn a task round; the bound then reaches highest on the other side.
      const float scale = net().calibration_scale[t];
      const float logit = logits[t] + (up.empty() ? 0.0f : std::copysign(up[t], scale));
      score += weights[t] * nn::Sigmoid(scale * logit + net().calibration_shift[t]);
    }
    return score;
  }

  // Scores `rows` in fp32 into their places of `logits`; move [T]: by how much, the mean.
  Status Rescore(const Batch& batch, std::span<const uint32_t> rows, Arena* arena,
                 std::span<float> logits, std::vector<float>* move) const {
    // Kept by the thread, so that a request takes no memory once warm.
    thread_local Batch some;
    thread_local std::vector<float> full_logits;
    Choose(batch, net().layout, rows, &some);
    full_logits.resize(rows.size() * T);
    HEED_RETURN_IF_ERROR(full->Logits(some, arena, full_logits));
    move->assign(T, 0.0f);
    for (size_t i = 0; i < rows.size(); ++i) {
      for (size_t t = 0; t < T; ++t) {
        float& logit = logits[rows[i] * T + t];
        (*move)[t] += (full_logits[i * T + t] - logit) / static_cast<float>(rows.size());
        logit = full_logits[i * T + t];
      }
    }
    return {};
  }

  // Low precision for all, fp32 for the best k, which come first in `order`; the others' logits are
  // moved by the shift.
  Status Begin(const Batch& batch, std::span<const float> weights, Arena* arena,
               std::span<float> logits, std::vector<uint32_t>* order) const {
    HEED_RETURN_IF_ERROR(low->Logits(batch, arena, logits));
    const size_t n = batch.candidates, best = std::min(k, n);
    order->resize(n);
    std::iota(order->begin(), order->end(), 0u);
    thread_local std::vector<float> scores, shift;
    scores.resize(n);
    for (size_t i = 0; i < n; ++i) scores[i] = Score(&logits[i * T], weights, {});
    std::partial_sort(order->begin(), order->begin() + static_cast<ptrdiff_t>(best), order->end(),
                      [&](uint32_t a, uint32_t b) { return scores[a] > scores[b]; });
    if (best == 0) return {};
    HEED_RETURN_IF_ERROR(Rescore(batch, std::span(*order).first(best), arena, logits, &shift));
    for (size_t i = best; i < n; ++i) {
      for (size_t t = 0; t < T; ++t) logits[(*order)[i] * T + t] += shift[t];
    }
    return {};
  }

  Status MeasureBound(const std::vector<Batch>& requests, double coverage) {
    std::vector<float> weights;
    for (const model::TaskSpec& task : net().config.schema.tasks) weights.push_back(task.value);
    if (std::none_of(weights.begin(), weights.end(), [](float w) { return w > 0; })) {
      weights.assign(T, 1.0f);
    }
    Arena arena;
    std::vector<std::vector<float>> errors(T);
    std::vector<float> logits, want;
    std::vector<uint32_t> order;
    for (const Batch& batch : requests) {
      logits.resize(batch.candidates * T), want.resize(batch.candidates * T);
      HEED_RETURN_IF_ERROR(Begin(batch, weights, &arena, logits, &order));
      HEED_RETURN_IF_ERROR(full->Logits(batch, &arena, want));
      for (size_t i = std::min(k, order.size()); i < order.size(); ++i) {
        for (size_t t = 0; t < T; ++t) {
          errors[t].push_back(std::abs(logits[order[i] * T + t] - want[order[i] * T + t]));
        }
      }
    }
    if (errors[0].empty()) {
      return InvalidArgument(
          "no request of more than " + std::to_string(k) + " candidates to measure the error on",
          "requests");
    }
    for (std::vector<float>& of_task : errors) {
      std::sort(of_task.begin(), of_task.end());
      const auto count = static_cast<double>(of_task.size());
      const auto at = static_cast<size_t>(std::ceil(coverage * count));
      bound.push_back(of_task[std::clamp<size_t>(at, 1, of_task.size()) - 1]);
    }
    return {};
  }
};

ExactRanker::ExactRanker(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ExactRanker::~ExactRanker() = default;

Result<std::unique_ptr<ExactRanker>> ExactRanker::Make(
    const std::shared_ptr<const model::Ranker>& ranker, const ExactOptions& options,
    const std::vector<Batch>& calibration, const std::vector<Batch>& requests) {
  if (options.k == 0) return InvalidArgument("the best 0 are none", "k");
  if (!(options.coverage > 0.0 && options.coverage <= 1.0)) {
    return InvalidArgument("not in (0, 1]", "coverage");
  }
  for (const model::TaskSpec& task : ranker->config().schema.tasks) {
    if (task.kind == model::TaskKind::kBinary) continue;
    return InvalidArgument("bounds are known of probabilities only, not of values", task.name);
  }
  auto impl = std::make_unique<Impl>();
  impl->k = options.k;
  impl->T = ranker->config().schema.tasks.size();
  HEED_ASSIGN_OR_RETURN(impl->low, CompiledRanker::Compile(ranker, options.compile, calibration));
  CompileOptions full = options.compile;
  full.precision = kernels::Precision::kFp32;
  HEED_ASSIGN_OR_RETURN(impl->full, CompiledRanker::Compile(ranker, full));
  HEED_RETURN_IF_ERROR(impl->MeasureBound(requests, options.coverage));
  return std::unique_ptr<ExactRanker>(new ExactRanker(std::move(impl)));
}

Status ExactRanker::Logits(const Batch& batch, std::span<const float> weights, Arena* arena,
                           std::span<float> logits, Use* use) const {
  const Impl& impl = *impl_;
  const size_t T = impl.T;
  if (batch.requests != 1) return InvalidArgument("not one request", "requests");
  float total = 0.0f;
  for (const float weight : weights) total = weight >= 0.0f ? total + weight : NAN;
  if (weights.size() != T || !(total > 0.0f)) {
    return InvalidArgument("not one weight a task, none negative and not all 0", "weights");
  }
  thread_local std::vector<uint32_t> order;
  thread_local std::vector<float> move;
  HEED_RETURN_IF_ERROR(impl.Begin(batch, weights, arena, logits, &order));
  const size_t best = std::min(impl.k, order.size());
  float reach = 0.0f;  // the least score among the best k
  for (size_t i = 0; i < best; ++i) {
    const float score = impl.Score(&logits[order[i] * T], weights, {});
    reach = i == 0 ? score : std::min(reach, score);
  }
  const auto decided = [&](uint32_t i) {
    return impl.Score(&logits[i * T], weights, impl.bound) < reach;
  };
  const auto first = order.begin() + static_cast<ptrdiff_t>(best);
  const auto open = std::partition(first, order.end(), std::not_fn(decided));
  if (open != first) {
    HEED_RETURN_IF_ERROR(impl.Rescore(batch, {first, open}, arena, logits, &move));
  }
  *use = {.candidates = batch.candidates, .rescored = static_cast<uint32_t>(open - order.begin())};
  return {};
}

const std::vector<float>& ExactRanker::bound() const { return impl_->bound; }
const CompiledRanker& ExactRanker::low() const { return *impl_->low; }

}  // namespace heed::infer
