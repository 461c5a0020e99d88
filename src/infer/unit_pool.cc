#include <algorithm>
#include <cmath>
#include <limits>

#include "infer/pool.h"

namespace heed::infer {
namespace {

using kernels::ActiveProducts;
using kernels::kPanel;
using kernels::PackedMatrix;
using kernels::Products;

size_t RoundUp(size_t n, size_t step) { return (n + step - 1) / step * step; }

// Tokens that pass the unit together: what lies between its layers stays in the first cache. The last
// ones join the block before, if they are less than half of one.
constexpr size_t kTokenBlock = 24, kTokenBlockInt8 = 96;
constexpr size_t BlockOf(size_t left, size_t block) {
  return left < block + block / 2 ? left : block;
}

// DIN's activation unit with its first layer factored (nn/activation_unit.h): of
//   k (Wk - Wd + diag(q) Wp) + q (Wq + Wd) + b
// the token's share is computed once a request, the candidate's lies in its item row, and the rest is a
// product of the tokens with the candidate's own matrix diag(q) Wp. Nothing of size L x candidates is
// laid out but the scores.
class UnitPool final : public Pool {
 public:
  UnitPool(const nn::ActivationUnit& unit, size_t I, const std::vector<size_t>& query_rows,
           const std::vector<Range>* ranges)
      : shape_(unit.shape()), int8_(ranges != nullptr) {
    const size_t Dt = shape_.token_width, A = unit.first.outputs();
    const PlainLayer first = PlainLayer::Of(unit.first, 0, 4 * Dt, nullptr, &unit.bends[0]);
    const auto at = [&](size_t block, size_t k, size_t n) {  // blocks: k, q, q - k, q ∘ k
      return first.weights[(block * Dt + k) * A + n];
    };
    // The query q [Dt] as a linear function of the item vector: rows chosen, or projected.
    std::vector<float> query(I * Dt, 0.0f);
    for (size_t i = 0; i < query_rows.size(); ++i) {
      for (size_t k = 0; k < Dt; ++k) {
        const float weight =
            shape_.query_width == Dt ? static_cast<float>(i == k) : unit.query.value.Row(i)[k];
        query[query_rows[i] * Dt + k] += weight;
      }
    }
    base_column_ = RoundUp(Dt, 16);
    padded_A_ = RoundUp(A, 16);
    item_.K = I;
    item_.N = base_column_ + padded_A_;
    item_.weights.assign(I * item_.N, 0.0f);
    item_.bias.assign(item_.N, 0.0f);
    std::copy(first.bias.begin(), first.bias.end(), item_.bias.begin() + base_column_);
    for (size_t i = 0; i < I; ++i) {
      for (size_t k = 0; k < Dt; ++k) item_.weights[i * item_.N + k] = query[i * Dt + k];
      for (size_t n = 0; n < A; ++n) {
        double sum = 0.0;
        for (size_t k = 0; k < Dt; ++k) {
          sum += static_cast<double>(query[i * Dt + k]) *
                 static_cast<double>(at(1, k, n) + at(2, k, n));
        }
        item_.weights[i * item_.N + base_column_ + n] = static_cast<float>(sum);
      }
    }
    token_.K = Dt;
    token_.N = A;
    token_.bias.assign(A, 0.0f);
    std::vector<float> product(RoundUp(Dt, 4) * A, 0.0f);
    for (size_t k = 0; k < Dt; ++k) {
      for (size_t n = 0; n < A; ++n) {
        token_.weights.push_back(at(0, k, n) - at(2, k, n));
        product[k * A + n] = at(3, k, n);
      }
    }
    product_ = PackedMatrix(product.data(), int8_ ? RoundUp(Dt, 4) : Dt, A, A, Precision::kFp32);
    // The bend of the first layer, by a layer that is never multiplied with.
    PlainLayer bend = first;
    bend.K = 1;
    bend.weights.resize(A);
    bend_ = Layer(bend, Precision::kFp32);
    largest_.assign(product_.padded_K(), 0.0f);
    for (size_t k = 0; k < Dt; ++k) {
      for (size_t n = 0; n < A; ++n) {
        largest_[k] = std::max(largest_[k], std::abs(product[k * A + n]));
      }
    }
    for (size_t i = 0; i + 1 < unit.layers.size(); ++i) {
      const nn::Linear& linear = unit.layers[i];
      const bool rectified = shape_.activation == nn::ActivationKind::kRelu;
      Quantised inputs;
      if (int8_) inputs = Quantise((*ranges)[i].largest, rectified);
      layers_.emplace_back(PlainLayer::Of(linear, 0, linear.inputs(), nullptr, &unit.bends[i + 1]),
                           int8_ ? Precision::kInt8 : Precision::kFp32, inputs);
    }
    const nn::Linear& last = unit.layers.back();
    score_.assign(RoundUp(last.inputs(), 16), 0.0f);
    std::copy_n(last.weight.value.data(), last.inputs(), score_.begin());
    score_bias_ = last.bias.value.data()[0];
    if (shape_.softmax) {
      decay_ = unit.decay.value.data()[0];
      null_score_ = shape_.null_slot ? unit.null_score.value.data()[0]
                                     : -std::numeric_limits<float>::infinity();
    }
  }

