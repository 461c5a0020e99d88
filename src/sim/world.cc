#include "sim/world.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <unordered_map>

#include "sim/rooms.h"
#include "sim/stage.h"

namespace heed::sim {
namespace {

constexpr size_t kRead = 512;  // events made at a time for Next()

// Interest, bonds and weariness move the means away from what taste alone would give, by amounts that
// depend on how many rooms and users there are. So the world is tried out: a few short pilots with
// the same hosts, each correcting what the last one measured. About 50 ms a pilot.
constexpr int kPilots = 4;
constexpr size_t kPilotUsers = 1000;
constexpr int64_t kPilotMs = 6 * kHourMs;

double Logit(double p) { return std::log(p / (1 - p)); }

template <typename T>
std::unordered_map<std::string_view, uint32_t> NumberById(const std::vector<T>& people) {
  std::unordered_map<std::string_view, uint32_t> numbers;
  numbers.reserve(people.size());
  for (const T& one : people) numbers.emplace(one.id, static_cast<uint32_t>(numbers.size()));
  return numbers;
}

uint32_t Find(const std::unordered_map<std::string_view, uint32_t>& numbers, std::string_view id) {
  const auto found = numbers.find(id);
  return found == numbers.end() ? kNobody : found->second;
}

}  // namespace

struct World::Impl {
  static Calibration Calibrate(WorldConfig config);

  Impl(const WorldConfig& config, const Calibration& calibration)
      : stage(config, calibration),
        feed(stage),
        orders(stage),
        viewers(stage, feed, orders),
        rooms(stage, feed, viewers),
        end_ts(config.duration_ms > 0 ? config.start_ts + config.duration_ms
                                      : std::numeric_limits<int64_t>::max()),
        users(NumberById(stage.people.users)),
        hosts(NumberById(stage.people.hosts)),
        products(NumberById(stage.people.products)) {
    rooms.Begin();
    viewers.Begin();
  }

  // Whether something happens before `until_ts`; if so, it does.
  bool Step(int64_t until_ts) {
    if (stage.queue.empty() || stage.queue.top().ts >= std::min(until_ts, end_ts)) return false;
    const Due due = stage.queue.top();
    stage.queue.pop();
    stage.now = due.ts;
    if (due.task == Task::kUserTurn) {
      if (stage.people.users[due.who].turn == due.turn) viewers.Run(due.who);
    } else if (due.task >= Task::kOrderPay) {
      orders.Run(due);
    } else {
      rooms.Run(due);
    }
    return true;
  }

