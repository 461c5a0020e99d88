#include "model/block.h"

#include <algorithm>

#include "kernels/table.h"
#include "model/mlp_block.h"

namespace heed::model {

using nn::ActivationKind;
using nn::ConstMat;
using nn::Mat;
using nn::Matrix;

namespace {

void AddRows(ConstMat from, Mat to) {
  const auto axpy = kernels::Active().axpy;
  for (size_t i = 0; i < from.rows; ++i) axpy(1.0f, from.Row(i), to.Row(i), from.cols);
}
void CopyRows(ConstMat from, Mat to) {
  for (size_t i = 0; i < from.rows; ++i) std::copy_n(from.Row(i), from.cols, to.Row(i));
}

class Cross final : public Block {
 public:
  Cross(const std::string& name, const BlockConfig& config, const BlockShape& shape, Random& random)
      : net_(name + "cross",
             {.inputs = shape.inputs(), .layers = config.layers, .rank = config.rank}, random) {}

  std::unique_ptr<Block> Clone() const override { return std::make_unique<Cross>(*this); }
  size_t outputs() const override { return net_.shape().inputs; }
  bool reads_joined() const override { return true; }
  void Forward(const BlockInput& in, const Pass&, BlockTape* tape, Mat y) const override {
    net_.Forward(in.joined, &tape->cross, y);
  }
  void Backward(const BlockInput&, BlockTape* tape, ConstMat, Mat d_y,
                const BlockGradient& d) override {
    tape->d_input.Resize(d_y.rows, d_y.cols);
    net_.Backward(&tape->cross, d_y, tape->d_input.view());
    AddRows(tape->d_input.view(), d.joined);
  }
  std::vector<nn::Parameter*> Parameters() override { return net_.Parameters(); }

 private:
  nn::CrossNetwork net_;
};

class AutoInt final : public Block {
 public:
  AutoInt(const std::string& name, const BlockConfig& config, const BlockShape& shape,
          Random& random)
      : outputs_(shape.fields() * config.width) {
    for (size_t i = 0; i < config.layers; ++i) {
      layers_.emplace_back(name + "autoint." + std::to_string(i), shape.fields(),
                           i == 0 ? shape.field_width : config.width, config.heads, config.width,
                           random);
    }
  }

  std::unique_ptr<Block> Clone() const override { return std::make_unique<AutoInt>(*this); }
  size_t outputs() const override { return outputs_; }
  bool reads_fields() const override { return true; }
  void Forward(const BlockInput& in, const Pass&, BlockTape* tape, Mat y) const override {
    tape->y.resize(layers_.size());
    tape->fields.resize(layers_.size());
    for (size_t i = 0; i < layers_.size(); ++i) {
      tape->y[i].Resize(y.rows, outputs_);
      layers_[i].Forward(Input(in, *tape, i), &tape->fields[i], tape->y[i].view());
    }
    CopyRows(tape->y.back().view(), y);
  }
  void Backward(const BlockInput& in, BlockTape* tape, ConstMat, Mat d_y,
                const BlockGradient& d) override {
    tape->d_y.resize(layers_.size());
    tape->d_y.back().Resize(d_y.rows, outputs_);
    CopyRows(d_y, tape->d_y.back().view());
    for (size_t i = layers_.size(); i-- > 0;) {
      const ConstMat x = Input(in, *tape, i);
      Matrix& d_x = i == 0 ? tape->d_input : tape->d_y[i - 1];
      d_x.Resize(x.rows, x.cols);
      layers_[i].Backward(x, &tape->fields[i], tape->d_y[i].view(), d_x.view());
    }
    AddRows(tape->d_input.view(), d.fields);
  }
  std::vector<nn::Parameter*> Parameters() override {
    std::vector<nn::Parameter*> all;
    for (nn::FieldSelfAttention& layer : layers_) {
      for (nn::Parameter* p : layer.Parameters()) all.push_back(p);
    }
    return all;
  }

 private:
  static ConstMat Input(const BlockInput& in, const BlockTape& tape, size_t i) {
    return i == 0 ? in.fields : tape.y[i - 1].view();
  }

