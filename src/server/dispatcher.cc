#include "server/dispatcher.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <ctime>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "server/api.h"
#include "server/gzip.h"
#include "server/problem.h"
#include "server/rank_workers.h"

namespace heed::server {
namespace {

// Two: a slow read then leaves one for the rest.
constexpr size_t kDiskThreads = 2;
// One trains, the other tells whoever comes meanwhile that it does.
constexpr size_t kTrainThreads = 2;
constexpr int kTrainNice = 10;
constexpr size_t kWorthPacking = 1'024;

std::string Lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return out;
}

std::string_view Trim(std::string_view text) {
  const size_t start = text.find_first_not_of(" \t");
  if (start == std::string_view::npos) return {};
  return text.substr(start, text.find_last_not_of(" \t") - start + 1);
}

bool ValidRequestId(std::string_view id) {
  return !id.empty() && id.size() <= 128 && std::all_of(id.begin(), id.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '_' || c == '.' || c == '~';
  });
}

std::string FreshRequestId() {
  thread_local Random random = [] {
    std::random_device device;
    return Random((static_cast<uint64_t>(device()) << 32) ^ device());
  }();
  return fmt::format("{:016x}", random.Next());
}

// "application/json; charset=utf-8" → "application/json"; empty for a charset that is not UTF-8.
std::string MediaType(std::string_view header) {
  const size_t semicolon = header.find(';');
  const std::string parameters =
      semicolon == std::string_view::npos ? "" : Lower(header.substr(semicolon));
  const size_t charset = parameters.find("charset=");
  if (charset != std::string::npos) {
    std::string_view value = std::string_view(parameters).substr(charset + 8);
    value = Trim(value.substr(0, value.find(';')));
    if (value != "utf-8" && value != "\"utf-8\"" && value != "utf8") return "";
  }
  return Lower(Trim(header.substr(0, semicolon)));
}

// A name that a page on another site cannot make point at this machine (DNS rebinding): an address
// as such, or localhost.
bool IsLocalName(std::string_view host) {
  if (host.starts_with('[')) return true;
  const std::string_view name = host.substr(0, host.find(':'));
  return Lower(name) == "localhost" ||
         (!name.empty() && name.find_first_not_of("0123456789.") == std::string_view::npos);
}

// Does `accept` name gzip without forbidding it?
bool AcceptsGzip(std::string_view accept) {
  while (!accept.empty()) {
    const size_t comma = std::min(accept.find(','), accept.size());
    const std::string item = Lower(Trim(accept.substr(0, comma)));
    accept.remove_prefix(std::min(comma + 1, accept.size()));
    const std::string_view name = Trim(std::string_view(item).substr(0, item.find(';')));
    if (name != "gzip" && name != "*") continue;
    const size_t q = item.find("q=");
    return q == std::string::npos || item.find_first_not_of("0. \t", q + 2) != std::string::npos;
  }
  return false;
}

// "Sun, 06 Nov 1994 08:49:37 GMT", made once a second a thread.
std::string_view HttpDate() {
  thread_local std::time_t second = 0;
  thread_local std::array<char, 32> text{};
  const auto now = static_cast<std::time_t>(Clock::System().now_ms() / 1000);
  if (now != second) {
    second = now;
    std::tm parts{};
    gmtime_r(&now, &parts);
    std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  }
  return text.data();
}

// Training takes what cores the answers leave. In Linux priority is a thread's own, and threads it
// starts inherit it.
void LowerThisThread() {
  thread_local const int lowered =
      ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), kTrainNice);
  static_cast<void>(lowered);  // refused: training is then only less polite
}

size_t CoresUnless(int64_t configured) {
  return configured > 0 ? static_cast<size_t>(configured)
                        : std::max(1u, std::thread::hardware_concurrency());
}

}  // namespace

