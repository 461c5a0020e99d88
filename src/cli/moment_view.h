// The last minute of a broadcast as curves in the terminal.
#pragma once

#include <deque>
#include <string>

#include "media/moment.h"

namespace heed::cli {

// One character a second, redrawn in place; one line a second where standard output is no terminal. Not
// thread-safe.
class MomentView {
 public:
  MomentView();

  // `more`: a line of its own, where there is one; each time or never.
  void Show(const media::Moment& moment, const std::string& more);

 private:
  const bool terminal_;
  bool drawn_ = false;
  std::deque<media::Moment> history_;
};

}  // namespace heed::cli
