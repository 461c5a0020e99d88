// The gradient of the whole ranker against finite differences, weight by weight.
#include <gtest/gtest.h>

#include <cmath>

#include "model/batch_for_test.h"
#include "model/ranker_net.h"
#include "nn/loss.h"

namespace heed::model {
namespace {

double LossOf(const Net& net, const Batch& batch, Workspace* work) {
  net.Forward(batch, nullptr, work);
  std::vector<float> task_weights;
  for (const TaskSpec& task : net.config.schema.tasks) task_weights.push_back(task.loss_weight);
  nn::Matrix d(batch.candidates, task_weights.size());
  return nn::BceWithLogits(work->logits().view(), batch.labels, batch.weights, task_weights,
                           d.view());
}

// Central difference of the loss by one weight. The step is large because the forward pass is in
// floats; the rectifier makes the loss kinked, so a few weights may lie on a kink (counted below).
double Slope(const Net& net, const Batch& batch, float* weight, Workspace* work) {
  const float saved = *weight, step = 4e-3f;
  *weight = saved + step;
  const float up = *weight;
  const double above = LossOf(net, batch, work);
  *weight = saved - step;
  const float down = *weight;
  const double below = LossOf(net, batch, work);
  *weight = saved;
  return (above - below) / static_cast<double>(up - down);
}

struct Tally {
  size_t checked = 0, off = 0;
  double largest = 0.0;
  void Add(double want, double got) {
    ++checked;
    largest = std::max(largest, std::abs(want));
    if (std::abs(want - got) > 2e-4 + 2e-2 * std::abs(want)) ++off;
  }
};

void CheckGradient(RankerConfig config, uint32_t per_request) {
  ASSERT_TRUE(ValidateConfig(config).ok());
  Net net(config, 11);
  Random random(23);
  for (nn::Parameter* p : net.Parameters()) {  // away from the zeros that hide mistakes
    for (size_t i = 0; i < p->value.size(); ++i) {
      p->value.data()[i] += static_cast<float>(random.Uniform(0.0, 0.3));
    }
  }
  const Batch batch =
      RandomBatch(config.schema, {.requests = 6, .per_request = per_request}, random);
  ASSERT_TRUE(batch.Validate(config.schema).ok());
  Workspace work, probe;
  net.CountAndResolve(batch, &work);
  net.Resolve(batch, &probe);
  net.Forward(batch, nullptr, &work);
  net.Backward(batch, false, &work);

  Tally all;
  for (nn::Parameter* p : net.Parameters()) {
    Tally tally;
    for (size_t i = 0; i < p->value.size(); ++i) {
      const double slope = Slope(net, batch, p->value.data() + i, &probe);
      tally.Add(slope, static_cast<double>(p->grad.data()[i]));
    }
    EXPECT_LE(tally.off, tally.checked / 20 + 1) << p->name;
    EXPECT_TRUE(p->value.size() == 0 || tally.largest > 0.0) << p->name << " is not wired in";
    all.checked += tally.checked;
    all.off += tally.off;
  }
  for (size_t t = 0; t < net.tables.size(); ++t) {
    const nn::RowGradient& gradient = work.d_rows[t];
    ASSERT_FALSE(gradient.rows().empty());
    for (size_t i = 0; i < gradient.rows().size(); ++i) {
      auto* row = const_cast<float*>(net.tables[t].Row(gradient.rows()[i]));
      for (size_t j = 0; j < net.tables[t].width(); ++j) {
        all.Add(Slope(net, batch, row + j, &probe), static_cast<double>(gradient.Of(i)[j]));
      }
    }
  }
  EXPECT_LE(all.off, all.checked / 50) << "of " << all.checked;
}

TEST(RankerGradient, OneCandidateARequest) { CheckGradient(SmallConfig(), 1); }

TEST(RankerGradient, ManyCandidatesARequest) { CheckGradient(SmallConfig(), 9); }

TEST(RankerGradient, Wide) {
  RankerConfig config = SmallConfig();
  config.wide = true;
  CheckGradient(config, 3);
}

TEST(RankerGradient, WithoutNullSlotPoolOrHiddenLayers) {
  RankerConfig config = SmallConfig();
  config.null_slot = false;
  config.mean_pool = false;
  config.hidden.clear();
  // The null score then has no part in anything.
  Net net(config, 1);
  Random random(5);
  const Batch batch = RandomBatch(config.schema, {.requests = 6}, random);
  Workspace work, probe;
  net.CountAndResolve(batch, &work);
  net.Resolve(batch, &probe);
  net.Forward(batch, nullptr, &work);
  net.Backward(batch, false, &work);
  for (nn::Parameter* p : net.Parameters()) {
    for (size_t i = 0; i < p->value.size(); ++i) {
      ASSERT_NEAR(Slope(net, batch, p->value.data() + i, &probe),
                  static_cast<double>(p->grad.data()[i]), 1e-3)
          << p->name;
    }
  }
}

}  // namespace
}  // namespace heed::model
