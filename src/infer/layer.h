// One dense layer made ready for serving: packed weights in one of three precisions, batch norm
// folded in, its bend in the product's epilogue. Letters: M rows, K inputs, N outputs.
#pragma once

#include <cstddef>
#include <vector>

#include "base/line_allocator.h"
#include "infer/arena.h"
#include "kernels/product.h"
#include "nn/activation.h"
#include "nn/batch_norm.h"
#include "nn/linear.h"

namespace heed::infer {

using kernels::Precision;

// Rows of numbers between two layers, in the precision the next one reads. Rows are `stride`
// elements apart.
struct Rows {
  void* data = nullptr;
  size_t stride = 0;

  float* fp32() const { return static_cast<float*>(data); }
  kernels::Bf16* bf16() const { return static_cast<kernels::Bf16*>(data); }
  uint8_t* u8() const { return static_cast<uint8_t*>(data); }
};

// How the inputs of an int8 layer are stored: u8 = round(x * scale[k] + zero).
struct Quantised {
  std::vector<float> scale;  // [K]
  float zero = 0.0f;
};

// From the largest |x| of each column: 0..255 for what is never negative, else 1..255 around 128.
Quantised Quantise(const std::vector<float>& largest, bool non_negative);

// A layer y = bend(x W + b) in plain numbers, before it is packed.
struct PlainLayer {
  size_t K = 0, N = 0;
  std::vector<float> weights;  // [K, N]
  std::vector<float> bias;     // [N]
  nn::ActivationKind bend = nn::ActivationKind::kRelu;
  bool bent = false;
  std::vector<float> slope;                   // [N]: PReLU, Dice
  std::vector<float> dice_scale, dice_shift;  // [N]: Dice

  // Rows first..first+count-1 of `linear`; norm and bend may be null.
  static PlainLayer Of(const nn::Linear& linear, size_t first, size_t count,
                       const nn::BatchNorm* norm, const nn::Activation* bend);
};

class Layer {
 public:
  Layer() = default;
  // `inputs` is needed with kInt8.
  Layer(const PlainLayer& plain, Precision precision, const Quantised& inputs = {});

  // What Run adds before the bend, and where the results go.
  struct Call {
    const float* bias = nullptr;  // [padded N], instead of the layer's own
    const float* add = nullptr;   // [M, padded N]
    const kernels::Bf16* add_bf16 = nullptr;
    size_t add_stride = 0;
    Rows out;
    Precision out_precision = Precision::kFp32;
    const Layer* next = nullptr;  // whose inputs' scale an int8 result takes
  };
  // x [M, K], in this layer's precision.
  void Run(const Rows& x, size_t M, const Call& call, Arena* arena) const;

  size_t K() const { return weights_.K(); }
  size_t N() const { return weights_.N(); }
  size_t padded_K() const { return weights_.padded_K(); }
  size_t padded_N() const { return weights_.padded_N(); }
  Precision precision() const { return weights_.precision(); }
  const float* bias() const { return bias_.data(); }
  const Quantised& inputs() const { return inputs_; }
  const kernels::PackedMatrix& weights() const { return weights_; }
  const float* input_scale() const { return input_scale_.data(); }  // [K to 16], kInt8
  bool dice() const { return !dice_scale_.empty(); }
  const float* dice_scale() const { return dice_scale_.data(); }
  const float* dice_shift() const { return dice_shift_.data(); }
  const float* slope() const { return slope_.empty() ? nullptr : slope_.data(); }
  // fp32 rows [M, K] to this layer's precision, in memory of the arena (or themselves).
  Rows Convert(const float* x, size_t stride, size_t M, Arena* arena) const;
  // Of what is never negative: a rectifier's results.
  bool rectifies() const { return relu_; }

 private:
  kernels::PackedMatrix weights_;
  Quantised inputs_;
  LineVector<float> bias_, slope_, dice_scale_, dice_shift_, input_scale_;
  bool relu_ = false;
};

}  // namespace heed::infer
