#include "text/broadcast_lag.h"

#include <algorithm>
#include <cmath>

#include "base/hash.h"

namespace heed::text {
namespace {

constexpr size_t kMaxWords = 20'000;
constexpr size_t kMaxTimes = 64;  // of one word
constexpr auto kBins =
    static_cast<size_t>((BroadcastLag::kLastMs - BroadcastLag::kFirstMs) / BroadcastLag::kBinMs);
constexpr auto kZero = static_cast<size_t>(-BroadcastLag::kFirstMs / BroadcastLag::kBinMs);

}  // namespace

BroadcastLag::BroadcastLag() : bins_(kBins) {}

void BroadcastLag::Side::Add(uint64_t word, int64_t t_ms) {
  std::deque<int64_t>& own = times[word];
  own.push_back(t_ms);
  order.push_back(word);
  if (own.size() > kMaxTimes) own.pop_front();
  if (order.size() <= kMaxWords) return;
  const auto oldest = times.find(order.front());
  order.pop_front();
  if (oldest == times.end()) return;
  if (!oldest->second.empty()) oldest->second.pop_front();
  if (oldest->second.empty()) times.erase(oldest);
}

void BroadcastLag::Decay(int64_t t_ms) {
  if (decayed_ms_ == 0) decayed_ms_ = t_ms;
  const int64_t passed_ms = t_ms - decayed_ms_;
  if (passed_ms < kBinMs) return;
  const double left = std::exp2(-static_cast<double>(passed_ms) / kHalfLifeMs);
  for (double& bin : bins_) bin *= left;
  pairs_ *= left;
  decayed_ms_ = t_ms;
}

void BroadcastLag::Count(int64_t delay_ms, size_t said, size_t commented) {
  if (delay_ms < kFirstMs || delay_ms >= kLastMs) return;
  const auto bin = static_cast<size_t>((delay_ms - kFirstMs) / kBinMs);
  bins_[bin] += 1.0 / std::sqrt(static_cast<double>(said) * static_cast<double>(commented));
  ++pairs_;
}

void BroadcastLag::Said(std::span<const std::string> words, int64_t begin_ms, int64_t end_ms) {
  Decay(end_ms);
  for (size_t i = 0; i < words.size(); ++i) {
    const auto share = (static_cast<double>(i) + 0.5) / static_cast<double>(words.size());
    const int64_t t_ms =
        begin_ms + static_cast<int64_t>(share * static_cast<double>(end_ms - begin_ms));
    const uint64_t word = HashBytes(words[i]);
    said_.Add(word, t_ms);
    const auto comments = commented_.times.find(word);
    if (comments == commented_.times.end()) continue;
    for (const int64_t comment_ms : comments->second) {
      Count(comment_ms - t_ms, said_.times[word].size(), comments->second.size());
    }
  }
}

void BroadcastLag::Commented(std::span<const std::string> words, int64_t t_ms) {
  Decay(t_ms);
  for (const std::string& text : words) {
    const uint64_t word = HashBytes(text);
    commented_.Add(word, t_ms);
    const auto said = said_.times.find(word);
    if (said == said_.times.end()) continue;
    for (const int64_t said_ms : said->second) {
      Count(t_ms - said_ms, said->second.size(), commented_.times[word].size());
    }
  }
}

std::optional<Lag> BroadcastLag::Estimate() const {
  if (pairs_ < kFewestPairs) return std::nullopt;
  // Three seconds together: a viewer's own delay is no sharper than that.
  std::vector<double> smooth(kBins);
  for (size_t i = 1; i + 1 < kBins; ++i) {
    smooth[i] = 0.25 * bins_[i - 1] + 0.5 * bins_[i] + 0.25 * bins_[i + 1];
  }
  // Without the two seconds next to zero, which words said while they are typed reach.
  double sum = 0, squares = 0;
  const size_t last = kZero - 2;
  for (size_t i = 1; i < last; ++i) {
    sum += smooth[i];
    squares += smooth[i] * smooth[i];
  }
  const auto n = static_cast<double>(last - 1);
  const double mean = sum / n;
  const auto peak = std::max_element(smooth.begin() + kZero, smooth.end() - 1);
  // Never below what one pair gives: an empty past has no deviation.
  const double deviation = std::max(std::sqrt(std::max(0.0, squares / n - mean * mean)),
                                    *peak / std::sqrt(std::max(1.0, pairs_)));
  Lag lag;
  lag.z = deviation > 0 ? (*peak - mean) / deviation : 0;
  lag.lag_ms = kFirstMs + (peak - smooth.begin()) * kBinMs + kBinMs / 2;
  lag.pairs = pairs_;
  if (lag.z < kLowestZ) return std::nullopt;
  return lag;
}

}  // namespace heed::text
