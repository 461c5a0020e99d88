// Moment attention as a broadcast goes on: one second in, one reading out, at a cost that does not depend on
// how long the broadcast has been.
//
// The look-back is a ring of encoded seconds, so that a second costs M encoders, two views' M L D
// multiplications and two fusions of M + 1 rows. Answers are those of MomentAttention::Answer to about 1e-6.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "model/moment_attention.h"

namespace heed::model {

// What is known of the audience in the second just read; all of it may be missing.
struct MomentAudience {
  float viewers = 0;  // viewer-seconds
  std::array<float, kMomentOutcomes> counts = {};
};

struct MomentReading {
  struct Modality {
    // Shares of attention, of the modalities and "nothing" together 1; 0 where it is missing.
    std::array<float, kMomentViews> weight = {};
    // To the log rates, by view and outcome; may be negative.
    std::array<std::array<float, kMomentOutcomes>, kMomentViews> contribution = {};
    // What the next minute's log rates and the highlight score would change by if it were left out.
    std::array<float, kMomentOutcomes> without = {};
    float highlight_without = 0;
  };

  int64_t second = 0;
  std::vector<Modality> modalities;              // in the configuration's order
  std::array<float, kMomentViews> nothing = {};  // weight of the null slot
  // Events per viewer and second; and how many times the room's usual rate that is.
  std::array<std::array<double, kMomentOutcomes>, kMomentViews> rates = {}, lift = {};
  double stay = 0;       // probability that a viewer of now is there after the horizon
  double highlight = 0;  // sum over outcomes of highlight_k log lift_k of the next minute
};

// Of one broadcast of one room. Not thread-safe; the model may be shared.
class MomentStream {
 public:
  explicit MomentStream(std::shared_ptr<const MomentAttention> model);
  ~MomentStream();

  // values, measured [F]: one second, later than those before; seconds between are not measured. kInvalidArgument,
  // and nothing has happened, for a second that is not later.
  // The room's own level is learned from the audience: a Gamma prior at the model's base, worth
  // kPriorEvents events, and a memory of kLevelHalfLife seconds.
  Result<MomentReading> Advance(int64_t second, std::span<const float> values,
                                std::span<const uint8_t> measured,
                                const std::optional<MomentAudience>& audience = std::nullopt);

  static constexpr double kPriorEvents = 5, kLevelHalfLife = 600;

 private:
  struct Rings;

  std::shared_ptr<const MomentAttention> model_;
  std::unique_ptr<Rings> rings_;
};

}  // namespace heed::model