  const PlainLayer& item() const override { return item_; }
  const PlainLayer& token() const override { return token_; }
  size_t out_width() const override { return shape_.token_width; }
  size_t heads() const override { return 1; }
  size_t seen() const override { return layers_.size(); }
  size_t bytes() const override {
    size_t sum = product_.bytes();
    for (const Layer& layer : layers_) sum += layer.weights().bytes();
    return sum;
  }

  void Prepare(History* history, Arena* arena) const override {
    const Products& p = ActiveProducts();
    const size_t L = history->L, Dt = shape_.token_width;
    if (shape_.softmax && decay_ != 0.0f) {
      history->bias = arena->Take<float>(L);
      for (size_t l = 0; l < L; ++l) history->bias[l] = -decay_ * history->log_age[l];
    }
    if (!int8_) return;
    const size_t K = product_.padded_K();
    float top = 0.0f;
    for (size_t l = 0; l < L; ++l) {
      top = std::max(top, p.top(history->rows + l * history->stride, Dt));
    }
    history->tokens_scale = top > 0.0f ? 127.0f / top : 1.0f;
    history->tokens_u8 = arena->Take<uint8_t>(L * K);
    float* scale = arena->Take<float>(K);
    std::fill_n(scale, K, history->tokens_scale);
    p.to_u8(history->rows, history->stride, L, Dt, scale, 128.0f, history->tokens_u8, K);
    for (size_t l = 0; l < L; ++l) std::fill_n(history->tokens_u8 + l * K + Dt, K - Dt, 128);
  }

  void Attend(const History& history, const ItemRows& items, size_t n, float* out, float* evidence,
              size_t stride, Arena* arena) const override {
    const Products& p = ActiveProducts();
    const size_t L = history.L, Dt = shape_.token_width;
    float* scores = arena->Take<float>(std::max<size_t>(L, 1) * kPanel);
    float* pooled = arena->Take<float>(Dt * kPanel);
    Scratch scratch = TakeScratch(arena);
    alignas(64) float inverse[kPanel], weight[kPanel];
    for (size_t first = 0; first < n; first += kPanel) {
      const size_t lanes = std::min(kPanel, n - first);
      if (lanes < kPanel) std::fill_n(scores, L * kPanel, 0.0f);
      for (size_t i = 0; i < lanes; ++i) {
        ReadItem(items.From(first + i, 0), &scratch);
        if (int8_) {
          ScoreInt8(history, scratch, scores + i, arena);
        } else {
          ScoreFp32(history, scratch, scores + i, arena);
        }
      }
      if (shape_.softmax) {
        // The last bias of the unit moves the tokens' scores against the null slot's.
        p.softmax_lanes(scores, L, history.bias, null_score_ - score_bias_, inverse, weight,
                        nullptr);
      } else {
        SumLanes(scores, L, weight);
        std::fill_n(inverse, kPanel, 1.0f);
      }
      p.lanes_fp32(history.rows, 1, history.stride, Dt, L, scores, pooled);
      p.from_lanes(pooled, inverse, lanes, Dt, out + first * stride, stride);
      for (size_t i = 0; i < lanes; ++i) evidence[(first + i) * stride] = weight[i];
    }
  }

