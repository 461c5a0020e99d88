// Loudness by EBU R 128 (ITU-R BS.1770), through libebur128.
#pragma once

#include <memory>
#include <optional>
#include <span>

namespace heed::media {

// Digital silence has no loudness (its logarithm is minus infinity); the meter's floor stands for it.
inline constexpr double kQuietLufs = -70.0;

// Of 48 kHz stereo. Not thread-safe.
class LoudnessMeter {
 public:
  LoudnessMeter();
  ~LoudnessMeter();
  LoudnessMeter(const LoudnessMeter&) = delete;
  LoudnessMeter& operator=(const LoudnessMeter&) = delete;

  // Interleaved samples of a whole number of frames. The same sound in other pieces gives the same
  // numbers to the last bit only when the pieces are cut alike.
  void Add(std::span<const float> stereo48k);
  // Nothing of what came before counts any more.
  void Reset();

  // LUFS, not below kQuietLufs; nothing until the window (0.4 s, 3 s) has been heard whole.
  std::optional<double> Momentary() const;
  std::optional<double> ShortTerm() const;
  // dBTP since the last call of this function, not below -70.
  double TakeTruePeak();

 private:
  struct Meter;  // libebur128's state
  std::unique_ptr<Meter> meter_;
  size_t frames_ = 0;     // since Reset
  double true_peak_ = 0;  // linear
};

}  // namespace heed::media