struct Dispatcher::Impl {
  struct PerRoute {
    std::array<Counter, 6> by_class;  // [2] counts 2xx
    Histogram seconds;
  };
  std::vector<PerRoute> per_route;  // the last one: no route
  Counter bytes_in, bytes_out;
  int64_t access_every = 0;
  std::atomic<uint64_t> requests{0};
  Counter shed;
  Histogram queue_seconds, write_seconds;
  boost::asio::thread_pool disk{kDiskThreads}, train{kTrainThreads};
  std::unique_ptr<RankWorkers> rank;
};

Dispatcher::Dispatcher(Router router, const ServerConfig& config, int64_t access_every,
                       const KeyStore& keys, Metrics& metrics)
    : router_(std::move(router)), config_(config), keys_(keys), impl_(std::make_unique<Impl>()) {
  impl_->access_every = access_every;
  const auto add = [&](const std::string& method, const std::string& pattern) {
    Impl::PerRoute counters;
    for (size_t c = 2; c < counters.by_class.size(); ++c)
      counters.by_class[c] = metrics.AddCounter(
          "heed_http_requests_total", "Requests answered.",
          {{"method", method}, {"route", pattern}, {"status", std::to_string(c) + "xx"}});
    counters.seconds = metrics.AddHistogram(
        "heed_http_request_seconds", "From the end of a request's head to its answer being ready.",
        Metrics::LatencyBuckets(), {{"method", method}, {"route", pattern}});
    impl_->per_route.push_back(counters);
  };
  for (const Route& route : router_.routes())
    add(std::string(MethodName(route.method)), route.pattern);
  add("", "none");
  impl_->bytes_in =
      metrics.AddCounter("heed_http_body_bytes_in_total", "Request bodies, unpacked.");
  impl_->bytes_out = metrics.AddCounter("heed_http_body_bytes_out_total", "Response bodies, sent.");
  impl_->shed = metrics.AddCounter("heed_recommend_shed_total",
                                   "Recommendations refused because the queues were full.");
  impl_->queue_seconds = AddStage(metrics, "queue");
  impl_->write_seconds = AddStage(metrics, "write");
  impl_->rank = std::make_unique<RankWorkers>(
      CoresUnless(config.rank_threads), static_cast<size_t>(config.rank_queue),
      [this](QueuedRequest first, const TakeRequest& more) { RunQueued(std::move(first), more); });
  const Gauge waiting =
      metrics.AddGauge("heed_recommend_waiting", "Recommendations waiting for a ranking thread.");
  metrics.BeforeScrape(
      [waiting, &rank = *impl_->rank] { waiting.Set(static_cast<double>(rank.waiting())); });
}

Dispatcher::~Dispatcher() {
  impl_->rank.reset();
  impl_->disk.join();
  impl_->train.join();
}

Dispatcher::Admission Dispatcher::Broken(int http_status, std::string detail) const {
  Admission out;
  out.request = std::make_shared<Request>();
  out.request->head.keep_alive = false;
  out.request->id = FreshRequestId();
  out.request->started_us = Clock::System().steady_us();
  out.refusal = RefuseHttp(*out.request, http_status, std::move(detail));
  return out;
}

Dispatcher::Admission Dispatcher::Admit(RequestHead head) const {
  Admission out;
  out.request = std::make_shared<Request>();
  Request& request = *out.request;
  request.head = std::move(head);
  request.method = ParseMethod(request.head.method);
  request.started_us = Clock::System().steady_us();
  request.id = ValidRequestId(request.head.request_id) ? request.head.request_id : FreshRequestId();
  out.refusal = Check(request);
  return out;
}