 private:
  // Of one candidate, reused by the next.
  struct Scratch {
    float *q, *base, *own, *sums, *scale, *shift, *hidden[2];
    int8_t* own_int8;
    uint8_t* hidden_u8[2];
  };

  Scratch TakeScratch(Arena* arena) const {
    size_t widest = padded_A_;
    for (const Layer& layer : layers_) widest = std::max(widest, layer.padded_N());
    Scratch s{};
    s.q = arena->Take<float>(std::max(base_column_, product_.padded_K()));
    std::fill_n(s.q, std::max(base_column_, product_.padded_K()), 0.0f);
    s.base = arena->Take<float>(padded_A_);
    s.sums = arena->Take<float>(padded_A_);
    s.scale = arena->Take<float>(padded_A_);
    s.shift = arena->Take<float>(padded_A_);
    s.own = arena->Take<float>(product_.padded_K() * padded_A_);
    s.own_int8 = arena->Take<int8_t>(product_.padded_K() * padded_A_);
    const size_t most = (int8_ ? kTokenBlockInt8 : kTokenBlock) * 3 / 2;
    for (int i = 0; i < 2; ++i) {
      s.hidden[i] = arena->Take<float>(most * widest);
      s.hidden_u8[i] = arena->Take<uint8_t>(most * widest);
    }
    return s;
  }

  void ReadItem(const ItemRows& item, Scratch* s) const {
    const size_t Dt = shape_.token_width;
    if (item.fp32 != nullptr) {
      std::copy_n(item.fp32, Dt, s->q);
      std::copy_n(item.fp32 + base_column_, padded_A_, s->base);
    } else {
      ActiveProducts().from_bf16(item.bf16, Dt, s->q);
      ActiveProducts().from_bf16(item.bf16 + base_column_, padded_A_, s->base);
    }
  }

  void Bend(float* x, size_t M) const {
    if (const float* slope = bend_.slope(); bend_.dice()) {
      ActiveProducts().dice(x, padded_A_, M, padded_A_, slope, bend_.dice_scale(),
                            bend_.dice_shift());
    }
  }

  // Scores of all tokens for the candidate in `s`, into a lane: scores[l * 32].
  void ScoreFp32(const History& history, const Scratch& s, float* scores, Arena* arena) const {
    const Products& p = ActiveProducts();
    const size_t Dt = shape_.token_width;
    p.scale_panels(product_.panels(), s.q, s.own);
    const kernels::Panels own{reinterpret_cast<const uint8_t*>(s.own), Dt, padded_A_};
    for (size_t l = 0, M = 0; l < history.L; l += M) {
      M = BlockOf(history.L - l, kTokenBlock);
      p.fp32(history.rows + l * history.stride, history.stride, M, own,
             {.bias = s.base,
              .add = history.extra + l * history.stride,
              .add_stride = history.stride,
              .relu = bend_.rectifies(),
              .slope = bend_.dice() ? nullptr : bend_.slope(),
              .fp32 = s.hidden[0],
              .stride = padded_A_});
      Bend(s.hidden[0], M);
      Finish(history, s, M, scores + l * kPanel, arena);
    }
  }

  // The layers after the first, and the score.
  void Finish(const History& history, const Scratch& s, size_t M, float* scores,
              Arena* arena) const {
    const Products& p = ActiveProducts();
    size_t stride = padded_A_, at = 0;
    for (size_t i = 0; i < layers_.size(); ++i) {
      if (history.seen != nullptr) {
        (*history.seen)[i].See(s.hidden[at], M, layers_[i].K(), stride);
      }
      layers_[i].Run({s.hidden[at], stride}, M, {.out = {s.hidden[1 - at], layers_[i].padded_N()}},
                     arena);
      at = 1 - at;
      stride = layers_[i].padded_N();
    }
    p.row_dots(s.hidden[at], stride, M, score_.size(), score_.data(), scores, kPanel);
    AddSumBias(scores, M);
  }

  // In a sum the last bias counts as it is; in a softmax it only moves the null slot.
  void AddSumBias(float* scores, size_t M) const {
    if (shape_.softmax) return;
    for (size_t m = 0; m < M; ++m) scores[m * kPanel] += score_bias_;
  }

