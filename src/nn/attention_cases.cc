#include "nn/attention_for_test.h"
#include "nn/cases.h"

namespace heed::nn {
namespace {

void AttentionCaseOf(const std::string& name, AttentionForm form, bool null_slot, bool masks,
                     size_t per_request, Random& random, CaseWriter* cases) {
  AttentionCase c(
      {.query_width = 24, .token_width = 20, .heads = 4, .width = 32, .null_slot = null_slot},
      {9, 0, 30, 1, 17}, per_request, random);
  for (size_t t = 0; masks && t < c.tokens.rows(); ++t) c.excluded.push_back(random.Chance(0.3));
  AttentionAnswer answer(c, form);
  Matrix d_out(answer.out.rows(), answer.out.cols()), d_queries(c.queries.rows(), 24);
  Matrix d_evidence(answer.out.rows(), 4), d_tokens(c.tokens.rows(), 20);
  FillNormal(&d_out, random);
  FillNormal(&d_evidence, random);
  d_queries.Fill(0.0f);
  d_tokens.Fill(0.0f);
  c.layer.Backward(c.Input(), &answer.tape, d_out.view(), d_evidence.view(), d_queries.view(),
                   d_tokens.view());
  cases->Case(name);
  cases->Put("queries", c.queries);
  cases->Put("tokens", c.tokens);
  cases->Put("offsets", c.offsets);
  cases->Put("request_of", c.request_of);
  cases->Put("log_age", c.log_age);
  cases->Put("excluded", std::vector<uint32_t>(c.excluded.begin(), c.excluded.end()));
  cases->Put("null_slot", std::vector<uint32_t>{null_slot ? 1u : 0u});
  cases->Put("out", answer.out);
  cases->Put("evidence", answer.evidence);
  cases->Put("weights", std::vector<float>(answer.tape.weights.begin(), answer.tape.weights.end()));
  cases->Put("d_out", d_out);
  cases->Put("d_evidence", d_evidence);
  cases->Put("d queries", d_queries);
  cases->Put("d tokens", d_tokens);
  for (const Parameter* p : c.layer.Parameters()) cases->Put(*p);
}

void PoolCase(Random& random, CaseWriter* cases) {
  const std::vector<uint32_t> offsets = {0, 4, 4, 11};
  Matrix tokens(11, 6), out(3, 6), d_out(3, 6), d_tokens(11, 6);
  FillNormal(&tokens, random);
  FillNormal(&d_out, random);
  d_tokens.Fill(0.0f);
  MeanPoolForward(tokens.view(), offsets, out.view());
  MeanPoolBackward(offsets, d_out.view(), d_tokens.view());
  cases->Case("pool");
  cases->Put("tokens", tokens);
  cases->Put("offsets", offsets);
  cases->Put("out", out);
  cases->Put("d_out", d_out);
  cases->Put("d tokens", d_tokens);
}

}  // namespace

void AttentionCases(Random& random, CaseWriter* cases) {
  PoolCase(random, cases);
  for (const bool absorbed : {false, true}) {
    const AttentionForm form = absorbed ? AttentionForm::kAbsorbed : AttentionForm::kShared;
    const std::string name = absorbed ? "attention.absorbed" : "attention.shared";
    AttentionCaseOf(name, form, true, false, 1, random, cases);
    AttentionCaseOf(name + " many", form, true, false, 6, random, cases);
    AttentionCaseOf(name + " masks", form, true, true, 2, random, cases);
    AttentionCaseOf(name + " no null", form, false, false, 2, random, cases);
  }
}

}  // namespace heed::nn
