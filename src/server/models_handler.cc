// GET /v1/models and POST /v1/train.
#include <string>
#include <utility>
#include <vector>

#include "server/api.h"
#include "server/json.h"
#include "server/problem.h"

namespace heed::server {
namespace {

Response Models(const Api& api) {
  Response response;
  response.body = "{\"models\":[";
  bool first = true;
  for (const ModelInfo& model : api.engine.Models()) {
    response.body += first ? "{\"name\":" : ",{\"name\":";
    first = false;
    AppendJsonString(response.body, model.name);
    response.body += ",\"version\":";
    AppendJsonString(response.body, model.version);
    response.body += model.active ? ",\"active\":true,\"parameters\":" : ",\"active\":false";
    if (model.active) AppendNumber(response.body, model.parameters);
    response.body += '}';
  }
  response.body += "]}";
  return response;
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
  Route models;
  models.method = Method::kGet;
  models.pattern = "/v1/models";
  models.scope = "models";
  models.lane = Lane::kDisk;
  models.handler = [&api](const std::shared_ptr<const Request>&, const Reply& reply) {
    reply.Send(Models(api));
  };
  routes->push_back(std::move(models));
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
