#include "sim/stage.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "base/hash.h"

namespace heed::sim {
namespace {

constexpr std::string_view kPlatform = "sim";
constexpr std::string_view kAdapter = "heed-sim";

void AppendNumber(std::string& out, uint64_t number, int base) {
  std::array<char, 20> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number, base).ptr;
  out.append(digits.data(), end);
}

}  // namespace

std::string Numbered(char kind, uint64_t number) {
  std::string id(1, kind);
  AppendNumber(id, number, 10);
  return id;
}

Writer::Writer(const WorldConfig& config) : tenant_(config.tenant) {
  const uint64_t world =
      MixHash(config.seed * 0x9E3779B97F4A7C15ull ^ static_cast<uint64_t>(config.start_ts));
  // Six characters, a dash and up to eight: ids fit a small string and need no allocation.
  AppendNumber(prefix_, 0x100000 | (world & 0xFFFFFF), 16);
  prefix_.push_back('-');
}

event::Event& Writer::Begin(int64_t ts, const std::string& room, const std::string& session) {
  event::Event& event = out_->events.emplace_back();
  event.id = prefix_;
  AppendNumber(event.id, count_, 36);
  event.ts = ts;
  // Adapters take events in 20 to 200 ms after they happen.
  event.recv_ts = ts + 20 + static_cast<int64_t>(MixHash(count_) % 180);
  event.seq = static_cast<int64_t>(count_++);
  event.tenant = tenant_;
  event.room = room;
  event.session = session;
  event.src.platform = kPlatform;
  event.src.adapter = kAdapter;
  return event;
}

event::Actor& Writer::By(event::ActorKind kind, const std::string& id) {
  event::Actor& actor = out_->events.back().actor.emplace();
  actor.id = id;
  actor.kind = kind;
  return actor;
}

Stage::Stage(const WorldConfig& wanted, const Calibration& found)
    : config(wanted),
      people(MakePopulation(config)),
      calibration(found),
      random(config.seed ^ 0x5EED0FA11ull),
      writer(config),
      now(config.start_ts) {}

void Stage::Schedule(int64_t ts, Task task, uint32_t who, uint32_t turn) {
  queue.push(
      {.ts = std::max(ts, now), .order = scheduled_++, .task = task, .who = who, .turn = turn});
}

double Stage::Activity(int64_t ts) const {
  if (config.endless_evening) return 1;
  const double hour = std::fmod(18.0 + static_cast<double>(ts - config.start_ts) / kHourMs, 24.0);
  if (hour >= 18) return 1;
  if (hour < 1) return 0.5;
  if (hour < 8) return 0.06;
  return hour >= 12 && hour < 14 ? 0.45 : 0.25;
}

int64_t Stage::Between(int64_t low_ms, int64_t high_ms) {
  return low_ms + static_cast<int64_t>(random.Below(static_cast<uint64_t>(high_ms - low_ms + 1)));
}

int64_t Stage::After(double mean_ms) {
  return std::max<int64_t>(1, std::llround(random.Exponential(mean_ms)));
}

}  // namespace heed::sim
