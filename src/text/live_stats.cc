#include "text/live_stats.h"

#include <algorithm>
#include <cmath>

namespace heed::text {
namespace {

constexpr double kOrdinary = 2.0;  // deviations

double Stabilised(size_t comments) { return 2 * std::sqrt(static_cast<double>(comments) + 0.375); }

// Rounds down, before 1970 too.
int64_t BinOf(int64_t t_ms, int64_t bin_ms) {
  const int64_t bin = t_ms / bin_ms;
  return t_ms % bin_ms < 0 ? bin - 1 : bin;
}

}  // namespace

double LiveStats::Z(size_t comments) const {
  return (Stabilised(comments) - mean_) / std::sqrt(std::max(1.0, variance_));
}

void LiveStats::Close(size_t comments) {
  const double z = Z(comments);
  const bool active = !bursts_.empty() && bursts_.back().end_ms < 0;
  if (active) {
    calm_bins_ = z < config_.end_z ? calm_bins_ + 1 : 0;
    if (calm_bins_ >= 2) bursts_.back().end_ms = (newest_bin_ - 1) * config_.bin_ms;
  }
  ++closed_;
  // A plain mean until there is enough of a past, then an exponential one.
  const double rate = 1.0 / std::min(static_cast<double>(closed_), config_.history_bins);
  // An excited stretch moves mean and variance no further than an ordinary one would.
  const double step_limit = kOrdinary * std::sqrt(std::max(1.0, variance_));
  const double free_step = Stabilised(comments) - mean_;
  const bool warm = closed_ > config_.warm_bins;
  const double step = warm ? std::clamp(free_step, -step_limit, step_limit) : free_step;
  mean_ += rate * step;
  variance_ = closed_ == 1 ? 1.0 : (1 - rate) * (variance_ + rate * step * step);
  usual_ += rate * (static_cast<double>(comments) - usual_);
}

void LiveStats::MoveTo(int64_t t_ms) {
  const int64_t bin = BinOf(t_ms, config_.bin_ms);
  if (bins_.empty()) {
    bins_.emplace_back();
    newest_bin_ = bin;
  }
  if (bin <= newest_bin_) return;
  // A gap longer than the past says no more than one as long as it.
  const auto longest = static_cast<int64_t>(4 * config_.history_bins);
  if (bin - newest_bin_ > longest) {
    const int64_t skipped = bin - newest_bin_ - longest;
    for (Bin& one : bins_) one = {};
    newest_bin_ += skipped;
  }
  while (newest_bin_ < bin) {
    Close(bins_.back().comments);
    bins_.emplace_back();
    ++newest_bin_;
    if (bins_.size() > config_.window_bins) bins_.pop_front();
  }
}

void LiveStats::Decay(Word* word, int64_t t_ms) const {
  const auto passed = static_cast<double>(t_ms - word->t_ms);
  if (passed <= 0) return;
  word->hot *= std::exp2(-passed / config_.hot_ms);
  word->cold *= std::exp2(-passed / config_.cold_ms);
  word->t_ms = t_ms;
}

void LiveStats::CountWord(const std::string& text, int64_t t_ms) {
  Word& word = words_.try_emplace(text, Word{0, 0, t_ms}).first->second;
  Decay(&word, t_ms);
  ++word.hot;
  ++word.cold;
  if (words_.size() < 2 * config_.max_words) return;
  // Half of them go, the least frequent: once in max_words new words.
  std::vector<double> counts;
  for (auto& [name, one] : words_) {
    Decay(&one, t_ms);
    counts.push_back(one.cold);
  }
  const auto middle = counts.begin() + static_cast<ptrdiff_t>(config_.max_words);
  std::nth_element(counts.begin(), middle, counts.end());
  const double least = *middle;
  std::erase_if(words_, [&](const auto& entry) { return entry.second.cold < least; });
  // Ties: whichever come first go, down to the limit.
  for (auto it = words_.begin(); it != words_.end() && words_.size() > config_.max_words;) {
    it = it->second.cold <= least ? words_.erase(it) : std::next(it);
  }
}

void LiveStats::Add(const LiveComment& comment) {
  MoveTo(comment.t_ms);
  const int64_t back = newest_bin_ - BinOf(comment.t_ms, config_.bin_ms);
  if (back >= static_cast<int64_t>(bins_.size())) {
    ++late_;
    return;
  }
  Bin& bin = bins_[bins_.size() - 1 - static_cast<size_t>(back)];
  ++bin.comments;
  ++bin.intents.try_emplace(std::string(comment.intent)).first->second;
  bin.sentiment += static_cast<double>(comment.sentiment);
  if (bin.viewers.size() < config_.max_viewers / config_.window_bins) {
    bin.viewers.insert(comment.viewer);
  }
  for (const std::string& word : comment.words) CountWord(word, comment.t_ms);
  if (back != 0 || closed_ < config_.warm_bins || bin.comments < config_.min_comments) return;
  const double z = Z(bin.comments);
  const bool active = !bursts_.empty() && bursts_.back().end_ms < 0;
  if (!active && z >= config_.begin_z) {
    bursts_.push_back({.begin_ms = newest_bin_ * config_.bin_ms});
    calm_bins_ = 0;
    if (bursts_.size() > config_.max_bursts) bursts_.pop_front();
  }
  if (active || z >= config_.begin_z) {
    bursts_.back().peak_z = std::max(bursts_.back().peak_z, z);
    bursts_.back().peak_comments = std::max(bursts_.back().peak_comments, bin.comments);
  }
}

LiveSnapshot LiveStats::Now(int64_t now_ms, size_t max_words) {
  MoveTo(now_ms);
  LiveSnapshot now;
  now.late = late_;
  std::unordered_set<uint64_t> viewers;
  double sentiment = 0;
  for (const Bin& bin : bins_) {
    now.comments += bin.comments;
    sentiment += bin.sentiment;
    viewers.insert(bin.viewers.begin(), bin.viewers.end());
    for (const auto& [intent, count] : bin.intents) {
      now.intents[intent] += static_cast<double>(count);
    }
  }
  now.viewers = viewers.size();
  if (now.comments > 0) {
    const auto n = static_cast<double>(now.comments);
    now.sentiment = sentiment / n;
    for (auto& [intent, share] : now.intents) share /= n;
  }
  const size_t filling = bins_.back().comments;
  const size_t whole = bins_.size() > 1 ? bins_[bins_.size() - 2].comments : 0;
  const int64_t in_bin = std::max<int64_t>(0, now_ms - newest_bin_ * config_.bin_ms);
  const int64_t covered = in_bin + (bins_.size() > 1 ? config_.bin_ms : 0);
  if (covered > 0) {
    now.comments_per_s = static_cast<double>(filling + whole) * 1000 / static_cast<double>(covered);
  }
  now.usual_per_s = usual_ * 1000 / static_cast<double>(config_.bin_ms);
  now.z = closed_ > 0 ? Z(filling) : 0;
  now.burst = !bursts_.empty() && bursts_.back().end_ms < 0;

  // Expected of a steady word: hot / cold is the ratio of the half-lives.
  const double steady = config_.hot_ms / config_.cold_ms;
  for (auto& [text, word] : words_) {
    Decay(&word, now_ms);
    // Held back by two steady counts, so that one mention of a new word is not heat.
    now.words.push_back({text, word.hot / ((word.cold - word.hot) * steady + 2.0), word.hot});
  }
  const auto rank = [](const LiveSnapshot::Word& word) {
    return word.heat * std::sqrt(word.count);
  };
  const size_t kept = std::min(max_words, now.words.size());
  std::partial_sort(now.words.begin(), now.words.begin() + static_cast<ptrdiff_t>(kept),
                    now.words.end(), [&](const auto& a, const auto& b) {
                      return rank(a) != rank(b) ? rank(a) > rank(b) : a.text < b.text;
                    });
  now.words.resize(kept);
  return now;
}

}  // namespace heed::text
