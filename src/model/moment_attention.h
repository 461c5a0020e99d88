// Moment attention: what of a broadcast bears on its viewers, and what they will do next.
//
// Letters: T seconds, M modalities, F features, L look-back, C phases, K outcomes (leave, comment, click).
//   token_{t,m} = max(0, [z, measured] W_m + b_m)                   of the second's measured features
//   seen_{t,m}  = attention of second t to the L before it, with the modality's lag   (nn/lag_attention.h)
//   y_t         = attention to the modalities seen and a null slot, asked by the phase       (nn/fusion.h)
//   log rate_{t,k} = base_k + y_t . (sum_c phase_{t,c} H_{c,k})          events per viewer and second
// phase_t is where second t lies in the broadcast, as hat functions over phase_knots_s: an effect may
// fade or change its sign as a show goes on. A rate is linear in y, so the log rate is exactly base_k plus
// one contribution of each modality, which may be negative.
//
// Everything from the second line on is there twice, for two questions: kNow, the rates of second t, whose lags
// are those of the viewers' answer; and kNext, the rates of the `horizon_s` seconds after t.
//
// A missing modality or feature is excluded: weight and gradient exactly 0, and what it holds is never read.
// Nothing after second t bears on second t.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "nn/mat.h"

namespace heed::model {

enum class MomentOutcome : uint8_t { kLeave, kComment, kClick };
inline constexpr size_t kMomentOutcomes = 3;
inline constexpr std::array<std::string_view, kMomentOutcomes> kMomentOutcomeNames = {
    "leave", "comment", "click"};

enum class MomentView : uint8_t { kNow, kNext };
inline constexpr size_t kMomentViews = 2;

struct MomentModality {
  std::string name;
  std::vector<std::string> features;  // at least one
};

struct MomentAttentionConfig {
  std::vector<MomentModality> modalities;  // names and features all different
  uint32_t look_back_s = 60;               // L
  uint32_t horizon_s = 60;
  uint32_t encoder_width = 8, fusion_width = 16;
  std::vector<float> phase_knots_s = {0, 300, 1200, 3600};  // ascending from 0
  // Of the log rates of kNext, in the highlight score.
  std::array<float, kMomentOutcomes> highlight = {-1.0f, 0.5f, 1.0f};

  size_t features() const;
};
// kInvalidArgument naming what is out of range.
Status ValidateMomentAttention(const MomentAttentionConfig& config);

// Consecutive seconds of one room.
struct MomentSeries {
  int64_t first_second = 0;
  nn::Matrix values;              // [T, F], features of modality 0, then 1, …; deviations (z)
  std::vector<uint8_t> measured;  // [T, F]

  size_t seconds() const { return values.rows(); }
};

// What viewers did in the seconds of a view: of second t itself, or of the horizon after it.
struct MomentTargets {
  nn::Matrix counts;            // [T, K]
  std::vector<float> exposure;  // [T] viewer-seconds; 0: not known, takes no part
};
using MomentTargetsByView = std::array<MomentTargets, kMomentViews>;
// counts [T, K] and viewers [T] (0: not known), second by second.
MomentTargetsByView MakeMomentTargets(const nn::Matrix& counts, std::span<const float> viewers,
                                      uint32_t horizon_s);

struct MomentTraining {
  float rate = 3e-3f;      // Adam
  float lag_rate = 0.05f;  // likewise, of lags and slopes, which are seconds and their inverse
  float l2 = 1e-3f;        // added to the gradient of matrices
  float clip_norm = 1.0f;
};

// Answers for every second of a series.
struct MomentAnswer {
  struct View {
    nn::Matrix log_rates;      // [T, K]
    nn::Matrix weights;        // [T, M + 1], the last the null slot's; sums to 1
    nn::Matrix contributions;  // [T, M K], modality by modality: to the log rates
  };
  std::array<View, kMomentViews> views;
};

class MomentAttention {
 public:
  static Result<std::unique_ptr<MomentAttention>> Create(const MomentAttentionConfig& config,
                                                         uint64_t seed);
  // docs/formats/moment_attention.md; checksummed, written whole; a damaged one is kCorruption.
  static Result<std::unique_ptr<MomentAttention>> Parse(std::string_view bytes);
  static Result<std::unique_ptr<MomentAttention>> Load(const std::string& path);
  std::string Serialize() const;  // weights and base; not the optimiser's state
  Status Save(const std::string& path) const;
  ~MomentAttention();

  const MomentAttentionConfig& config() const;

  // Training: one thread. Poisson likelihood of the counts of `count` seconds from `first` on, given their sums: a
  // segment's own level (the room's size, its hour, its prices) is whatever fits the sum, so only what
  // changes within a segment teaches, and base_k has no part in it. Mean loss in nats a second,
  // against rates that do not change, before the update; kInvalidArgument and no weight changed when it is not finite.
  Result<double> TrainStep(const MomentSeries& series, const MomentTargetsByView& targets,
                           size_t first, size_t count, const MomentTraining& training);
  // The same loss of one view, summed over a segment's seconds, without training.
  static double Loss(const nn::Matrix& log_rates, const MomentTargets& targets, size_t first,
                     size_t count);
  void SetRateScale(float scale);  // multiplies the rate of later steps
  // Sets base_k to the level of these rooms together.
  void FitBase(std::span<const MomentSeries> series, std::span<const MomentTargetsByView> targets);

  // Scoring: const and thread-safe with itself.
  // omit: a modality to treat as never measured; kNone: none.
  static constexpr size_t kNone = ~size_t{0};
  void Answer(const MomentSeries& series, MomentAnswer* answer, size_t omit = kNone) const;
  double highlight(const MomentAnswer& answer, size_t second) const;
  // When and how a modality bears: seconds until it does most, and slopes in 1/s (nn/lag_attention.h).
  struct Lag {
    double lag_s = 0, decay = 0, rise = 0;
  };
  Lag lag(MomentView view, size_t modality) const;
  // [V, K]
  double base(MomentView view, MomentOutcome outcome) const;

  struct Net;
  const Net& net() const { return *net_; }  // for MomentStream and tests of gradients
  Net& net() { return *net_; }

 private:
  explicit MomentAttention(std::unique_ptr<Net> net);
  std::unique_ptr<Net> net_;
};

}  // namespace heed::model
