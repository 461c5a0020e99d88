#include "engine/decision_log.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <chrono>
#include <random>
#include <utility>
#include <vector>

#include "base/log.h"

namespace heed::engine {

namespace json = boost::json;

namespace {

constexpr std::chrono::milliseconds kWriteEvery{5};

}  // namespace

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
  bool first = false;
  {
    const std::lock_guard lock(mutex_);
    if (queue_.size() + writing_.size() >= kMaxQueued) {
      ++dropped_;
      return;
    }
    first = queue_.empty();
    queue_.push_back({std::string(tenant), std::string(id), std::move(text)});
  }
  if (first) wake_.notify_one();
}

Result<std::string> DecisionLog::Get(std::string_view tenant, std::string_view id) const {
  {
    const std::lock_guard lock(mutex_);
    for (const auto* entries : {&queue_, &writing_}) {
      for (const Entry& entry : *entries) {
        if (entry.id == id && entry.tenant == tenant) return entry.json;
      }
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
    // Not at once: woken for each decision, this thread would take the core from the one that has
    // the answer to send.
    wake_.wait_for(lock, kWriteEvery, [this] { return stopping_; });
    writing_.swap(queue_);
    lock.unlock();
    const size_t lost = Write();
    lock.lock();
    dropped_ += lost;
    writing_.clear();
  }
}

size_t DecisionLog::Write() {
  size_t lost = 0;
  for (size_t first = 0; first < writing_.size();) {
    // One tenant's run is one write.
    const std::string& tenant = writing_[first].tenant;
    std::vector<store::Document> documents;
    size_t end = first;
    for (; end < writing_.size() && writing_[end].tenant == tenant && end - first < 256; ++end) {
      documents.push_back({writing_[end].id, writing_[end].json});
    }
    const Status written =
        documents_.Put(store::Collection::kDecisions, tenant, documents, /*sync=*/false);
    if (!written.ok()) {
      LogError("{} decisions not written: {}", documents.size(), written.ToString());
      lost += documents.size();
    }
    first = end;
  }
  return lost;
}

}  // namespace heed::engine
