#include "nn/cases.h"
#include "nn/fusion_for_test.h"

namespace heed::nn {

void FusionCases(Random& random, CaseWriter* cases) {
  for (const double missing : {0.0, 0.5, 1.0}) {
    const size_t heads = 1 + random.Below(3), moments = 1 + random.Below(8);
    FusionShape shape{.context_width = 1 + random.Below(6),
                      .heads = heads,
                      .width = heads * (1 + random.Below(5))};
    for (size_t m = 0; m < 3; ++m) shape.modality_widths.push_back(1 + random.Below(6));
    FusionCase c(shape, moments, missing, random);
    FusionAnswer answer(c);
    Matrix d_y(moments, shape.width), d_evidence(moments, heads);
    FillNormal(&d_y, random);
    FillNormal(&d_evidence, random);
    Matrix parts(moments * 3, shape.width);
    c.layer.Parts(answer.tape, parts.view());
    const FusionGradient gradient(&c, &answer, d_y, d_evidence);
    cases->Case("fusion." + std::to_string(static_cast<int>(missing * 100)) + " % missing");
    cases->Put("context", c.context);
    cases->Put("present", std::vector<uint32_t>(c.present.begin(), c.present.end()));
    cases->Put("y", answer.y);
    cases->Put("evidence", answer.evidence);
    cases->Put("weights", answer.tape.attention.weights);
    cases->Put("parts", parts);
    cases->Put("d_y", d_y);
    cases->Put("d_evidence", d_evidence);
    cases->Put("d context", gradient.d_context);
    for (size_t m = 0; m < 3; ++m) {
      cases->Put("x" + std::to_string(m), c.modalities[m]);
      cases->Put("d x" + std::to_string(m), gradient.d_modalities[m]);
    }
    for (const Parameter* p : c.layer.Parameters()) cases->Put(*p);
  }
}

}  // namespace heed::nn
