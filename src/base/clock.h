// Time, so that tests can set it. Wall time is for what is written down; steady time for durations.
#pragma once

#include <atomic>
#include <cstdint>

namespace heed {

class Clock {
 public:
  virtual ~Clock() = default;
  virtual int64_t now_ms() const = 0;     // milliseconds since the Unix epoch, UTC
  virtual int64_t steady_us() const = 0;  // microseconds, never goes back, arbitrary origin

  // The machine's clock; lives for ever, safe from any thread.
  static const Clock& System();
};

// Stands still until told. Thread-safe.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(int64_t now_ms) : now_ms_(now_ms) {}
  int64_t now_ms() const override { return now_ms_.load(std::memory_order_relaxed); }
  int64_t steady_us() const override { return now_ms() * 1000; }
  void Set(int64_t now_ms) { now_ms_.store(now_ms, std::memory_order_relaxed); }
  void Advance(int64_t by_ms) { now_ms_.fetch_add(by_ms, std::memory_order_relaxed); }

 private:
  std::atomic<int64_t> now_ms_;
};

}  // namespace heed
