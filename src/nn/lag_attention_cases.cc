#include "nn/cases.h"
#include "nn/lag_attention_for_test.h"

namespace heed::nn {

void LagAttentionCases(Random& random, CaseWriter* cases) {
  for (const double missing : {0.0, 0.5, 1.0}) {
    const LagShape shape{.width = 1 + random.Below(10), .look_back = 2 + random.Below(12)};
    const size_t seconds = 1 + random.Below(25);
    LagCase c(shape, seconds, missing, random);
    LagAnswer answer(c);
    Matrix d_y(seconds, shape.width), d_tokens(seconds, shape.width);
    FillNormal(&d_y, random);
    d_tokens.Fill(0);
    for (Parameter* p : c.layer.Parameters()) p->grad.Fill(0);
    c.layer.Backward({c.tokens.view(), c.present}, answer.tape, d_y.view(), d_tokens.view());
    cases->Case("lag." + std::to_string(static_cast<int>(missing * 100)) + " % missing");
    cases->Put("tokens", c.tokens);
    cases->Put("present", std::vector<uint32_t>(c.present.begin(), c.present.end()));
    cases->Put("look_back", std::vector<uint32_t>{static_cast<uint32_t>(shape.look_back)});
    cases->Put("y", answer.y);
    Matrix evidence(seconds, 1);
    std::copy(answer.evidence.begin(), answer.evidence.end(), evidence.data());
    cases->Put("evidence", evidence);
    cases->Put("d_y", d_y);
    cases->Put("d tokens", d_tokens);
    cases->Put(c.layer.content);
    // One tensor: each is a sum of terms that cancel, and is judged by the largest of them.
    Matrix shaped(1, 4), d_shaped(1, 4);
    size_t i = 0;
    for (const Parameter* p : {&c.layer.lag, &c.layer.decay, &c.layer.rise, &c.layer.null_score}) {
      shaped.data()[i] = p->value.data()[0];
      d_shaped.data()[i++] = p->grad.data()[0];
    }
    cases->Put("lag, decay, rise, null", shaped);
    cases->Put("d lag, decay, rise, null", d_shaped);
  }
}

}  // namespace heed::nn
