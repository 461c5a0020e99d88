// The training side of a classifier.
#include <algorithm>
#include <cmath>

#include "kernels/denormals.h"
#include "kernels/table.h"
#include "nn/class_loss.h"
#include "text/classifier_net.h"

namespace heed::text {

void Classifier::Net::Backward(size_t m, MemberPass* pass) {
  const kernels::Table& k = kernels::Active();
  const size_t B = pass->offsets.size() - 1, C = classes(), T = pass->rows.size();
  pass->d_pooled.Resize(B, pass->pooled.cols());
  nn::Mat d_pooled = pass->d_pooled.view();
  members[m].output.Backward(pass->pooled.view(), pass->d_logits.view(), &d_pooled);
  if (pass->mask.size() > 0) nn::DropoutBackward(pass->mask.view(), d_pooled);
  pass->d_wide.Resize(T, C);
  for (size_t b = 0; b < B; ++b) {
    const size_t first = pass->offsets[b], last = pass->offsets[b + 1];
    k.scale(Power(last - first), d_pooled.Row(b), d_pooled.cols);
    const float factor = WideFactor(last - first);
    for (size_t t = first; t < last; ++t) {
      for (size_t c = 0; c < C; ++c) {
        pass->d_wide.Row(t)[c] = factor * pass->d_logits.Row(b)[c];
      }
    }
  }
  pass->d_items.Resize(T, config.width);
  pass->d_items.Fill(0.0f);
  pass->d_evidence.Resize(B, config.heads);
  pass->d_evidence.Fill(0.0f);
  members[m].pooling.Backward({.items = pass->items.view(), .offsets = pass->offsets}, &pass->tape,
                              d_pooled, pass->d_evidence.view(), pass->d_items.view());
  gradient.Add(pass->rows.data(), 1, EmbeddingColumn(m), pass->d_items.view());
  if (config.wide_scale > 0.0f) {
    gradient.Add(pass->rows.data(), 1, WideColumn(m), pass->d_wide.view());
  }
}

void Classifier::CountNgrams(const TextBatch& batch) {
  std::vector<uint32_t> rows(batch.keys.size());
  net_->table.CountRows(batch.keys.data(), 1, rows.size(), rows.data(), 1);
  if (net_->config.linear_share > 0.0f) {
    net_->linear = LinearPart(net_->table.rows(), net_->classes());
  }
}

void Classifier::FitLinear(const TextBatch& batch, std::span<const uint32_t> labels,
                           std::span<const float> class_weights) {
  Net& net = *net_;
  if (net.config.linear_share == 0.0f) return;
  net.FindKnown(batch, &net.training);
  const MemberPass& pass = net.training.pass;
  net.linear = LinearPart(net.table.rows(), net.classes());
  net.linear.Fit({pass.rows, pass.frequencies, pass.offsets}, labels, class_weights,
                 net.config.linear_cost);
}

double Classifier::TrainStep(const TextBatch& batch, std::span<const uint32_t> at,
                             std::span<const uint32_t> labels, const ClassifierUpdate& update,
                             Random& random) {
  const kernels::FlushDenormals flush;
  Net& net = *net_;
  const size_t C = net.classes(), M = net.members.size();
  std::vector<uint32_t> known, ends, targets;  // n-grams of the texts at hand
  for (const uint32_t i : at) {
    const size_t first = known.size(), n = batch.offsets[i + 1] - batch.offsets[i];
    known.resize(first + n);
    net.table.Rows(batch.keys.data() + batch.offsets[i], 1, n, known.data() + first, 1);
    known.erase(std::remove_if(known.begin() + static_cast<ptrdiff_t>(first), known.end(),
                               [](uint32_t row) { return row <= nn::EmbeddingTable::kUnseen; }),
                known.end());
    ends.push_back(static_cast<uint32_t>(known.size()));
    targets.push_back(labels[i]);
  }
  net.gradient.Start(net.table.rows(), net.table.width());
  for (nn::Parameter* p : net.Parameters()) p->grad.Fill(0.0f);
  MemberPass& pass = net.training.pass;
  double loss = 0.0;
  for (size_t m = 0; m < M; ++m) {
    pass.rows.clear();
    pass.offsets.assign(1, 0);
    for (size_t b = 0, t = 0; b < ends.size(); ++b) {
      for (; t < ends[b]; ++t) {
        if (!random.Chance(static_cast<double>(net.config.ngram_dropout))) {
          pass.rows.push_back(known[t]);
        }
      }
      pass.offsets.push_back(static_cast<uint32_t>(pass.rows.size()));
    }
    net.Pool(m, &pass);
    pass.mask.Resize(pass.pooled.rows(), pass.pooled.cols());
    nn::DropoutForward(net.config.dropout, random, pass.pooled.view(), pass.mask.view());
    net.Classify(m, &pass);
    pass.d_logits.Resize(at.size(), C);
    loss += nn::ClassLoss(pass.logits.view(), targets,
                          {.class_weights = update.class_weights, .smoothing = update.smoothing},
                          pass.d_logits.view());
    net.Backward(m, &pass);
  }
  ++net.updates;
  nn::Update rule{.rate = update.dense_rate, .step = net.updates};
  for (nn::Parameter* p : net.Parameters()) nn::Apply(rule, *p);
  rule.rate = update.table_rate;
  rule.l2 = update.l2;
  net.table.Apply(rule, net.gradient);
  return loss / static_cast<double>(M);
}

void Classifier::FitScale(std::span<const float> logits, std::span<const uint32_t> labels) {
  const size_t C = net_->classes();
  // Convex in the scale: Newton's method, pulled towards 1 by one text's worth, so that a perfect
  // or an empty held-out set stays finite.
  double scale = 1.0;
  std::vector<double> p(C);
  for (int round = 0; round < 50; ++round) {
    double slope = scale - 1.0, curve = 1.0;
    for (size_t n = 0; n < labels.size(); ++n) {
      const float* z = logits.data() + n * C;
      const auto top = static_cast<double>(*std::max_element(z, z + C));
      double mass = 0.0, mean = 0.0, square = 0.0;
      for (size_t c = 0; c < C; ++c) {
        p[c] = std::exp(scale * (static_cast<double>(z[c]) - top));
        mass += p[c];
      }
      for (size_t c = 0; c < C; ++c) {
        const double share = p[c] / mass, value = static_cast<double>(z[c]);
        mean += share * value;
        square += share * value * value;
      }
      slope += mean - static_cast<double>(z[labels[n]]);
      curve += square - mean * mean;
    }
    const double step = slope / curve;
    scale = std::clamp(scale - step, 0.5 * scale, 2.0 * scale);
    if (std::abs(step) < 1e-6) break;
  }
  net_->scale = static_cast<float>(std::clamp(scale, 1e-3, 1e3));
}

}  // namespace heed::text
