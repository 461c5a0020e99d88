#include "decide/rank.h"

#include <utility>

#include "decide/explain.h"
#include "decide/explore.h"

namespace heed::decide {
namespace {

constexpr const char* kPopularityVersion = "popularity-0";

// [N, T] probabilities.
Status Score(const RankInput& input, std::vector<float>* probabilities) {
  const size_t tasks = input.schema.tasks.size();
  const size_t n = input.candidates.size();
  if (input.model != nullptr) {
    model::Scores scores;
    HEED_RETURN_IF_ERROR(
        input.model->ranker->Forward(input.batch, /*with_attention=*/false, &scores));
    *probabilities = std::move(scores.probabilities);
    return {};
  }
  const size_t numerics = input.schema.NumericsOf(model::Side::kCandidate).size();
  probabilities->assign(n * tasks, 0.0f);
  for (size_t i = 0; i < n; ++i) {
    (*probabilities)[i * tasks] = input.batch.candidate_numerics[i * numerics];
  }
  return {};
}

}  // namespace

Status Rank(const RankInput& input, Random* random, RecommendResponse* response) {
  response->model_version = input.model != nullptr ? input.model->version : kPopularityVersion;
  if (input.candidates.empty()) return {};
  std::vector<float> probabilities;
  HEED_RETURN_IF_ERROR(Score(input, &probabilities));
  const std::vector<float> scores =
      WeightedScores(input.schema, probabilities, input.candidates.size());
  const Slate slate = ChooseSlate(scores, input.request.limit, input.exploration, random);

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