std::optional<Response> Dispatcher::Check(Request& request) const {
  const RequestHead& head = request.head;
  if (head.version != 10 && head.version != 11)
    return RefuseHttp(request, 505, "HTTP/1.1 and 1.0 are spoken here");
  if (head.bad_transfer_encoding)
    return RefuseHttp(request, 501, "the only transfer encoding is chunked");
  if (head.version == 11 ? head.hosts != 1 : head.hosts > 1)
    return RefuseHttp(request, 400, "exactly one Host header is needed");
  if (head.target.size() > static_cast<size_t>(config_.max_target_bytes))
    return RefuseHttp(
        request, 414,
        "path and query may have " + std::to_string(config_.max_target_bytes) + " bytes");
  std::string_view target = head.target;
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!target.starts_with(scheme)) continue;  // absolute form, as sent to proxies
    const size_t slash = target.find('/', scheme.size());
    target = slash == std::string_view::npos ? "/" : target.substr(slash);
  }
  const size_t question = target.find('?');
  request.path = target.substr(0, question);
  const std::string_view query =
      question == std::string_view::npos ? "" : target.substr(question + 1);

  Router::Match match = router_.Find(request.method, request.path);
  if (match.route == nullptr && match.allow.empty())
    return RefuseHttp(request, 404, "there is nothing here; GET /openapi.json lists what there is");
  if (match.route == nullptr) {
    Response refusal = RefuseHttp(request, 405, "allowed here: " + match.allow);
    refusal.headers.emplace_back("Allow", match.allow);
    return refusal;
  }
  request.route = match.route;
  if (std::optional<Response> refusal = CheckCaller(request)) return refusal;
  for (const std::string& param : match.params) {
    std::optional<std::string> decoded = PercentDecode(param, false);
    if (!decoded) return RefuseHttp(request, 400, "the path has a broken % escape");
    if (decoded->size() > 256)
      return RefuseHttp(request, 400, "an id in the path is longer than 256 bytes");
    request.params.push_back(std::move(*decoded));
  }
  if (std::optional<Response> refusal = CheckQuery(request, query)) return refusal;
  if (std::optional<Response> refusal = CheckBody(request)) return refusal;
  if (match.route->lane == Lane::kRank && impl_->rank->full()) return Shed(request);
  return std::nullopt;
}

std::optional<Response> Dispatcher::CheckCaller(Request& request) const {
  const std::string& scope = request.route->scope;
  if (scope.empty()) return std::nullopt;
  const RequestHead& head = request.head;
  if (keys_.empty()) {  // open, on a loopback address: only this machine's own programs are meant
    if (!head.host.empty() && !IsLocalName(head.host))
      return RefuseHttp(request, 421, "without API keys the host must be localhost or an address");
    if (!head.origin.empty() && head.origin != "http://" + head.host &&
        head.origin != "https://" + head.host)
      return RefuseHttp(request, 403, "without API keys pages of other sites are refused");
    return std::nullopt;
  }
  const std::string_view authorization = head.authorization;
  if (authorization.size() < 7 || Lower(authorization.substr(0, 7)) != "bearer ")
    return RefuseHttp(request, 401, "send the header Authorization: Bearer <API key>");
  const Result<ApiKey> key = keys_.Check(Trim(authorization.substr(7)));
  if (!key.ok()) return Refuse(request, key.status());
  request.principal = {key.value().id, key.value().tenant};
  if (!key.value().Allows(scope))
    return RefuseHttp(request, 403, "the API key lacks the scope " + scope);
  return std::nullopt;
}

std::optional<Response> Dispatcher::CheckQuery(Request& request, std::string_view query) const {
  while (!query.empty()) {
    const size_t end = std::min(query.find('&'), query.size());
    const std::string_view pair = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    if (pair.empty()) continue;
    const size_t equals = std::min(pair.find('='), pair.size());
    std::optional<std::string> name = PercentDecode(pair.substr(0, equals), true);
    std::optional<std::string> value =
        PercentDecode(pair.substr(std::min(equals + 1, pair.size())), true);
    if (!name || !value) return RefuseHttp(request, 400, "the query has a broken % escape");
    const auto& known = request.route->query;
    if (std::find(known.begin(), known.end(), *name) == known.end()) {
      std::string all;
      for (const std::string& each : known) all += (all.empty() ? "" : ", ") + each;
      return RefuseHttp(request, 400,
                        known.empty() ? "no query parameters are known here"
                                      : "unknown query parameter; known are " + all,
                        "?" + *name);
    }
    if (request.Query(*name) != nullptr)
      return RefuseHttp(request, 400, "a query parameter is given twice", "?" + *name);
    request.query.emplace_back(std::move(*name), std::move(*value));
  }
  return std::nullopt;
}