  size_t outputs_;
  std::vector<nn::FieldSelfAttention> layers_;
};

class Afm final : public Block {
 public:
  Afm(const std::string& name, const BlockConfig& config, const BlockShape& shape, Random& random)
      : outputs_(shape.field_width),
        layer_(name + "afm", shape.fields(), shape.field_width, config.width, random) {}

  std::unique_ptr<Block> Clone() const override { return std::make_unique<Afm>(*this); }
  size_t outputs() const override { return outputs_; }
  bool reads_fields() const override { return true; }
  void Forward(const BlockInput& in, const Pass&, BlockTape* tape, Mat y) const override {
    layer_.Forward(in.fields, &tape->pairs, y);
  }
  void Backward(const BlockInput& in, BlockTape* tape, ConstMat, Mat d_y,
                const BlockGradient& d) override {
    tape->d_input.Resize(in.fields.rows, in.fields.cols);
    layer_.Backward(in.fields, &tape->pairs, d_y, tape->d_input.view());
    AddRows(tape->d_input.view(), d.fields);
  }
  std::vector<nn::Parameter*> Parameters() override { return layer_.Parameters(); }

 private:
  size_t outputs_;
  nn::PairAttention layer_;
};

// What a gated block's inner block sees: everything belongs to the candidate, because the gate
// mixes both sides' fields.
BlockShape GatedShape(const BlockShape& shape) {
  return {.request_width = 0,
          .candidate_width = shape.inputs(),
          .request_fields = shape.request_fields,
          .candidate_fields = shape.candidate_fields,
          .field_width = shape.field_width};
}

class Gated final : public Block {
 public:
  Gated(const std::string& name, const BlockConfig& config, const BlockShape& shape,
        std::unique_ptr<Block> inner, Random& random)
      : shape_(shape),
        inner_(std::move(inner)),
        gate_(name + "gate", shape.fields(), shape.field_width, config.gate_hidden, random) {}
  Gated(const Gated& other)
      : Block(other), shape_(other.shape_), inner_(other.inner_->Clone()), gate_(other.gate_) {}

  std::unique_ptr<Block> Clone() const override { return std::make_unique<Gated>(*this); }
  size_t outputs() const override { return inner_->outputs(); }
  bool reads_joined() const override { return true; }
  bool reads_fields() const override { return true; }

  void Forward(const BlockInput& in, const Pass& pass, BlockTape* tape, Mat y) const override {
    const size_t N = in.fields.rows;
    if (tape->inner == nullptr) tape->inner = std::make_unique<BlockTape>();
    tape->gated_fields.Resize(N, in.fields.cols);
    gate_.Forward(in.fields, &tape->gate, tape->gated_fields.view());
    tape->gated.Resize(N, shape_.inputs());
    CopyRows(in.joined, tape->gated.view());
    const ConstMat fields = tape->gated_fields.view();
    CopyRows(fields.Cols(0, OfRequest()), RequestFields(tape->gated.view()));
    CopyRows(fields.Cols(OfRequest(), OfCandidate()), CandidateFields(tape->gated.view()));
    inner_->Forward(Inner(in, *tape), pass, tape->inner.get(), y);
  }

  void Backward(const BlockInput& in, BlockTape* tape, ConstMat y, Mat d_y,
                const BlockGradient& d) override {
    const size_t N = in.fields.rows;
    tape->d_gated.Resize(N, shape_.inputs());
    tape->d_gated.Fill(0.0f);
    tape->d_gated_fields.Resize(N, in.fields.cols);
    tape->d_gated_fields.Fill(0.0f);
    const Mat d_all = tape->d_gated.view(), d_fields = tape->d_gated_fields.view();
    const Mat nothing{nullptr, in.request.rows, 0, 0};
    inner_->Backward(Inner(in, *tape), tape->inner.get(), y, d_y,
                     {nothing, d_all, d_all, d_fields});
    AddRows(RequestFields(d_all), d_fields.Cols(0, OfRequest()));
    AddRows(CandidateFields(d_all), d_fields.Cols(OfRequest(), OfCandidate()));
    tape->d_input.Resize(N, in.fields.cols);
    gate_.Backward(in.fields, &tape->gate, d_fields, tape->d_input.view());
    AddRows(tape->d_input.view(), d.fields);
    for (size_t n = 0; n < N; ++n) {  // the rest of the input is not gated
      std::fill_n(RequestFields(d_all).Row(n), OfRequest(), 0.0f);
      std::fill_n(CandidateFields(d_all).Row(n), OfCandidate(), 0.0f);
    }
    AddRows(d_all, d.joined);
  }

