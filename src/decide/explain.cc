#include "decide/explain.h"

#include <algorithm>
#include <utility>

namespace heed::decide {
namespace {

struct EventName {
  std::string id;
  int64_t ts = 0;
};

// The events behind the tokens of a sequence, in the batch's order (oldest first).
std::vector<EventName> EventsOf(const RankInput& input, const std::string& sequence) {
  const state::UserView& view = input.viewer.view;
  std::vector<EventName> events;
  if (sequence == "visits") {
    for (const state::Visit& visit : view.visits) {
      events.push_back({input.state.Name(state::Kind::kHost, visit.host), visit.enter_ts});
    }
  } else if (sequence == "touches") {
    for (const state::ProductTouch& touch : view.touches) {
      events.push_back({input.state.Name(state::Kind::kProduct, touch.product), touch.ts});
    }
  } else if (sequence == "skips") {
    for (const state::Skip& skip : view.skips) {
      events.push_back({input.state.Name(state::Kind::kHost, skip.host), skip.ts});
    }
  }
  return events;
}

}  // namespace

std::vector<float> WeightedScores(std::span<const float> weights,
                                  std::span<const float> probabilities) {
  const size_t tasks = weights.size();
  std::vector<float> scores(probabilities.size() / tasks, 0.0f);
  for (size_t i = 0; i < scores.size(); ++i) {
    for (size_t t = 0; t < tasks; ++t) scores[i] += weights[t] * probabilities[i * tasks + t];
  }
  return scores;
}

Status Explain(const RankInput& input, const std::vector<uint32_t>& rows,
               std::vector<RankedItem>* items) {
  const model::Schema& schema = input.schema;
  const model::Ranker& ranker = *input.model->ranker;
  // The shown candidates under the whole history, with weights ...
  model::Batch shown;
  shown.Clear(schema);
  model::CopyRequestAndRows(schema, input.batch, rows, &shown);
  model::Scores whole;
  HEED_RETURN_IF_ERROR(ranker.Forward(shown, /*with_attention=*/true, &whole));
  const std::vector<float> whole_scores = WeightedScores(input.weights, whole.probabilities);
  // ... and under the history less one event, for every event.
  model::Batch without;
  without.Clear(schema);
  for (size_t s = 0; s < schema.sequences.size(); ++s) {
    for (size_t token = 0; token < input.batch.sequences[s].age_s.size(); ++token) {
      model::AddWithoutToken(schema, input.batch, rows, s, token, &without);
    }
  }
  std::vector<float> without_scores;
  if (without.candidates > 0) {
    model::Scores left_out;
    HEED_RETURN_IF_ERROR(ranker.Forward(without, /*with_attention=*/false, &left_out));
    without_scores = WeightedScores(input.weights, left_out.probabilities);
  }

  size_t event_number = 0;  // over all sequences, as appended above
  for (size_t s = 0; s < schema.sequences.size(); ++s) {
    const std::vector<EventName> events = EventsOf(input, schema.sequences[s].name);
    const size_t tokens = input.batch.sequences[s].age_s.size();
    const size_t heads = whole.attention[s].heads;
    for (size_t i = 0; i < rows.size(); ++i) {
      const float* weights = whole.attention[s].weights.data() + whole.attention[s].starts[i];
      const auto mean_weight = [&](size_t token) {
        float sum = 0;
        for (size_t h = 0; h < heads; ++h) sum += weights[h * (tokens + 1) + token];
        return sum / static_cast<float>(heads);
      };
      SequenceEvidence evidence;
      evidence.sequence = schema.sequences[s].name;
      evidence.null_weight = mean_weight(tokens);
      for (size_t token = tokens; token-- > 0;) {
        HistoryEvidence event;
        event.sequence = evidence.sequence;
        event.id = events[token].id;
        event.ts = events[token].ts;
        event.weight = mean_weight(token);
        event.leave_one_out =
            whole_scores[i] - without_scores[(event_number + token) * rows.size() + i];
        evidence.events.push_back(std::move(event));
      }
      (*items)[i].attention.push_back(std::move(evidence));
    }
    event_number += tokens;
  }
  return {};
}

}  // namespace heed::decide
