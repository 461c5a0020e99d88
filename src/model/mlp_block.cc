#include "model/mlp_block.h"

#include <algorithm>

#include "kernels/table.h"

namespace heed::model {

using nn::ActivationKind;
using nn::ConstMat;
using nn::Mat;

namespace {

Mat Output(BlockTape* tape, size_t i, Mat y) { return i < tape->y.size() ? tape->y[i].view() : y; }

}  // namespace

MlpBlock::MlpBlock(const std::string& name, const BlockConfig& config, const BlockShape& shape,
                   Random& random)
    : config_(config), inputs_(shape.inputs()) {
  size_t width = inputs_;
  for (size_t i = 0; i < config.hidden.size(); ++i) {
    const std::string index = "." + std::to_string(i);
    layers_.emplace_back(name + "hidden" + index, width, config.hidden[i], random);
    width = config.hidden[i];
    if (config.batch_norm) norms_.emplace_back(name + "norm" + index, width);
    bends_.emplace_back(name + "bend" + index, config.activation, width);
  }
}

void MlpBlock::Forward(const BlockInput& in, const Pass& pass, BlockTape* tape, Mat y) const {
  const size_t layers = layers_.size();
  if (layers == 0) {
    for (size_t n = 0; n < y.rows; ++n) {
      std::copy_n(in.request.Row((*in.request_of)[n]), in.request.cols, y.Row(n));
      std::copy_n(in.candidate.Row(n), in.candidate.cols, y.Row(n) + in.request.cols);
    }
    return;
  }
  tape->y.resize(layers - 1);
  tape->masks.resize(layers);
  tape->norms.resize(norms_.size());
  tape->bends.resize(layers);
  tape->dropped = pass.dropout != nullptr && config_.dropout > 0.0f;
  for (size_t i = 0; i < layers; ++i) {
    if (i + 1 < layers) tape->y[i].Resize(y.rows, layers_[i].outputs());
    const Mat out = Output(tape, i, y);
    if (i == 0) {
      tape->products.Resize(in.request.rows, out.cols);
      layers_[0].ForwardSplit(in.request, in.candidate, *in.request_of, tape->products.view(), out);
    } else {
      layers_[i].Forward(tape->y[i - 1].view(), out);
    }
    if (config_.batch_norm) norms_[i].Forward(out, pass.phase, &tape->norms[i], out);
    if (config_.activation == ActivationKind::kRelu) {
      nn::ReluForward(out);  // its backward pass needs the output only, which is kept anyway
    } else {
      bends_[i].Forward(pass.phase, &tape->bends[i], out);
    }
    if (!tape->dropped) continue;
    tape->masks[i].Resize(out.rows, out.cols);
    nn::DropoutForward(config_.dropout, *pass.dropout, out, tape->masks[i].view());
  }
}

void MlpBlock::Backward(const BlockInput& in, BlockTape* tape, ConstMat y, Mat d_y,
                        const BlockGradient& d) {
  const size_t layers = layers_.size();
  if (layers == 0) {
    const auto axpy = kernels::Active().axpy;
    for (size_t n = 0; n < y.rows; ++n) {
      axpy(1.0f, d_y.Row(n), d.request.Row((*in.request_of)[n]), in.request.cols);
      axpy(1.0f, d_y.Row(n) + in.request.cols, d.candidate.Row(n), in.candidate.cols);
    }
    return;
  }
  tape->d_y.resize(layers - 1);
  for (size_t i = layers; i-- > 0;) {
    const bool last = i + 1 == layers;
    const Mat d_out = last ? d_y : tape->d_y[i].view();
    if (tape->dropped) nn::DropoutBackward(tape->masks[i].view(), d_out);
    if (config_.activation == ActivationKind::kRelu) {
      nn::ReluBackward(last ? y : tape->y[i].view(), d_out);
    } else {
      bends_[i].Backward(&tape->bends[i], d_out);
    }
    if (config_.batch_norm) norms_[i].Backward(tape->norms[i], d_out, d_out);
    if (i == 0) {
      tape->d_products.Resize(in.request.rows, d_out.cols);
      layers_[0].BackwardSplit(in.request, in.candidate, *in.request_of, d_out,
                               tape->d_products.view(), d.request, d.candidate, nn::Into::kAdd);
    } else {
      tape->d_y[i - 1].Resize(y.rows, layers_[i].inputs());
      Mat d_input = tape->d_y[i - 1].view();
      layers_[i].Backward(tape->y[i - 1].view(), d_out, &d_input);
    }
  }
}

void MlpBlock::Track(const BlockTape& tape) {
  for (size_t i = 0; i < norms_.size(); ++i) norms_[i].Track(tape.norms[i]);
  if (config_.activation == ActivationKind::kRelu) return;
  for (size_t i = 0; i < bends_.size(); ++i) bends_[i].Track(tape.bends[i]);
}

std::vector<nn::Parameter*> MlpBlock::Parameters() {
  std::vector<nn::Parameter*> all;
  for (size_t i = 0; i < layers_.size(); ++i) {
    all.insert(all.end(), {&layers_[i].weight, &layers_[i].bias});
    if (config_.batch_norm) all.insert(all.end(), {&norms_[i].scale, &norms_[i].shift});
    for (nn::Parameter* p : bends_[i].Parameters()) all.push_back(p);
  }
  return all;
}

std::vector<nn::Buffer> MlpBlock::Buffers() {
  std::vector<nn::Buffer> all;
  for (nn::BatchNorm& norm : norms_) norm.AddBuffers(&all);
  for (nn::Activation& bend : bends_) bend.AddBuffers(&all);
  return all;
}

}  // namespace heed::model
