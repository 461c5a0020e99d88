// What the room keeps asking: questions of the last ten minutes in clusters by meaning, counted by viewers,
// those nobody has answered first.
//
// A question's meaning is a sparse vector: the word lists with `topic` that it touches, and its n-grams of
// one and two characters weighted by how rare they are, without those of lists marked `filler`. A question
// joins the cluster whose centre it is most alike (cosine), or begins one. Word lists bring "咋卖" and
// "多少钱" together, n-grams keep "保质期" and "保修期" apart.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "text/word_lists.h"

namespace heed::text {

// By feature; of length 1, or empty.
using Meaning = std::vector<std::pair<uint64_t, float>>;

// Immutable and thread-safe.
class QuestionMeaning {
 public:
  // `background`: comments that say which n-grams are common; the more the better, none is allowed.
  QuestionMeaning(std::shared_ptr<const WordLists> lists, std::span<const std::string> background);

  Meaning Of(std::string_view text) const;

 private:
  std::shared_ptr<const WordLists> lists_;
  std::unordered_map<uint64_t, uint32_t> seen_in_;  // comments of the background, by n-gram
  uint32_t background_ = 0;
};

struct QuestionConfig {
  int64_t window_ms = 600'000;
  float same = 0.28f;    // cosine to a cluster's centre from which on a question belongs to it
  float answers = 0.5f;  // share of a centre that what the host says must touch
  size_t max_questions = 20'000;   // in the window; the oldest go first
  size_t max_clusters = 500;       // then the one asked longest ago goes
  int64_t buying_ms = 14'400'000;  // a viewer's wish to buy is remembered: a session
};

// How a viewer showed that they want to buy.
enum class Interest : uint8_t { kSaid = 1, kClicked = 2, kCarted = 4, kOrdered = 8 };

struct Question {
  std::string_view text;
  uint64_t viewer = 0;
  int64_t t_ms = 0;
  uint64_t id = 0;           // of the cluster it begins, if it begins one; 0: the next number
  std::string_view product;  // that was being shown; empty: none, or not known
};

struct QuestionCluster {
  uint64_t id = 0;
  std::string text;                             // of the question nearest to the centre
  size_t comments = 0;                          // in the window
  size_t viewers = 0;                           // different ones
  size_t waiting = 0;                           // of these, who asked after the last answer
  size_t buying = 0;                            // of these, who showed that they want to buy
  size_t clicked = 0, carted = 0, ordered = 0;  // of these, how
  std::string product;                          // shown when it was asked last; empty: none
  int64_t first_ms = 0, last_ms = 0;
  int64_t answered_ms = -1;  // the last answer; -1: none
};

// Of one room. Not thread-safe. Memory is bounded by the configuration.
class QuestionMiner {
 public:
  QuestionMiner(std::shared_ptr<const QuestionMeaning> meaning, const QuestionConfig& config);

  // The cluster the question went to; 0 for one without meaning, which is not kept. Times may be out of
  // order by less than the window.
  uint64_t Add(const Question& question);
  void WantsToBuy(uint64_t viewer, int64_t t_ms, Interest how);
  // The cluster that such a question would go to; 0: none.
  uint64_t ClusterOf(std::string_view text) const;
  // A final segment of what the host said: clusters it is about are answered. Their ids.
  std::vector<uint64_t> HostSaid(std::string_view text, int64_t t_ms);
  // An operator says so. False: there is no such cluster.
  bool MarkAnswered(uint64_t id, int64_t t_ms);

  // Those with viewers waiting first, by how many; then the answered ones, by viewers.
  std::vector<QuestionCluster> Clusters(int64_t now_ms);

 private:
  struct Asked {
    std::string text;
    uint64_t viewer;
    int64_t t_ms;
    uint64_t cluster;
    Meaning meaning;
  };
  struct Cluster {
    std::unordered_map<uint64_t, float> sum;  // of its questions' meanings
    float length = 0;                         // of sum
    size_t questions = 0;
    int64_t last_ms = 0, answered_ms = -1;
    std::string product;
  };
  struct Buyer {
    int64_t last_ms = 0;
    uint8_t how = 0;  // Interest, together
  };

  void Forget(int64_t now_ms);
  void Drop(const Asked& question);
  uint64_t Nearest(const Meaning& meaning) const;

  std::shared_ptr<const QuestionMeaning> meaning_;
  QuestionConfig config_;
  uint64_t next_id_ = 1;
  std::deque<Asked> questions_;  // by arrival
  std::map<uint64_t, Cluster> clusters_;
  std::unordered_map<uint64_t, Buyer> buyers_;
  std::deque<std::pair<int64_t, uint64_t>> buying_order_;
};

}  // namespace heed::text
