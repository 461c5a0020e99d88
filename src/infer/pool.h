// How a history becomes a few numbers for each candidate, made ready for serving. A pool works once a
// request on the tokens (Prepare) and then on candidates, 32 at a time (Attend); what a candidate
// brings is a linear function of its item vector and lies in its item row (compiled_ranker.h).
// Letters: L tokens, Dt their width, H heads, W attention width, dh = W / H, I item vector, A units.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "infer/arena.h"
#include "infer/layer.h"
#include "nn/activation_unit.h"
#include "nn/attention.h"

namespace heed::infer {

// Rows of candidates' own numbers, float or bf16.
struct ItemRows {
  const float* fp32 = nullptr;
  const kernels::Bf16* bf16 = nullptr;
  size_t stride = 0;

  ItemRows From(size_t row, size_t column) const {
    const size_t at = row * stride + column;
    return {fp32 == nullptr ? nullptr : fp32 + at, bf16 == nullptr ? nullptr : bf16 + at, stride};
  }
};

// The largest |x| of each column that passes, for calibration.
struct Range {
  std::vector<float> largest;
  void See(const float* x, size_t rows, size_t columns, size_t stride);
};

// A request's history. A token's row holds the token and what the pool wants of it,
//   [token Dt | Pool::token()],
// which knows nothing of the request either and is kept like an item row. Memory is the arena's.
struct History {
  size_t L = 0;
  const float* rows = nullptr;  // [L, stride]
  size_t stride = 0;
  const float* extra = nullptr;                // rows + the column where Pool::token() begins
  const float* log_age = nullptr;              // [L]
  const float* inverse_temperature = nullptr;  // [H]; null: 1
  std::vector<Range>* seen = nullptr;  // unit in fp32, in calibration: of each layer's inputs

  // Set by Prepare.
  kernels::Bf16 *keys = nullptr, *values = nullptr;  // dot in bf16: [L, W], [W, L to 2]
  float* bias = nullptr;  // the age's share of the scores, by temperature, [H, L]; null: none
  uint8_t* tokens_u8 = nullptr;  // unit in int8: [L, Dt], round(token * scale + 128)
  float tokens_scale = 1.0f;
};

class Pool {
 public:
  virtual ~Pool() = default;
  // What Attend wants to find in an item row: columns (padded to 16), as a linear layer of the item
  // vector.
  virtual const PlainLayer& item() const = 0;
  // What Prepare and Attend want to find in a token's row, as a linear layer of the token.
  virtual const PlainLayer& token() const = 0;
  virtual size_t out_width() const = 0;  // numbers Attend makes for a candidate
  virtual size_t heads() const = 0;      // and evidences
  // Everything up to `seen` is set.
  virtual void Prepare(History* history, Arena* arena) const = 0;
  // Item rows of n candidates -> out [n, out_width], evidence [n, heads], rows `stride` apart.
  virtual void Attend(const History& history, const ItemRows& items, size_t n, float* out,
                      float* evidence, size_t stride, Arena* arena) const = 0;
  virtual size_t seen() const { return 0; }   // ranges that calibration fills (History::seen)
  virtual size_t bytes() const { return 0; }  // of weights beside item() and token()
};

// query_rows: where the inputs of the pool's query lie in the item vector [I].
std::unique_ptr<Pool> MakeDotPool(const nn::TargetAttention& attention, size_t I,
                                  const std::vector<size_t>& query_rows, bool bf16);
// `ranges`, seen by the same pool in fp32, makes the unit int8.
std::unique_ptr<Pool> MakeUnitPool(const nn::ActivationUnit& unit, size_t I,
                                   const std::vector<size_t>& query_rows,
                                   const std::vector<Range>* ranges);

}  // namespace heed::infer
