#include "infer/layer.h"

#include <algorithm>
#include <cassert>
#include <cmath>

namespace heed::infer {

using kernels::ActiveProducts;
using kernels::Products;

namespace {

LineVector<float> Padded(const std::vector<float>& x, size_t size) {
  LineVector<float> padded(size, 0.0f);
  std::copy(x.begin(), x.end(), padded.begin());
  return padded;
}

}  // namespace

Quantised Quantise(const std::vector<float>& largest, bool non_negative) {
  Quantised q;
  q.zero = non_negative ? 0.0f : 128.0f;
  // A column that calibration hardly saw gets a hundredth of the widest range: its weights' rows must
  // not set the scale of the others.
  const float widest = largest.empty() ? 0.0f : *std::max_element(largest.begin(), largest.end());
  for (const float top : largest) {
    const float range = widest > 0.0f ? std::max(top, 0.01f * widest) : 1.0f;
    q.scale.push_back((non_negative ? 255.0f : 127.0f) / range);
  }
  return q;
}

PlainLayer PlainLayer::Of(const nn::Linear& linear, size_t first, size_t count,
                          const nn::BatchNorm* norm, const nn::Activation* bend) {
  PlainLayer plain;
  plain.K = count;
  plain.N = linear.outputs();
  plain.weights.resize(count * plain.N);
  for (size_t k = 0; k < count; ++k) {
    std::copy_n(linear.weight.value.Row(first + k), plain.N, plain.weights.data() + k * plain.N);
  }
  plain.bias.assign(linear.bias.value.data(), linear.bias.value.data() + plain.N);
  if (norm != nullptr) {
    // scale (x - mean) / sqrt(variance + epsilon) + shift, as a factor and an addend of the column.
    for (size_t n = 0; n < plain.N; ++n) {
      const double factor = static_cast<double>(norm->scale.value.data()[n]) /
                            std::sqrt(static_cast<double>(norm->running.variance.data()[n]) +
                                      static_cast<double>(nn::BatchNorm::kEpsilon));
      for (size_t k = 0; k < count; ++k) {
        float& w = plain.weights[k * plain.N + n];
        w = static_cast<float>(static_cast<double>(w) * factor);
      }
      const double centred =
          static_cast<double>(plain.bias[n]) - static_cast<double>(norm->running.mean.data()[n]);
      plain.bias[n] =
          static_cast<float>(centred * factor + static_cast<double>(norm->shift.value.data()[n]));
    }
  }
  if (bend == nullptr) return plain;
  plain.bent = true;
  plain.bend = bend->kind();
  if (bend->kind() == nn::ActivationKind::kRelu) return plain;
  plain.slope.assign(bend->slope.value.data(), bend->slope.value.data() + plain.N);
  if (bend->kind() == nn::ActivationKind::kPRelu) return plain;
  for (size_t n = 0; n < plain.N; ++n) {
    const float scale =
        1.0f / std::sqrt(bend->running.variance.data()[n] + nn::Activation::kDiceEpsilon);
    plain.dice_scale.push_back(scale);
    plain.dice_shift.push_back(-bend->running.mean.data()[n] * scale);
  }
  return plain;
}

Layer::Layer(const PlainLayer& plain, Precision precision, const Quantised& inputs)
    : inputs_(inputs), relu_(plain.bent && plain.bend == nn::ActivationKind::kRelu) {
  if (precision == Precision::kInt8) {
    // x_k = (u8_k - zero) / scale_k: the scales go into the weights' rows, the zero into the bias.
    assert(inputs.scale.size() == plain.K);
    std::vector<float> weights = plain.weights;
    for (size_t k = 0; k < plain.K; ++k) {
      for (size_t n = 0; n < plain.N; ++n) weights[k * plain.N + n] /= inputs.scale[k];
    }
    weights_ = {weights.data(), plain.K, plain.N, plain.N, precision};
    input_scale_ = Padded(inputs.scale, (plain.K + 15) / 16 * 16);
  } else {
    weights_ = {plain.weights.data(), plain.K, plain.N, plain.N, precision};
  }
  bias_ = Padded(plain.bias, weights_.padded_N());
  if (precision == Precision::kInt8) {
    for (size_t n = 0; n < plain.N; ++n) {
      bias_[n] -= inputs.zero * weights_.scale()[n] * weights_.sum()[n];
    }
  }
  if (!plain.slope.empty()) slope_ = Padded(plain.slope, weights_.padded_N());
  if (!plain.dice_scale.empty()) {
    dice_scale_ = Padded(plain.dice_scale, weights_.padded_N());
    dice_shift_ = Padded(plain.dice_shift, weights_.padded_N());
  }
}

void Layer::Run(const Rows& x, size_t M, const Call& call, Arena* arena) const {
  const Products& p = ActiveProducts();
  kernels::Epilogue end{.bias = call.bias != nullptr ? call.bias : bias_.data(),
                        .add = call.add,
                        .add_bf16 = call.add_bf16,
                        .add_stride = call.add_stride,
                        .relu = relu_};
  if (precision() == Precision::kInt8) end.scale = weights_.scale();
  const bool dice = !dice_scale_.empty();
  if (!dice && !slope_.empty()) end.slope = slope_.data();
  float* unbent = nullptr;  // Dice is no part of the epilogue: too long for it, and rarely wanted
  if (dice) {
    unbent = call.out_precision == Precision::kFp32 ? call.out.fp32()
                                                    : arena->Take<float>(M * padded_N());
    end.fp32 = unbent;
    end.stride = call.out_precision == Precision::kFp32 ? call.out.stride : padded_N();
  } else {
    end.stride = call.out.stride;
    switch (call.out_precision) {
      case Precision::kFp32: end.fp32 = call.out.fp32(); break;
      case Precision::kBf16: end.bf16 = call.out.bf16(); break;
      case Precision::kInt8:
        end.u8 = call.out.u8();
        end.u8_scale = call.next->input_scale_.data();
        end.u8_zero = call.next->inputs_.zero;
        break;
    }
  }
  switch (precision()) {
    case Precision::kFp32: p.fp32(x.fp32(), x.stride, M, weights_.panels(), end); break;
    case Precision::kBf16: p.bf16(x.bf16(), x.stride, M, weights_.panels(), end); break;
    case Precision::kInt8: p.int8(x.u8(), x.stride, M, weights_.panels(), end); break;
  }
  if (!dice) return;
  p.dice(unbent, end.stride, M, padded_N(), slope_.data(), dice_scale_.data(), dice_shift_.data());
  if (call.out_precision == Precision::kBf16) {
    for (size_t m = 0; m < M; ++m) {
      p.to_bf16(unbent + m * end.stride, padded_N(), call.out.bf16() + m * call.out.stride);
    }
  } else if (call.out_precision == Precision::kInt8) {
    p.to_u8(unbent, end.stride, M, N(), call.next->input_scale_.data(), call.next->inputs_.zero,
            call.out.u8(), call.out.stride);
  }
}

Rows Layer::Convert(const float* x, size_t stride, size_t M, Arena* arena) const {
  const Products& p = ActiveProducts();
  switch (precision()) {
    case Precision::kFp32: return {const_cast<float*>(x), stride};
    case Precision::kBf16: {
      Rows rows{arena->Take<kernels::Bf16>(M * padded_K()), padded_K()};
      for (size_t m = 0; m < M; ++m) {
        p.to_bf16(x + m * stride, K(), rows.bf16() + m * rows.stride);
        std::fill_n(rows.bf16() + m * rows.stride + K(), padded_K() - K(), kernels::Bf16{0});
      }
      return rows;
    }
    case Precision::kInt8: {
      Rows rows{arena->Take<uint8_t>(M * padded_K()), padded_K()};
      p.to_u8(x, stride, M, K(), input_scale_.data(), inputs_.zero, rows.u8(), rows.stride);
      return rows;
    }
  }
  return {};
}

}  // namespace heed::infer
