// Threads for loops whose pieces do not touch each other.
//
// A Team keeps its threads for its life. While a Team::Use lives, ParallelFor on the thread that made it
// gives pieces to the team; elsewhere, and inside a piece, it is a plain loop. What a piece does must
// depend on its number only: then results are the same whatever the number of threads.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

namespace heed {

class Team {
 public:
  explicit Team(size_t threads);  // the caller's included; at least 1
  ~Team();
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;
  size_t threads() const;

  class Use {
   public:
    explicit Use(Team* team);  // may be null: a plain loop
    ~Use();
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;

   private:
    Team* before_;
  };

 private:
  friend void ParallelFor(size_t pieces, const std::function<void(size_t)>& piece);
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Threads that ParallelFor would use here.
size_t ParallelThreads();
// Calls piece(0) .. piece(pieces - 1), in any order, and returns when all have. Pieces must not throw. A
// round costs microseconds: pieces should take longer.
void ParallelFor(size_t pieces, const std::function<void(size_t)>& piece);

}  // namespace heed
