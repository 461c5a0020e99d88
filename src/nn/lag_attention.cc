#include "nn/lag_attention.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace heed::nn {
namespace {

Parameter Scalar(const std::string& name, float value) {
  Parameter p(name, 1, 1, false);
  p.value.Fill(value);
  return p;
}

double Only(const Parameter& p) { return static_cast<double>(p.value.data()[0]); }

// In lanes: a compiler may not reorder one sum.
double Dot(const float* a, const float* b, size_t n) {
  constexpr size_t kLanes = 8;
  std::array<float, kLanes> lanes = {};
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (size_t j = 0; j < kLanes; ++j) lanes[j] += a[i + j] * b[i + j];
  }
  for (size_t j = 0; i < n; ++i, ++j) lanes[j] += a[i] * b[i];
  float sum = 0;
  for (const float lane : lanes) sum += lane;
  return static_cast<double>(sum);
}

// g.(x - y), where x is near y and the products alone would cancel.
double DotDifference(const float* g, const float* x, const float* y, size_t n) {
  constexpr size_t kLanes = 8;
  std::array<float, kLanes> lanes = {};
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (size_t j = 0; j < kLanes; ++j) lanes[j] += g[i + j] * (x[i + j] - y[i + j]);
  }
  for (size_t j = 0; i < n; ++i, ++j) lanes[j] += g[i] * (x[i] - y[i]);
  double sum = 0;
  for (const float lane : lanes) sum += static_cast<double>(lane);
  return sum;
}

}  // namespace

LagAttention::LagAttention(const std::string& name, const LagShape& shape)
    : content(name + ".content", 1, shape.width, false),
      null_score(Scalar(name + ".null_score", 0)),
      lag(Scalar(name + ".lag", static_cast<float>(shape.look_back - 1) / 6)),
      decay(Scalar(name + ".decay", 0.1f)),
      rise(Scalar(name + ".rise", 0.1f)),
      shape_(shape) {
  assert(shape.width > 0 && shape.look_back > 0);
  ClampToRange();
}

double LagAttention::Mass(const float* token) const {
  const double scale = 1 / std::sqrt(static_cast<double>(shape_.width));
  return std::exp(std::clamp(Dot(content.value.data(), token, shape_.width) * scale, -kMaxContent,
                             kMaxContent));
}

std::vector<double> LagAttention::Kernel() const {
  std::vector<double> kernel(shape_.look_back);
  for (size_t l = 0; l < kernel.size(); ++l) {
    const double after = static_cast<double>(l) - Only(lag);
    kernel[l] = std::exp(after > 0 ? -Only(decay) * after : Only(rise) * after);
  }
  return kernel;
}

// Returns the denominator.
double LagAttention::Attend(const double* kernel, ConstMat tokens, const double* mass, size_t t,
                            float* y) const {
  double total = std::exp(Only(null_score));
  const double null = total;
  const size_t reach = std::min(shape_.look_back, t + 1);
  for (size_t l = 0; l < reach; ++l) total += kernel[l] * mass[t - l];
  std::fill_n(y, shape_.width, 0.0f);
  if (total == null) return total;
  for (size_t l = 0; l < reach; ++l) {
    if (mass[t - l] == 0) continue;  // its row may hold anything
    const auto weight = static_cast<float>(kernel[l] * mass[t - l] / total);
    const float* x = tokens.Row(t - l);
    for (size_t d = 0; d < shape_.width; ++d) y[d] += weight * x[d];
  }
  return total;
}

void LagAttention::Forward(const LagInput& in, LagTape* tape, Mat y,
                           std::span<float> evidence) const {
  const size_t T = in.tokens.rows;
  assert(in.present.size() == T && evidence.size() == T && y.rows == T);
  tape->kernel = Kernel();
  tape->mass.assign(T, 0);
  tape->held.assign(T, 0);
  tape->total.resize(T);
  tape->y.Resize(T, shape_.width);
  const double most = std::exp(kMaxContent), least = std::exp(-kMaxContent);
  const double null = std::exp(Only(null_score));
  for (size_t t = 0; t < T; ++t) {
    if (in.present[t] != 0) {
      tape->mass[t] = Mass(in.tokens.Row(t));
      tape->held[t] = tape->mass[t] >= most || tape->mass[t] <= least;
    }
    tape->total[t] = Attend(tape->kernel.data(), in.tokens, tape->mass.data(), t, y.Row(t));
    evidence[t] = static_cast<float>(1 - null / tape->total[t]);
    std::copy_n(y.Row(t), shape_.width, tape->y.Row(t));
  }
}

