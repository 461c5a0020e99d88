// What hosts do: go live, explain their products in turn, issue coupons, report, end.
#pragma once

#include <cstdint>

#include "sim/feed.h"
#include "sim/stage.h"
#include "sim/viewers.h"

namespace heed::sim {

class Rooms {
 public:
  Rooms(Stage& stage, Feed& feed, Viewers& viewers)
      : stage_(stage), feed_(feed), viewers_(viewers) {}

  void Begin();  // once, at the start of the world
  void Run(const Due& due);

 private:
  void ScheduleStart(uint32_t number);
  void Start(uint32_t number);
  void End(uint32_t number);
  void Explain(uint32_t number);
  void EndExplain(Host& host);
  void Stats(uint32_t number);
  void IssueCoupon(uint32_t number);

  Stage& stage_;
  Feed& feed_;
  Viewers& viewers_;
  uint64_t coupons_ = 0;
};

}  // namespace heed::sim
