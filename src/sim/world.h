// A simulated world of live commerce whose truth is known: it writes the events a platform would
// send, in event-time order, and tells how likely each was. Deterministic given its configuration.
// What is in it, and the source of each figure: docs/simulator.md.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "event/event.h"
#include "sim/people.h"
#include "sim/world_config.h"

namespace heed::sim {

// What the world knew when it showed something: the best any ranker could have said.
struct Truth {
  size_t event = 0;  // index in the batch of the room.impression or product.impression
  uint32_t user = kNobody;
  uint32_t host = kNobody;
  uint32_t product = kNobody;  // kNobody: a room was shown
  double probability = 0;      // of entering the room, or of clicking the product
  bool happened = false;       // it will: the viewer.enter or product.click follows within seconds
};

struct Batch {
  std::vector<event::Event> events;
  std::vector<Truth> truths;
  void Clear() { events.clear(), truths.clear(); }
};

// Not thread-safe. At least 300,000 events a second on one core (sim_bench).
class World {
 public:
  explicit World(const WorldConfig& config);
  ~World();
  World(World&&) noexcept;
  World& operator=(World&&) noexcept;

  // The next event; none when the world has ended.
  std::optional<event::Event> Next();
  // Appends at least `count` events (a few more may come with the last), fewer only at the end.
  void Produce(size_t count, Batch& out);
  // Appends all events with a time below `until_ts`: call it with the wall clock to keep events
  // flowing from a world that began in the past.
  void Advance(int64_t until_ts, Batch& out);

  bool done() const;
  int64_t now() const;  // time of the last thing that happened

  const WorldConfig& config() const;
  const Population& population() const;
  std::vector<uint32_t> LiveHosts() const;

  // Numbers of ids as they stand in events; kNobody when there is none.
  uint32_t FindUser(std::string_view id) const;
  uint32_t FindHost(std::string_view id) const;
  uint32_t FindProduct(std::string_view id) const;

  // The truth as of now(). Of entering the room when it is shown now; 0 for a host not live.
  double EnterProbability(uint32_t user, uint32_t host) const;
  std::vector<double> EnterProbabilities(uint32_t user, std::span<const uint32_t> hosts) const;
  // Of clicking the product when it is shown inside its host's room now.
  double ClickProbability(uint32_t user, uint32_t product) const;
  // Of ordering after the click; 0 out of stock.
  double OrderProbability(uint32_t user, uint32_t product) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Area under the ROC curve of scores against what happened, ties counted half; 0.5 without both kinds.
double Auc(std::span<const double> scores, const std::vector<bool>& happened);

}  // namespace heed::sim
