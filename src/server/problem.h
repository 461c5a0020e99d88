// Refusals as RFC 9457 problem documents, and the one table from our error codes to HTTP.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "server/http.h"

namespace heed::server {

int HttpStatus(Code code);

struct Problem {
  int status = 500;
  std::string detail;
  std::string field;     // JSON pointer into the body, or "?name" for a query parameter
  std::string instance;  // the request's path
  std::string request_id;
  int64_t retry_after_s = 1;  // for 429 and 503
  std::string members;        // further members as JSON text, `"errors":[…]`; may be empty
};

// {"type":…,"title":…,"status":…,"detail":…,"field":…,"instance":…,"request_id":…}, without what is
// empty. 429 and 503 carry Retry-After.
Response ProblemResponse(const Problem& problem);

// `status` (not ok) as the answer to `request`. What broke inside (500) goes to the log under the
// request id and not to the client.
Response Refuse(const Request& request, const Status& status, std::string members = {});
// A handler that sends what `function` returns at once, or its refusal.
Handler Answering(std::function<Result<Response>(const Request&)> function);
// For refusals that are HTTP's own (405, 415, …).
Response RefuseHttp(const Request& request, int http_status, std::string detail,
                    std::string field = {});
// 503, to come back after so many seconds.
Response RefuseUntil(const Request& request, int64_t retry_after_s, std::string detail);

// The problem of one element inside a result list: type, title, status, detail, field.
void AppendProblem(std::string& out, const Status& status);

}  // namespace heed::server
