// Classes of an utterance from statistics of the whole and attention over its parts.
//
// Letters: B utterances, T parts in all, D statistics, P part width, H heads, C classes.
//   part_i  = max(0, x_i W + b)                                  [T, P]
//   pooled  = attention pooling over the parts of an utterance     [B, H P]
//   logits  = [pooled, max(0, u W' + b')] W'' + u V + b''          u [B, D]: the utterance's statistics
// The linear model keeps only u V + b''.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/random.h"
#include "nn/attention_pooling.h"
#include "nn/linear.h"

namespace heed::train {

struct VoiceModelConfig {
  bool linear = false;
  uint32_t part_width = 32, heads = 4, hidden = 64;
  float dropout = 0.5f, input_dropout = 0.2f;
  float rate = 2e-3f, l2 = 3e-3f, smoothing = 0.1f;
};

// Utterances one after another; parts of utterance i are rows offsets[i] to offsets[i + 1].
struct VoiceBatch {
  nn::Matrix whole;                     // [B, D]
  nn::Matrix parts;                     // [T, D]
  std::vector<uint32_t> offsets = {0};  // [B + 1]
  std::vector<uint32_t> labels;         // [B]
};

// Not thread-safe.
class VoiceModel {
 public:
  VoiceModel(const VoiceModelConfig& config, size_t statistics, size_t classes, uint64_t seed);

  // One step of Adam on the mean cross-entropy; its value before the step.
  double TrainStep(const VoiceBatch& batch);
  // logits [B, C].
  void Score(const VoiceBatch& batch, nn::Mat logits);

 private:
  void Forward(const VoiceBatch& batch, bool training);
  std::vector<nn::Parameter*> Parameters();

  VoiceModelConfig config_;
  Random random_;
  nn::Linear part_, hidden_, out_, skip_;
  nn::AttentionPooling pool_;
  uint64_t steps_ = 0;

  // Of the pass at hand.
  nn::Matrix whole_, whole_mask_, parts_, parts_mask_, projected_, features_, features_mask_;
  nn::Matrix evidence_, logits_;
  nn::PoolingTape tape_;
};

}  // namespace heed::train
