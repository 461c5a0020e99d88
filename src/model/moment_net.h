// Inside of moment attention: its layers, and one pass over a series.
#pragma once

#include <memory>
#include <vector>

#include "model/moment_attention.h"
#include "nn/fusion.h"
#include "nn/lag_attention.h"
#include "nn/linear.h"

namespace heed::model {

// What a pass leaves behind; reused from pass to pass.
struct MomentPass {
  struct View {
    std::vector<nn::LagTape> lags;             // [M]
    std::vector<nn::Matrix> seen;              // [M]: [T, D]
    std::vector<std::vector<float>> evidence;  // [M]: [T]
    std::vector<uint8_t> present;              // [T, M]
    nn::FusionTape fusion;
    nn::Matrix y, fused_evidence;           // [T, W], [T, 1]
    nn::Matrix spread;                      // [T, W C]: y_w phase_c
    nn::Matrix log_rates;                   // [T, K]
    nn::Matrix d_log_rates, d_spread, d_y;  // of the backward pass
    std::vector<nn::Matrix> d_seen;
  };
  std::vector<nn::Matrix> inputs, tokens, d_tokens;  // [M]: [T, 2 F_m], [T, D]
  std::vector<std::vector<uint8_t>> present;         // [M]: [T], any feature measured
  nn::Matrix phase;                                  // [T, C]
  std::array<View, kMomentViews> views;
};

struct MomentAttention::Net {
  struct View {
    std::vector<nn::LagAttention> lags;  // [M]
    nn::FusionAttention fusion;
    nn::Linear head;  // [W C, K]; its bias is base
  };

  Net(const MomentAttentionConfig& config, uint64_t seed);

  // Seconds `first` to `first + count` of the series. d_log_rates of both views must be set before Backward, which
  // adds to the parameters' gradients.
  void Forward(const MomentSeries& series, size_t first, size_t count, size_t omit,
               MomentPass* pass) const;
  void Backward(MomentPass* pass);

  // Pieces of the pass that MomentStream takes second by second.
  // input [2 F_m], token [D]; false, and nothing is set, where nothing of modality m is measured.
  bool Encode(size_t m, std::span<const float> values, std::span<const uint8_t> measured,
              nn::Mat input, nn::Mat token) const;
  void Phase(int64_t second, float* phase) const;  // [C]
  // From the view's seen and present to its log rates.
  void Fuse(const View& view, nn::ConstMat phase, MomentPass::View* pass) const;
  // [T, M K] and [T, M + 1] of a fused view.
  void Explain(const View& view, nn::ConstMat phase, const MomentPass::View& pass,
               nn::Matrix* contributions, nn::Matrix* weights) const;

  size_t modalities() const { return config.modalities.size(); }
  std::vector<nn::Parameter*> Trained();  // without base
  std::vector<nn::Parameter*> All();      // of the file

  MomentAttentionConfig config;
  std::vector<size_t> first_feature;  // [M + 1]
  std::vector<nn::Linear> encoders;   // [M]
  std::array<View, kMomentViews> views;
  uint64_t updates = 0;
  float rate_scale = 1;
  MomentPass training;
};

}  // namespace heed::model
