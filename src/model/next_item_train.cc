// One training step of the next-item model: forward, loss, backward, Adam.
#include <algorithm>
#include <cmath>

#include "base/hash.h"
#include "kernels/denormals.h"
#include "kernels/table.h"
#include "model/next_item_net.h"
#include "nn/optimizer.h"
#include "nn/softmax_loss.h"

namespace heed::model {

using Loss = NextItemTraining::Loss;

namespace {

void Gather(const nn::Matrix& from, const std::vector<uint32_t>& rows, nn::Matrix* out) {
  out->Resize(rows.size(), from.cols());
  kernels::Active().gather(from.data(), from.cols(), rows.data(), 1, rows.size(), from.cols(),
                           out->data(), from.cols());
}

void ScatterAdd(const nn::Matrix& from, const std::vector<uint32_t>& rows, nn::Matrix* to) {
  kernels::Active().scatter_add(from.data(), from.cols(), rows.data(), rows.size(), from.cols(),
                                to->data(), to->cols());
}

}  // namespace

uint32_t NextItemTrainer::Use(uint32_t item) {
  uint32_t& slot = slot_[item];
  if (slot == 0) {
    used_.push_back(item);
    slot = static_cast<uint32_t>(used_.size());
  }
  return slot - 1;
}

uint32_t NextItemTrainer::Draw(const NextItemTraining& training, Random& random) {
  const size_t V = net_->catalog.ids.size();
  if (training.popularity_power == 0) return static_cast<uint32_t>(random.Below(V));
  if (cumulative_.empty() || cumulative_power_ != training.popularity_power) {
    cumulative_power_ = training.popularity_power;
    cumulative_.assign(V, 0.0);
    double sum = 0.0;
    for (size_t i = 0; i < V; ++i) {
      const double count = counts_.empty() ? 1.0 : static_cast<double>(std::max(counts_[i], 1u));
      cumulative_[i] = sum += std::pow(count, training.popularity_power);
    }
  }
  const double at = random.Uniform() * cumulative_.back();
  const auto found = std::upper_bound(cumulative_.begin(), cumulative_.end(), at);
  return static_cast<uint32_t>(
      std::min<ptrdiff_t>(found - cumulative_.begin(), static_cast<ptrdiff_t>(V) - 1));
}

// -log of how often the item is expected among those drawn.
float NextItemTrainer::OffsetOf(const NextItemTraining& training, uint32_t item,
                                size_t drawn) const {
  double q = 1.0 / static_cast<double>(net_->catalog.ids.size());
  if (training.popularity_power != 0) {
    q = (cumulative_[item] - (item > 0 ? cumulative_[item - 1] : 0.0)) / cumulative_.back();
  }
  return static_cast<float>(-std::log(q * static_cast<double>(drawn)));
}

// Fills used_, inputs_, trained_, targets_ and, when sampling, drawn_ and offsets_.
void NextItemTrainer::PickRows(const ItemSequences& batch, const NextItemTraining& training,
                               Random& random) {
  const size_t V = net_->catalog.ids.size();
  for (const uint32_t item : used_) slot_[item] = 0;
  slot_.resize(V, 0);
  used_.clear(), inputs_.clear(), trained_.clear(), targets_.clear();
  drawn_.clear(), offsets_.clear();
  if (training.loss == Loss::kSoftmax) {
    for (uint32_t item = 0; item < V; ++item) Use(item);
  }
  for (size_t n = 0; n < batch.items.size(); ++n) {
    inputs_.push_back(Use(batch.items[n]));
    if (batch.targets[n] == ItemSequences::kNoTarget) continue;
    trained_.push_back(static_cast<uint32_t>(n));
    targets_.push_back(Use(batch.targets[n]));
  }
  if (training.loss == Loss::kSampledSoftmax) {
    // Without repeats: a candidate stands for its item once.
    const size_t wanted = std::min<size_t>(training.negatives, V);
    std::vector<uint32_t> items;
    std::vector<bool> taken(V, false);
    for (size_t tries = 0; items.size() < wanted && tries < 20 * wanted; ++tries) {
      const uint32_t item = Draw(training, random);
      if (taken[item]) continue;
      taken[item] = true;
      items.push_back(item);
    }
    for (const uint32_t item : items) {
      drawn_.push_back(Use(item));
      offsets_.push_back(training.log_q ? OffsetOf(training, item, items.size()) : 0.0f);
    }
  }
  if (training.loss == Loss::kBinary) {
    for (const uint32_t target : targets_) {
      for (uint32_t i = 0; i < training.negatives; ++i) {
        uint32_t item = Draw(training, random);
        // One more try keeps nearly all right answers out; a rare one left does no harm.
        if (item == used_[target]) item = Draw(training, random);
        drawn_.push_back(Use(item));
      }
    }
  }
}

// Loss of queries_ against the items; sets d_queries_, adds to d_vectors_.
double NextItemTrainer::Loss(const NextItemTraining& training) {
  const NextItemConfig& config = net_->config;
  const float scale = config.cosine ? 1.0f / config.temperature : 1.0f;
  Gather(vectors_, targets_, &positives_);
  d_positives_.Resize(positives_.rows(), positives_.cols());
  double loss = 0.0;
  if (training.loss == Loss::kSoftmax) {
    loss = nn::SoftmaxLoss({.queries = queries_.view(),
                            .positives = positives_.view(),
                            .candidates = vectors_.view(),
                            .right = targets_,
                            .offsets = {},
                            .scale = scale},
                           &scores_, d_queries_.view(), d_positives_.view(), d_vectors_.view());
  } else {
    Gather(vectors_, drawn_, &negatives_);
    d_negatives_.Resize(negatives_.rows(), negatives_.cols());
    if (training.loss == Loss::kBinary) {
      loss = nn::BinaryLoss(queries_.view(), positives_.view(), negatives_.view(), scale,
                            d_queries_.view(), d_positives_.view(), d_negatives_.view());
    } else {
      d_negatives_.Fill(0.0f);
      std::vector<uint32_t> place(used_.size(), static_cast<uint32_t>(drawn_.size())), right;
      for (size_t c = 0; c < drawn_.size(); ++c) place[drawn_[c]] = static_cast<uint32_t>(c);
      for (const uint32_t target : targets_) right.push_back(place[target]);
      loss = nn::SoftmaxLoss({.queries = queries_.view(),
                              .positives = positives_.view(),
                              .candidates = negatives_.view(),
                              .right = right,
                              .offsets = offsets_,
                              .scale = scale},
                             &scores_, d_queries_.view(), d_positives_.view(), d_negatives_.view());
    }
    ScatterAdd(d_negatives_, drawn_, &d_vectors_);
  }
  ScatterAdd(d_positives_, targets_, &d_vectors_);
  return loss;
}

Result<double> NextItemTrainer::Step(const ItemSequences& batch, const NextItemTraining& training) {
  const kernels::FlushDenormals flush;
  const kernels::Table& k = kernels::Active();
  NextItemNet& net = *net_;
  const NextItemConfig& config = net.config;
  const size_t N = batch.items.size(), W = config.width;
  Random random(MixHash(net.seed + MixHash(net.updates + 1)));
  PickRows(batch, training, random);
  if (trained_.empty()) return 0.0;

  vectors_.Resize(used_.size(), W);
  net.Compose(used_, vectors_.view(), &lengths_);
  Gather(vectors_, inputs_, &rows_);
  net.Place(batch.offsets, rows_.view());
  if (config.dropout > 0.0f) {
    kept_.Resize(N, W);
    nn::DropoutForward(config.dropout, random, rows_.view(), kept_.view());
  }
  const nn::EncoderInput in{.rows = rows_.view(), .offsets = batch.offsets};
  h_.Resize(N, W);
  net.encoder.Forward(in, &random, &tape_, h_.view());

  for (nn::Parameter* p : net.Dense()) p->grad.Fill(0.0f);
  d_vectors_.Resize(used_.size(), W);
  d_vectors_.Fill(0.0f);
  Gather(h_, trained_, &queries_);
  d_queries_.Resize(queries_.rows(), W);
  if (config.cosine) nn::NormalizeRows(queries_.view(), queries_.view(), &query_lengths_);
  const double loss = Loss(training);
  if (config.cosine) {
    nn::NormalizeRowsBackward(queries_.view(), query_lengths_, d_queries_.view(),
                              d_queries_.view());
  }
  d_h_.Resize(N, W);
  d_h_.Fill(0.0f);
  ScatterAdd(d_queries_, trained_, &d_h_);
  d_rows_.Resize(N, W);
  net.encoder.Backward(in, &tape_, d_h_.view(), d_rows_.view());
  if (config.dropout > 0.0f) nn::DropoutBackward(kept_.view(), d_rows_.view());
  for (size_t r = 0; net.places.value.size() > 0 && r < batch.sequences(); ++r) {
    const size_t first = batch.offsets[r], length = batch.offsets[r + 1] - first;
    for (size_t t = 0; t < length; ++t) {
      k.axpy(1.0f, d_rows_.Row(first + t), net.places.grad.Row(net.PlaceOf(t, length)), W);
    }
  }
  k.scale(net.input_scale(), d_rows_.data(), d_rows_.size());
  ScatterAdd(d_rows_, inputs_, &d_vectors_);
  if (config.cosine) {
    nn::NormalizeRowsBackward(vectors_.view(), lengths_, d_vectors_.view(), d_vectors_.view());
  }
  net.AddToAttributes(used_, d_vectors_.view());

  const double squares = nn::GradientSquares(net.Dense()) +
                         static_cast<double>(k.sum_squares(d_vectors_.data(), d_vectors_.size()));
  if (!std::isfinite(loss) || !std::isfinite(squares)) {
    return InvalidArgument("next_item: the loss or a gradient is not finite");
  }
  const double norm = std::sqrt(squares), limit = static_cast<double>(training.clip_norm);
  if (limit > 0.0 && norm > limit) {
    const auto factor = static_cast<float>(limit / norm);
    for (nn::Parameter* p : net.Dense()) k.scale(factor, p->grad.data(), p->grad.size());
    k.scale(factor, d_vectors_.data(), d_vectors_.size());
  }
  Update(training);
  return loss;
}

void NextItemTrainer::Update(const NextItemTraining& training) {
  const kernels::Table& k = kernels::Active();
  NextItemNet& net = *net_;
  const size_t W = net.config.width;
  const nn::Update update{.rate = training.rate * rate_scale,
                          .beta1 = training.beta1,
                          .beta2 = training.beta2,
                          .epsilon = training.epsilon,
                          .l2 = training.l2,
                          .step = ++net.updates};
  const float shrink = 1.0f - update.rate * training.weight_decay;
  for (nn::Parameter* p : net.Dense()) {
    if (p->decays && shrink != 1.0f) k.scale(shrink, p->value.data(), p->value.size());
    nn::Apply(update, *p);
  }
  net.encoder.ClampDecay();
  const kernels::AdamStep step = nn::AdamStepOf(update);
  const auto move = [&](size_t row, const float* gradient) {
    float* value = net.items.value.Row(row);
    if (shrink != 1.0f) k.scale(shrink, value, W);
    k.adam(value, net.items.moment1.Row(row), net.items.moment2.Row(row), gradient, W, step);
  };
  for (size_t u = 0; u < used_.size(); ++u) move(used_[u], d_vectors_.Row(u));
  if (!training.move_all) return;
  const nn::Floats nothing(W, 0.0f);
  for (size_t row = 0; row < slot_.size(); ++row) {
    if (slot_[row] == 0) move(row, nothing.data());
  }
}

}  // namespace heed::model
