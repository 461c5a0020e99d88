#include "train/voice_model.h"

#include <algorithm>

#include "nn/class_loss.h"
#include "nn/optimizer.h"

namespace heed::train {
namespace {

void Copy(const nn::Matrix& from, nn::Matrix* to) {
  to->Resize(from.rows(), from.cols());
  std::copy_n(from.data(), from.size(), to->data());
}

void Drop(float share, Random& random, nn::Matrix* x, nn::Matrix* mask) {
  mask->Resize(x->rows(), x->cols());
  nn::DropoutForward(share, random, x->view(), mask->view());
}

nn::PoolingShape Shape(const VoiceModelConfig& config) {
  return {.item_width = config.part_width, .heads = config.heads};
}

}  // namespace

VoiceModel::VoiceModel(const VoiceModelConfig& config, size_t statistics, size_t classes,
                       uint64_t seed)
    : config_(config), random_(seed) {
  skip_ = nn::Linear("skip", statistics, classes, random_);
  if (config.linear) return;
  part_ = nn::Linear("part", statistics, config.part_width, random_);
  pool_ = nn::AttentionPooling("pool", Shape(config), random_);
  hidden_ = nn::Linear("hidden", statistics, config.hidden, random_);
  out_ = nn::Linear("out", Shape(config).OutputWidth() + config.hidden, classes, random_);
}

std::vector<nn::Parameter*> VoiceModel::Parameters() {
  std::vector<nn::Parameter*> all = {&skip_.weight, &skip_.bias};
  if (config_.linear) return all;
  for (nn::Linear* layer : {&part_, &hidden_, &out_}) {
    all.push_back(&layer->weight);
    all.push_back(&layer->bias);
  }
  for (nn::Parameter* p : pool_.Parameters()) all.push_back(p);
  return all;
}

void VoiceModel::Forward(const VoiceBatch& batch, bool training) {
  const size_t B = batch.whole.rows();
  Copy(batch.whole, &whole_);
  if (training) Drop(config_.input_dropout, random_, &whole_, &whole_mask_);
  logits_.Resize(B, skip_.outputs());
  skip_.Forward(whole_.view(), logits_.view());
  if (config_.linear) return;

  Copy(batch.parts, &parts_);
  if (training) Drop(config_.input_dropout, random_, &parts_, &parts_mask_);
  projected_.Resize(parts_.rows(), config_.part_width);
  part_.Forward(parts_.view(), projected_.view());
  nn::ReluForward(projected_.view());
  const size_t pooled = pool_.shape().OutputWidth();
  features_.Resize(B, pooled + config_.hidden);
  evidence_.Resize(B, config_.heads);
  const nn::Mat all = features_.view();
  const nn::Mat left{all.data, B, pooled, all.stride};
  const nn::Mat right{all.data + pooled, B, config_.hidden, all.stride};
  pool_.Forward({.items = projected_.view(), .offsets = batch.offsets}, &tape_, left,
                evidence_.view());
  hidden_.Forward(whole_.view(), right);
  nn::ReluForward(right);
  if (training) Drop(config_.dropout, random_, &features_, &features_mask_);
  nn::Matrix more(B, skip_.outputs());
  out_.Forward(features_.view(), more.view());
  for (size_t i = 0; i < more.size(); ++i) logits_.data()[i] += more.data()[i];
}

double VoiceModel::TrainStep(const VoiceBatch& batch) {
  Forward(batch, true);
  for (nn::Parameter* p : Parameters()) p->grad.Fill(0.0f);
  nn::Matrix d_logits(logits_.rows(), logits_.cols());
  const double loss = nn::ClassLoss(logits_.view(), batch.labels, {.smoothing = config_.smoothing},
                                    d_logits.view());
  skip_.Backward(whole_.view(), d_logits.view(), nullptr);
  if (!config_.linear) {
    const size_t B = batch.whole.rows(), pooled = pool_.shape().OutputWidth();
    nn::Matrix d_features(B, features_.cols());
    nn::Mat d_all = d_features.view();
    out_.Backward(features_.view(), d_logits.view(), &d_all);
    nn::DropoutBackward(features_mask_.view(), d_all);
    const nn::Mat d_left{d_all.data, B, pooled, d_all.stride};
    const nn::Mat d_right{d_all.data + pooled, B, config_.hidden, d_all.stride};
    const nn::ConstMat right{features_.data() + pooled, B, config_.hidden, features_.cols()};
    nn::ReluBackward(right, d_right);
    hidden_.Backward(whole_.view(), d_right, nullptr);
    nn::Matrix d_projected(projected_.rows(), projected_.cols()), d_evidence(B, config_.heads);
    d_projected.Fill(0.0f);
    d_evidence.Fill(0.0f);
    pool_.Backward({.items = projected_.view(), .offsets = batch.offsets}, &tape_, d_left,
                   d_evidence.view(), d_projected.view());
    nn::ReluBackward(projected_.view(), d_projected.view());
    part_.Backward(parts_.view(), d_projected.view(), nullptr);
  }
  ++steps_;
  for (nn::Parameter* p : Parameters()) {
    nn::Apply({.rate = config_.rate, .l2 = p->decays ? config_.l2 : 0.0f, .step = steps_}, *p);
  }
  return loss;
}

void VoiceModel::Score(const VoiceBatch& batch, nn::Mat logits) {
  Forward(batch, false);
  for (size_t i = 0; i < logits_.rows(); ++i) {
    std::copy_n(logits_.Row(i), logits_.cols(), logits.Row(i));
  }
}

}  // namespace heed::train
