#include "decide/rank.h"

#include <utility>

#include "decide/explain.h"
#include "decide/explore.h"

namespace heed::decide {
namespace {

constexpr const char* kPopularityVersion = "popularity-0";

}  // namespace

Status Score(const infer::ServingModel* model, const model::Schema& schema,
             const model::Batch& batch, std::vector<float>* probabilities) {
  const size_t tasks = schema.tasks.size();
  probabilities->assign(batch.candidates * tasks, 0.0f);
  if (batch.candidates == 0) return {};
  if (model != nullptr) return model->Score(batch, *probabilities);
  const size_t numerics = schema.NumericsOf(model::Side::kCandidate).size();
  for (size_t i = 0; i < batch.candidates; ++i) {
    (*probabilities)[i * tasks] = batch.candidate_numerics[i * numerics];
  }
  return {};
}

Status Choose(const RankInput& input, std::span<const float> probabilities, Random* random,
              RecommendResponse* response, std::vector<uint32_t>* shown) {
  response->model_version = input.model != nullptr ? input.model->version : kPopularityVersion;
  if (input.candidates.empty()) return {};
  std::vector<float> popularity(input.weights.size(), 0.0f);
  popularity[0] = 1.0f;  // Score
  const std::vector<float> scores =
      WeightedScores(input.model != nullptr ? input.weights : popularity, probabilities);
  const Slate slate = ChooseSlate(scores, input.request.limit, input.exploration, random);
  *shown = slate.shown;

  const size_t tasks = input.schema.tasks.size();
  for (size_t i = 0; i < slate.shown.size(); ++i) {
    const uint32_t row = slate.shown[i];
    RankedItem item;
    item.id = input.candidates[row].id;
    item.room = input.candidates[row].room;
    item.source = input.candidates[row].source;
    item.score = scores[row];
    item.propensity = slate.propensity[i];
    if (input.request.explain) {
      for (size_t t = 0; t < tasks; ++t) {
        item.tasks.push_back({input.schema.tasks[t].name, probabilities[row * tasks + t]});
      }
    }
    response->items.push_back(std::move(item));
  }
  if (input.request.explain && input.model != nullptr) {
    return Explain(input, slate.shown, &response->items);
  }
  return {};
}

}  // namespace heed::decide
