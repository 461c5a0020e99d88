#include "decide/decider.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <span>
#include <string_view>
#include <utility>

#include "base/clock.h"

namespace heed::decide {
namespace {

int64_t NowUs() { return Clock::System().steady_us(); }

Status InTime(const RecommendRequest& request) {
  if (request.deadline_us == 0 || NowUs() < request.deadline_us) return {};
  return {Code::kDeadlineExceeded, "the deadline passed before there was an answer"};
}

const model::Schema& SchemaOf(Target target) {
  return target == Target::kHosts ? model::HostSchema() : model::ProductSchema();
}

std::vector<float> InOrder(const model::Schema& schema,
                           const std::map<std::string_view, double>& by_task) {
  std::vector<float> weights;
  for (const model::TaskSpec& task : schema.tasks) {
    weights.push_back(static_cast<float>(by_task.at(task.name)));
  }
  return weights;
}

std::vector<float> HostWeights(const ScoreWeights::Hosts& of) {
  return InOrder(
      model::HostSchema(),
      {{"enter", of.enter}, {"stay", of.stay}, {"engage", of.engage}, {"order", of.order}});
}

std::vector<float> ProductWeights(const ScoreWeights::Products& of) {
  return InOrder(model::ProductSchema(), {{"click", of.click},
                                          {"cart", of.cart},
                                          {"order", of.order},
                                          {"order_value", of.order_value}});
}

}  // namespace

Decider::Decider(const state::State& state, const Catalog& catalog,
                 const infer::ModelHandle& host_model, const infer::ModelHandle& product_model,
                 const EngineOptions& options)
    : state_(state),
      catalog_(catalog),
      host_model_(host_model),
      product_model_(product_model),
      options_(options),
      host_weights_(HostWeights(options.score.hosts)),
      product_weights_(ProductWeights(options.score.products)) {}

void Decider::Together(Target target, int64_t now_ts, Random* random, const Next& next,
                       const Done& done) const {
  std::vector<Gathered> group;
  size_t candidates = 0;
  size_t last = 0;  // the next one is taken to have as many
  while (group.empty() || candidates + last <= options_.batch_candidates) {
    const RecommendRequest* const request = next();
    if (request == nullptr) break;
    Gathered gathered{.request = request};
    gathered.response.ts = now_ts;
    if (Status read = Gather(target, &gathered); !read.ok()) {
      done(*request, std::move(read), {});
      continue;
    }
    last = gathered.candidates.size();
    if (!group.empty() && candidates + last > options_.batch_candidates) {
      Finish(target, std::exchange(group, {}), random, done);
      candidates = options_.batch_candidates;  // this one too is scored now, and no further taken
    }
    candidates += last;
    group.push_back(std::move(gathered));
  }
  if (!group.empty()) Finish(target, std::move(group), random, done);
}

Status Decider::Gather(Target target, Gathered* gathered) const {
  HEED_RETURN_IF_ERROR(InTime(*gathered->request));
  const int64_t started_us = NowUs();
  HEED_RETURN_IF_ERROR(target == Target::kHosts ? GatherHosts(gathered) : GatherProducts(gathered));
  gathered->response.stages.state_us = NowUs() - started_us;
  return {};
}

void Decider::Finish(Target target, std::vector<Gathered> group, Random* random,
                     const Done& done) const {
  std::erase_if(group, [&](const Gathered& gathered) {
    Status in_time = InTime(*gathered.request);
    const bool late = !in_time.ok();
    if (late) done(*gathered.request, std::move(in_time), {});
    return late;
  });
  if (group.empty()) return;
  const model::Schema& schema = SchemaOf(target);
  const std::vector<float>& weights = target == Target::kHosts ? host_weights_ : product_weights_;
  const auto model = target == Target::kHosts ? host_model_.Get() : product_model_.Get();
  const int64_t started_us = NowUs();
  std::vector<float> probabilities;
  Status scored;
  if (group.size() == 1) {
    scored = Score(model.get(), schema, group.front().batch, &probabilities);
  } else {
    model::Batch together;
    together.Clear(schema);
    std::vector<uint32_t> rows;
    for (const Gathered& gathered : group) {
      rows.resize(gathered.batch.candidates);
      std::iota(rows.begin(), rows.end(), 0u);
      model::CopyRequestAndRows(schema, gathered.batch, rows, &together);
    }
    scored = Score(model.get(), schema, together, &probabilities);
  }
  const int64_t score_us = NowUs() - started_us;

  std::span<const float> rest = probabilities;
  for (Gathered& gathered : group) {
    const RecommendRequest& request = *gathered.request;
    const int64_t choosing_us = NowUs();
    Status chosen = scored;
    Served served{.features = &gathered.batch};
    if (scored.ok()) {
      const size_t own = gathered.candidates.size() * schema.tasks.size();
      if (request.explain) chosen = InTime(request);
      if (chosen.ok()) {
        chosen = Choose({state_, schema, gathered.viewer, model.get(), gathered.batch,
                         gathered.candidates, request, weights, options_.exploration},
                        rest.first(own), random, &gathered.response, &served.shown);
      }
      rest = rest.subspan(own);
    }
    gathered.response.stages.score_us = score_us;
    gathered.response.stages.choose_us = NowUs() - choosing_us;
    if (chosen.ok()) {
      done(request, std::move(gathered.response), served);
    } else {
      done(request, std::move(chosen), {});
    }
  }
}

}  // namespace heed::decide
