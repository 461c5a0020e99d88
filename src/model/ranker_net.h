// The inside of the ranker: which input lies in which column, the layers, and one batch's walk
// through them, forward and back. ranker.h is the public face; tests of gradients look in here.
//
// The input of the MLP has two parts. A request's part (its fields and numbers, the length and mean
// of each history) is computed once per request; a candidate's part (its own fields and numbers,
// what attention took from each history, the evidence) once per candidate. The first layer multiplies
// each part once (Linear::ForwardSplit).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "model/ranker.h"
#include "nn/attention.h"
#include "nn/embedding.h"
#include "nn/linear.h"

namespace heed::model {

// Refuses what Schema::Validate refuses, and sizes without sense or beyond any use.
Status ValidateConfig(const RankerConfig& config);

// Where everything lies. Widths in floats; d = embedding_width, W = attention_width.
struct Layout {
  struct Field {
    size_t table = 0, column = 0;
  };
  struct Sequence {
    std::vector<size_t> tables;   // of a token's parts, d each
    std::vector<size_t> queries;  // indices into candidate_fields
    size_t length_column = 0;     // request: log1p of the number of tokens
    size_t mean_column = 0;       // request: mean pool, d per part; only with mean_pool
    size_t out_column = 0;        // candidate: W
    size_t evidence_column = 0;   // candidate: one a head
  };
  std::vector<std::string> tables;  // in order of first mention: fields, then sequences
  std::vector<Field> request_fields, candidate_fields;
  // Each side's numbers: the standardised value and whether it is missing, 2 columns each.
  size_t request_numerics = 0, request_numerics_column = 0;
  size_t candidate_numerics = 0, candidate_numerics_column = 0;
  std::vector<Sequence> sequences;
  size_t request_width = 0, candidate_width = 0;

  explicit Layout(const RankerConfig& config);
  uint64_t DenseCount(const RankerConfig& config) const;  // numbers in dense parameters
};

// One batch in flight. Kept and reused: after the largest batch nothing is allocated any more.
struct Workspace {
  struct Sequence {
    std::vector<uint32_t> rows;  // [tokens, K]
    nn::Matrix tokens;           // [tokens, K d]
    nn::Matrix queries;          // [N, queries d]
    std::vector<float> log_age;  // [tokens]
    nn::AttentionTape tape;
    nn::Matrix d_tokens, d_queries;
  };
  std::vector<uint32_t> request_rows, candidate_rows;  // [R, F], [N, F]
  nn::Matrix x_request, x_candidate;                   // the MLP's input, in its two parts
  std::vector<Sequence> sequences;
  nn::Matrix products;                  // [R, first layer]
  std::vector<nn::Matrix> activations;  // after each layer; the last are the logits [N, T]
  std::vector<nn::Matrix> masks;        // dropout
  nn::Matrix wide_request;              // [R, T]

  nn::Matrix d_request, d_candidate, d_products, d_wide_request;
  std::vector<nn::Matrix> d_activations;
  std::vector<nn::RowGradient> d_rows;  // one per table

  nn::Matrix& logits() { return activations.back(); }
};

class Net {
 public:
  Net(const RankerConfig& config, uint64_t seed);

  // Rows of all keys of the batch, into the workspace. Count also counts and admits.
  void Resolve(const Batch& batch, Workspace* work) const;
  void CountAndResolve(const Batch& batch, Workspace* work);
  // Logits of a resolved batch. `dropout` null: serving.
  void Forward(const Batch& batch, Random* dropout, Workspace* work) const;
  // The loss, and its gradient in every Parameter::grad and in work->d_rows. After Forward.
  double Backward(const Batch& batch, bool dropout, Workspace* work);

  std::vector<nn::Parameter*> Parameters();
  std::vector<const nn::Parameter*> Parameters() const;

  RankerConfig config;
  Layout layout;
  uint64_t seed = 0;
  uint64_t updates = 0;  // steps done: bias corrections, dropout streams
  std::vector<float> numeric_mean, numeric_deviation;       // [numerics of the schema]
  std::vector<float> calibration_scale, calibration_shift;  // [T]
  std::vector<nn::EmbeddingTable> tables;
  std::vector<nn::TargetAttention> attention;  // one per sequence
  std::vector<nn::Linear> layers;              // hidden, then the head
  nn::Parameter wide_request, wide_candidate;  // [2 numerics, T], with config.wide

 private:
  nn::AttentionInput AttentionOf(const Batch& batch, size_t s, Workspace* work) const;
  void Embed(const Batch& batch, Workspace* work) const;
  void EmbedNumerics(const Batch& batch, Workspace* work) const;
  void Attend(const Batch& batch, size_t s, Workspace* work) const;
  void AddWide(const Batch& batch, Workspace* work) const;
  void BackwardWide(const Batch& batch, nn::ConstMat d_logits, Workspace* work);
  void BackwardSequence(const Batch& batch, size_t s, Workspace* work);
  void ScatterFields(Workspace* work) const;
};

}  // namespace heed::model