std::optional<Response> Dispatcher::CheckBody(const Request& request) const {
  const RequestHead& head = request.head;
  if (!head.expect.empty() && Lower(head.expect) != "100-continue")
    return RefuseHttp(request, 417, "the only expectation known is 100-continue");
  if (head.content_length > static_cast<uint64_t>(config_.max_body_bytes))
    return RefuseHttp(request, 413,
                      "a body may have " + std::to_string(config_.max_body_bytes) + " bytes");
  const bool has_body = head.chunked || head.content_length > 0;
  const Body wanted = request.route->body;
  if (wanted == Body::kNone)
    return has_body ? std::optional(RefuseHttp(request, 400, "no body is expected here"))
                    : std::nullopt;
  const std::string encoding = Lower(Trim(head.content_encoding));
  if (!encoding.empty() && encoding != "gzip" && encoding != "x-gzip" && encoding != "identity") {
    Response refusal = RefuseHttp(request, 415, "the only content encoding is gzip");
    refusal.headers.emplace_back("Accept-Encoding", "gzip");
    return refusal;
  }
  if (!has_body || head.content_type.empty()) return std::nullopt;  // taken for what is wanted
  const std::string type = MediaType(head.content_type);
  if (type == "application/json") return std::nullopt;
  const bool lines =
      type == "application/x-ndjson" || type == "application/ndjson" || type == "application/jsonl";
  if (wanted == Body::kJsonOrLines && lines) return std::nullopt;
  return RefuseHttp(request, 415,
                    wanted == Body::kJsonOrLines
                        ? "send application/json or application/x-ndjson, in UTF-8"
                        : "send application/json, in UTF-8");
}

Response Dispatcher::Shed(const Request& request) const {
  impl_->shed.Add();
  return RefuseUntil(request, impl_->rank->RetryAfterSeconds(),
                     "more recommendations are waiting than can be answered soon");
}

void Dispatcher::Handle(const std::shared_ptr<Request>& request, const Reply& reply) {
  switch (request->route->lane) {
    case Lane::kConnection: return Run(request, reply);
    case Lane::kDisk:
      return boost::asio::post(impl_->disk, [this, request, reply] { Run(request, reply); });
    case Lane::kTrain:
      return boost::asio::post(impl_->train, [this, request, reply] {
        LowerThisThread();
        Run(request, reply);
      });
    case Lane::kRank:
      // There may have been a place when the head came, and none now.
      if (!impl_->rank->TryPush({request, reply, Clock::System().steady_us()}))
        reply.Send(Shed(*request));
  }
}

void Dispatcher::Run(const std::shared_ptr<Request>& request, const Reply& reply) const {
  try {
    if (const Status unpacked = Unpack(*request); !unpacked.ok())
      return reply.Send(Refuse(*request, unpacked));
    request->route->handler(request, reply);
  } catch (const std::exception& error) {  // out of memory, or a bug: one request's loss
    reply.Send(Refuse(*request, Status(Code::kInternal, error.what())));
  }
}

