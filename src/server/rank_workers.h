// Threads that rank, one per core, each with a short queue of its own: what waits is bounded, and
// what finds no place is told so before any work is spent on it.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "server/http.h"

namespace heed::server {

// Thread-safe.
class RankWorkers {
 public:
  // Given a request, and the next ones that wait for the same worker and route.
  using Run = std::function<void(QueuedRequest, const TakeRequest& more)>;

  // `run` is called on a worker's thread and must not throw. `queue_length`: how many may wait for
  // one worker.
  RankWorkers(size_t threads, size_t queue_length, Run run);
  // Runs what waits, then joins.
  ~RankWorkers();
  RankWorkers(const RankWorkers&) = delete;
  RankWorkers& operator=(const RankWorkers&) = delete;

  // Into the queue of the worker with the least to do; oldest first from there. False: no place.
  bool TryPush(QueuedRequest queued);
  bool full() const;
  size_t waiting() const;
  // When a place is likely to be free: what waits × recent service time / threads, at least 1.
  int64_t RetryAfterSeconds() const;

 private:
  struct Worker;
  void Loop(Worker& own);
  // Waits for the next one, here or, when idle, from another's queue. None: stopping, and empty.
  std::optional<QueuedRequest> Next(Worker& own);
  std::optional<QueuedRequest> TakeFrom(Worker& from, Worker& own, const Route* route);

  const size_t queue_length_;
  const Run run_;
  std::atomic<size_t> waiting_{0};
  std::atomic<size_t> turn_{0};         // so that equal loads are used in turn
  std::atomic<int64_t> service_us_{0};  // of one request, moving mean
  std::vector<std::unique_ptr<Worker>> workers_;
};

}  // namespace heed::server
