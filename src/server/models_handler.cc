// /v1/models and POST /v1/train.
#include <boost/json.hpp>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "server/api.h"
#include "server/json.h"
#include "server/problem.h"

namespace heed::server {
namespace {

namespace json = boost::json;

Response JsonResponse(const json::value& value) {
  Response response;
  response.body = json::serialize(value);
  return response;
}

json::value NumberOrNull(double value) {
  return std::isfinite(value) ? json::value(value) : json::value(nullptr);
}

json::object LearningJson(const LearningStats& stats) {
  json::array tasks;
  for (const TaskLearning& task : stats.tasks) {
    tasks.push_back({{"task", task.task},
                     {"open", task.open},
                     {"positive", task.positive},
                     {"negative", task.negative},
                     {"corrected", task.corrected},
                     {"judged", task.judged},
                     {"auc", NumberOrNull(task.auc)},
                     {"log_loss", NumberOrNull(task.log_loss)},
                     {"pcoc", NumberOrNull(task.pcoc)},
                     {"ece", NumberOrNull(task.ece)}});
    if (!task.value) continue;
    json::object& one = tasks.back().as_object();
    one["paid"] = task.value->paid;
    one["revenue_capture"] = NumberOrNull(task.value->revenue_capture);
    one["mean_absolute_error"] = NumberOrNull(task.value->mean_absolute_error);
    one["huber_loss"] = NumberOrNull(task.value->huber_loss);
  }
  json::array inputs;
  for (const InputLearning& input : stats.inputs) {
    inputs.push_back({{"name", input.name},
                      {"mean", NumberOrNull(input.mean)},
                      {"deviation", NumberOrNull(input.deviation)},
                      {"absent", NumberOrNull(input.absent)},
                      {"divergence", NumberOrNull(input.divergence)},
                      {"psi", NumberOrNull(input.psi)}});
  }
  json::object out = {{"name", stats.model},
                      {"version", stats.version},
                      {"learning", stats.learning},
                      {"shown", stats.shown},
                      {"skipped", stats.skipped},
                      {"by_decision", stats.by_decision},
                      {"queued", stats.queued},
                      {"steps", stats.steps},
                      {"refused_steps", stats.refused_steps},
                      {"capped", stats.capped},
                      {"loss_difference", NumberOrNull(stats.loss_difference)},
                      {"loss_difference_error", NumberOrNull(stats.loss_difference_error)},
                      {"promotions", stats.promotions},
                      {"rollbacks", stats.rollbacks},
                      {"sudden_rollbacks", stats.sudden_rollbacks},
                      {"expired_rows", stats.expired_rows},
                      {"event_to_weights_p50_s", NumberOrNull(stats.event_to_weights_p50_s)},
                      {"event_to_weights_p99_s", NumberOrNull(stats.event_to_weights_p99_s)},
                      {"unseen_keys", NumberOrNull(stats.unseen_keys)},
                      {"drifted", stats.drifted},
                      {"drifted_deviations", NumberOrNull(stats.drifted_deviations)},
                      {"inputs", std::move(inputs)},
                      {"tasks", std::move(tasks)}};
  if (!stats.stopped.empty()) out["stopped"] = stats.stopped;
  return out;
}

Result<Response> Models(Api& api, const Request&) {
  json::array models, learning;
  for (const ModelInfo& model : api.engine.Models()) {
    json::object one = {{"name", model.name},
                        {"version", model.version},
                        {"active", model.active},
                        {"shadow", model.shadow}};
    if (model.active) one["parameters"] = model.parameters;
    models.push_back(std::move(one));
  }
  for (const LearningStats& stats : api.engine.Learning()) learning.push_back(LearningJson(stats));
  return JsonResponse(
      json::object{{"models", std::move(models)}, {"learning", std::move(learning)}});
}

Result<Response> Activate(Api& api, const Request& request) {
  HEED_RETURN_IF_ERROR(api.engine.ActivateModel(request.params[0]));
  return Models(api, request);
}

Result<Response> Shadow(Api& api, const Request& request) {
  HEED_RETURN_IF_ERROR(api.engine.SetShadowModel(request.params[0]));
  return Models(api, request);
}

Result<Response> RollBack(Api& api, const Request& request) {
  HEED_RETURN_IF_ERROR(api.engine.RollBackModel(request.params[0]));
  return Models(api, request);
}

Result<Response> SetLearning(Api& api, const Request& request) {
  HEED_ASSIGN_OR_RETURN(const json::value body, ParseJson(request.body));
  ObjectReader reader(body);
  const bool on = reader.Flag("on", true);
  HEED_RETURN_IF_ERROR(reader.Finish());
  HEED_RETURN_IF_ERROR(api.engine.SetLearning(request.params[0], on));
  return Models(api, request);
}

void AppendQuality(std::string& out, const TaskQuality& task) {
  out += "{\"task\":";
  AppendJsonString(out, task.task);
  out += ",\"auc\":";
  AppendNumber(out, task.auc);
  out += ",\"log_loss\":";
  AppendNumber(out, task.log_loss);
  out += ",\"pcoc\":";
  AppendNumber(out, task.pcoc);
  out += ",\"revenue_capture\":";
  AppendNumber(out, task.revenue_capture);
  out += ",\"rows\":";
  AppendNumber(out, task.rows);
  out += ",\"positives\":";
  AppendNumber(out, task.positives);
  out += '}';
}

// Trains on the whole log and answers when the new models serve: minutes on a large log, and the
// server keeps answering meanwhile.
Response Train(Api& api, const Request& request) {
  const Result<TrainReport> report =
      api.engine.Train([&api](const TrainProgress&) { return !api.draining.load(); });
  if (!report.ok()) return Refuse(request, report.status());
  Response response;
  response.body = "{\"seconds\":";
  AppendNumber(response.body, report.value().seconds);
  response.body += ",\"models\":[";
  bool first = true;
  for (const TrainedModel& model : report.value().models) {
    response.body += first ? "{\"name\":" : ",{\"name\":";
    first = false;
    AppendJsonString(response.body, model.name);
    response.body += ",\"version\":";
    AppendJsonString(response.body, model.version);
    response.body += ",\"samples\":";
    AppendNumber(response.body, model.samples);
    response.body += ",\"quality\":[";
    for (size_t i = 0; i < model.quality.size(); ++i) {
      if (i > 0) response.body += ',';
      AppendQuality(response.body, model.quality[i]);
    }
    response.body += "]}";
  }
  response.body += "]}";
  return response;
}

}  // namespace

void AddModelRoutes(Api& api, std::vector<Route>* routes) {
  struct Entry {
    Method method;
    const char* pattern;
    Body body;
    Result<Response> (*function)(Api&, const Request&);
  };
  for (const Entry& entry :
       {Entry{Method::kGet, "/v1/models", Body::kNone, Models},
        Entry{Method::kPost, "/v1/models/{version}/activate", Body::kNone, Activate},
        Entry{Method::kPost, "/v1/models/{version}/shadow", Body::kNone, Shadow},
        Entry{Method::kPost, "/v1/models/{name}/rollback", Body::kNone, RollBack},
        Entry{Method::kPost, "/v1/models/{name}/learning", Body::kJson, SetLearning}}) {
    Route route;
    route.method = entry.method;
    route.pattern = entry.pattern;
    route.scope = "models";
    route.body = entry.body;
    route.lane = Lane::kDisk;
    const auto function = entry.function;
    route.handler =
        Answering([&api, function](const Request& request) { return function(api, request); });
    routes->push_back(std::move(route));
  }
  Route train;
  train.method = Method::kPost;
  train.pattern = "/v1/train";
  train.scope = "models";
  train.lane = Lane::kTrain;
  train.handler = [&api](const std::shared_ptr<const Request>& request, const Reply& reply) {
    reply.Send(Train(api, *request));
  };
  routes->push_back(std::move(train));
}

}  // namespace heed::server
