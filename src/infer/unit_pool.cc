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

// int8: tokens that pass the unit together: what lies between its layers stays in the first cache. The last
// ones join the block before, if they are less than half of one.
constexpr size_t kTokenBlock = 96;
constexpr size_t BlockOf(size_t left) {
  return left < kTokenBlock + kTokenBlock / 2 ? left : kTokenBlock;
}

// fp32: candidates that a token's own matrix is made for at once, in panels.
constexpr size_t kPanelsTogether = 3;

// A layer whose outputs are computed for 32 candidates side by side, and its bend, by output.
struct LanesLayer {
  size_t K = 0, N = 0;
  LineVector<float> weights;                             // [K, N]
  LineVector<float> bias, slope;                         // [N]; no slope: Dice
  LineVector<float> dice_slope, dice_scale, dice_shift;  // [N, 32], all of a row alike

  explicit LanesLayer(const PlainLayer& plain)
      : K(plain.K),
        N(plain.N),
        weights(plain.weights.begin(), plain.weights.end()),
        bias(plain.bias.begin(), plain.bias.end()) {
    if (plain.bend != nn::ActivationKind::kDice) {
      slope.assign(plain.slope.begin(), plain.slope.end());
      slope.resize(N, 0.0f);  // ReLU's
      return;
    }
    for (size_t n = 0; n < N; ++n) {
      dice_slope.insert(dice_slope.end(), kPanel, plain.slope[n]);
      dice_scale.insert(dice_scale.end(), kPanel, plain.dice_scale[n]);
      dice_shift.insert(dice_shift.end(), kPanel, plain.dice_shift[n]);
    }
  }
  size_t bytes() const { return (weights.size() + bias.size()) * sizeof(float); }
  const float* Slope(size_t n) const { return slope.empty() ? nullptr : slope.data() + n; }
  void Dice(float* x) const {  // [N, 32], where Slope has nothing
    for (size_t at = 0; at < dice_slope.size(); at += kPanel) {
      ActiveProducts().dice(x + at, kPanel, 1, kPanel, dice_slope.data() + at,
                            dice_scale.data() + at, dice_shift.data() + at);
    }
  }
};

