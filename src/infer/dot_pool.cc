#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "infer/pool.h"
#include "kernels/table.h"

namespace heed::infer {
namespace {

using kernels::ActiveProducts;
using kernels::Bf16;
using kernels::kPanel;
using kernels::Products;

size_t RoundUp(size_t n, size_t step) { return (n + step - 1) / step * step; }

// Softmax attention with keys and values projected once a request. The candidates lie in the lanes:
// scores, softmax and weighted sums then need no horizontal step and any head width will do.
class DotPool final : public Pool {
 public:
  DotPool(const nn::TargetAttention& attention, size_t I, const std::vector<size_t>& query_rows,
          bool bf16)
      : shape_(attention.shape()), head_width_(shape_.width / shape_.heads) {
    const size_t W = shape_.width, Dt = shape_.token_width;
    // Pairs of bf16 within a head: an odd width stays in fp32.
    bf16_ = bf16 && head_width_ % 2 == 0 && W % 16 == 0;
    const float scale = 1.0f / std::sqrt(static_cast<float>(head_width_));
    item_.K = I;
    item_.N = RoundUp(W, 16);
    item_.weights.assign(I * item_.N, 0.0f);
    item_.bias.assign(item_.N, 0.0f);
    for (size_t j = 0; j < W; ++j) {
      item_.bias[j] = attention.query_bias.value.data()[j] * scale;
      for (size_t i = 0; i < query_rows.size(); ++i) {
        // A field asked for twice counts twice.
        item_.weights[query_rows[i] * item_.N + j] += attention.query.value.Row(i)[j] * scale;
      }
    }
    token_.K = Dt;
    token_.N = 2 * W;
    token_.bias.assign(2 * W, 0.0f);
    for (size_t k = 0; k < Dt; ++k) {
      for (const nn::Parameter* side : {&attention.key, &attention.value}) {
        const float* row = side->value.Row(k);
        token_.weights.insert(token_.weights.end(), row, row + W);
      }
    }
    for (size_t h = 0; h < shape_.heads; ++h) {
      const float none = -std::numeric_limits<float>::infinity();
      null_score_.push_back(shape_.null_slot ? attention.null_score.value.data()[h] : none);
      decay_.push_back(attention.decay.value.data()[h]);
    }
    decays_ = std::any_of(decay_.begin(), decay_.end(), [](float d) { return d != 0.0f; });
  }

  const PlainLayer& item() const override { return item_; }
  const PlainLayer& token() const override { return token_; }
  size_t out_width() const override { return shape_.width; }
  size_t heads() const override { return shape_.heads; }

  void Prepare(History* history, Arena* arena) const override {
    const Products& p = ActiveProducts();
    const size_t L = history->L, W = shape_.width;
    if (decays_) {
      history->bias = arena->Take<float>(shape_.heads * L);
      for (size_t h = 0; h < shape_.heads; ++h) {
        const float decay = decay_[h] * Inverse(*history, h);
        for (size_t l = 0; l < L; ++l) history->bias[h * L + l] = -decay * history->log_age[l];
      }
    }
    if (!bf16_) return;
    history->keys = arena->Take<Bf16>(L * W);
    for (size_t l = 0; l < L; ++l) {
      p.to_bf16(history->extra + l * history->stride, W, history->keys + l * W);
    }
    const size_t even = RoundUp(L, 2);
    history->values = arena->Take<Bf16>(even * W);
    float* lanes = arena->Take<float>(W * kPanel);
    for (size_t l = 0; l < L; l += kPanel) {
      const size_t n = std::min(kPanel, L - l);
      p.to_lanes(reinterpret_cast<const uint32_t*>(history->extra + l * history->stride + W),
                 history->stride, n, W, reinterpret_cast<uint32_t*>(lanes));
      for (size_t j = 0; j < W; ++j) {
        p.to_bf16(lanes + j * kPanel, std::min(kPanel, even - l), history->values + j * even + l);
      }
    }
  }

