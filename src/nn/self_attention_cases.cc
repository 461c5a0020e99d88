#include "nn/cases.h"
#include "nn/self_attention_for_test.h"

namespace heed::nn {
namespace {

void MultiHead(const std::string& name, bool masks, MultiHeadCase* c, Random& random,
               CaseWriter* cases) {
  for (size_t j = 0; masks && j < c->memory.rows(); ++j) c->excluded.push_back(random.Chance(0.3));
  MultiHeadAnswer answer(*c);
  Matrix d_y(answer.y.rows(), answer.y.cols()), d_queries, d_memory;
  FillNormal(&d_y, random);
  MultiHeadBackward(c, &answer, d_y.view(), &d_queries, &d_memory);
  const MultiHeadShape& shape = c->shape;
  const MultiHeadInput in = c->Input();
  const auto flag = [](size_t number) {
    return std::vector<uint32_t>{static_cast<uint32_t>(number)};
  };
  // Seconds as hours in float: PyTorch takes the logarithm of the same numbers.
  const auto hours = [&](std::span<const double> times) {
    std::vector<float> out;
    for (const double t : times) out.push_back(static_cast<float>(t / shape.time_scale));
    return out;
  };
  cases->Case("multi_head." + name);
  cases->Put("self", flag(c->self));
  cases->Put("heads", flag(shape.heads));
  cases->Put("causal", flag(shape.causal));
  cases->Put("positions", flag(shape.positions));
  cases->Put("intervals", flag(shape.intervals));
  cases->Put("queries", c->queries);
  cases->Put("memory", c->memory);
  cases->Put("query_offsets", c->query_offsets);
  cases->Put("memory_offsets", c->memory_offsets);
  cases->Put("excluded", std::vector<uint32_t>(c->excluded.begin(), c->excluded.end()));
  cases->Put("query_hours", hours(in.query_times));
  cases->Put("memory_hours", hours(in.memory_times));
  cases->Put("d_y", d_y);
  cases->Put("y", answer.y);
  cases->Put("weights", answer.tape.weights);
  cases->Put("d queries", d_queries);
  if (!c->self) cases->Put("d memory", d_memory);
  for (const Parameter* p : c->layer.Parameters()) cases->Put(*p);
}

}  // namespace

void SelfAttentionCases(Random& random, CaseWriter* cases) {
  const auto size = [&](uint64_t low, uint64_t high) {
    return static_cast<uint32_t>(low + random.Below(high - low + 1));
  };
  for (const bool causal : {false, true}) {
    for (const bool everything : {false, true}) {
      // A gradient summed into one number may cancel to mere rounding: two heads or more.
      const size_t heads = size(2, 4);
      const MultiHeadShape shape{.query_width = size(3, 8),
                                 .memory_width = size(3, 8),
                                 .heads = heads,
                                 .width = heads * size(2, 5),
                                 .out_width = everything ? size(2, 6) : 0,
                                 .causal = causal,
                                 .null_slot = everything,
                                 .positions = everything ? 4u : 0u,
                                 .intervals = everything ? 5u : 0u,
                                 .decay = everything};
      const std::string name = std::string(causal ? "causal " : "") + (everything ? "biased " : "");
      MultiHeadShape own = shape;
      own.memory_width = own.query_width;
      const std::vector<uint32_t> lengths = {size(2, 9), 0, 1, size(2, 9)};
      MultiHeadCase self(own, lengths, random);
      MultiHead(name + "self", false, &self, random, cases);
      MultiHeadCase masked(own, lengths, random);
      MultiHead(name + "self masked", true, &masked, random, cases);
      using Lengths = std::vector<std::pair<uint32_t, uint32_t>>;
      MultiHeadCase cross(shape, Lengths{{size(1, 5), size(2, 9)}, {2, 0}, {0, 3}, {1, 1}, {4, 2}},
                          random);
      MultiHead(name + "cross", everything, &cross, random, cases);
    }
  }
}

}  // namespace heed::nn
