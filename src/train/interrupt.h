// Ctrl-C as a flag that long work looks at, so that it can save what it has.
#pragma once

#include <atomic>

namespace heed::train {

// While one lives, SIGINT sets its flag once; a second SIGINT ends the process as usual. At most one
// at a time; make it in main's thread.
class InterruptFlag {
 public:
  InterruptFlag();
  ~InterruptFlag();
  InterruptFlag(const InterruptFlag&) = delete;
  InterruptFlag& operator=(const InterruptFlag&) = delete;

  const std::atomic<bool>* flag() const;

 private:
  void (*before_)(int);
};

}  // namespace heed::train