  void Attend(const History& history, const ItemRows& items, size_t n, float* out, float* evidence,
              size_t stride, Arena* arena) const override {
    const size_t L = history.L, dh = head_width_;
    Scratch scratch{.lanes = arena->Take<float>(std::max(dh, RoundUp(dh, 16)) * kPanel),
                    .scores = arena->Take<float>(std::max<size_t>(L, 1) * kPanel),
                    .pooled = arena->Take<float>(dh * kPanel),
                    .rows = arena->Take<float>(kPanel * RoundUp(dh, 16)),
                    .pairs = bf16_ ? arena->Take<Bf16>(RoundUp(L, 2) * kPanel) : nullptr};
    for (size_t first = 0; first < n; first += kPanel) {
      const size_t lanes = std::min(kPanel, n - first);
      for (size_t h = 0; h < shape_.heads; ++h) {
        AttendHead(history, items.From(first, h * dh), lanes, h, scratch,
                   out + first * stride + h * dh, evidence + first * stride + h, stride);
      }
    }
  }

 private:
  struct Scratch {
    float *lanes, *scores, *pooled, *rows;
    Bf16* pairs;
  };

  static float Inverse(const History& history, size_t h) {
    return history.inverse_temperature == nullptr ? 1.0f : history.inverse_temperature[h];
  }

  void AttendHead(const History& history, const ItemRows& queries, size_t lanes, size_t h,
                  const Scratch& scratch, float* out, float* evidence, size_t stride) const {
    const Products& p = ActiveProducts();
    const size_t L = history.L, W = shape_.width, dh = head_width_;
    if (bf16_) {
      p.to_lanes(reinterpret_cast<const uint32_t*>(queries.bf16), queries.stride / 2, lanes, dh / 2,
                 reinterpret_cast<uint32_t*>(scratch.lanes));
      p.lanes_bf16(history.keys + h * dh, W, L, dh, reinterpret_cast<const Bf16*>(scratch.lanes),
                   scratch.scores);
    } else {
      const float* q = queries.fp32;
      size_t q_stride = queries.stride;
      if (q == nullptr) {
        q_stride = RoundUp(dh, 16);
        for (size_t i = 0; i < lanes; ++i) {
          p.from_bf16(queries.bf16 + i * queries.stride, dh, scratch.rows + i * q_stride);
        }
        q = scratch.rows;
      }
      p.to_lanes(reinterpret_cast<const uint32_t*>(q), q_stride, lanes, dh,
                 reinterpret_cast<uint32_t*>(scratch.lanes));
      p.lanes_fp32(history.extra + h * dh, history.stride, 1, L, dh, scratch.lanes, scratch.scores);
    }
    const float colder = Inverse(history, h);
    if (colder != 1.0f) kernels::Active().scale(colder, scratch.scores, L * kPanel);
    alignas(64) float inverse[kPanel], weight[kPanel];
    p.softmax_lanes(scratch.scores, L, history.bias == nullptr ? nullptr : history.bias + h * L,
                    null_score_[h] * colder, inverse, weight, scratch.pairs);
    if (bf16_) {
      const size_t even = RoundUp(L, 2);
      p.lanes_bf16(history.values + h * dh * even, even, dh, even, scratch.pairs, scratch.pooled);
    } else {
      p.lanes_fp32(history.extra + W + h * dh, 1, history.stride, dh, L, scratch.scores,
                   scratch.pooled);
    }
    p.from_lanes(scratch.pooled, inverse, lanes, dh, out, stride);
    for (size_t i = 0; i < lanes; ++i) evidence[i * stride] = weight[i];
  }

  nn::AttentionShape shape_;
  size_t head_width_;
  bool bf16_ = false, decays_ = false;
  PlainLayer item_, token_;                // token_: [keys W | values W]
  std::vector<float> null_score_, decay_;  // [H]
};

}  // namespace

void Range::See(const float* x, size_t rows, size_t columns, size_t stride) {
  largest.resize(std::max(largest.size(), columns), 0.0f);
  for (size_t m = 0; m < rows; ++m) {
    for (size_t n = 0; n < columns; ++n) {
      largest[n] = std::max(largest[n], std::abs(x[m * stride + n]));
    }
  }
}

std::unique_ptr<Pool> MakeDotPool(const nn::TargetAttention& attention, size_t I,
                                  const std::vector<size_t>& query_rows, bool bf16) {
  return std::make_unique<DotPool>(attention, I, query_rows, bf16);
}

}  // namespace heed::infer
