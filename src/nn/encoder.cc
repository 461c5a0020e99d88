#include "nn/encoder.h"

#include "kernels/table.h"

namespace heed::nn {
namespace {

void Copy(ConstMat from, Mat to) {
  for (size_t i = 0; i < from.rows; ++i) {
    std::memcpy(to.Row(i), from.Row(i), from.cols * sizeof(float));
  }
}

void Add(ConstMat from, Mat to) {
  const auto axpy = kernels::Active().axpy;
  for (size_t i = 0; i < from.rows; ++i) axpy(1.0f, from.Row(i), to.Row(i), from.cols);
}

}  // namespace

Encoder::Encoder(const std::string& name, const EncoderShape& shape, Random& random)
    : shape_(shape) {
  MultiHeadShape& attention = shape_.attention;
  attention.query_width = attention.memory_width = attention.width = shape.width;
  attention.out_width = shape.width;
  for (size_t l = 0; l < shape.layers; ++l) {
    const std::string part = name + "." + std::to_string(l);
    Block block;
    block.attention = MultiHeadAttention(part + ".attention", attention, random);
    block.feed1 = Linear(part + ".feed1", shape.width, shape.hidden, random);
    block.feed2 = Linear(part + ".feed2", shape.hidden, shape.width, random);
    block.norm1 = LayerNorm(part + ".norm1", shape.width);
    block.norm2 = LayerNorm(part + ".norm2", shape.width);
    blocks_.push_back(std::move(block));
  }
  if (shape.pre_norm) norm_ = LayerNorm(name + ".norm", shape.width);
}

std::vector<Parameter*> Encoder::Parameters() {
  std::vector<Parameter*> all;
  for (Block& block : blocks_) {
    for (Parameter* p : block.attention.Parameters()) all.push_back(p);
    for (Linear* linear : {&block.feed1, &block.feed2}) {
      all.push_back(&linear->weight);
      all.push_back(&linear->bias);
    }
    for (LayerNorm* norm : {&block.norm1, &block.norm2}) {
      for (Parameter* p : norm->Parameters()) all.push_back(p);
    }
  }
  if (shape_.pre_norm) {
    for (Parameter* p : norm_.Parameters()) all.push_back(p);
  }
  return all;
}

void Encoder::ClampDecay() {
  for (Block& block : blocks_) block.attention.ClampDecay();
}

MultiHeadInput Encoder::Input(const EncoderInput& in, ConstMat rows) const {
  MultiHeadInput input = SelfInput(rows, in.offsets);
  input.excluded = in.excluded;
  input.query_times = input.memory_times = in.times;
  return input;
}

void Encoder::Feed(const Block& block, Random* random, EncoderTape::Block* tape, Mat y) const {
  tape->hidden.Resize(y.rows, shape_.hidden);
  block.feed1.Forward(tape->feed_in.view(), tape->hidden.view());
  ReluForward(tape->hidden.view());
  if (random != nullptr) {
    tape->kept_hidden.Resize(y.rows, shape_.hidden);
    DropoutForward(shape_.dropout, *random, tape->hidden.view(), tape->kept_hidden.view());
  }
  block.feed2.Forward(tape->hidden.view(), y);
}

void Encoder::Forward(const EncoderInput& in, Random* random, EncoderTape* tape, Mat y) const {
  const size_t N = in.rows.rows, D = shape_.width;
  assert(in.rows.cols == D && y.rows == N && y.cols == D);
  Random* hidden_random = shape_.dropout > 0.0f ? random : nullptr;
  tape->dropped = hidden_random != nullptr;
  tape->blocks.resize(blocks_.size());
  tape->x.Resize(N, D);
  tape->part.Resize(N, D);
  const Mat x = tape->x.view(), part = tape->part.view();
  Copy(in.rows, x);
  const auto join = [&](Matrix* kept) {
    if (hidden_random != nullptr) {
      kept->Resize(N, D);
      DropoutForward(shape_.dropout, *hidden_random, part, kept->view());
    }
    Add(part, x);
  };
  for (size_t l = 0; l < blocks_.size(); ++l) {
    const Block& block = blocks_[l];
    EncoderTape::Block& t = tape->blocks[l];
    t.attention_in.Resize(N, D);
    t.feed_in.Resize(N, D);
    const Mat attention_in = t.attention_in.view(), feed_in = t.feed_in.view();
    if (shape_.pre_norm) {
      block.norm1.Forward(x, &t.norm1, attention_in);
    } else {
      Copy(x, attention_in);
    }
    block.attention.Forward(Input(in, attention_in), random, &t.attention, part);
    join(&t.kept1);
    if (shape_.pre_norm) {
      block.norm2.Forward(x, &t.norm2, feed_in);
    } else {
      block.norm1.Forward(x, &t.norm1, x);
      Copy(x, feed_in);
    }
    Feed(block, hidden_random, &t, part);
    join(&t.kept2);
    if (!shape_.pre_norm) block.norm2.Forward(x, &t.norm2, x);
  }
  if (shape_.pre_norm) {
    norm_.Forward(x, &tape->norm, y);
  } else {
    Copy(x, y);
  }
}

void Encoder::Backward(const EncoderInput& in, EncoderTape* tape, Mat d_y, Mat d_rows) {
  const size_t N = in.rows.rows, D = shape_.width;
  tape->d_part.Resize(N, D);
  tape->part.Resize(N, D);
  tape->d_hidden.Resize(N, shape_.hidden);
  // d_part: of what joins the residual path; d_in: of what the part saw.
  const Mat d_part = tape->d_part.view(), d_in = tape->part.view();
  Mat d_hidden = tape->d_hidden.view(), d_feed_in = d_in;
  if (shape_.pre_norm) {
    norm_.Backward(tape->norm, d_y, d_rows);
  } else {
    Copy(d_y, d_rows);
  }
  for (size_t l = blocks_.size(); l-- > 0;) {
    Block& block = blocks_[l];
    EncoderTape::Block& t = tape->blocks[l];
    if (!shape_.pre_norm) block.norm2.Backward(t.norm2, d_rows, d_rows);
    Copy(d_rows, d_part);
    if (tape->dropped) DropoutBackward(t.kept2.view(), d_part);
    block.feed2.Backward(t.hidden.view(), d_part, &d_hidden);
    if (tape->dropped) DropoutBackward(t.kept_hidden.view(), d_hidden);
    ReluBackward(t.hidden.view(), d_hidden);
    block.feed1.Backward(t.feed_in.view(), d_hidden, &d_feed_in);
    if (shape_.pre_norm) block.norm2.Backward(t.norm2, d_in, d_in);
    Add(d_in, d_rows);

    if (!shape_.pre_norm) block.norm1.Backward(t.norm1, d_rows, d_rows);
    Copy(d_rows, d_part);
    if (tape->dropped) DropoutBackward(t.kept1.view(), d_part);
    for (size_t i = 0; i < N; ++i) std::fill_n(d_in.Row(i), D, 0.0f);
    block.attention.Backward(Input(in, t.attention_in.view()), &t.attention, d_part, d_in, d_in);
    if (shape_.pre_norm) block.norm1.Backward(t.norm1, d_in, d_in);
    Add(d_in, d_rows);
  }
}

}  // namespace heed::nn
