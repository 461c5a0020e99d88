// A fusion attention with random weights and random moments, some modalities of some missing.
#pragma once

#include <vector>

#include "base/random.h"
#include "nn/attention_for_test.h"
#include "nn/fusion.h"

namespace heed::nn {

struct FusionCase {
  FusionShape shape;
  FusionAttention layer;
  std::vector<Matrix> modalities;
  Matrix context;
  std::vector<uint8_t> present;

  FusionCase(const FusionShape& fusion_shape, size_t moments, double missing, Random& random)
      : shape(fusion_shape),
        layer("fusion", fusion_shape, random),
        context(moments, shape.context_width) {
    FillNormal(&context, random);
    for (const size_t width : shape.modality_widths) {
      modalities.emplace_back(moments, width);
      FillNormal(&modalities.back(), random);
    }
    for (size_t i = 0; i < moments * modalities.size(); ++i) {
      present.push_back(!random.Chance(missing));
    }
    for (Parameter* p : layer.Parameters()) FillNormal(&p->value, random, 0.5);
  }

  std::vector<ConstMat> Views() const {
    std::vector<ConstMat> views;
    for (const Matrix& m : modalities) views.push_back(m.view());
    return views;
  }
};

struct FusionAnswer {
  FusionTape tape;
  Matrix y, evidence;

  explicit FusionAnswer(const FusionCase& c)
      : y(c.context.rows(), c.shape.width), evidence(c.context.rows(), c.shape.heads) {
    const std::vector<ConstMat> views = c.Views();
    c.layer.Forward({views, c.present, c.context.view()}, &tape, y.view(), evidence.view());
  }
  // Of moment b and head h: the modalities, then the null slot.
  const float* Weights(const FusionCase& c, size_t b, size_t h) const {
    const size_t run = c.modalities.size() + 1;
    return tape.attention.weights.data() + (b * c.shape.heads + h) * run;
  }
};

struct FusionGradient {
  Matrix d_context;
  std::vector<Matrix> d_modalities;

  FusionGradient(FusionCase* c, FusionAnswer* answer, const Matrix& d_y, const Matrix& d_evidence)
      : d_context(c->context.rows(), c->context.cols()) {
    d_context.Fill(0.0f);
    std::vector<Mat> views;
    for (const Matrix& m : c->modalities) {
      d_modalities.emplace_back(m.rows(), m.cols());
      d_modalities.back().Fill(0.0f);
    }
    for (Matrix& m : d_modalities) views.push_back(m.view());
    const std::vector<ConstMat> inputs = c->Views();
    c->layer.Backward({inputs, c->present, c->context.view()}, &answer->tape, d_y.view(),
                      d_evidence.view(), d_context.view(), views);
  }
};

}  // namespace heed::nn
