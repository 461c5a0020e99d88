// Softmax attention over a stream whose items fade: exact, in O(d) for each event and O(d) memory.
//
// Items i with score s_i, value v_i [d] and time t_i have at time t the weights
//   a_i = exp(s_i - lambda (t - t_i)) / Z,   Z = exp(null_score) + sum_j exp(s_j - lambda (t - t_j))
// and y = sum_i a_i v_i, evidence = 1 - a_null. All items fade by the same factor, so their sums can
// be kept relative to one reference time and one maximum: (m, z, acc), the running softmax of
// Milakov & Gimelshein 2018 with a clock. The null slot does not fade: an old crowd loses its
// evidence. Exponential fading only: a power of age has no such recursion.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace heed::state {

// Not thread-safe. Sums are doubles: a million events leave them right to about 1e-10.
class AttentionState {
 public:
  // decay_per_s: lambda >= 0.
  AttentionState(size_t width, double decay_per_s);

  // Events may come late: one of an earlier time weighs what it would have weighed. A score of
  // -infinity is a mask and changes nothing. value: [d], finite.
  void Add(int64_t time_ms, double score, std::span<const float> value);
  // Afterwards this state is what it would be had it seen the other's events too. Same d and lambda.
  void Merge(const AttentionState& other);

  // y [d] at `time_ms` (not before the newest event), and the evidence, which is returned. With
  // null_score = -infinity there is no null slot. Without items: zeros and 0.
  double Read(int64_t time_ms, double null_score, std::span<float> y) const;

  uint64_t items() const { return items_; }
  size_t width() const { return weighted_sum_.size(); }

 private:
  double Faded(int64_t from_ms, int64_t to_ms) const;
  void MoveTo(int64_t time_ms);
  void RaiseTo(double score);

  double decay_per_s_;
  int64_t time_ms_ = 0;  // of the newest event: what the maximum is relative to
  double max_;           // of the scores as faded at time_ms_; -infinity without items
  double sum_ = 0;       // of exp(score - max_)
  std::vector<double> weighted_sum_;
  uint64_t items_ = 0;
};

}  // namespace heed::state
