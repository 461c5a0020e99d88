// Fusion of modalities (voice, face, picture, text, comments) into one vector by attention over them.
//
// Letters: B moments, M modalities, D_m numbers of modality m, C context width, W width, H heads.
//   token_m = x_m P_m + e_m               (a projection and a learned name for each modality)
//   y, evidence = target attention over the present tokens and a null slot, asked by the context
// A missing modality is excluded: weight exactly 0, no gradient, and no zeros in its place. With none
// present y = 0 and evidence 0. Attention over modality tokens as in Tsai et al. 2019 (MulT) and
// Nagrani et al. 2021; the null slot and everything about weights are TargetAttention's.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "nn/attention.h"
#include "nn/linear.h"

namespace heed::nn {

struct FusionShape {
  std::vector<size_t> modality_widths;  // D_m; at least one modality
  size_t context_width = 1;
  size_t heads = 1;
  size_t width = 1;  // W, of all heads together; a multiple of heads; of tokens, too
};

struct FusionInput {
  std::span<const ConstMat> modalities;  // M times [B, D_m]; rows of missing moments are not read
  std::span<const uint8_t> present;      // [B, M]
  ConstMat context;                      // [B, C]: what asks, e.g. the room's state
};

struct FusionTape {
  AttentionTape attention;  // weights: [B, H, M + 1], the last one the null slot's
  Matrix tokens, d_tokens;  // [B M, W]
  std::vector<uint32_t> offsets, request_of;
  std::vector<float> log_age;
  std::vector<uint8_t> excluded;
  std::vector<Matrix> gathered, d_gathered;  // by modality: its present rows
  std::vector<std::vector<uint32_t>> rows;   // by modality: moments where it is present
  Matrix projected;                          // scratch
};

class FusionAttention {
 public:
  FusionAttention() = default;
  FusionAttention(const std::string& name, const FusionShape& shape, Random& random);

  // y [B, W] and evidence [B, H] are set.
  void Forward(const FusionInput& in, FusionTape* tape, Mat y, Mat evidence) const;
  // Adds to d_context [B, C] and to d_modalities (M times [B, D_m]; empty: not asked for).
  void Backward(const FusionInput& in, FusionTape* tape, ConstMat d_y, ConstMat d_evidence,
                Mat d_context, std::span<const Mat> d_modalities);

  // y taken apart: parts [B M, W] is set, and a moment's M rows sum to its y; a missing modality's is 0.
  void Parts(const FusionTape& tape, Mat parts) const;

  std::vector<Parameter*> Parameters();
  size_t modalities() const { return projections_.size(); }

 private:
  AttentionInput InputOf(const FusionInput& in, FusionTape* tape) const;

  std::vector<Linear> projections_;  // the bias is the modality's name e_m
  TargetAttention attention_;
};

}  // namespace heed::nn
