#include "base/team.h"

#include <gtest/gtest.h>

#include <atomic>
#include <vector>

namespace heed {
namespace {

TEST(Team, EveryPieceOnceWhateverTheThreads) {
  for (const size_t threads : {1, 2, 5}) {
    Team team(threads);
    EXPECT_EQ(team.threads(), threads);
    const Team::Use use(&team);
    EXPECT_EQ(ParallelThreads(), threads);
    for (const size_t pieces : {0, 1, 2, 7, 1000}) {
      for (int round = 0; round < 20; ++round) {
        std::vector<std::atomic<int>> times(pieces);
        ParallelFor(pieces, [&](size_t i) {
          EXPECT_TRUE(pieces == 1 || ParallelThreads() == 1) << "inside a piece";
          ++times[i];
        });
        for (const auto& t : times) EXPECT_EQ(t, 1);
      }
    }
  }
}

TEST(Team, IsUsedOnlyWhereAsked) {
  Team team(3);
  {
    const Team::Use use(&team);
    const Team::Use none(nullptr);
    EXPECT_EQ(ParallelThreads(), 1u);
  }
  EXPECT_EQ(ParallelThreads(), 1u);
}

}  // namespace
}  // namespace heed
