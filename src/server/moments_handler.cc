// /v1/rooms/{id}/moments and …/embeddings: a room's broadcast, second by second.
#include <boost/json.hpp>
#include <cmath>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "engine/moment_desk.h"
#include "media/moment_file.h"
#include "media/moment_json.h"
#include "server/api.h"
#include "server/base64.h"
#include "server/json.h"
#include "server/problem.h"

namespace heed::server {
namespace {

namespace json = boost::json;

constexpr size_t kMaxRecords = 1'000;  // in one request
constexpr size_t kPage = 60, kMaxPage = 1'000;
constexpr size_t kMaxItems = 1'000, kVectorPage = 60;
constexpr int64_t kMaxDim = 4'096;
constexpr size_t kMaxFeedBytes = 64, kMaxEncoderBytes = 128;
constexpr int64_t kMaxDurationMs = 60'000;
constexpr int64_t kFirstMs = 100'000'000'000, kLastMs = 100'000'000'000'000;
constexpr double kNormTolerance = 1e-3;  // of float sums, whatever their order

// One for the life of the routes; safe from any thread.
struct Counters {
  explicit Counters(Metrics& metrics)
      : moments(Of(metrics, "heed_moments_total", "Moments received, by what became of them")),
        vectors(Of(metrics, "heed_embeddings_total", "Vectors received, by what became of them")),
        lag_seconds(metrics.AddHistogram("heed_moment_lag_seconds",
                                         "From the end of a live second to its moment here",
                                         {0.25, 0.5, 1, 1.5, 2, 3, 5, 10, 30, 60, 300})) {}
  struct Results {
    Counter taken, duplicate, late, refused;
    void Add(const engine::TakenCounts& counts) const {
      taken.Add(counts.taken);
      duplicate.Add(counts.duplicates);
      late.Add(counts.late);
    }
  };
  static Results Of(Metrics& metrics, const char* name, const char* help) {
    const auto add = [&](const char* result) {
      return metrics.AddCounter(name, help, {{"result", result}});
    };
    return {add("taken"), add("duplicate"), add("late"), add("refused")};
  }

