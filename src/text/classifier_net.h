// Inside of a classifier: its numbers, and one member's pass over a batch.
#pragma once

#include <memory>
#include <vector>

#include "nn/attention_pooling.h"
#include "nn/embedding.h"
#include "nn/linear.h"
#include "text/classifier.h"
#include "text/linear_part.h"
#include "text/ngrams.h"

namespace heed::text {

// What one member's pass leaves behind; reused from batch to batch.
struct MemberPass {
  std::vector<uint32_t> rows, offsets;  // of the table: known n-grams that take part
  std::vector<float> frequencies;       // parallel to rows; only a linear part reads them
  nn::Matrix items, wide;               // [T, D], [T, C]
  nn::PoolingTape tape;
  nn::Matrix pooled, evidence, mask, logits;                         // [B, H D], [B, H], [B, C]
  nn::Matrix d_logits, d_pooled, d_evidence, d_items, d_wide, sums;  // of the backward pass
};

struct ClassifierScratch {
  std::vector<uint32_t> rows;
  MemberPass pass;
};

struct Classifier::Net {
  struct Member {
    nn::AttentionPooling pooling;
    nn::Linear output;  // [H D, C]
  };

  Net(const ClassifierConfig& classifier_config, uint64_t seed);

  size_t classes() const { return config.labels.size(); }
  // Columns of the table: members' embeddings, then members' wide weights.
  size_t EmbeddingColumn(size_t m) const { return m * config.width; }
  size_t WideColumn(size_t m) const { return config.members * config.width + m * classes(); }
  // Of one member in the logits; the linear part has the rest.
  float MemberShare() const {
    return (1.0f - config.linear_share) / static_cast<float>(members.size());
  }
  // A batch's known n-grams to pass->rows, frequencies and offsets.
  void FindKnown(const TextBatch& batch, ClassifierScratch* scratch) const;
  std::vector<nn::Parameter*> Parameters();
  // Of the text's t-th n-gram, for the linear part; 0 without one.
  float FrequencyOf(const Ngrams& ngrams, size_t t) const;
  float Power(size_t n) const;       // n^power, 0 for 0
  float WideFactor(size_t n) const;  // wide_scale / sqrt(n), 0 for 0

  // pass->rows and offsets to pass->pooled (times n^power) and, without dropout, pass->logits.
  void Pool(size_t m, MemberPass* pass) const;
  void Classify(size_t m, MemberPass* pass) const;
  // From pass->d_logits; adds to the parameters' gradients and to `gradient`.
  void Backward(size_t m, MemberPass* pass);

  ClassifierConfig config;
  nn::EmbeddingTable table;
  std::vector<Member> members;
  LinearPart linear;  // a row for each of the table's, where there is one
  float scale = 1.0f;
  uint64_t updates = 0;
  nn::RowGradient gradient;
  ClassifierScratch training;
};

}  // namespace heed::text
