#include "text/questions.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "text/segmenter.h"

namespace heed::text {
namespace {

constexpr size_t kMaxCharacters = 200;
constexpr float kListWeight = 6.0f;  // of a topic list, where a rare n-gram weighs about 5
constexpr uint64_t kListFeature = uint64_t{1} << 63;  // n-grams use 42 bits

// The n-grams of one and two characters outside of `skip`, numbers left out.
template <typename Each>
void ForNgrams(const std::vector<Character>& characters, const std::vector<bool>& skip, Each each) {
  char32_t last = 0;
  for (size_t i = 0; i < characters.size(); ++i) {
    const char32_t c = characters[i].code;
    const bool letter = (c >= U'a' && c <= U'z') || c >= 0x3400;
    if (skip[i] || !letter) {
      last = 0;
      continue;
    }
    each(uint64_t{c});
    if (last != 0) each(uint64_t{last} << 21 | c);
    last = c;
  }
}

std::vector<bool> Filler(const WordLists& lists, const std::vector<WordLists::Hit>& hits,
                         const std::vector<Character>& characters) {
  std::vector<bool> skip(characters.size());
  for (const WordLists::Hit& hit : hits) {
    if (!lists.all()[hit.list].filler) continue;
    for (size_t i = 0; i < characters.size(); ++i) {
      if (characters[i].begin >= hit.begin && characters[i].end <= hit.end) skip[i] = true;
    }
  }
  return skip;
}

float Cosine(const Meaning& meaning, const std::unordered_map<uint64_t, float>& sum, float length) {
  float dot = 0;
  for (const auto& [feature, weight] : meaning) {
    const auto found = sum.find(feature);
    if (found != sum.end()) dot += weight * found->second;
  }
  return length > 0 ? dot / length : 0;
}

// How much of the centre the words touch: what the host says is longer than any question, and a cosine
// would punish the length.
float Touched(const Meaning& meaning, const std::unordered_map<uint64_t, float>& sum) {
  float touched = 0, all = 0;
  for (const auto& [feature, weight] : sum) all += weight * weight;
  for (const auto& [feature, weight] : meaning) {
    const auto found = sum.find(feature);
    if (found != sum.end()) touched += found->second * found->second;
  }
  return all > 0 ? touched / all : 0;
}

float Length(const std::unordered_map<uint64_t, float>& sum) {
  float squares = 0;
  for (const auto& [feature, weight] : sum) squares += weight * weight;
  return std::sqrt(squares);
}

}  // namespace

QuestionMeaning::QuestionMeaning(std::shared_ptr<const WordLists> lists,
                                 std::span<const std::string> background)
    : lists_(std::move(lists)), background_(static_cast<uint32_t>(background.size())) {
  std::vector<Character> characters;
  for (const std::string& text : background) {
    SpellComment(text, kMaxCharacters, &characters);
    std::set<uint64_t> own;
    ForNgrams(characters, std::vector<bool>(characters.size()),
              [&](uint64_t ngram) { own.insert(ngram); });
    for (const uint64_t ngram : own) ++seen_in_[ngram];
  }
}

Meaning QuestionMeaning::Of(std::string_view text) const {
  std::map<uint64_t, float> weights;
  const std::vector<WordLists::Hit> hits = lists_->Find(text);
  for (const WordLists::Hit& hit : hits) {
    if (lists_->all()[hit.list].topic) {
      weights[kListFeature | lists_->all()[hit.list].token] = kListWeight;
    }
  }
  std::vector<Character> characters;
  SpellComment(text, kMaxCharacters, &characters);
  ForNgrams(characters, Filler(*lists_, hits, characters), [&](uint64_t ngram) {
    const auto found = seen_in_.find(ngram);
    const double seen = found == seen_in_.end() ? 0 : found->second;
    weights[ngram] = static_cast<float>(std::log((background_ + 2.0) / (seen + 1.0)));
  });
  float squares = 0;
  for (const auto& [feature, weight] : weights) squares += weight * weight;
  Meaning meaning(weights.begin(), weights.end());
  for (auto& [feature, weight] : meaning) weight /= std::sqrt(squares);
  return meaning;
}

QuestionMiner::QuestionMiner(std::shared_ptr<const QuestionMeaning> meaning,
                             const QuestionConfig& config)
    : meaning_(std::move(meaning)), config_(config) {}

void QuestionMiner::Drop(const Asked& question) {
  const auto found = clusters_.find(question.cluster);
  if (found == clusters_.end()) return;
  Cluster& cluster = found->second;
  if (--cluster.questions == 0) {
    clusters_.erase(found);
    return;
  }
  for (const auto& [feature, weight] : question.meaning) {
    float& sum = cluster.sum[feature];
    sum -= weight;
    if (sum < 1e-4f) cluster.sum.erase(feature);
  }
  cluster.length = Length(cluster.sum);
}

void QuestionMiner::Forget(int64_t now_ms) {
  const auto old = [&](int64_t t_ms) { return t_ms <= now_ms - config_.window_ms; };
  while (!questions_.empty() &&
         (old(questions_.front().t_ms) || questions_.size() > config_.max_questions)) {
    Drop(questions_.front());
    questions_.pop_front();
  }
  while (!buying_order_.empty() && (buying_order_.front().first <= now_ms - config_.buying_ms ||
                                    buying_order_.size() > config_.max_questions)) {
    const auto buyer = buyers_.find(buying_order_.front().second);
    if (buyer != buyers_.end() && buyer->second.last_ms <= buying_order_.front().first) {
      buyers_.erase(buyer);
    }
    buying_order_.pop_front();
  }
}

uint64_t QuestionMiner::Nearest(const Meaning& meaning) const {
  uint64_t best = 0;
  float most = config_.same;
  for (const auto& [id, cluster] : clusters_) {
    const float alike = Cosine(meaning, cluster.sum, cluster.length);
    if (alike >= most) {
      most = alike;
      best = id;
    }
  }
  return best;
}

uint64_t QuestionMiner::ClusterOf(std::string_view text) const {
  return Nearest(meaning_->Of(text));
}

uint64_t QuestionMiner::Add(const Question& question) {
  Forget(question.t_ms);
  Meaning meaning = meaning_->Of(question.text);
  if (meaning.empty()) return 0;
  uint64_t best = Nearest(meaning);
  if (best == 0) {
    if (clusters_.size() >= config_.max_clusters) {
      const auto oldest = std::min_element(
          clusters_.begin(), clusters_.end(),
          [](const auto& a, const auto& b) { return a.second.last_ms < b.second.last_ms; });
      const uint64_t gone = oldest->first;
      clusters_.erase(oldest);
      std::erase_if(questions_, [&](const Asked& q) { return q.cluster == gone; });
    }
    best = question.id != 0 ? question.id : next_id_++;
  }
  Cluster& cluster = clusters_[best];
  for (const auto& [feature, weight] : meaning) cluster.sum[feature] += weight;
  cluster.length = Length(cluster.sum);
  ++cluster.questions;
  if (question.t_ms >= cluster.last_ms || cluster.questions == 1) {
    cluster.product = question.product;
  }
  cluster.last_ms = std::max(cluster.last_ms, question.t_ms);
  questions_.push_back(
      {std::string(question.text), question.viewer, question.t_ms, best, std::move(meaning)});
  Forget(question.t_ms);
  return best;
}

void QuestionMiner::WantsToBuy(uint64_t viewer, int64_t t_ms, Interest how) {
  Buyer& buyer = buyers_[viewer];
  buyer.last_ms = std::max(buyer.last_ms, t_ms);
  buyer.how |= static_cast<uint8_t>(how);
  buying_order_.emplace_back(t_ms, viewer);
  Forget(t_ms);
}

std::vector<uint64_t> QuestionMiner::HostSaid(std::string_view text, int64_t t_ms) {
  std::vector<uint64_t> answered;
  const Meaning meaning = meaning_->Of(text);
  for (auto& [id, cluster] : clusters_) {
    if (Touched(meaning, cluster.sum) < config_.answers) continue;
    cluster.answered_ms = std::max(cluster.answered_ms, t_ms);
    answered.push_back(id);
  }
  return answered;
}

bool QuestionMiner::MarkAnswered(uint64_t id, int64_t t_ms) {
  const auto found = clusters_.find(id);
  if (found == clusters_.end()) return false;
  found->second.answered_ms = std::max(found->second.answered_ms, t_ms);
  return true;
}

std::vector<QuestionCluster> QuestionMiner::Clusters(int64_t now_ms) {
  Forget(now_ms);
  struct Tally {
    QuestionCluster out;
    std::set<uint64_t> viewers, waiting;
    float nearest = -1;
  };
  std::map<uint64_t, Tally> tallies;
  for (const auto& [id, cluster] : clusters_) {
    tallies[id].out.id = id;
    tallies[id].out.answered_ms = cluster.answered_ms;
    tallies[id].out.product = cluster.product;
  }
  const auto did = [](uint8_t how, Interest what) {
    return static_cast<size_t>((how & static_cast<uint8_t>(what)) != 0);
  };
  for (const Asked& question : questions_) {
    Tally& tally = tallies[question.cluster];
    const Cluster& cluster = clusters_.at(question.cluster);
    QuestionCluster& out = tally.out;
    out.first_ms = out.comments == 0 ? question.t_ms : std::min(out.first_ms, question.t_ms);
    out.last_ms = std::max(out.last_ms, question.t_ms);
    ++out.comments;
    const bool first_of_viewer = tally.viewers.insert(question.viewer).second;
    if (question.t_ms > cluster.answered_ms) tally.waiting.insert(question.viewer);
    const auto buyer = buyers_.find(question.viewer);
    if (first_of_viewer && buyer != buyers_.end()) {
      ++out.buying;
      out.clicked += did(buyer->second.how, Interest::kClicked);
      out.carted += did(buyer->second.how, Interest::kCarted);
      out.ordered += did(buyer->second.how, Interest::kOrdered);
    }
    const float alike = Cosine(question.meaning, cluster.sum, 1);
    if (alike > tally.nearest) {
      tally.nearest = alike;
      out.text = question.text;
    }
  }
  std::vector<QuestionCluster> all;
  for (auto& [id, tally] : tallies) {
    tally.out.viewers = tally.viewers.size();
    tally.out.waiting = tally.waiting.size();
    all.push_back(std::move(tally.out));
  }
  std::stable_sort(all.begin(), all.end(), [](const QuestionCluster& a, const QuestionCluster& b) {
    if (a.waiting != b.waiting) return a.waiting > b.waiting;
    return a.viewers != b.viewers ? a.viewers > b.viewers : a.last_ms > b.last_ms;
  });
  return all;
}

}  // namespace heed::text
