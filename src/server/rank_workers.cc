#include "server/rank_workers.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>

#include "base/clock.h"

namespace heed::server {

struct RankWorkers::Worker {
  std::mutex mutex;
  std::condition_variable wake;
  std::deque<QueuedRequest> queue;  // guarded by mutex, as the two below
  bool look = false;                // there may be something to take from another
  bool stopping = false;
  std::atomic<bool> idle{false};
  std::atomic<size_t> load{0};  // waiting and running
  std::thread thread;
};

RankWorkers::RankWorkers(size_t threads, size_t queue_length, Run run)
    : queue_length_(queue_length), run_(std::move(run)) {
  for (size_t i = 0; i < threads; ++i) workers_.push_back(std::make_unique<Worker>());
  for (const auto& worker : workers_)
    worker->thread = std::thread([this, own = worker.get()] { Loop(*own); });
}

RankWorkers::~RankWorkers() {
  for (const auto& worker : workers_) {
    {
      const std::lock_guard lock(worker->mutex);
      worker->stopping = true;
    }
    worker->wake.notify_one();
  }
  for (const auto& worker : workers_) worker->thread.join();
}

bool RankWorkers::TryPush(QueuedRequest queued) {
  const size_t count = workers_.size();
  const size_t first = turn_.fetch_add(1, std::memory_order_relaxed) % count;
  Worker* least = workers_[first].get();
  for (size_t i = 1; i < count; ++i) {
    Worker* const other = workers_[(first + i) % count].get();
    if (other->load < least->load) least = other;
  }
  {
    const std::lock_guard lock(least->mutex);
    if (least->queue.size() >= queue_length_) return false;
    least->queue.push_back(std::move(queued));
    ++least->load;
    ++waiting_;
  }
  least->wake.notify_one();
  if (least->idle) return true;
  // Its worker is busy. One that became idle since the loads were read has either found the request
  // under the queue's mutex, or had said that it is idle before.
  for (const auto& other : workers_) {
    if (!other->idle) continue;
    {
      const std::lock_guard lock(other->mutex);
      other->look = true;
    }
    other->wake.notify_one();
    break;
  }
  return true;
}

bool RankWorkers::full() const { return waiting() >= workers_.size() * queue_length_; }
size_t RankWorkers::waiting() const { return waiting_; }

int64_t RankWorkers::RetryAfterSeconds() const {
  const int64_t us =
      static_cast<int64_t>(waiting()) * service_us_ / static_cast<int64_t>(workers_.size());
  return std::max<int64_t>(1, (us + 999'999) / 1'000'000);
}

std::optional<QueuedRequest> RankWorkers::TakeFrom(Worker& from, Worker& own, const Route* route) {
  const std::lock_guard lock(from.mutex);
  if (from.queue.empty()) return std::nullopt;
  if (route != nullptr && from.queue.front().request->route != route) return std::nullopt;
  std::optional<QueuedRequest> taken = std::move(from.queue.front());
  from.queue.pop_front();
  --from.load;
  ++own.load;
  --waiting_;
  return taken;
}

std::optional<QueuedRequest> RankWorkers::Next(Worker& own) {
  for (;;) {
    if (auto taken = TakeFrom(own, own, nullptr)) return taken;
    own.idle = true;
    for (const auto& other : workers_) {
      if (auto taken = TakeFrom(*other, own, nullptr)) {
        own.idle = false;
        return taken;
      }
    }
    std::unique_lock lock(own.mutex);
    own.wake.wait(lock, [&] { return own.stopping || own.look || !own.queue.empty(); });
    own.idle = false;
    own.look = false;
    if (own.stopping && own.queue.empty()) return std::nullopt;
  }
}

void RankWorkers::Loop(Worker& own) {
  while (std::optional<QueuedRequest> next = Next(own)) {
    const int64_t started_us = Clock::System().steady_us();
    const Route* const route = next->request->route;
    size_t served = 1;
    run_(std::move(*next), [&]() -> std::optional<QueuedRequest> {
      auto more = TakeFrom(own, own, route);
      served += more.has_value();
      return more;
    });
    own.load -= served;
    const int64_t each_us =
        (Clock::System().steady_us() - started_us) / static_cast<int64_t>(served);
    const int64_t mean_us = service_us_;
    service_us_ = mean_us == 0 ? each_us : mean_us + (each_us - mean_us) / 8;
  }
}

}  // namespace heed::server
