// What users do: open the app, look at rooms, enter, stay, speak, click, order, leave.
#pragma once

#include <cstdint>

#include "sim/feed.h"
#include "sim/orders.h"
#include "sim/stage.h"

namespace heed::sim {

class Viewers {
 public:
  Viewers(Stage& stage, Feed& feed, Orders& orders) : stage_(stage), feed_(feed), orders_(orders) {}

  void Begin();  // once, at the start of the world
  void Run(uint32_t number);
  // A home has gone live: some of its fans come.
  void Call(uint32_t host);
  // The room ends: everyone leaves it now.
  void SendHome(uint32_t host);

 private:
  void Wait(User& user, int64_t ms);  // until the user's next turn
  void Away(User& user);              // until they open the app again
  void Browse(User& user);
  void Enter(User& user);
  void Inside(User& user);
  void Leave(User& user, const char* reason);
  void Remember(User& user, int64_t watched_ms);
  void ShowProduct(User& user);
  void Click(User& user);
  void Order(User& user);
  void Speak(User& user, double minutes);
  void ClaimCoupon(User& user);
  void MarkSeen(User& user, uint32_t host, float weight);
  uint32_t NumberOf(const User& user) const;

  Stage& stage_;
  Feed& feed_;
  Orders& orders_;
  uint64_t requests_ = 0;
};

}  // namespace heed::sim
