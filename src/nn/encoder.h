// A stack of transformer blocks over packed sequences: attention, then a feed-forward net at each
// place, each with dropout, a residual path and layer normalisation (Vaswani et al. 2017; over item
// sequences: Kang & McAuley 2018, SASRec).
//
// Letters: N rows of all sequences, D width, F width of the hidden layer.
//   post-norm   x <- Norm(x + drop(Attention(x)));   x <- Norm(x + drop(Feed(x)))
//   pre-norm    x <- x + drop(Attention(Norm(x)));   x <- x + drop(Feed(Norm(x)));  Norm at the end
//   Feed(x) = drop(relu(x W1 + b1)) W2 + b2
// Pre-norm trains without warm-up (Xiong et al. 2020). Sequences may have any length, 0 included.
//
// Forward is const and thread-safe; Backward belongs to one thread; the caller keeps the tape.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "nn/layer_norm.h"
#include "nn/self_attention.h"

namespace heed::nn {

struct EncoderShape {
  size_t width = 64;   // D
  size_t layers = 2;   // 0: the rows come out as they went in, but for the end's Norm
  size_t hidden = 64;  // F
  bool pre_norm = true;
  float dropout = 0.0f;      // of hidden numbers and of what joins the residual path
  MultiHeadShape attention;  // heads, causal, biases, dropout of weights; its widths are set here
};

struct EncoderInput {
  ConstMat rows;                      // [N, D]
  std::span<const uint32_t> offsets;  // of the sequences
  std::span<const uint8_t> excluded;  // rows that nobody attends to; or empty
  std::span<const double> times;      // of each row, when the attention asks for time
};

struct EncoderTape {
  struct Block {
    Matrix attention_in, feed_in, hidden;  // what each part saw, and the hidden layer
    MultiHeadTape attention;               // with the weights
    LayerNormTape norm1, norm2;
    Matrix kept1, kept2, kept_hidden;  // dropout's factors
  };
  std::vector<Block> blocks;
  LayerNormTape norm;
  bool dropped = false;

  Matrix x, part, d_part, d_hidden;  // scratch
};

class Encoder {
 public:
  Encoder() = default;
  Encoder(const std::string& name, const EncoderShape& shape, Random& random);

  // y [N, D] is set. `random` draws the dropout; null: none, as when serving.
  void Forward(const EncoderInput& in, Random* random, EncoderTape* tape, Mat y) const;
  // d_y [N, D] is consumed as scratch; d_rows [N, D] is set.
  void Backward(const EncoderInput& in, EncoderTape* tape, Mat d_y, Mat d_rows);

  void ClampDecay();  // after an optimiser step, as MultiHeadAttention's
  std::vector<Parameter*> Parameters();
  const EncoderShape& shape() const { return shape_; }

 private:
  struct Block {
    MultiHeadAttention attention;
    Linear feed1, feed2;
    LayerNorm norm1, norm2;
  };
  MultiHeadInput Input(const EncoderInput& in, ConstMat rows) const;
  void Feed(const Block& block, Random* random, EncoderTape::Block* tape, Mat y) const;

  EncoderShape shape_;
  std::vector<Block> blocks_;
  LayerNorm norm_;  // pre-norm only
};

}  // namespace heed::nn
