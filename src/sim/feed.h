// Which room the platform shows next: the logging policy. It knows popularity, categories and
// follows, not the hidden tastes; a share is drawn evenly over live rooms, so that every room is seen.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "sim/stage.h"

namespace heed::sim {

struct Shown {
  uint32_t host = kNobody;  // kNobody: no room is live
  const char* channel = "feed";
  bool paid = false;
};

class Feed {
 public:
  explicit Feed(Stage& stage) : stage_(stage) {}

  void Changed() { stale_ = true; }  // a room started or ended
  Shown Pick(User& user);

 private:
  struct Shelf {
    std::vector<uint32_t> hosts;
    std::vector<double> sums;  // running sums of popularity
  };
  void Refresh();
  Shown Propose(const User& user, double kind);
  uint32_t Draw(const Shelf& shelf);
  bool Showable(uint32_t host) const;

  Stage& stage_;
  bool stale_ = true;
  Shelf all_;
  std::array<Shelf, kCategories> by_category_;
};

}  // namespace heed::sim
