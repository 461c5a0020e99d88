#include "train/interrupt.h"

#include <csignal>

namespace heed::train {
namespace {

// A signal handler has no context: it can only reach what is static.
std::atomic<bool> interrupted{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a handler may not wait for a lock");

void OnInterrupt(int) {
  interrupted.store(true, std::memory_order_relaxed);
  std::signal(SIGINT, SIG_DFL);
}

}  // namespace

InterruptFlag::InterruptFlag() {
  interrupted.store(false, std::memory_order_relaxed);
  before_ = std::signal(SIGINT, OnInterrupt);
}

InterruptFlag::~InterruptFlag() { std::signal(SIGINT, before_ == SIG_ERR ? SIG_DFL : before_); }

const std::atomic<bool>* InterruptFlag::flag() const { return &interrupted; }

}  // namespace heed::train
