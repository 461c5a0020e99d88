// The linear n-gram model beside a classifier's members: logistic regression on TF-IDF, solved to its
// end.
//
// Letters: T known n-grams of a text, n table rows, C classes; N texts of training, N_i of them with
// n-gram i.
//   idf_i = 1 + ln((1 + N) / (1 + N_i)),   x_i = idf_i / sqrt(sum over the text of idf^2)
//   logit_c = b_c + sum_i x_i w_ic
// with w and b where 1/2 sum w^2 + cost sum_texts weight[label] ce is least. That is one point, so the
// part depends on no seed and no order. What members learn by steps and what this finds by a penalty
// err differently, which is why their mean is better than either.
#pragma once

#include <cstdint>
#include <span>

#include "nn/mat.h"

namespace heed::text {

// Known n-grams of texts one after another, as rows of the classifier's table.
struct KnownNgrams {
  std::span<const uint32_t> rows;     // below the number of table rows
  std::span<const uint32_t> offsets;  // [texts + 1]

  size_t size() const { return offsets.size() - 1; }
  std::span<const uint32_t> Of(size_t text) const {
    return rows.subspan(offsets[text], offsets[text + 1] - offsets[text]);
  }
};

class LinearPart {
 public:
  LinearPart() = default;
  LinearPart(size_t rows, size_t classes);  // all zeros

  // `labels` below C, parallel to the texts; `class_weights` [C] or empty; cost > 0.
  void Fit(const KnownNgrams& texts, std::span<const uint32_t> labels,
           std::span<const float> class_weights, float cost);

  // 1 / sqrt(sum of idf^2), 0 for none.
  float Norm(std::span<const uint32_t> rows) const;
  // x_i w_ic is Norm * Weights(row)[c].
  const float* Weights(uint32_t row) const { return table.Row(row) + 1; }
  // Adds share * logits to out [texts, C]. Thread-safe.
  void AddTo(const KnownNgrams& texts, float share, nn::Mat out) const;

  nn::Matrix table;  // [n, 1 + C]: idf_i, then idf_i w_ic
  nn::Matrix bias;   // [1, C]
};

}  // namespace heed::text