void Dispatcher::RunQueued(QueuedRequest first, const TakeRequest& more) const {
  const Route& route = *first.request->route;
  std::optional<QueuedRequest> next = std::move(first);
  const auto take = [&]() -> std::optional<QueuedRequest> {
    for (; next || (next = more()); next.reset()) {
      impl_->queue_seconds.Observe(
          static_cast<double>(Clock::System().steady_us() - next->queued_us) * 1e-6);
      const Status unpacked = Unpack(*next->request);
      if (unpacked.ok()) return std::exchange(next, std::nullopt);
      next->reply.Send(Refuse(*next->request, unpacked));
    }
    return std::nullopt;
  };
  try {
    route.queue_handler(take);
  } catch (const std::exception& error) {  // the replies it holds answer 500 as they go
    LogError("{}: {}", route.pattern, error.what());
  }
}

Status Dispatcher::Unpack(Request& request) const {
  const std::string encoding = Lower(Trim(request.head.content_encoding));
  if (encoding == "gzip" || encoding == "x-gzip") {
    HEED_ASSIGN_OR_RETURN(
        request.body, Gunzip(request.body, static_cast<size_t>(config_.max_decompressed_bytes)));
  }
  impl_->bytes_in.Add(request.body.size());
  return {};
}

void Dispatcher::Sent(int64_t ready_us) const {
  if (ready_us == 0) return;
  impl_->write_seconds.Observe(static_cast<double>(Clock::System().steady_us() - ready_us) * 1e-6);
}

Dispatcher::Wire Dispatcher::Finish(const Request& request, Response response,
                                    bool keep_alive) const {
  Wire wire;
  wire.body = std::move(response.body);
  bool packed = false;
  if (config_.compress_responses && wire.body.size() >= kWorthPacking &&
      AcceptsGzip(request.head.accept_encoding)) {
    wire.body = Gzip(wire.body);
    packed = true;
  }
  auto out = std::back_inserter(wire.head);
  wire.head.reserve(512);
  fmt::format_to(out, FMT_STRING("HTTP/1.1 {} {}\r\nDate: {}\r\nX-Request-Id: {}\r\n"),
                 response.status, ReasonPhrase(response.status), HttpDate(), request.id);
  if (response.status != 204) {
    fmt::format_to(out, FMT_STRING("Content-Type: {}\r\nContent-Length: {}\r\n"),
                   response.content_type, wire.body.size());
    wire.head += "Vary: Accept-Encoding\r\nX-Content-Type-Options: nosniff\r\n";
    wire.head += "Cache-Control: no-store\r\n";
    if (packed) wire.head += "Content-Encoding: gzip\r\n";
  }
  for (const auto& [name, value] : response.headers)
    fmt::format_to(out, FMT_STRING("{}: {}\r\n"), name, value);
  if (!keep_alive) {
    wire.head += "Connection: close\r\n";
  } else if (request.head.version == 10) {
    wire.head += "Connection: keep-alive\r\n";
  }
  wire.head += "\r\n";
  if (request.method == Method::kHead || response.status == 204) wire.body.clear();

  const int64_t took_us = Clock::System().steady_us() - request.started_us;
  const size_t index = request.route == nullptr
                           ? impl_->per_route.size() - 1
                           : static_cast<size_t>(request.route - router_.routes().data());
  const auto status_class = static_cast<size_t>(std::clamp(response.status / 100, 2, 5));
  impl_->per_route[index].by_class[status_class].Add();
  impl_->per_route[index].seconds.Observe(static_cast<double>(took_us) * 1e-6);
  impl_->bytes_out.Add(wire.body.size());
  const uint64_t number = impl_->requests.fetch_add(1, std::memory_order_relaxed);
  const bool sampled =
      impl_->access_every > 0 && number % static_cast<uint64_t>(impl_->access_every) == 0;
  // The pattern and not the path: what a client puts there may be personal, or break the line.
  Log(sampled ? LogLevel::kInfo : LogLevel::kDebug,
      "access method={} route={} status={} in={} out={} us={} key={} request={}",
      MethodName(request.method), request.route ? request.route->pattern : "none", response.status,
      request.body.size(), wire.body.size(), took_us, request.principal.key_id, request.id);
  return wire;
}

}  // namespace heed::server
