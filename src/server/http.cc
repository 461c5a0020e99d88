#include "server/http.h"

#include <atomic>

namespace heed::server {

Method ParseMethod(std::string_view name) {
  for (const Method method :
       {Method::kGet, Method::kHead, Method::kPost, Method::kPut, Method::kDelete})
    if (name == MethodName(method)) return method;
  return Method::kOther;
}

std::string_view MethodName(Method method) {
  switch (method) {
    case Method::kGet: return "GET";
    case Method::kHead: return "HEAD";
    case Method::kPost: return "POST";
    case Method::kPut: return "PUT";
    case Method::kDelete: return "DELETE";
    case Method::kOther: break;
  }
  return "";
}

std::string_view ReasonPhrase(int status) {
  switch (status) {
    case 200: return "OK";
    case 202: return "Accepted";
    case 204: return "No Content";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 417: return "Expectation Failed";
    case 421: return "Misdirected Request";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 503: return "Service Unavailable";
    case 505: return "HTTP Version Not Supported";
    default: return "Unknown";
  }
}

const std::string* Request::Query(std::string_view name) const {
  for (const auto& [key, value] : query)
    if (key == name) return &value;
  return nullptr;
}

struct Reply::State {
  explicit State(Deliver deliver_in) : deliver(std::move(deliver_in)) {}
  ~State() {
    if (!sent.exchange(true)) {
      deliver([] {
        return Response{.status = 500,
                        .content_type = "application/problem+json",
                        .body = R"({"type":"urn:heed:problem:internal","title":)"
                                R"("Internal error","status":500})",
                        .headers = {}};
      });
    }
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  Deliver deliver;
  std::atomic<bool> sent = false;
};

Reply::Reply(Deliver deliver) : state_(std::make_shared<State>(std::move(deliver))) {}

void Reply::Send(Response response) const {
  SendFrom([shared = std::make_shared<Response>(std::move(response))] { return *shared; });
}

void Reply::SendFrom(std::function<Response()> make) const {
  if (!state_->sent.exchange(true)) state_->deliver(std::move(make));
}

std::optional<std::string> PercentDecode(std::string_view text, bool plus_is_space) {
  const auto digit = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
  };
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%') {
      if (i + 2 >= text.size()) return std::nullopt;
      const int high = digit(text[i + 1]), low = digit(text[i + 2]);
      if (high < 0 || low < 0 || high + low == 0) return std::nullopt;
      out.push_back(static_cast<char>(high * 16 + low));
      i += 2;
    } else {
      out.push_back(text[i] == '+' && plus_is_space ? ' ' : text[i]);
    }
  }
  return out;
}

}  // namespace heed::server