double LagAttention::Read(std::span<const double> kernel, ConstMat tokens,
                          std::span<const double> mass, float* y) const {
  assert(!mass.empty() && mass.size() == tokens.rows && kernel.size() == shape_.look_back);
  const double total = Attend(kernel.data(), tokens, mass.data(), mass.size() - 1, y);
  return 1 - std::exp(Only(null_score)) / total;
}

void LagAttention::Backward(const LagInput& in, const LagTape& tape, ConstMat d_y, Mat d_tokens) {
  const size_t T = in.tokens.rows, D = shape_.width;
  const float* w = content.value.data();
  const auto scale = static_cast<float>(1 / std::sqrt(static_cast<double>(D)));
  const double null = std::exp(Only(null_score));
  std::vector<double> d_bias(shape_.look_back), d_content(T);
  double d_null = 0;
  for (size_t t = 0; t < T; ++t) {
    const float* g = d_y.Row(t);
    const float* y = tape.y.Row(t);
    d_null -= null / tape.total[t] * Dot(g, y, D);
    const size_t reach = std::min(shape_.look_back, t + 1);
    for (size_t l = 0; l < reach; ++l) {
      const size_t from = t - l;
      if (tape.mass[from] == 0) continue;
      const double weight = tape.kernel[l] * tape.mass[from] / tape.total[t];
      const double d_score = weight * DotDifference(g, in.tokens.Row(from), y, D);
      d_bias[l] += d_score;
      d_content[from] += d_score;
      float* d_x = d_tokens.Row(from);
      const auto share = static_cast<float>(weight);
      for (size_t d = 0; d < D; ++d) d_x[d] += share * g[d];
    }
  }
  for (size_t t = 0; t < T; ++t) {
    if (tape.mass[t] == 0 || tape.held[t] != 0) continue;
    const float d = static_cast<float>(d_content[t]) * scale;
    const float* x = in.tokens.Row(t);
    float* d_x = d_tokens.Row(t);
    for (size_t i = 0; i < D; ++i) {
      content.grad.data()[i] += d * x[i];
      d_x[i] += d * w[i];
    }
  }
  double d_lag = 0, d_decay = 0, d_rise = 0;
  for (size_t l = 0; l < d_bias.size(); ++l) {
    const double after = static_cast<double>(l) - Only(lag);
    d_lag += d_bias[l] * (after > 0 ? Only(decay) : -Only(rise));
    (after > 0 ? d_decay : d_rise) -= d_bias[l] * std::abs(after);
  }
  lag.grad.data()[0] += static_cast<float>(d_lag);
  decay.grad.data()[0] += static_cast<float>(d_decay);
  rise.grad.data()[0] += static_cast<float>(d_rise);
  null_score.grad.data()[0] += static_cast<float>(d_null);
}

void LagAttention::ClampToRange() {
  const auto clamp = [](Parameter& p, float low, float high) {
    p.value.data()[0] = std::clamp(p.value.data()[0], low, high);
  };
  clamp(lag, 0, static_cast<float>(shape_.look_back - 1));
  clamp(decay, kMinSlope, kMaxSlope);
  clamp(rise, shape_.sudden ? std::min(kSudden * decay.value.data()[0], kMaxSlope) : kMinSlope,
        kMaxSlope);
  clamp(null_score, -static_cast<float>(kMaxContent), static_cast<float>(kMaxContent));
}

bool LagAttention::InRange() const {
  LagAttention other = *this;
  other.ClampToRange();
  return Only(other.lag) == Only(lag) && Only(other.decay) == Only(decay) &&
         Only(other.rise) == Only(rise) && Only(other.null_score) == Only(null_score);
}

}  // namespace heed::nn
