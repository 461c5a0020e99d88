// What rooms, viewers and orders share while the world runs: people, clock, queue, randomness, and
// the writer of events.
#pragma once

#include <queue>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "sim/people.h"
#include "sim/truth.h"
#include "sim/world.h"

namespace heed::sim {

enum class Task : uint8_t {
  kUserTurn,
  kRoomStart,
  kRoomEnd,
  kRoomExplain,
  kRoomStats,
  kRoomCoupon,
  kOrderPay,
  kOrderCancel,
  kOrderRefundRequest,
  kOrderRefundDone,
};

struct Due {
  int64_t ts = 0;
  uint64_t order = 0;  // first come, first served at one time: the queue itself is not stable
  Task task{};
  uint32_t who = 0;   // user, host or order
  uint32_t turn = 0;  // a user's turn or a host's broadcast for which this was meant
};

struct Later {
  bool operator()(const Due& a, const Due& b) const {
    return a.ts != b.ts ? a.ts > b.ts : a.order > b.order;
  }
};

// Stamps envelopes. Ids are unique per world: a hash of seed and start, then a count.
class Writer {
 public:
  explicit Writer(const WorldConfig& config);

  void set_out(Batch* out) { out_ = out; }
  Batch& out() { return *out_; }

  template <typename T>
  T& Write(int64_t ts, const std::string& room, const std::string& session) {
    event::Event& event = Begin(ts, room, session);
    return event.data.emplace<T>();
  }
  template <typename T>
  T& Write(int64_t ts, const Host& host) {
    return Write<T>(ts, host.room, host.session);
  }
  // Sets the actor of the event written last.
  event::Actor& By(event::ActorKind kind, const std::string& id);

 private:
  event::Event& Begin(int64_t ts, const std::string& room, const std::string& session);

  std::string tenant_;
  std::string prefix_;
  uint64_t count_ = 0;
  Batch* out_ = nullptr;
};

struct Stage {
  Stage(const WorldConfig& wanted, const Calibration& found);

  WorldConfig config;
  Population people;
  Calibration calibration;
  Random random;
  Writer writer;
  int64_t now = 0;
  std::priority_queue<Due, std::vector<Due>, Later> queue;

  void Schedule(int64_t ts, Task task, uint32_t who, uint32_t turn = 0);
  // How busy the hour is: 1 from 18:00 to 24:00, with a small peak at noon.
  double Activity(int64_t ts) const;
  // Milliseconds, uniform.
  int64_t Between(int64_t low_ms, int64_t high_ms);
  int64_t After(double mean_ms);  // exponential, at least 1 ms

 private:
  uint64_t scheduled_ = 0;
};

// "o12": kind and number, for what is made while the world runs.
std::string Numbered(char kind, uint64_t number);

}  // namespace heed::sim
