#include "nn/attention_pooling_for_test.h"
#include "nn/cases.h"
#include "nn/class_loss.h"

namespace heed::nn {
namespace {

void PoolingCaseOf(const std::string& name, bool additive, const PoolingShape& shape, bool masks,
                   Random& random, CaseWriter* cases) {
  PoolingCase c(additive, shape, {7, 0, 12, 1, 4}, random);
  for (size_t t = 0; masks && t < c.items.rows(); ++t) c.excluded.push_back(random.Chance(0.3));
  PoolingAnswer answer(c);
  Matrix d_out(answer.out.rows(), answer.out.cols());
  Matrix d_evidence(answer.evidence.rows(), answer.evidence.cols());
  FillNormal(&d_out, random);
  FillNormal(&d_evidence, random);
  answer.Backward(c, d_out, d_evidence);
  cases->Case(name);
  cases->Put("temperature", static_cast<double>(shape.temperature));
  cases->Put("items", c.items);
  cases->Put("queries", c.queries);
  cases->Put("offsets", c.offsets);
  cases->Put("excluded", std::vector<uint32_t>(c.excluded.begin(), c.excluded.end()));
  cases->Put("out", answer.out);
  cases->Put("evidence", answer.evidence);
  cases->Put("weights", answer.tape.weights);
  cases->Put("d_out", d_out);
  cases->Put("d_evidence", d_evidence);
  cases->Put("d items", answer.d_items);
  if (additive && shape.query_width > 0) cases->Put("d queries", answer.d_queries);
  for (const Parameter* p : c.Parameters()) cases->Put(*p);
}

void ClassLossCase(const std::string& name, float smoothing, Random& random, CaseWriter* cases) {
  Matrix logits(9, 4), d_logits(9, 4);
  FillNormal(&logits, random, 3.0);
  std::vector<uint32_t> labels;
  for (size_t n = 0; n < 9; ++n) labels.push_back(static_cast<uint32_t>(random.Below(4)));
  const std::vector<float> weights = {1.0f, 0.3f, 2.5f, 0.7f};
  const double loss = ClassLoss(
      logits.view(), labels, {.class_weights = weights, .smoothing = smoothing}, d_logits.view());
  cases->Case(name);
  cases->Put("logits", logits);
  cases->Put("labels", labels);
  cases->Put("class_weights", weights);
  cases->Put("smoothing", static_cast<double>(smoothing));
  cases->Put("loss", loss);
  cases->Put("d logits", d_logits);
}

}  // namespace

void AttentionPoolingCases(Random& random, CaseWriter* cases) {
  const PoolingShape plain{.item_width = 9, .hidden = 6, .heads = 3};
  PoolingShape null = plain, projected = plain, asked = plain;
  null.null_slot = true;
  projected.value_width = 4;
  projected.temperature = 0.6f;
  asked.query_width = 5;
  asked.null_slot = true;
  asked.value_width = 4;
  asked.temperature = 2.0f;
  PoolingCaseOf("pooling", false, plain, false, random, cases);
  PoolingCaseOf("pooling.null masks", false, null, true, random, cases);
  PoolingCaseOf("pooling.projected masks", false, projected, true, random, cases);
  PoolingCaseOf("additive", true, plain, true, random, cases);
  PoolingCaseOf("additive.asked", true, asked, false, random, cases);
  PoolingCaseOf("additive.asked masks", true, asked, true, random, cases);
  ClassLossCase("class_loss", 0.0f, random, cases);
  ClassLossCase("class_loss.smooth", 0.2f, random, cases);
}

}  // namespace heed::nn
