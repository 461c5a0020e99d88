#include "peers/r1_net.h"

#include <algorithm>

#include "model/mlp_block.h"
#include "peers/r1_ranker.h"

namespace heed::r1 {

using model::Net;

namespace {

class Weights {
 public:
  Weights(const Data& data, Family family) : data_(data), family_(family) {}

  // Column block `first`.. of y = x wᵀ, transposed to [inputs, outputs], into rows `to`.. of w.
  void Copy(const std::string& name, size_t first, size_t count, nn::Parameter* w, size_t to,
            float factor = 1.0f) const {
    const Tensor& tensor = data_.Weight(family_, name);
    const size_t inputs = tensor.shape[1];
    for (size_t n = 0; n < tensor.shape[0]; ++n) {
      for (size_t k = 0; k < count; ++k) {
        w->value.Row(to + k)[n] = tensor.values[n * inputs + first + k] * factor;
      }
    }
  }
  void Copy(const std::string& name, nn::Parameter* w, float factor = 1.0f) const {
    const Tensor& tensor = data_.Weight(family_, name);
    if (tensor.shape.size() == 2) return Copy(name, 0, tensor.shape[1], w, 0, factor);
    for (size_t i = 0; i < tensor.values.size(); ++i)
      w->value.data()[i] = tensor.values[i] * factor;
  }
  void Copy(const std::string& name, nn::Linear* linear, float factor = 1.0f) const {
    Copy(name + "_w", &linear->weight, factor);
    Copy(name + "_b", &linear->bias, factor);
  }
  float At(const std::string& name, size_t row, size_t column) const {
    const Tensor& tensor = data_.Weight(family_, name);
    return tensor.values[row * tensor.shape[1] + column];
  }

 private:
  const Data& data_;
  Family family_;
};

}  // namespace

std::unique_ptr<Net> NetOf(const Data& data, Family family, std::span<const float> viewers,
                           std::span<const float> contexts) {
  auto made = std::make_unique<Net>(ConfigOf(family), 1);
  Net& net = *made;
  const Weights weights(data, family);
  for (size_t i = 0; i < net.layout.tables.size(); ++i) {
    const std::string& name = net.layout.tables[i];
    const nn::TableShape shape = net.tables[i].shape();
    for (size_t t = 0; t < kTables; ++t) {
      if (name == kItemTables[t]) {
        net.tables[i] = TableOf(shape, data.table(t).data(), data.rows(t));
      }
    }
    if (name == "viewer" || name == "context") {
      const std::span<const float> rows = name == "viewer" ? viewers : contexts;
      net.tables[i] = TableOf(shape, rows.data(), rows.size() / kWidth);
    }
  }
  weights.Copy("candidate", &net.item);
  weights.Copy("event", &net.events[0]);
  auto layers = const_cast<std::vector<nn::Linear>*>(&net.blocks[0]->AsMlp()->layers());
  for (nn::Linear& layer : *layers) {
    layer.weight.value.Fill(0.0f);  // evidence and length, which R1 does not have, count nothing
  }
  // mlp1 reads (viewer, candidate, attended, context).
  nn::Parameter* first = &(*layers)[0].weight;
  const size_t candidate = net.layout.request_width;
  const size_t attended = candidate + net.layout.sequences[0].out_column;
  weights.Copy("mlp1_w", 0, kWidth, first, net.layout.request_fields[0].column);
  weights.Copy("mlp1_w", 3 * kWidth, kWidth, first, net.layout.request_fields[1].column);
  weights.Copy("mlp1_w", kWidth, kWidth, first, candidate);
  weights.Copy("mlp1_w", 2 * kWidth, kWidth, first, attended);
  weights.Copy("mlp1_b", &(*layers)[0].bias);
  weights.Copy("mlp2", &(*layers)[1]);
  weights.Copy("mlp3", &(*layers)[2]);
  weights.Copy("head", const_cast<nn::Linear*>(&net.head.outputs()[0]));
  if (family == Family::kDot) {
    nn::TargetAttention& attention = net.attention[0];
    weights.Copy("query_w", &attention.query);
    weights.Copy("key_w", &attention.key);
    weights.Copy("value_w", &attention.value);
    // Heed's attention has no output projection of its own: it is part of what reads it.
    for (size_t i = 0; i < kWidth; ++i) {
      for (size_t n = 0; n < first->value.cols(); ++n) {
        double sum = 0.0;
        for (size_t j = 0; j < kWidth; ++j) {
          sum += static_cast<double>(weights.At("output_w", j, i)) *
                 static_cast<double>(weights.At("mlp1_w", n, 2 * kWidth + j));
        }
        first->value.Row(attended + i)[n] = static_cast<float>(sum);
      }
    }
  } else {
    nn::ActivationUnit& unit = net.units[0];
    // R1 orders (q, k, q - k, q ∘ k), Heed (k, q, q - k, q ∘ k).
    weights.Copy("unit1_w", 0, kWidth, &unit.first.weight, kWidth);
    weights.Copy("unit1_w", kWidth, kWidth, &unit.first.weight, 0);
    weights.Copy("unit1_w", 2 * kWidth, 2 * kWidth, &unit.first.weight, 2 * kWidth);
    weights.Copy("unit1_b", &unit.first.bias);
    weights.Copy("slope1", &unit.bends[0].slope);
    weights.Copy("unit2", &unit.layers[0]);
    weights.Copy("slope2", &unit.bends[1].slope);
    weights.Copy("unit3", &unit.layers[1], 0.125f);
  }
  return made;
}

}  // namespace heed::r1