  void Track(const BlockTape& tape) override { inner_->Track(*tape.inner); }
  std::vector<nn::Parameter*> Parameters() override {
    std::vector<nn::Parameter*> all = gate_.Parameters();
    for (nn::Parameter* p : inner_->Parameters()) all.push_back(p);
    return all;
  }
  std::vector<nn::Buffer> Buffers() override { return inner_->Buffers(); }

 private:
  size_t OfRequest() const { return shape_.request_fields * shape_.field_width; }
  size_t OfCandidate() const { return shape_.candidate_fields * shape_.field_width; }
  Mat RequestFields(Mat all) const { return all.Cols(0, OfRequest()); }
  Mat CandidateFields(Mat all) const { return all.Cols(shape_.request_width, OfCandidate()); }
  static BlockInput Inner(const BlockInput& in, const BlockTape& tape) {
    return {.request = {nullptr, in.request.rows, 0, 0},
            .candidate = tape.gated.view(),
            .request_of = in.request_of,
            .joined = tape.gated.view(),
            .fields = tape.gated_fields.view()};
  }

  BlockShape shape_;
  std::unique_ptr<Block> inner_;
  nn::FeatureGate gate_;
};

}  // namespace

std::unique_ptr<Block> MakeBlock(const std::string& name, const BlockConfig& config,
                                 const BlockShape& shape, Random& random) {
  const BlockShape inner = config.gate ? GatedShape(shape) : shape;
  std::unique_ptr<Block> block;
  switch (config.kind) {
    case BlockKind::kMlp: block = std::make_unique<MlpBlock>(name, config, inner, random); break;
    case BlockKind::kCross: block = std::make_unique<Cross>(name, config, inner, random); break;
    case BlockKind::kAutoInt: block = std::make_unique<AutoInt>(name, config, inner, random); break;
    case BlockKind::kAfm: block = std::make_unique<Afm>(name, config, inner, random); break;
  }
  if (!config.gate) return block;
  return std::make_unique<Gated>(name, config, shape, std::move(block), random);
}

size_t BlockOutputs(const BlockConfig& config, const BlockShape& shape) {
  switch (config.kind) {
    case BlockKind::kMlp: return config.hidden.empty() ? shape.inputs() : config.hidden.back();
    case BlockKind::kCross: return shape.inputs();
    case BlockKind::kAutoInt: return shape.fields() * config.width;
    case BlockKind::kAfm: break;
  }
  return shape.field_width;
}

uint64_t BlockCount(const BlockConfig& config, const BlockShape& shape) {
  const uint64_t I = shape.inputs(), F = shape.fields(), d = shape.field_width;
  const uint64_t G = config.gate_hidden, W = config.width, K = config.layers, r = config.rank;
  uint64_t count = config.gate ? (F + 1) * G + (G + 1) * F : 0;
  switch (config.kind) {
    case BlockKind::kMlp: {
      uint64_t inputs = I;
      const uint64_t extra =
          1 + (config.batch_norm ? 2 : 0) + (config.activation == ActivationKind::kRelu ? 0 : 1);
      for (const uint64_t width : config.hidden) {
        count += (inputs + extra) * width;
        inputs = width;
      }
      return count;
    }
    case BlockKind::kCross: return count + K * (r > 0 ? 2 * r * I + I : I * I + I);
    case BlockKind::kAutoInt: return count + 4 * d * W + (K - 1) * 4 * W * W;
    case BlockKind::kAfm: break;
  }
  return count + (d + 2) * W;
}

}  // namespace heed::model
