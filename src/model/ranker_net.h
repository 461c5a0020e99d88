// The inside of the ranker: which input lies in which column, the layers, and one batch's walk
// through them, forward and back. ranker.h is the public face; tests of gradients look in here.
//
// The input of the blocks has two parts. A request's part (its fields and numbers, the length and mean
// of each history) is computed once per request; a candidate's part (its own fields and numbers,
// what attention took from each history, the evidence) once per candidate. An MLP's first layer
// multiplies each part once (Linear::ForwardSplit).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "model/block.h"
#include "model/head.h"
#include "model/numeric_bins.h"
#include "model/ranker.h"
#include "nn/activation_unit.h"
#include "nn/attention.h"
#include "nn/embedding.h"
#include "nn/encoder.h"
#include "nn/esmm.h"
#include "nn/temperature.h"

namespace heed::model {

// What pools and encoders see of one history's tokens: the projection, or d a part.
size_t TokenWidthOf(const RankerConfig& config, size_t sequence);
// The encoder of one history, with its settings worked out.
nn::EncoderShape EncoderShapeOf(const RankerConfig& config, size_t sequence);

// Where everything lies. Widths in floats; d = embedding_width, W = attention_width, I = projection.
struct Layout {
  struct Field {
    size_t table = 0, column = 0;
  };
  struct Sequence {
    std::vector<size_t> tables;   // of a token's parts, d each
    std::vector<size_t> queries;  // indices into candidate_fields; none with a projection
    size_t query_width = 0, token_width = 0;
    size_t length_column = 0;    // request: log1p of the number of tokens
    size_t mean_column = 0;      // request: mean pool, a token's width; only with mean_pool
    size_t out_column = 0;       // candidate: out_width
    size_t out_width = 0;        // W of dot attention; a token's width of a DIN unit
    size_t evidence_column = 0;  // candidate: one a head
    size_t heads = 1;
  };
  std::vector<std::string> tables;  // in order of first mention: fields, then sequences
  // Columns of the request's fields are of x_request; the candidate's, of x_candidate or, with a
  // projection, of Workspace::item_fields: x_candidate then begins with the item vector [I].
  std::vector<Field> request_fields, candidate_fields;
  size_t item_fields_width = 0;  // Fc d
  // Each side's numbers: the standardised value and whether it is missing, 2 columns each.
  size_t request_numerics = 0, request_numerics_column = 0;
  size_t candidate_numerics = 0, candidate_numerics_column = 0;
  std::vector<Sequence> sequences;
  size_t request_width = 0, candidate_width = 0;
  size_t context_width = 0;     // the request's fields and numbers: its first columns
  BlockShape shape;             // what the blocks read
  std::vector<size_t> outputs;  // of the blocks, one after the other
  size_t output_width = 0;      // of all
  std::vector<nn::ChainLink> links;
  std::vector<size_t> given;  // [T]: the task that a value is given, or T

  explicit Layout(const RankerConfig& config);
  uint64_t DenseCount(const RankerConfig& config) const;  // numbers in dense parameters
};

// One batch in flight. Kept and reused: after the largest batch nothing is allocated any more.
struct Workspace {
  struct Sequence {
    std::vector<uint32_t> rows;   // [tokens, K]
    std::vector<uint32_t> marks;  // RowGradient::Number's, when rows may be updated at once
    nn::Matrix tokens;            // [tokens, token_width]
    nn::Matrix queries;           // [N, queries d]; not with a projection
    std::vector<float> log_age;   // [tokens]
    nn::AttentionTape tape;       // of a dot pool
    nn::HistoryRows history;      // what a rows form reads
    nn::ActivationUnitTape unit;  // of a DIN unit
    nn::EncoderTape encoder;
    std::vector<double> times;       // [tokens], seconds, for the encoder
    nn::Matrix raw, d_raw;           // [tokens, token_width]: before the encoder, only with one
    nn::Matrix parts, d_parts;       // [tokens, K d]: before the projection, only with one
    nn::Matrix inverse_temperature;  // [R, H], with a temperature
    nn::Matrix d_tokens, d_queries;
    nn::Matrix d_mean;  // [R, K d], with a projection
  };
  std::vector<uint32_t> request_rows, candidate_rows;  // [R, F], [N, F]
  nn::Matrix item_fields, d_item_fields;               // [N, Fc d]: only with a projection
  nn::Matrix x_request, x_candidate;                   // the MLP's input, in its two parts
  std::vector<Sequence> sequences;
  nn::Matrix joined, fields;  // [N, inputs], [N, F d]: only when a block reads them
  std::vector<BlockTape> blocks;
  nn::Matrix outputs;  // [N, all blocks' outputs]
  HeadTape head;
  nn::Matrix wide_request;         // [R, T]
  nn::Matrix logits, conditional;  // [N, T]; [N, links]: before the chain

  nn::Matrix d_request, d_candidate, d_joined, d_fields, d_outputs, d_logits, d_wide_request;
  std::vector<nn::RowGradient> d_rows;  // one per table
  double squares_now = 0.0;             // see Net::Backward
};

class Net {
 public:
  Net(const RankerConfig& config, uint64_t seed);
  Net(const Net& other);

