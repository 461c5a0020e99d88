#include "infer/compiled_head.h"

#include <algorithm>
#include <cmath>

#include "kernels/table.h"

namespace heed::infer {
namespace {

size_t RoundUp(size_t n, size_t step) { return (n + step - 1) / step * step; }

// `part` to the right of what `whole` has.
void Append(PlainLayer* whole, const PlainLayer& part) {
  PlainLayer wider = part;
  wider.N = whole->N + part.N;
  wider.weights.resize(part.K * wider.N);
  for (size_t k = 0; k < part.K; ++k) {
    float* row = wider.weights.data() + k * wider.N;
    if (whole->N > 0) std::copy_n(whole->weights.data() + k * whole->N, whole->N, row);
    std::copy_n(part.weights.data() + k * part.N, part.N, row + whole->N);
  }
  wider.bias.insert(wider.bias.begin(), whole->bias.begin(), whole->bias.end());
  *whole = std::move(wider);
}

PlainLayer Plain(const nn::Linear& linear) {
  return PlainLayer::Of(linear, 0, linear.inputs(), nullptr, nullptr);
}

PlainLayer PlainGate(const nn::Parameter& gate) {
  PlainLayer plain{.K = gate.value.rows(), .N = gate.value.cols()};
  plain.weights.assign(gate.value.data(), gate.value.data() + gate.value.size());
  plain.bias.assign(plain.N, 0.0f);
  return plain;
}

}  // namespace

CompiledHead::Level::Level(const nn::ExpertLayer& layer, bool first)
    : width(layer.shape().outputs) {
  const size_t sides = first ? 1 : layer.sides();
  std::vector<PlainLayer> plain_experts(sides), plain_gates(sides);
  for (size_t e = 0; e < layer.experts.size(); ++e) {
    const size_t reader = first ? 0 : layer.SideOf(e);
    experts.push_back({reader, plain_experts[reader].N});
    PlainLayer expert = Plain(layer.experts[e]);
    expert.bent = true;
    Append(&plain_experts[reader], expert);
  }
  for (size_t g = 0; g < layer.gates.size(); ++g) {
    const size_t reader = first ? 0 : g;
    gates.push_back({{reader, plain_gates[reader].N}, layer.ChoiceOf(g)});
    Append(&plain_gates[reader], PlainGate(layer.gates[g]));
  }
  for (size_t i = 0; i < sides; ++i) {
    Reader& reader = readers.emplace_back();
    if (plain_experts[i].N > 0) reader.experts = Layer(plain_experts[i], Precision::kFp32);
    if (plain_gates[i].N > 0) reader.gates = Layer(plain_gates[i], Precision::kFp32);
  }
}

CompiledHead::CompiledHead(const model::Head& head) {
  if (head.levels().empty()) {
    shared_ = Layer(Plain(head.outputs()[0]), Precision::kFp32);
    tasks_ = shared_.N();
    return;
  }
  tasks_ = head.outputs().size();
  for (const nn::ExpertLayer& layer : head.levels()) levels_.emplace_back(layer, levels_.empty());
  for (const nn::Linear& out : head.outputs()) out_.push_back(Plain(out));
}

void CompiledHead::Mix(const Level& level, const std::vector<Rows>& experts,
                       const std::vector<Rows>& gates, size_t n, const Rows* y) const {
  const kernels::Table& k = kernels::Active();
  const size_t O = level.width;
  for (size_t g = 0; g < level.gates.size(); ++g) {
    const Gate& gate = level.gates[g];
    const Rows& logits = gates[gate.logits.reader];
    for (size_t i = 0; i < n; ++i) {
      float* w = logits.fp32() + i * logits.stride + gate.logits.column;
      float* out = y[g].fp32() + i * y[g].stride;
      k.softmax_null(w, gate.choice.size(), -INFINITY);
      std::fill_n(out, y[g].stride, 0.0f);
      for (size_t m = 0; m < gate.choice.size(); ++m) {
        const Place& place = level.experts[gate.choice[m]];
        const Rows& rows = experts[place.reader];
        k.axpy(w[m], rows.fp32() + i * rows.stride + place.column, out, O);
      }
    }
  }
}

void CompiledHead::Run(const float* z, size_t stride, size_t n, float* logits, Arena* arena) const {
  if (levels_.empty()) {
    float* out = arena->Take<float>(n * shared_.padded_N());
    shared_.Run({const_cast<float*>(z), stride}, n, {.out = {out, shared_.padded_N()}}, arena);
    for (size_t i = 0; i < n; ++i) {
      std::copy_n(out + i * shared_.padded_N(), tasks_, logits + i * tasks_);
    }
    return;
  }
  // A few pointers, kept by the thread.
  thread_local std::vector<Rows> experts, gates, x, y;
  x.assign(1, {const_cast<float*>(z), stride});
  for (const Level& level : levels_) {
    experts.assign(level.readers.size(), {});
    gates.assign(level.readers.size(), {});
    for (size_t i = 0; i < level.readers.size(); ++i) {
      const auto run = [&](const Layer& layer) -> Rows {
        if (layer.N() == 0) return {};
        const Rows out{arena->Take<float>(n * layer.padded_N()), layer.padded_N()};
        layer.Run(x[i], n, {.out = out}, arena);
        return out;
      };
      experts[i] = run(level.readers[i].experts);
      gates[i] = run(level.readers[i].gates);
    }
    y.assign(level.gates.size(), {});
    const size_t padded = RoundUp(level.width, 16);
    for (Rows& rows : y) rows = {arena->Take<float>(n * padded), padded};
    Mix(level, experts, gates, n, y.data());
    std::swap(x, y);
  }
  for (size_t t = 0; t < tasks_; ++t) {
    for (size_t i = 0; i < n; ++i) {
      logits[i * tasks_ + t] =
          out_[t].bias[0] +
          kernels::Active().dot(x[t].fp32() + i * x[t].stride, out_[t].weights.data(), out_[t].K);
    }
  }
}

size_t CompiledHead::bytes() const {
  size_t bytes = shared_.weights().bytes();
  for (const Level& level : levels_) {
    for (const Reader& reader : level.readers) {
      bytes += reader.experts.weights().bytes() + reader.gates.weights().bytes();
    }
  }
  for (const PlainLayer& out : out_) bytes += out.weights.size() * sizeof(float);
  return bytes;
}

}  // namespace heed::infer
