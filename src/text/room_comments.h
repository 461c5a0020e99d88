// One room's comments, read as they come: what is asked, how the room is against its own past, how long
// its comments lag behind the host's words. What analyzer.h, questions.h, live_stats.h, transcript.h and
// broadcast_lag.h do, for one room, in one pass.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "base/status.h"
#include "text/analyzer.h"
#include "text/broadcast_lag.h"
#include "text/live_stats.h"
#include "text/questions.h"
#include "text/segmenter.h"
#include "text/transcript.h"

namespace heed::text {

struct RoomCommentsConfig {
  QuestionConfig questions;
  LiveStatsConfig stats;
};

struct RoomComment {
  std::string_view text;
  uint64_t viewer = 0;
  int64_t t_ms = 0;
  uint64_t id = 0;  // names the cluster it begins, if it begins one
};

// Not thread-safe. Memory is bounded by the configuration.
class RoomComments {
 public:
  // `dictionary`: may be null; words are then pairs of characters, runs of letters and digits, and the
  // names of the room's products.
  RoomComments(std::shared_ptr<const QuestionMeaning> meaning,
               std::shared_ptr<const Dictionary> dictionary, const RoomCommentsConfig& config);

  // The room's own words win over the dictionary's: titles, and their parts between blanks and stops.
  void NameProducts(std::span<const std::string> titles);
  // What is being shown from now on; empty: nothing.
  void ShowProduct(std::string product) { product_ = std::move(product); }

  // A viewer's comment. `analysis`: of its text.
  void Add(const RoomComment& comment, const CommentAnalysis& analysis);
  // By a click, a cart or an order.
  void WantsToBuy(uint64_t viewer, int64_t t_ms, Interest how);
  // A segment of speech, as in Transcript::Add: times are those of the comments.
  Result<bool> HostSaid(TranscriptSegment segment);
  // The host's side wrote it: an answer to what it touches, as when it is said.
  void HostWrote(std::string_view text, int64_t t_ms);
  // By id; where that is not known, of the cluster that `text` would belong to. False: neither is there.
  bool MarkAnswered(uint64_t id, std::string_view text, int64_t t_ms);

  std::vector<QuestionCluster> Questions(int64_t now_ms) { return questions_.Clusters(now_ms); }
  LiveSnapshot Now(int64_t now_ms, size_t max_words) { return stats_.Now(now_ms, max_words); }
  const std::deque<Burst>& bursts() const { return stats_.bursts(); }
  const Transcript& transcript() const { return transcript_; }
  std::optional<Lag> lag() const { return lag_.Estimate(); }

 private:
  // Each once, in their order. Valid until the next call.
  std::span<const std::string> Words(std::string_view text, size_t max_characters);

  const std::shared_ptr<const Dictionary> dictionary_;
  std::unique_ptr<Segmenter> segmenter_;
  QuestionMiner questions_;
  LiveStats stats_;
  Transcript transcript_;
  BroadcastLag lag_;
  std::string product_;

  // Scratch of Words.
  std::vector<Character> characters_;
  std::vector<Segmenter::Word> cut_;
  Segmenter::Scratch scratch_;
  std::vector<std::string> words_;
  std::unordered_set<std::string> seen_;
};

}  // namespace heed::text
