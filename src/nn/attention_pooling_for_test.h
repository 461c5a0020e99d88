// A pooling layer of either form with random weights and a random ragged batch, for tests and the
// PyTorch judge.
#pragma once

#include <cmath>
#include <vector>

#include "nn/attention_for_test.h"
#include "nn/attention_pooling.h"

namespace heed::nn {

struct PoolingCase {
  bool additive;
  AttentionPooling softmax_form;
  AdditiveAttention additive_form;
  Matrix items, queries;
  std::vector<uint32_t> offsets = {0};
  std::vector<uint8_t> excluded;

  PoolingCase(bool is_additive, const PoolingShape& shape, const std::vector<uint32_t>& lengths,
              Random& random)
      : additive(is_additive),
        softmax_form("pooling", shape, random),
        additive_form("pooling", shape, random) {
    for (const uint32_t length : lengths) offsets.push_back(offsets.back() + length);
    items.Resize(offsets.back(), shape.item_width);
    queries.Resize(lengths.size(), shape.query_width);
    FillNormal(&items, random);
    FillNormal(&queries, random);
    for (Parameter* p : Parameters()) {
      FillNormal(&p->value, random, 0.7);
      p->grad.Fill(0.0f);
    }
  }

  const PoolingShape& shape() const { return softmax_form.shape(); }
  size_t sequences() const { return offsets.size() - 1; }
  size_t Length(size_t b) const { return offsets[b + 1] - offsets[b]; }
  PoolingInput Input() const { return {items.view(), offsets, excluded, queries.view()}; }
  std::vector<Parameter*> Parameters() {
    return additive ? additive_form.Parameters() : softmax_form.Parameters();
  }
  Parameter& null_score() { return additive ? additive_form.null_score : softmax_form.null_score; }
};

struct PoolingAnswer {
  PoolingTape tape;
  Matrix out, evidence;
  Matrix d_items, d_queries;  // after Backward

  explicit PoolingAnswer(const PoolingCase& c)
      : out(c.sequences(), c.shape().OutputWidth()), evidence(c.sequences(), c.shape().heads) {
    if (c.additive) {
      c.additive_form.Forward(c.Input(), &tape, out.view(), evidence.view());
    } else {
      c.softmax_form.Forward(c.Input(), &tape, out.view(), evidence.view());
    }
  }
  void Backward(PoolingCase& c, const Matrix& d_out, const Matrix& d_evidence) {
    d_items.Resize(c.items.rows(), c.items.cols());
    d_queries.Resize(c.queries.rows(), c.queries.cols());
    d_items.Fill(0.0f);
    d_queries.Fill(0.0f);
    if (c.additive) {
      c.additive_form.Backward(c.Input(), &tape, d_out.view(), d_evidence.view(), d_items.view(),
                               d_queries.view());
    } else {
      c.softmax_form.Backward(c.Input(), &tape, d_out.view(), d_evidence.view(), d_items.view());
    }
  }
  // Head h's weights of sequence b: its items, then the null slot.
  const float* Weights(const PoolingCase& c, size_t b, size_t h) const {
    return tape.weights.data() + tape.starts[b] + h * (c.Length(b) + 1);
  }
};

}  // namespace heed::nn