// DIN's activation unit with its first layer factored (nn/activation_unit.h): of
//   k (Wk - Wd + diag(q) Wp) + q (Wq + Wd) + b
// the token's share is computed once a request, the candidate's lies in its item row, and the rest is a
// product of k and q with Wp. In fp32 it is taken as q times the token's own matrix diag(k) Wp, for 32 candidates side
// by side: no column is padded, no number is summed across a vector, and sums begin with the shares. In int8 it is
// k times the candidate's matrix diag(q) Wp, whose quads of k lie as the instruction wants them. Nothing of size
// L x candidates is laid out but the scores.
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
    if (int8_) {
      bend_ = Layer(bend, Precision::kFp32);
    } else {
      lanes_.emplace_back(bend);
    }
    largest_.assign(product_.padded_K(), 0.0f);
    for (size_t k = 0; k < Dt; ++k) {
      for (size_t n = 0; n < A; ++n) {
        largest_[k] = std::max(largest_[k], std::abs(product[k * A + n]));
      }
    }
    for (size_t i = 0; i + 1 < unit.layers.size(); ++i) {
      const nn::Linear& linear = unit.layers[i];
      const PlainLayer plain =
          PlainLayer::Of(linear, 0, linear.inputs(), nullptr, &unit.bends[i + 1]);
      if (int8_) {
        const bool rectified = shape_.activation == nn::ActivationKind::kRelu;
        layers_.emplace_back(plain, Precision::kInt8, Quantise((*ranges)[i].largest, rectified));
      } else {
        lanes_.emplace_back(plain);
      }
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
  size_t seen() const override { return int8_ ? layers_.size() : lanes_.size() - 1; }
  size_t bytes() const override {
    size_t sum = product_.bytes();
    for (const Layer& layer : layers_) sum += layer.weights().bytes();
    for (const LanesLayer& layer : lanes_) sum += layer.bytes();
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
    const size_t of_panel = std::max<size_t>(L, 1) * kPanel;
    float* scores = arena->Take<float>(kPanelsTogether * of_panel);
    float* pooled = arena->Take<float>(Dt * kPanel);
    Scratch scratch{};
    LanesScratch lanes_scratch{};
    if (int8_) {
      scratch = TakeScratch(arena);
    } else {
      lanes_scratch = TakeLanesScratch(arena);
    }
    alignas(64) float inverse[kPanel], weight[kPanel];
    for (size_t first = 0; first < n; first += kPanelsTogether * kPanel) {
      const size_t together = std::min(kPanelsTogether * kPanel, n - first);
      if (int8_) {
        ScoreInt8(history, items.From(first, 0), together, scores, &scratch, arena);
      } else {
        ScoreFp32(history, items.From(first, 0), together, scores, &lanes_scratch);
      }
      for (size_t at = 0; at < together; at += kPanel) {
        float* own = scores + at / kPanel * of_panel;
        const size_t lanes = std::min(kPanel, together - at);
        if (shape_.softmax) {
          // The last bias of the unit moves the tokens' scores against the null slot's.
          p.softmax_lanes(own, L, history.bias, null_score_ - score_bias_, inverse, weight,
                          nullptr);
        } else {
          SumLanes(own, L, weight);
          std::fill_n(inverse, kPanel, 1.0f);
        }
        p.lanes_fp32(history.rows, 1, history.stride, Dt, L, own, pooled);
        p.from_lanes(pooled, inverse, lanes, Dt, out + (first + at) * stride, stride);
        for (size_t i = 0; i < lanes; ++i) evidence[(first + at + i) * stride] = weight[i];
      }
    }
  }

 private:
  // fp32: of some panels of candidates, reused by the next.
  struct LanesScratch {
    float *q, *base;   // [panels][Dt, 32] and [padded A, 32]
    float* rows;       // [32, item columns]: items of bf16 as floats
    float* own;        // of one token: diag(k) Wp
    float* hidden[2];  // of one token and panel: [widest, 32]
  };

  LanesScratch TakeLanesScratch(Arena* arena) const {
    size_t widest = padded_A_;
    for (const LanesLayer& layer : lanes_) widest = std::max(widest, layer.N);
    LanesScratch s{};
    s.q = arena->Take<float>(kPanelsTogether * shape_.token_width * kPanel);
    s.base = arena->Take<float>(kPanelsTogether * padded_A_ * kPanel);
    s.rows = arena->Take<float>(kPanel * (base_column_ + padded_A_));
    s.own = arena->Take<float>(shape_.token_width * padded_A_);
    for (float*& hidden : s.hidden) hidden = arena->Take<float>(widest * kPanel);
    return s;
  }

  // int8: of one candidate, reused by the next.
  struct Scratch {
    float *q, *base, *sums, *scale, *shift, *hidden;
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
    s.own_int8 = arena->Take<int8_t>(product_.padded_K() * padded_A_);
    const size_t most = kTokenBlock * 3 / 2;
    s.hidden = arena->Take<float>(most * widest);
    for (uint8_t*& hidden : s.hidden_u8) hidden = arena->Take<uint8_t>(most * widest);
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

  void Bend(float* x, size_t M) const {  // int8
    if (const float* slope = bend_.slope(); bend_.dice()) {
      ActiveProducts().dice(x, padded_A_, M, padded_A_, slope, bend_.dice_scale(),
                            bend_.dice_shift());
    }
  }

  // Scores of all tokens for n candidates, of at most kPanelsTogether panels: scores[panel][l][32].
  void ScoreFp32(const History& history, const ItemRows& items, size_t n, float* scores,
                 LanesScratch* s) const {
    const Products& p = ActiveProducts();
    const size_t Dt = shape_.token_width, A = lanes_[0].N, panels = (n + kPanel - 1) / kPanel;
    for (size_t panel = 0; panel < panels; ++panel) {
      ReadItems(items.From(panel * kPanel, 0), std::min(kPanel, n - panel * kPanel), panel, s);
    }
    for (size_t l = 0; l < history.L; ++l) {
      p.scale_panels(product_.panels(), history.rows + l * history.stride, s->own);
      for (size_t panel = 0; panel < panels; ++panel) {
        const float* q = s->q + panel * Dt * kPanel;
        const float* base = s->base + panel * padded_A_ * kPanel;
        for (size_t first = 0; first < A; first += kPanel) {  // columns of Wp, panel by panel
          p.lanes_layer(s->own + first * Dt, std::min(kPanel, padded_A_ - first),
                        std::min(kPanel, A - first), Dt, q,
                        {.bias = history.extra + l * history.stride + first,
                         .start = base + first * kPanel,
                         .slope = lanes_[0].Slope(first)},
                        s->hidden[0] + first * kPanel);
        }
        lanes_[0].Dice(s->hidden[0]);
        const size_t lanes = std::min(kPanel, n - panel * kPanel);
        Finish(history, lanes, s, scores + (panel * history.L + l) * kPanel);
      }
    }
  }

  // Items side by side, zeros in lanes without one.
  void ReadItems(const ItemRows& items, size_t lanes, size_t panel, LanesScratch* s) const {
    const Products& p = ActiveProducts();
    const size_t Dt = shape_.token_width, columns = base_column_ + padded_A_;
    const float* rows = items.fp32;
    size_t stride = items.stride;
    if (rows == nullptr) {
      for (size_t i = 0; i < lanes; ++i) {
        p.from_bf16(items.bf16 + i * items.stride, columns, s->rows + i * columns);
      }
      rows = s->rows;
      stride = columns;
    }
    const auto to_lanes = [&](size_t column, size_t width, float* out) {
      p.to_lanes(reinterpret_cast<const uint32_t*>(rows + column), stride, lanes, width,
                 reinterpret_cast<uint32_t*>(out));
    };
    to_lanes(0, Dt, s->q + panel * Dt * kPanel);
    to_lanes(base_column_, padded_A_, s->base + panel * padded_A_ * kPanel);
  }

  // The layers after the first, and the scores of one token.
  void Finish(const History& history, size_t lanes, LanesScratch* s, float* scores) const {
    const Products& p = ActiveProducts();
    size_t at = 0;
    for (size_t i = 1; i < lanes_.size(); ++i) {
      const LanesLayer& layer = lanes_[i];
      if (history.seen != nullptr) See(s->hidden[at], lanes, &(*history.seen)[i - 1]);
      p.lanes_layer(layer.weights.data(), layer.N, layer.N, layer.K, s->hidden[at],
                    {.bias = layer.bias.data(), .slope = layer.Slope(0)}, s->hidden[1 - at]);
      layer.Dice(s->hidden[1 - at]);
      at = 1 - at;
    }
    p.lanes_fp32(score_.data(), 0, 1, 1, lanes_.back().N, s->hidden[at], scores);
    if (shape_.softmax) return;
    for (size_t i = 0; i < kPanel; ++i) scores[i] += score_bias_;
  }

  static void See(const float* x, size_t lanes, Range* range) {
    for (size_t k = 0; k < range->largest.size(); ++k) {
      for (size_t i = 0; i < lanes; ++i) {
        range->largest[k] = std::max(range->largest[k], std::abs(x[k * kPanel + i]));
      }
    }
  }

  // In a sum the last bias counts as it is; in a softmax it only moves the null slot.
  void AddSumBias(float* scores, size_t M) const {
    if (shape_.softmax) return;
    for (size_t m = 0; m < M; ++m) scores[m * kPanel] += score_bias_;
  }

  void ScoreInt8(const History& history, const ItemRows& items, size_t n, float* scores, Scratch* s,
                 Arena* arena) const {
    const size_t of_panel = std::max<size_t>(history.L, 1) * kPanel;
    if (n % kPanel != 0) std::fill_n(scores + n / kPanel * of_panel, of_panel, 0.0f);
    for (size_t i = 0; i < n; ++i) {
      ReadItem(items.From(i, 0), s);
      ScoreInt8(history, *s, scores + i / kPanel * of_panel + i % kPanel, arena);
    }
  }

  // Scores of all tokens for the candidate in `s`, into a lane: scores[l * 32].
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
      M = BlockOf(history.L - l);
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
        end.fp32 = s.hidden;
      }
      p.int8(history.tokens_u8 + l * K, K, M, own, end);
      if (!direct) {
        Bend(s.hidden, M);
        if (layers_.empty()) {
          p.row_dots(s.hidden, padded_A_, M, score_.size(), score_.data(), scores + l * kPanel,
                     kPanel);
          AddSumBias(scores + l * kPanel, M);
          continue;
        }
        p.to_u8(s.hidden, padded_A_, M, layers_[0].K(), layers_[0].input_scale(),
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
        layers_[i].Run(in, M, {.out = {s.hidden, stride}}, arena);
      } else {
        layers_[i].Run(in, M,
                       {.out = {s.hidden_u8[1 - at], stride},
                        .out_precision = Precision::kInt8,
                        .next = &layers_[i + 1]},
                       arena);
      }
      at = 1 - at;
    }
    ActiveProducts().row_dots(s.hidden, stride, M, score_.size(), score_.data(), scores, kPanel);
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
  std::vector<LanesLayer>
      lanes_;                  // fp32: the bend of the first (its weights are not read), the others
  Layer bend_;                 // int8: of the first
  std::vector<Layer> layers_;  // int8: the others
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