  // Rows of all keys of the batch, into the workspace. Count also counts and admits.
  void Resolve(const Batch& batch, Workspace* work) const;
  void CountAndResolve(const Batch& batch, Workspace* work);
  // Logits of a resolved batch.
  void Forward(const Batch& batch, const Pass& pass, Workspace* work) const;
  // The loss, and its gradient in every Parameter::grad and in work->d_rows. After Forward.
  //
  // With `now`, rows that the batch has at one place only, in a history whose pool is in the rows
  // form, are updated by it while they are in the cache and have no entry in d_rows; as nobody else
  // of the batch reads them the result is that of updating them later. The sum of squares of their
  // gradients is then work->squares_now. Nothing is updated when the loss or its gradient by the blocks'
  // input is not finite; the loss is then NaN.
  // With `loss`, that one instead of the batch's labels and weights.
  double Backward(const Batch& batch, Workspace* work, const nn::Update* now = nullptr,
                  const LogitLoss* loss = nullptr);
  // What Backward takes without `loss`: of the batch's labels, given its logits, with the gradient in them.
  double Loss(const Batch& batch, nn::ConstMat logits, nn::Mat d_logits) const;
  // What is served of logits [N, T], n T numbers in place: probabilities, and values in units of their
  // labels, none below 0, times the probability of what they are given.
  void Outcomes(float* logits, size_t n) const;
  // After a training step that counts: running statistics follow the batch's.
  void Track(const Workspace& work);
  // After an update: what must not be negative is not.
  void Clamp();
  // The head's biases, from each task's log-odds; a linked task's is turned into that of its
  // condition.
  void SetTaskBias(const std::vector<float>& log_odds);

  std::vector<nn::Parameter*> Parameters();
  std::vector<const nn::Parameter*> Parameters() const;
  std::vector<nn::Buffer> Buffers();

  RankerConfig config;
  Layout layout;
  uint64_t seed = 0;
  uint64_t updates = 0;  // steps done: bias corrections, dropout streams
  std::vector<float> numeric_mean, numeric_deviation;  // [numerics of the schema]
  NumericBins numeric_bins;                            // of the training rows; empty: not known
  std::vector<float> calibration_scale, calibration_shift;  // [T]
  // The largest |x| of each activation that serving may store in int8, in the order of
  // infer/compile.cc; empty: not measured. An update of the weights empties it.
  std::vector<float> activation_ranges;
  std::vector<nn::EmbeddingTable> tables;
  nn::Linear item;                 // [Fc d, I], with a projection
  std::vector<nn::Linear> events;  // [K d, I], with a projection one a sequence
  // One per sequence each; those of another pooling stay empty.
  std::vector<nn::TargetAttention> attention;
  std::vector<nn::ActivationUnit> units;
  std::vector<nn::Temperature> temperatures;
  std::vector<nn::Encoder> encoders;
  std::vector<std::unique_ptr<Block>> blocks;
  Head head;
  nn::Parameter wide_request, wide_candidate;  // [2 numerics, T], with config.wide

 private:
  nn::EncoderInput EncoderOf(const Batch& batch, size_t s, Workspace* work) const;
  nn::AttentionInput AttentionOf(const Batch& batch, size_t s, Workspace* work) const;
  void Embed(const Batch& batch, Workspace* work) const;
  void EmbedNumerics(const Batch& batch, Workspace* work) const;
  void Attend(const Batch& batch, size_t s, const Pass& pass, Workspace* work) const;
  void MakeTokens(const Batch& batch, size_t s, const Pass& pass, Workspace* work) const;
  void TakeMean(const Batch& batch, size_t s, Workspace* work) const;
  void Arrange(const Batch& batch, Workspace* work) const;
  void BackwardArrange(const Batch& batch, Workspace* work) const;
  BlockInput InputOf(const Batch& batch, const Workspace& work) const;
  void AddWide(const Batch& batch, Workspace* work) const;
  void BackwardWide(const Batch& batch, nn::ConstMat d_logits, Workspace* work);
  bool ReadsRows(size_t s) const;
  bool RowsForm(const Workspace& work, size_t s) const {
    const Workspace::Sequence& own = work.sequences[s];
    return config.PoolOf(s).kind == PoolKind::kDot ? own.tape.form == nn::AttentionForm::kRows
                                                   : own.unit.rows_form;
  }
  void Mark(Workspace* work) const;
  void BackwardSequence(const Batch& batch, size_t s, const nn::Update* now, Workspace* work);
  void BackwardPool(const Batch& batch, size_t s, const nn::Update* now, nn::Mat d_queries,
                    Workspace* work);
  void BackwardRows(const Batch& batch, size_t s, const nn::Update* now, nn::ConstMat d_out,
                    nn::ConstMat d_evidence, nn::Mat d_queries, Workspace* work);
  void BackwardTokens(const Batch& batch, size_t s, Workspace* work);
  nn::ConstMat BackwardMean(const Batch& batch, size_t s, Workspace* work);
  void BackwardItem(Workspace* work);
  void ScatterFields(Workspace* work) const;
};

}  // namespace heed::model
