// The linear n-gram model beside a classifier's members: logistic regression on TF-IDF, solved to its
// end.
//
// Letters: T known n-grams of a text, n table rows, C classes; N texts of training, N_i of them with
// n-gram i, which a text has k_i times.
//   idf_i = 1 + ln((1 + N) / (1 + N_i)),   f_i = 1 + ln k_i, of n-grams with an end's mark 0
//   x_i = f_i idf_i / sqrt(sum over the text of (f idf)^2)
//   logit_c = b_c + sum_i x_i w_ic
// with w and b where 1/2 sum w^2 + cost sum_texts weight[label] ce is least (of two classes that is
// binary logistic regression with C = 2 cost). That is one point, so the part depends on no seed and no order. How often an
// n-gram stands there tells: with every f_i = 1 accuracy was .008 lower (docs/results.md). What members learn by steps and what this finds by a penalty
// err differently, which is why their mean is better than either.
#pragma once

#include <cstdint>
#include <span>

#include "nn/mat.h"

namespace heed::text {

// Known n-grams of texts one after another, as rows of the classifier's table.
struct KnownNgrams {
  std::span<const uint32_t> rows;      // below the number of table rows
  std::span<const float> frequencies;  // parallel: f_i
  std::span<const uint32_t> offsets;   // [texts + 1]

  size_t size() const { return offsets.size() - 1; }
};

class LinearPart {
 public:
  LinearPart() = default;
  LinearPart(size_t rows, size_t classes);  // all zeros

  // `labels` below C, parallel to the texts; `class_weights` [C] or empty; cost > 0.
  void Fit(const KnownNgrams& texts, std::span<const uint32_t> labels,
           std::span<const float> class_weights, float cost);

  // Of one text: 1 / sqrt(sum of (f idf)^2), 0 for none.
  float Norm(const KnownNgrams& texts, size_t text) const;
  // x_i w_ic is Norm * f_i * Weights(row)[c].
  const float* Weights(uint32_t row) const { return table.Row(row) + 1; }
  // Adds share * logits to out [texts, C]. Thread-safe.
  void AddTo(const KnownNgrams& texts, float share, nn::Mat out) const;

  nn::Matrix table;  // [n, 1 + C]: idf_i, then idf_i w_ic
  nn::Matrix bias;   // [1, C]
};

}  // namespace heed::text
