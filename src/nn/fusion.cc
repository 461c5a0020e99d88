#include "nn/fusion.h"

#include <algorithm>

#include "kernels/table.h"

namespace heed::nn {

FusionAttention::FusionAttention(const std::string& name, const FusionShape& shape,
                                 Random& random) {
  assert(!shape.modality_widths.empty());
  for (size_t m = 0; m < shape.modality_widths.size(); ++m) {
    projections_.emplace_back(name + ".modality" + std::to_string(m), shape.modality_widths[m],
                              shape.width, random);
  }
  attention_ = TargetAttention(name,
                               {.query_width = shape.context_width,
                                .token_width = shape.width,
                                .heads = shape.heads,
                                .width = shape.width},
                               0.0f, random);
}

std::vector<Parameter*> FusionAttention::Parameters() {
  std::vector<Parameter*> all;
  for (Linear& projection : projections_) {
    all.push_back(&projection.weight);
    all.push_back(&projection.bias);
  }
  // Modalities of one moment have one age: no decay to learn.
  all.insert(all.end(), {&attention_.query, &attention_.query_bias, &attention_.key,
                         &attention_.value, &attention_.null_score});
  return all;
}

// One request a moment, whose tokens are all modalities, the missing ones excluded.
AttentionInput FusionAttention::InputOf(const FusionInput& in, FusionTape* tape) const {
  const size_t B = in.context.rows, M = modalities();
  assert(in.modalities.size() == M && in.present.size() == B * M);
  tape->offsets.resize(B + 1);
  tape->request_of.resize(B);
  for (size_t b = 0; b <= B; ++b) tape->offsets[b] = static_cast<uint32_t>(b * M);
  for (size_t b = 0; b < B; ++b) tape->request_of[b] = static_cast<uint32_t>(b);
  tape->log_age.assign(B * M, 0.0f);
  tape->excluded.resize(B * M);
  for (size_t i = 0; i < B * M; ++i) tape->excluded[i] = in.present[i] == 0;
  return {in.context,       tape->tokens.view(), tape->offsets,
          tape->request_of, tape->log_age,       tape->excluded};
}

void FusionAttention::Forward(const FusionInput& in, FusionTape* tape, Mat y, Mat evidence) const {
  const size_t B = in.context.rows, M = modalities();
  const size_t W = attention_.shape().token_width;
  tape->tokens.Resize(B * M, W);
  tape->tokens.Fill(0.0f);
  tape->gathered.resize(M);
  tape->rows.resize(M);
  for (size_t m = 0; m < M; ++m) {
    std::vector<uint32_t>& rows = tape->rows[m];
    rows.clear();
    for (size_t b = 0; b < B; ++b) {
      if (in.present[b * M + m] != 0) rows.push_back(static_cast<uint32_t>(b));
    }
    Matrix& x = tape->gathered[m];
    x.Resize(rows.size(), in.modalities[m].cols);
    for (size_t i = 0; i < rows.size(); ++i) {
      std::copy_n(in.modalities[m].Row(rows[i]), x.cols(), x.Row(i));
    }
    tape->projected.Resize(rows.size(), W);
    projections_[m].Forward(x.view(), tape->projected.view());
    for (size_t i = 0; i < rows.size(); ++i) {
      std::copy_n(tape->projected.Row(i), W, tape->tokens.Row(rows[i] * M + m));
    }
  }
  const AttentionInput input = InputOf(in, tape);
  tape->attention.form = attention_.BestForm(input);
  attention_.Forward(input, &tape->attention, y, evidence);
}

void FusionAttention::Parts(const FusionTape& tape, Mat parts) const {
  const size_t M = modalities(), H = attention_.shape().heads, dh = attention_.shape().width / H;
  assert(parts.rows == tape.tokens.rows());
  MatMul(tape.tokens.view(), attention_.value.value.view(), parts);
  for (size_t i = 0; i < parts.rows; ++i) {
    const float* weights = tape.attention.weights.data() + i / M * H * (M + 1) + i % M;
    for (size_t d = 0; d < parts.cols; ++d) parts.Row(i)[d] *= weights[d / dh * (M + 1)];
  }
}

void FusionAttention::Backward(const FusionInput& in, FusionTape* tape, ConstMat d_y,
                               ConstMat d_evidence, Mat d_context,
                               std::span<const Mat> d_modalities) {
  const size_t B = in.context.rows, M = modalities();
  const size_t W = attention_.shape().token_width;
  tape->d_tokens.Resize(B * M, W);
  tape->d_tokens.Fill(0.0f);
  attention_.Backward(InputOf(in, tape), &tape->attention, d_y, d_evidence, d_context,
                      tape->d_tokens.view());
  const auto axpy = kernels::Active().axpy;
  tape->d_gathered.resize(M);
  for (size_t m = 0; m < M; ++m) {
    const std::vector<uint32_t>& rows = tape->rows[m];
    tape->projected.Resize(rows.size(), W);
    for (size_t i = 0; i < rows.size(); ++i) {
      std::copy_n(tape->d_tokens.Row(rows[i] * M + m), W, tape->projected.Row(i));
    }
    Matrix& d_x = tape->d_gathered[m];
    d_x.Resize(rows.size(), in.modalities[m].cols);
    Mat d_input = d_x.view();
    projections_[m].Backward(tape->gathered[m].view(), tape->projected.view(),
                             d_modalities.empty() ? nullptr : &d_input);
    for (size_t i = 0; i < rows.size() && !d_modalities.empty(); ++i) {
      axpy(1.0f, d_x.Row(i), d_modalities[m].Row(rows[i]), d_x.cols());
    }
  }
}

}  // namespace heed::nn
