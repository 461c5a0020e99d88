// POST /v1/text/analyze: what texts want, how they feel, and what must not be said in them.
#include <boost/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "engine/room_desk.h"
#include "server/api.h"
#include "server/json.h"
#include "server/problem.h"
#include "server/text_json.h"

namespace heed::server {
namespace {

namespace json = boost::json;

constexpr size_t kMaxTexts = 256;
constexpr size_t kMaxTextBytes = 10'000;
constexpr size_t kMaxEvidence = 32;

struct Wanted {
  std::vector<std::string> texts;
  std::vector<text::LintEvidence> evidence;
  bool explain = true;
};

Status ReadTexts(const json::array& array, std::vector<std::string>* out) {
  for (size_t i = 0; i < array.size(); ++i) {
    const std::string field = "/texts/" + std::to_string(i);
    const json::string* text = array[i].if_string();
    if (text == nullptr) return InvalidArgument("must be a text", field);
    if (text->size() > kMaxTextBytes) {
      return InvalidArgument("is longer than " + std::to_string(kMaxTextBytes) + " bytes", field);
    }
    out->emplace_back(text->data(), text->size());
  }
  return {};
}

Result<Wanted> ReadWanted(const Request& request) {
  HEED_ASSIGN_OR_RETURN(const json::value body, ParseJson(request.body));
  Wanted out;
  ObjectReader reader(body);
  const bool one = body.is_object() && body.get_object().contains("text");
  const std::string text = reader.LongText("text", false, kMaxTextBytes);
  const json::array* texts = reader.Array("texts", kMaxTexts);
  const json::array* evidence = reader.Array("evidence", kMaxEvidence);
  out.explain = reader.Flag("explain", true);
  HEED_RETURN_IF_ERROR(reader.Finish());
  if (one == (texts != nullptr)) {
    return InvalidArgument("give either text or texts", one ? "/texts" : "/text");
  }
  if (one) out.texts.push_back(text);
  if (texts != nullptr) HEED_RETURN_IF_ERROR(ReadTexts(*texts, &out.texts));
  for (size_t i = 0; evidence != nullptr && i < evidence->size(); ++i) {
    ObjectReader fact((*evidence)[i]);
    text::LintEvidence shown{fact.Text("kind", true), fact.Text("id", true)};
    if (const Status status = fact.Finish(); !status.ok()) {
      return status.Within("", "/evidence/" + std::to_string(i));
    }
    out.evidence.push_back(std::move(shown));
  }
  return out;
}

json::object LabelJson(const text::TextLabel& label, bool explain) {
  json::object out = {{"label", label.name}, {"probability", Rounded(label.probability)}};
  if (!explain) return out;
  json::array tokens;
  for (const text::Reason& reason : label.reasons) {
    tokens.push_back({{"text", reason.words},
                      {"begin", reason.begin},
                      {"end", reason.end},
                      {"weight", Rounded(reason.weight)},
                      {"contribution", Rounded(reason.contribution)}});
  }
  out["tokens"] = std::move(tokens);
  return out;
}

Result<Response> Analyze(const Api& api, const Request& request) {
  HEED_ASSIGN_OR_RETURN(const engine::RoomDesk* const desk, DeskOf(api));
  HEED_ASSIGN_OR_RETURN(const Wanted wanted, ReadWanted(request));
  json::array results;
  for (const std::string& text : wanted.texts) {
    const engine::JudgedText judged = desk->Judge(text, wanted.evidence);
    json::array hits;
    for (const text::LintHit& hit : judged.hits) hits.push_back(LintJson(hit, text));
    results.push_back({{"intent", LabelJson(judged.analysis.intent, wanted.explain)},
                       {"sentiment", LabelJson(judged.analysis.sentiment, wanted.explain)},
                       {"offence", LabelJson(judged.analysis.offence, wanted.explain)},
                       {"asks", Rounded(judged.analysis.asks)},
                       {"lint", std::move(hits)}});
  }
  Response response;
  response.body = json::serialize(json::object{{"results", std::move(results)}});
  return response;
}

}  // namespace

void AddTextRoutes(Api& api, std::vector<Route>* routes) {
  Route route;
  route.method = Method::kPost;
  route.pattern = "/v1/text/analyze";
  route.scope = "text";
  route.body = Body::kJson;
  route.lane = Lane::kDisk;  // 256 texts are milliseconds: not the connection's
  route.handler = [&api](const std::shared_ptr<const Request>& request, const Reply& reply) {
    Result<Response> response = Analyze(api, *request);
    reply.Send(response.ok() ? std::move(response).value() : Refuse(*request, response.status()));
  };
  routes->push_back(std::move(route));
}

}  // namespace heed::server
