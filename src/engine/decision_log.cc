#include "engine/decision_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <random>
#include <utility>
#include <vector>

#include "base/log.h"

namespace heed::engine {

namespace json = boost::json;

std::string DecisionJson(std::string_view kind, const RecommendRequest& request,
                         const RecommendResponse& response) {
  json::array items;
  for (const RankedItem& item : response.items) {
    json::object entry{{"id", item.id},
                       {"score", item.score},
                       {"propensity", item.propensity},
                       {"source", item.source}};
    if (!item.room.empty()) entry["room"] = item.room;
    items.push_back(std::move(entry));
  }
  json::array filtered;
  for (const FilteredItem& item : response.filtered) {
    filtered.push_back({{"id", item.id}, {"reason", item.reason}});
  }
  json::object decision{{"decision_id", response.decision_id},
                        {"kind", kind},
                        {"ts", response.ts},
                        {"tenant", request.tenant},
                        {"user", request.user},
                        {"limit", request.limit},
                        {"model_version", response.model_version},
                        {"state_sequence", response.state_sequence},
                        {"items", std::move(items)},
                        {"filtered", std::move(filtered)}};
  if (!request.room.empty()) decision["room"] = request.room;
  return json::serialize(decision);
}

DecisionLog::DecisionLog(store::Database& database)
    : documents_(database), boot_(std::random_device{}()), writer_([this] { WriteLoop(); }) {}

DecisionLog::~DecisionLog() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  writer_.join();
}

std::string DecisionLog::NewId(int64_t now_ts) {
  const std::lock_guard lock(mutex_);
  return fmt::format("d{:011x}{:08x}{:06x}", now_ts, boot_, ++counter_);
}

void DecisionLog::Add(std::string_view tenant, std::string_view id, std::string text) {
  {
    const std::lock_guard lock(mutex_);
    if (queue_.size() >= kMaxQueued) {
      ++dropped_;
      return;
    }
    queue_.push_back({std::string(tenant), std::string(id), std::move(text)});
  }
  wake_.notify_one();
}

Result<std::string> DecisionLog::Get(std::string_view tenant, std::string_view id) const {
  {
    const std::lock_guard lock(mutex_);
    for (auto entry = queue_.rbegin(); entry != queue_.rend(); ++entry) {
      if (entry->id == id && entry->tenant == tenant) return entry->json;
    }
  }
  HEED_ASSIGN_OR_RETURN(const std::optional<std::string> text,
                        documents_.Get(store::Collection::kDecisions, tenant, id));
  if (!text) return NotFound("no such decision: " + std::string(id));
  return *text;
}

uint64_t DecisionLog::dropped() const {
  const std::lock_guard lock(mutex_);
  return dropped_;
}

void DecisionLog::WriteLoop() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    if (queue_.empty()) return;
    // One tenant's run at the front is one write. The entries stay in the queue, and so readable,
    // until the write is done.
    const std::string tenant = queue_.front().tenant;
    std::vector<store::Document> documents;
    for (const Entry& entry : queue_) {
      if (entry.tenant != tenant || documents.size() == 256) break;
      documents.push_back({entry.id, entry.json});
    }
    lock.unlock();
    const Status written =
        documents_.Put(store::Collection::kDecisions, tenant, documents, /*sync=*/false);
    lock.lock();
    if (!written.ok()) {
      spdlog::error("{} decisions not written: {}", documents.size(), written.ToString());
      dropped_ += documents.size();
    }
    queue_.erase(queue_.begin(), queue_.begin() + static_cast<ptrdiff_t>(documents.size()));
  }
}

}  // namespace heed::engine