  Stage stage;
  Feed feed;
  Orders orders;
  Viewers viewers;
  Rooms rooms;
  int64_t end_ts;
  std::unordered_map<std::string_view, uint32_t> users, hosts, products;
  Batch read;            // for Next()
  size_t next_read = 0;  // index in read.events
};

Calibration World::Impl::Calibrate(WorldConfig config) {
  const double wanted_long_ms =
      std::max((config.mean_stay_s * kSecondMs - config.short_stay_share * kShortStayMs / 2) /
                   (1 - config.short_stay_share),
               1.0 * kShortStayMs);
  config.users = kPilotUsers;
  config.duration_ms = kPilotMs;
  Calibration calibration;
  for (int pilot = 0; pilot < kPilots; ++pilot) {
    Impl world(config, calibration);
    Batch batch;
    world.stage.writer.set_out(&batch);
    double shown = 0, enter = 0, stays = 0, short_stays = 0, long_ms = 0;
    while (world.Step(std::numeric_limits<int64_t>::max())) {
      for (const Truth& truth : batch.truths) {
        if (truth.product != kNobody) continue;
        ++shown;
        enter += truth.probability;
      }
      for (const event::Event& event : batch.events) {
        const auto* leave = std::get_if<event::ViewerLeave>(&event.data);
        if (leave == nullptr) continue;
        ++stays;
        if (leave->watch_ms < kShortStayMs) {
          ++short_stays;
        } else {
          long_ms += static_cast<double>(leave->watch_ms);
        }
      }
      batch.Clear();
    }
    // A world too empty to measure keeps what it has.
    if (enter < 100 || short_stays < 30 || stays - short_stays < 30) break;
    calibration.enter_bias += 1.4 * (Logit(config.enter_share) - Logit(enter / shown));
    calibration.short_bias += Logit(config.short_stay_share) - Logit(short_stays / stays);
    calibration.stay_ms *= wanted_long_ms / (long_ms / (stays - short_stays));
  }
  return calibration;
}

World::World(const WorldConfig& config)
    : impl_(std::make_unique<Impl>(config, Impl::Calibrate(config))) {}
World::~World() = default;
World::World(World&&) noexcept = default;
World& World::operator=(World&&) noexcept = default;

std::optional<event::Event> World::Next() {
  if (impl_->next_read == impl_->read.events.size()) {
    impl_->read.Clear();
    impl_->next_read = 0;
    Produce(kRead, impl_->read);
    if (impl_->read.events.empty()) return std::nullopt;
  }
  return std::move(impl_->read.events[impl_->next_read++]);
}

void World::Produce(size_t count, Batch& out) {
  impl_->stage.writer.set_out(&out);
  const size_t wanted = out.events.size() + count;
  while (out.events.size() < wanted && impl_->Step(std::numeric_limits<int64_t>::max())) {
  }
}

void World::Advance(int64_t until_ts, Batch& out) {
  impl_->stage.writer.set_out(&out);
  while (impl_->Step(until_ts)) {
  }
}

bool World::done() const {
  return impl_->stage.queue.empty() || impl_->stage.queue.top().ts >= impl_->end_ts;
}

int64_t World::now() const { return impl_->stage.now; }
const WorldConfig& World::config() const { return impl_->stage.config; }
const Population& World::population() const { return impl_->stage.people; }

std::vector<uint32_t> World::LiveHosts() const {
  std::vector<uint32_t> live;
  for (uint32_t i = 0; i < population().hosts.size(); ++i) {
    if (population().hosts[i].live) live.push_back(i);
  }
  return live;
}

uint32_t World::FindUser(std::string_view id) const { return Find(impl_->users, id); }
uint32_t World::FindHost(std::string_view id) const { return Find(impl_->hosts, id); }
uint32_t World::FindProduct(std::string_view id) const { return Find(impl_->products, id); }

double World::EnterProbability(uint32_t user, uint32_t host) const {
  return sim::EnterProbability(population().users[user], host, population(),
                               impl_->stage.calibration, now());
}

std::vector<double> World::EnterProbabilities(uint32_t user,
                                              std::span<const uint32_t> hosts) const {
  std::vector<double> probabilities(hosts.size());
  std::transform(hosts.begin(), hosts.end(), probabilities.begin(),
                 [this, user](uint32_t host) { return EnterProbability(user, host); });
  return probabilities;
}

double World::ClickProbability(uint32_t user, uint32_t product) const {
  const Product& wanted = population().products[product];
  const bool explained = population().hosts[wanted.host].explaining == product;
  return sim::ClickProbability(population().users[user], wanted, explained, now());
}

double World::OrderProbability(uint32_t user, uint32_t product) const {
  return sim::OrderProbability(population().users[user], population().products[product], now());
}

double Auc(std::span<const double> scores, const std::vector<bool>& happened) {
  std::vector<size_t> order(scores.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(),
            [scores](size_t a, size_t b) { return scores[a] < scores[b]; });
  double wins = 0, negatives = 0, positives = 0;
  for (size_t i = 0; i < order.size();) {
    double tied_negatives = 0, tied_positives = 0;
    const double score = scores[order[i]];
    for (; i < order.size() && scores[order[i]] == score; ++i) {
      (happened[order[i]] ? tied_positives : tied_negatives) += 1;
    }
    wins += tied_positives * (negatives + tied_negatives / 2);
    negatives += tied_negatives;
    positives += tied_positives;
  }
  return negatives == 0 || positives == 0 ? 0.5 : wins / (negatives * positives);
}

}  // namespace heed::sim
