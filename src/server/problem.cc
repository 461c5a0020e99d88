#include "server/problem.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "server/json.h"

namespace heed::server {
namespace {

struct Kind {
  int status;
  const char* slug;
  const char* title;
};

constexpr Kind kKinds[] = {
    {400, "invalid-argument", "The request is not valid"},
    {401, "unauthenticated", "An API key is needed"},
    {403, "permission-denied", "The API key does not allow this"},
    {404, "not-found", "Not found"},
    {405, "method-not-allowed", "The method is not allowed here"},
    {408, "timeout", "The request took too long to arrive"},
    {409, "conflict", "Conflict with what is there"},
    {413, "too-large", "The request is too large"},
    {414, "target-too-long", "The request target is too long"},
    {415, "unsupported-media-type", "The content type or encoding is not supported"},
    {417, "expectation-failed", "The expectation cannot be met"},
    {421, "misdirected", "The request is for another host"},
    {429, "overloaded", "Too much at once; try again"},
    {431, "headers-too-large", "The request headers are too large"},
    {500, "internal", "Internal error"},
    {501, "not-implemented", "Not implemented"},
    {503, "unavailable", "Not available now; try again"},
    {505, "version-not-supported", "The HTTP version is not supported"},
};

const Kind& KindOf(int status) {
  for (const Kind& kind : kKinds)
    if (kind.status == status) return kind;
  return KindOf(500);
}

void AppendKind(std::string& out, const Kind& kind) {
  fmt::format_to(std::back_inserter(out),
                 R"({{"type":"urn:heed:problem:{}","title":"{}","status":{})", kind.slug,
                 kind.title, kind.status);
}

void AppendMember(std::string& out, std::string_view name, std::string_view value) {
  if (value.empty()) return;
  out += ",\"";
  out += name;
  out += "\":";
  AppendJsonString(out, value);
}

constexpr const char* kHidden = "the server failed; its log has the reason under this request id";

}  // namespace

int HttpStatus(Code code) {
  switch (code) {
    case Code::kOk: return 200;
    case Code::kInvalidArgument: return 400;
    case Code::kUnauthenticated: return 401;
    case Code::kPermissionDenied: return 403;
    case Code::kNotFound: return 404;
    case Code::kConflict: return 409;
    case Code::kTooLarge: return 413;
    case Code::kOverloaded: return 429;
    case Code::kDeadlineExceeded:  // not 504, which is a gateway's word about another server
    case Code::kIo:  // a disk that refuses may take the next write, or another node may
    case Code::kUnavailable: return 503;
    case Code::kCorruption:
    case Code::kInternal: break;
  }
  return 500;
}

Response ProblemResponse(const Problem& problem) {
  Response out;
  out.status = problem.status;
  out.content_type = "application/problem+json";
  AppendKind(out.body, KindOf(problem.status));
  AppendMember(out.body, "detail", problem.detail);
  AppendMember(out.body, "field", problem.field);
  AppendMember(out.body, "instance", problem.instance);
  AppendMember(out.body, "request_id", problem.request_id);
  if (!problem.members.empty()) out.body += "," + problem.members;
  out.body += "}";
  if (problem.status == 429 || problem.status == 503)
    out.headers.emplace_back("Retry-After", std::to_string(problem.retry_after_s));
  if (problem.status == 401) out.headers.emplace_back("WWW-Authenticate", "Bearer realm=\"heed\"");
  return out;
}

Response Refuse(const Request& request, const Status& status, std::string members) {
  const int http_status = HttpStatus(status.code());
  std::string detail = status.message();
  if (http_status == 500 || status.code() == Code::kIo) {  // may name files and internals
    LogError("request {}: {}", request.id, status.ToString());
    detail = kHidden;
  }
  return ProblemResponse({.status = http_status,
                          .detail = std::move(detail),
                          .field = status.field(),
                          .instance = request.path,
                          .request_id = request.id,
                          .members = std::move(members)});
}

Handler Answering(std::function<Result<Response>(const Request&)> function) {
  return [function = std::move(function)](const std::shared_ptr<const Request>& request,
                                          const Reply& reply) {
    Result<Response> response = function(*request);
    reply.Send(response.ok() ? std::move(response).value() : Refuse(*request, response.status()));
  };
}

Response RefuseHttp(const Request& request, int http_status, std::string detail,
                    std::string field) {
  return ProblemResponse({.status = http_status,
                          .detail = std::move(detail),
                          .field = std::move(field),
                          .instance = request.path,
                          .request_id = request.id});
}

Response RefuseUntil(const Request& request, int64_t retry_after_s, std::string detail) {
  return ProblemResponse({.status = 503,
                          .detail = std::move(detail),
                          .instance = request.path,
                          .request_id = request.id,
                          .retry_after_s = retry_after_s});
}

void AppendProblem(std::string& out, const Status& status) {
  AppendKind(out, KindOf(HttpStatus(status.code())));
  AppendMember(out, "detail", status.message());
  AppendMember(out, "field", status.field());
  out += "}";
}

}  // namespace heed::server