  void ScoreInt8(const History& history, const Scratch& s, float* scores, Arena* arena) const {
    const Products& p = ActiveProducts();
    const size_t K = product_.padded_K(), Dt = shape_.token_width;
    float top = 0.0f;
    for (size_t k = 0; k < Dt; ++k) top = std::max(top, std::abs(s.q[k]) * largest_[k]);
    const float inverse = top > 0.0f ? 126.9f / top : 0.0f;
    p.quantise_panels(product_.panels(), s.q, inverse, s.own_int8, s.sums);
    const float unit = top > 0.0f ? 1.0f / (inverse * history.tokens_scale) : 0.0f;
    for (size_t n = 0; n < padded_A_; ++n) {
      s.scale[n] = unit;
      s.shift[n] = s.base[n] - 128.0f * unit * s.sums[n];
    }
    const kernels::Panels own{reinterpret_cast<const uint8_t*>(s.own_int8), K, padded_A_};
    for (size_t l = 0, M = 0; l < history.L; l += M) {
      M = BlockOf(history.L - l, kTokenBlockInt8);
      kernels::Epilogue end{.scale = s.scale,
                            .bias = s.shift,
                            .add = history.extra + l * history.stride,
                            .add_stride = history.stride,
                            .relu = bend_.rectifies(),
                            .slope = bend_.dice() ? nullptr : bend_.slope(),
                            .stride = padded_A_};
      const bool direct = !bend_.dice() && !layers_.empty();
      if (direct) {
        end.u8 = s.hidden_u8[0];
        end.u8_scale = layers_[0].input_scale();
        end.u8_zero = layers_[0].inputs().zero;
      } else {
        end.fp32 = s.hidden[0];
      }
      p.int8(history.tokens_u8 + l * K, K, M, own, end);
      if (!direct) {
        Bend(s.hidden[0], M);
        if (layers_.empty()) {
          p.row_dots(s.hidden[0], padded_A_, M, score_.size(), score_.data(), scores + l * kPanel,
                     kPanel);
          AddSumBias(scores + l * kPanel, M);
          continue;
        }
        p.to_u8(s.hidden[0], padded_A_, M, layers_[0].K(), layers_[0].input_scale(),
                layers_[0].inputs().zero, s.hidden_u8[0], padded_A_);
      }
      FinishInt8(s, M, scores + l * kPanel, arena);
    }
  }

  void FinishInt8(const Scratch& s, size_t M, float* scores, Arena* arena) const {
    size_t stride = padded_A_, at = 0;
    for (size_t i = 0; i < layers_.size(); ++i) {
      const Rows in{s.hidden_u8[at], stride};
      stride = layers_[i].padded_N();
      if (i + 1 == layers_.size()) {
        layers_[i].Run(in, M, {.out = {s.hidden[0], stride}}, arena);
      } else {
        layers_[i].Run(in, M,
                       {.out = {s.hidden_u8[1 - at], stride},
                        .out_precision = Precision::kInt8,
                        .next = &layers_[i + 1]},
                       arena);
      }
      at = 1 - at;
    }
    ActiveProducts().row_dots(s.hidden[0], stride, M, score_.size(), score_.data(), scores, kPanel);
    AddSumBias(scores, M);
  }

  static void SumLanes(const float* scores, size_t L, float* sums) {
    std::fill_n(sums, kPanel, 0.0f);
    for (size_t l = 0; l < L; ++l) {
      for (size_t i = 0; i < kPanel; ++i) sums[i] += scores[l * kPanel + i];
    }
  }

  nn::ActivationUnitShape shape_;
  bool int8_;
  PlainLayer item_, token_;                // token_: Wk - Wd
  size_t base_column_ = 0, padded_A_ = 0;  // of an item row; A to 16
  PackedMatrix product_;                   // Wp, K padded to 4 for int8
  std::vector<float> largest_;             // of Wp's rows
  Layer bend_;
  std::vector<Layer> layers_;
  LineVector<float> score_;
  float score_bias_ = 0.0f, decay_ = 0.0f;
  float null_score_ = -std::numeric_limits<float>::infinity();
};

}  // namespace

std::unique_ptr<Pool> MakeUnitPool(const nn::ActivationUnit& unit, size_t I,
                                   const std::vector<size_t>& query_rows,
                                   const std::vector<Range>* ranges) {
  return std::make_unique<UnitPool>(unit, I, query_rows, ranges);
}

}  // namespace heed::infer