  Results moments, vectors;
  Histogram lag_seconds;
};

Response JsonResponse(const json::value& value) {
  Response response;
  response.body = json::serialize(value);
  return response;
}

json::object CountsJson(const engine::TakenCounts& counts) {
  return {{"taken", counts.taken}, {"duplicates", counts.duplicates}, {"late", counts.late}};
}

// A time that the query names; `otherwise` where it does not.
Result<int64_t> Since(const Request& request, int64_t otherwise) {
  if (request.Query("since") == nullptr) return otherwise;
  HEED_ASSIGN_OR_RETURN(const size_t since,
                        QueryNumber(request, "since", 0, 0, static_cast<size_t>(kLastMs)));
  return static_cast<int64_t>(since);
}

Result<Response> TakeMoments(Api& api, const Counters& counters, const Request& request) {
  engine::MomentPost post;
  HEED_ASSIGN_OR_RETURN(post.tenant, TenantFor(request));
  post.room = request.params[0];
  if (const std::string* feed = request.Query("feed")) post.feed = *feed;
  if (post.feed.size() > kMaxFeedBytes) {
    return InvalidArgument("is longer than " + std::to_string(kMaxFeedBytes) + " bytes", "?feed");
  }
  HEED_ASSIGN_OR_RETURN(const std::vector<std::string_view> lines,
                        SplitDocuments(request.body, kMaxRecords));
  if (lines.empty()) return InvalidArgument("the body holds no record");
  const auto refuse = [&](Status status) {
    counters.moments.refused.Add(lines.size());
    return status;
  };
  const int64_t now_ms = Clock::System().now_ms();
  std::vector<double> lags_s;
  for (size_t i = 0; i < lines.size(); ++i) {
    Result<media::Moment> moment = media::MomentFromJson(lines[i], media::UnknownNames::kRefuse);
    if (!moment.ok()) {
      const std::string number = std::to_string(i);
      return refuse(moment.status().Within("record " + number, "/" + number));
    }
    const media::Moment& read = moment.value();
    if (read.wall_ms > 0) {
      lags_s.push_back(static_cast<double>(now_ms - read.wall_ms + read.lag_ms) * 1e-3);
    }
    post.moments.push_back(std::move(moment).value());
  }
  const Result<engine::TakenCounts> counts = api.engine.moments()->Take(std::move(post));
  if (!counts.ok()) return refuse(counts.status());
  counters.moments.Add(counts.value());
  // What was sent again tells of the way here, not of the broadcast.
  if (counts.value().taken == lines.size()) {
    for (const double lag_s : lags_s) counters.lag_seconds.Observe(lag_s);
  }
  return JsonResponse(CountsJson(counts.value()));
}

Result<Response> ReadMoments(Api& api, const Counters&, const Request& request) {
  HEED_ASSIGN_OR_RETURN(const std::string tenant, TenantFor(request));
  const std::string& room = request.params[0];
  HEED_ASSIGN_OR_RETURN(const size_t limit, QueryNumber(request, "limit", kPage, 1, kMaxPage));
  HEED_ASSIGN_OR_RETURN(const int64_t since, Since(request, -1));
  const engine::MomentDesk& desk = *api.engine.moments();
  std::string items;
  int64_t next_since = std::max<int64_t>(since, 0);
  HEED_RETURN_IF_ERROR(desk.Look(tenant, room, [&](const engine::RoomMoments& known) {
    for (const engine::KeptMoment& kept :
         known.Page(since >= 0 ? std::optional(since) : std::nullopt, limit)) {
      if (!items.empty()) items += ',';
      items += "{\"ts\":";
      AppendNumber(items, kept.ts);
      items += ",\"encoders\":[";
      bool first = true;
      for (const std::string_view encoder : known.EncodersAt(kept.ts)) {
        if (!std::exchange(first, false)) items += ',';
        AppendJsonString(items, encoder);
      }
      items += "],\"record\":" + media::MomentToJson(kept.moment) + "}";
      next_since = kept.ts;
    }
  }));
  Response response;
  std::string& body = response.body;
  body = "{\"room\":";
  AppendJsonString(body, room);
  body += ",\"broadcast\":\"";
  body += decide::BroadcastUseName(desk.UseOf(tenant, room));
  body += "\",\"moments\":[" + items + "],\"next_since\":";
  AppendNumber(body, next_since);
  body += '}';
  return response;
}

Result<Response> ForgetMoments(Api& api, const Counters&, const Request& request) {
  HEED_ASSIGN_OR_RETURN(const std::string tenant, TenantFor(request));
  api.engine.moments()->Forget(tenant, request.params[0]);
  Response response;
  response.status = 204;
  return response;
}

Result<media::Modality> ModalityOf(const std::string& name) {
  std::string known;
  for (size_t i = 0; i < media::kModalities; ++i) {
    const auto modality = static_cast<media::Modality>(i);
    if (name == media::ModalityName(modality)) return modality;
    known += (known.empty() ? "" : ", ") + std::string(media::ModalityName(modality));
  }
  return InvalidArgument("'" + name + "' is none of " + known, "/modality");
}

// Little-endian floats in Base64, which are what the sender thinks they are: `norm` is their length.
Status ReadVector(const std::string& text, size_t dim, std::optional<double> norm,
                  std::vector<float>* out) {
  const std::optional<std::string> bytes = FromBase64(text);
  if (!bytes) return InvalidArgument("is not Base64", "/vec");
  if (bytes->size() != dim * sizeof(float)) {
    return InvalidArgument("has " + std::to_string(bytes->size()) + " bytes, dim " +
                               std::to_string(dim) + " needs " +
                               std::to_string(dim * sizeof(float)),
                           "/vec");
  }
  out->resize(dim);
  std::memcpy(out->data(), bytes->data(), bytes->size());  // all our targets are little-endian
  double square = 0;
  for (size_t i = 0; i < dim; ++i) {
    const double value = (*out)[i];
    if (!std::isfinite(value)) {
      return InvalidArgument("number " + std::to_string(i) + " is not finite", "/vec");
    }
    square += value * value;
  }
  const double length = std::sqrt(square);
  if (norm && !(std::abs(*norm - length) <= kNormTolerance * std::max(length, 1e-6))) {
    return InvalidArgument("is " + std::to_string(*norm) + ", but vec has length " +
                               std::to_string(length) +
                               ": are its numbers little-endian 32-bit floats?",
                           "/norm");
  }
  return {};
}

Result<engine::Embedding> ReadItem(const json::value& value, size_t dim) {
  ObjectReader reader(value);
  engine::Embedding item;
  const bool timed = value.is_object() && value.get_object().contains("t_ms");
  item.t_ms = reader.Integer("t_ms", 0, kFirstMs, kLastMs);
  item.dur_ms = reader.Integer("dur_ms", 1'000, 1, kMaxDurationMs);
  const std::string vec =
      reader.LongText("vec", true, static_cast<size_t>(kMaxDim) * sizeof(float) * 4 / 3 + 4);
  const std::optional<double> norm = reader.Real("norm");
  HEED_RETURN_IF_ERROR(reader.Finish());
  if (!timed) return InvalidArgument("t_ms is required", "/t_ms");
  HEED_RETURN_IF_ERROR(ReadVector(vec, dim, norm, &item.vector));
  return item;
}

Result<engine::EmbeddingPost> ReadEmbeddingPost(const Request& request) {
  engine::EmbeddingPost post;
  HEED_ASSIGN_OR_RETURN(post.tenant, TenantFor(request));
  post.room = request.params[0];
  HEED_ASSIGN_OR_RETURN(const json::value body, ParseJson(request.body));
  ObjectReader reader(body);
  post.encoder = reader.Text("encoder_id", true);
  const int64_t dim = reader.Integer("dim", 0, 1, kMaxDim);
  const std::string modality = reader.Text("modality", true);
  const json::array* items = reader.Array("items", kMaxItems);
  HEED_RETURN_IF_ERROR(reader.Finish());
  if (dim == 0) return InvalidArgument("dim is required", "/dim");
  if (post.encoder.empty() || post.encoder.size() > kMaxEncoderBytes) {
    return InvalidArgument("must have 1 to " + std::to_string(kMaxEncoderBytes) + " bytes",
                           "/encoder_id");
  }
  HEED_ASSIGN_OR_RETURN(post.modality, ModalityOf(modality));
  if (items == nullptr || items->empty()) {
    return InvalidArgument("items is required, with at least one", "/items");
  }
  post.dim = static_cast<size_t>(dim);
  for (size_t i = 0; i < items->size(); ++i) {
    Result<engine::Embedding> item = ReadItem((*items)[i], post.dim);
    if (!item.ok()) {
      const std::string number = std::to_string(i);
      return item.status().Within("item " + number, "/items/" + number);
    }
    post.items.push_back(std::move(item).value());
  }
  return post;
}

Result<Response> TakeEmbeddings(Api& api, const Counters& counters, const Request& request) {
  Result<engine::EmbeddingPost> post = ReadEmbeddingPost(request);
  Result<engine::TakenCounts> counts =
      post.ok() ? api.engine.moments()->TakeEmbeddings(std::move(post).value())
                : Result<engine::TakenCounts>(post.status());
  if (!counts.ok()) {
    counters.vectors.refused.Add(1);
    return counts.status();
  }
  counters.vectors.Add(counts.value());
  return JsonResponse(CountsJson(counts.value()));
}

json::object ItemJson(const engine::Embedding& item) {
  const std::string_view bytes(reinterpret_cast<const char*>(item.vector.data()),
                               item.vector.size() * sizeof(float));
  return {{"t_ms", item.t_ms}, {"dur_ms", item.dur_ms}, {"vec", Base64(bytes)}};
}

Result<Response> ReadEmbeddings(Api& api, const Counters&, const Request& request) {
  HEED_ASSIGN_OR_RETURN(const std::string tenant, TenantFor(request));
  HEED_ASSIGN_OR_RETURN(const size_t limit,
                        QueryNumber(request, "limit", kVectorPage, 1, kMaxPage));
  HEED_ASSIGN_OR_RETURN(const int64_t since, Since(request, -1));
  const std::string* wanted = request.Query("encoder");
  json::array encoders, items;
  bool known = wanted == nullptr;
  const Status looked =
      api.engine.moments()->Look(tenant, request.params[0], [&](const engine::RoomMoments& room) {
        for (const auto& [id, track] : room.encoders()) {
          encoders.push_back({{"encoder_id", id},
                              {"modality", media::ModalityName(track.modality)},
                              {"dim", track.dim},
                              {"items", track.items.size()}});
          if (wanted == nullptr || id != *wanted) continue;
          known = true;
          auto next =
              track.items.end() - static_cast<ptrdiff_t>(std::min(limit, track.items.size()));
          if (since >= 0) {
            next = std::partition_point(
                track.items.begin(), track.items.end(),
                [since](const engine::Embedding& item) { return item.t_ms <= since; });
          }
          for (; items.size() < limit && next != track.items.end(); ++next) {
            items.push_back(ItemJson(*next));
          }
        }
      });
  HEED_RETURN_IF_ERROR(looked);
  if (!known) return NotFound("no vectors of encoder '" + *wanted + "' are held");
  json::object out = {{"room", request.params[0]}, {"encoders", std::move(encoders)}};
  if (wanted != nullptr) {
    out["encoder_id"] = *wanted;
    out["items"] = std::move(items);
  }
  return JsonResponse(out);
}

}  // namespace

void AddMomentRoutes(Api& api, std::vector<Route>* routes) {
  const auto counters = std::make_shared<const Counters>(api.metrics);
  const Gauge rooms =
      api.metrics.AddGauge("heed_moment_rooms", "Rooms of whose broadcast something is held");
  const Gauge kept = api.metrics.AddGauge("heed_moments_kept", "Moments held now, of all rooms");
  const Gauge vectors =
      api.metrics.AddGauge("heed_embeddings_kept", "Vectors held now, of all rooms");
  const auto samples = [&](const char* result) {
    return api.metrics.AddGauge(
        "heed_attention_samples",
        "Readings of moments since the start, by what the log did with them", {{"result", result}});
  };
  const Gauge recorded = samples("recorded"), lost = samples("lost");
  api.metrics.BeforeScrape([&desk = *api.engine.moments(), rooms, kept, vectors, recorded, lost] {
    const engine::MomentStats stats = desk.Stats();
    recorded.Set(static_cast<double>(stats.samples));
    lost.Set(static_cast<double>(stats.lost_samples));
    rooms.Set(static_cast<double>(stats.rooms));
    kept.Set(static_cast<double>(stats.moments));
    vectors.Set(static_cast<double>(stats.vectors));
  });
  const auto add = [&](Method method, const char* what, Body body, std::vector<std::string> query,
                       Result<Response> (*function)(Api&, const Counters&, const Request&)) {
    Route route;
    route.method = method;
    route.pattern = std::string("/v1/rooms/{id}/") + what;
    route.scope = method == Method::kGet ? "rooms:read" : "rooms:write";
    route.body = body;
    route.lane = Lane::kDisk;  // a thousand records are milliseconds: not the connection's
    route.query = std::move(query);
    route.handler = Answering([&api, counters, function](const Request& request) {
      return function(api, *counters, request);
    });
    routes->push_back(std::move(route));
  };
  add(Method::kPost, "moments", Body::kJsonOrLines, {"tenant", "feed"}, TakeMoments);
  add(Method::kGet, "moments", Body::kNone, {"tenant", "since", "limit"}, ReadMoments);
  add(Method::kDelete, "moments", Body::kNone, {"tenant"}, ForgetMoments);
  add(Method::kPost, "embeddings", Body::kJson, {"tenant"}, TakeEmbeddings);
  add(Method::kGet, "embeddings", Body::kNone, {"tenant", "encoder", "since", "limit"},
      ReadEmbeddings);
}

}  // namespace heed::server
