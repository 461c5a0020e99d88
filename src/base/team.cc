#include "base/team.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

namespace heed {
namespace {

thread_local Team* team_in_use = nullptr;

}  // namespace

struct Team::Impl {
  explicit Impl(size_t count) {
    for (size_t i = 1; i < std::max<size_t>(count, 1); ++i) {
      workers.emplace_back([this] { Work(); });
    }
  }
  ~Impl() {
    {
      const std::lock_guard lock(mutex);
      stop = true;
    }
    wake.notify_all();
    for (std::thread& worker : workers) worker.join();
  }

  void Pieces(const std::function<void(size_t)>& piece, size_t end) {
    for (size_t i = next.fetch_add(1); i < end; i = next.fetch_add(1)) piece(i);
  }

  void Work() {
    size_t seen = 0;
    std::unique_lock lock(mutex);
    while (true) {
      wake.wait(lock, [&] { return stop || round != seen; });
      if (stop) return;
      seen = round;
      const std::function<void(size_t)>& piece = *body;
      const size_t end = pieces;
      lock.unlock();
      Pieces(piece, end);
      lock.lock();
      if (--busy == 0) done.notify_one();
    }
  }

  void Run(size_t count, const std::function<void(size_t)>& piece) {
    {
      const std::lock_guard lock(mutex);
      body = &piece;
      pieces = count;
      next = 0;
      busy = workers.size();
      ++round;
    }
    wake.notify_all();
    {
      const Use plain(nullptr);  // a loop inside a piece is not shared out again
      Pieces(piece, count);
    }
    std::unique_lock lock(mutex);
    done.wait(lock, [&] { return busy == 0; });
  }

  std::mutex mutex;
  std::condition_variable wake, done;
  const std::function<void(size_t)>* body = nullptr;
  size_t pieces = 0, busy = 0, round = 0;
  bool stop = false;
  std::atomic<size_t> next{0};
  std::vector<std::thread> workers;
};

Team::Team(size_t threads) : impl_(std::make_unique<Impl>(threads)) {}
Team::~Team() = default;
size_t Team::threads() const { return impl_->workers.size() + 1; }

Team::Use::Use(Team* team) : before_(team_in_use) { team_in_use = team; }
Team::Use::~Use() { team_in_use = before_; }

size_t ParallelThreads() { return team_in_use == nullptr ? 1 : team_in_use->threads(); }

void ParallelFor(size_t pieces, const std::function<void(size_t)>& piece) {
  if (pieces > 1 && ParallelThreads() > 1) {
    team_in_use->impl_->Run(pieces, piece);
    return;
  }
  for (size_t i = 0; i < pieces; ++i) piece(i);
}

}  // namespace heed
