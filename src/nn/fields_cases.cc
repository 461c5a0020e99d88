// Attention among fields, the gate, the cross network, experts and the chain of tasks.
#include "nn/attention_for_test.h"
#include "nn/cases.h"
#include "nn/cross.h"
#include "nn/esmm.h"
#include "nn/experts.h"
#include "nn/feature_gate.h"
#include "nn/field_attention.h"

namespace heed::nn {
namespace {

// x [B, in] → y [B, out] through any layer of one input and one output.
struct Run {
  Matrix x, y, d_y, d_x;
  Run(size_t rows, size_t in, size_t out, Random& random)
      : x(rows, in), y(rows, out), d_y(rows, out), d_x(rows, in) {
    FillNormal(&x, random);
    FillNormal(&d_y, random);
  }
  void Put(const std::vector<uint32_t>& shape, const std::vector<Parameter*>& parameters,
           CaseWriter* cases) const {
    cases->Put("shape", shape);
    cases->Put("x", x);
    cases->Put("y", y);
    cases->Put("d_y", d_y);
    cases->Put("d x", d_x);
    for (const Parameter* p : parameters) cases->Put(*p);
  }
};

void Shake(const std::vector<Parameter*>& parameters, Random& random) {
  for (Parameter* p : parameters) {
    for (size_t i = 0; i < p->value.size(); ++i) {
      p->value.data()[i] += static_cast<float>(random.Uniform(-0.3, 0.3));
    }
  }
}

void FieldCases(size_t B, size_t F, Random& random, CaseWriter* cases) {
  const size_t d = 1 + random.Below(6), A = 4 + random.Below(4), H = 1 + random.Below(3);
  const size_t W = H * (1 + random.Below(4));
  const std::string suffix = "." + std::to_string(F) + " fields";
  const auto shape = [](std::vector<size_t> s) {
    return std::vector<uint32_t>(s.begin(), s.end());
  };

  PairAttention pair("pair", F, d, A, random);
  Shake(pair.Parameters(), random);
  Run of_pair(B, F * d, d, random);
  PairAttentionTape pair_tape;
  pair.Forward(of_pair.x.view(), &pair_tape, of_pair.y.view());
  pair.Backward(of_pair.x.view(), &pair_tape, of_pair.d_y.view(), of_pair.d_x.view());
  cases->Case("pair_attention" + suffix);
  of_pair.Put(shape({F, d}), pair.Parameters(), cases);
  cases->Put("weights", pair_tape.weights);

  FieldSelfAttention self("self", F, d, H, W, random);
  Run of_self(B, F * d, F * W, random);
  FieldSelfAttentionTape self_tape;
  self.Forward(of_self.x.view(), &self_tape, of_self.y.view());
  self.Backward(of_self.x.view(), &self_tape, of_self.d_y.view(), of_self.d_x.view());
  cases->Case("field_attention" + suffix);
  of_self.Put(shape({F, d, H}), self.Parameters(), cases);
  cases->Put("weights", self_tape.weights);

  FeatureGate gate("gate", F, d, 1 + random.Below(5), random);
  Shake(gate.Parameters(), random);
  Run of_gate(B, F * d, F * d, random);
  FeatureGateTape gate_tape;
  gate.Forward(of_gate.x.view(), &gate_tape, of_gate.y.view());
  gate.Backward(of_gate.x.view(), &gate_tape, of_gate.d_y.view(), of_gate.d_x.view());
  cases->Case("feature_gate" + suffix);
  of_gate.Put(shape({F, d}), gate.Parameters(), cases);
}

void CrossCase(size_t rank, Random& random, CaseWriter* cases) {
  const size_t B = 1 + random.Below(6), I = 2 + random.Below(7), K = 1 + random.Below(4);
  CrossNetwork net("cross", {.inputs = I, .layers = K, .rank = rank}, random);
  Shake(net.Parameters(), random);
  Run run(B, I, I, random);
  CrossTape tape;
  net.Forward(run.x.view(), &tape, run.y.view());
  net.Backward(&tape, run.d_y.view(), run.d_x.view());
  cases->Case(rank == 0 ? "cross.full" : "cross.low rank");
  run.Put({static_cast<uint32_t>(K), static_cast<uint32_t>(rank)}, net.Parameters(), cases);
}

void ExpertCase(const std::string& name, size_t own, bool shared_output, Random& random,
                CaseWriter* cases) {
  const size_t B = 1 + random.Below(5), I = 1 + random.Below(6), T = 1 + random.Below(3);
  ExpertLayer layer("experts",
                    {.inputs = I,
                     .outputs = 1 + random.Below(5),
                     .tasks = T,
                     .shared = 1 + random.Below(3),
                     .own = own,
                     .shared_output = shared_output},
                    random);
  Shake(layer.Parameters(), random);
  std::vector<Matrix> x, d_x, y, d_y;
  for (size_t i = 0; i < layer.sides(); ++i) {
    FillNormal(&x.emplace_back(B, I), random);
    d_x.emplace_back(B, I).Fill(0.0f);
  }
  for (size_t i = 0; i < layer.outputs(); ++i) {
    y.emplace_back(B, layer.shape().outputs);
    FillNormal(&d_y.emplace_back(B, layer.shape().outputs), random);
  }
  const auto views = [](auto& matrices, auto view) {
    std::vector<decltype(view)> all;
    all.reserve(matrices.size());
    for (auto& m : matrices) all.push_back(m.view());
    return all;
  };
  ExpertTape tape;
  layer.Forward(views(x, ConstMat()), &tape, views(y, Mat()));
  layer.Backward(views(x, ConstMat()), &tape, views(d_y, ConstMat()), views(d_x, Mat()));
  cases->Case("experts." + name);
  cases->Put("shape", std::vector<uint32_t>{static_cast<uint32_t>(T),
                                            static_cast<uint32_t>(layer.shape().shared),
                                            static_cast<uint32_t>(own), shared_output ? 1u : 0u});
  for (size_t i = 0; i < x.size(); ++i) {
    cases->Put("x" + std::to_string(i), x[i]);
    cases->Put("d x" + std::to_string(i), d_x[i]);
  }
  for (size_t i = 0; i < y.size(); ++i) {
    cases->Put("y" + std::to_string(i), y[i]);
    cases->Put("d_y" + std::to_string(i), d_y[i]);
  }
  for (const Parameter* p : layer.Parameters()) cases->Put(*p);
}

void ChainCase(Random& random, CaseWriter* cases) {
  const size_t N = 2 + random.Below(6);
  Matrix logits(N, 3), conditional(N, 2), d(N, 3);
  FillNormal(&logits, random, 4.0);
  FillNormal(&d, random);
  cases->Case("chain");
  cases->Put("before", logits);
  cases->Put("d_after", d);
  const std::vector<ChainLink> links = {{.task = 2, .given = 0}, {.task = 1, .given = 2}};
  ChainForward(links, logits.view(), conditional.view());
  ChainBackward(links, logits.view(), conditional.view(), d.view());
  cases->Put("after", logits);
  cases->Put("d before", d);
}

}  // namespace

void FieldsCases(Random& random, CaseWriter* cases) {
  FieldCases(3 + random.Below(3), 1, random, cases);
  FieldCases(3 + random.Below(3), 2 + random.Below(5), random, cases);
  CrossCase(0, random, cases);
  CrossCase(2, random, cases);
  ExpertCase("mmoe", 0, false, random, cases);
  ExpertCase("ple", 2, false, random, cases);
  ExpertCase("ple first level", 1, true, random, cases);
  ChainCase(random, cases);
}

}  // namespace heed::nn
