// Attention of every second of a stream to the seconds before it, with a lag that is learned: what is shown
// now bears on viewers some seconds later, and then fades.
//
// Letters: T seconds, D width of a token, L look-back.
//   s_{t,l} = w.x_{t-l} / sqrt(D) + b_l       l = 0 .. L - 1, of the seconds that are present
//   b_l     = -decay max(0, l - lag) - rise max(0, lag - l)
//   a_t     = softmax over them and a null slot;  y_t = sum_l a_{t,l} x_{t-l};  evidence_t = 1 - a_null
// The bias is greatest at `lag` seconds, a real number, and falls by `rise` a second towards now and by
// `decay` a second towards the past: three numbers that can be read, and that move smoothly. Second t
// sees nothing after t. An absent second is excluded: weight exactly 0, no gradient, and its row is not read.
//
// exp(s) = exp(content of the second) * exp(b_l), so a look-back costs L D multiplications and D for the new
// second, and no exponentials. No maximum is subtracted for that: contents are held within ±kMaxContent and
// biases are never positive, so that nothing overflows. The fading side alone would have an O(D)
// recurrence; the rising side grows towards now, and its recurrence would lose digits with every step.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/random.h"
#include "nn/mat.h"
#include "nn/parameter.h"

namespace heed::nn {

struct LagShape {
  size_t width = 1;      // D
  size_t look_back = 1;  // L
  // Holds rise at kSudden decays or above: an answer begins sooner than it ends. Without, a flat rise can stand in
  // for a lag that has not been found yet, and the lag stays where it is.
  bool sudden = false;
};

struct LagInput {
  ConstMat tokens;                   // [T, D], a second a row
  std::span<const uint8_t> present;  // [T]
};

struct LagTape {
  std::vector<double> mass;    // [T]: exp(content), 0 of an absent second
  std::vector<double> kernel;  // [L]: exp(b_l)
  std::vector<double> total;   // [T]: the softmax's denominator
  std::vector<uint8_t> held;   // [T]: content was beyond the bound; no gradient through it
  Matrix y;                    // [T, D]
};

// Forward and the reading side are const and thread-safe; Backward and ClampToRange belong to one thread.
class LagAttention {
 public:
  static constexpr double kMaxContent = 40;

  LagAttention() = default;
  // Content weights 0 (seconds alike), null score 0, lag in the middle of the first third, both slopes slight.
  LagAttention(const std::string& name, const LagShape& shape);

  // y [T, D] is set; evidence [T] is 0 where nothing in the look-back is present.
  void Forward(const LagInput& in, LagTape* tape, Mat y, std::span<float> evidence) const;
  // Adds to d_tokens [T, D]. No gradient comes in by the evidence.
  void Backward(const LagInput& in, const LagTape& tape, ConstMat d_y, Mat d_tokens);

  // The same a second at a time. Mass of a present token [D]:
  double Mass(const float* token) const;
  std::vector<double> Kernel() const;
  // y [D] of the newest of `seconds` rows (at most L are looked at), oldest first, the masses beside
  // them; evidence is returned. Kernel as above: it changes only with the parameters.
  double Read(std::span<const double> kernel, ConstMat tokens, std::span<const double> mass,
              float* y) const;

  // After an optimiser step: lag within [0, L - 1], slopes within [kMinSlope, kMaxSlope] and as the shape
  // says, the null score within ±kMaxContent.
  void ClampToRange();
  bool InRange() const;
  std::vector<Parameter*> Parameters() { return {&content, &null_score, &lag, &decay, &rise}; }
  const LagShape& shape() const { return shape_; }

  // Below this slope the lag would have no gradient.
  static constexpr float kMinSlope = 1e-3f, kMaxSlope = 10, kSudden = 4;

  Parameter content;     // [1, D]: w
  Parameter null_score;  // [1, 1]
  Parameter lag;         // [1, 1], seconds
  Parameter decay;       // [1, 1], 1/s
  Parameter rise;        // [1, 1], 1/s

 private:
  double Attend(const double* kernel, ConstMat tokens, const double* mass, size_t t,
                float* y) const;

  LagShape shape_;
};

}  // namespace heed::nn
