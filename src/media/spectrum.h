// The short-time spectrum of a voice and what is read from it (the spectral part of GeMAPS, Eyben et
// al. 2016, and mel-frequency cepstra, Davis & Mermelstein 1980), written from the papers.
#pragma once

#include <array>
#include <memory>
#include <span>

struct kiss_fftr_state;  // NOLINT(readability-identifier-naming): kissfft's name

namespace heed::media {

inline constexpr int kSpectrumWindow = 400;  // samples at 16 kHz: 25 ms
inline constexpr int kFftSize = 512;
inline constexpr int kBins = kFftSize / 2 + 1;  // 31.25 Hz apart
inline constexpr int kCepstra = 13;             // MFCC 1 to 13; 0, the level, is measured apart

struct SpectralShape {
  float level_db = -90;    // root mean square of the window, dBFS, not below -90
  float centroid_hz = 0;   // mean frequency, by magnitude
  float rolloff85_hz = 0;  // 85 % of the energy lies below
  float flux = 0;      // distance of the unit magnitude spectra of this and the last window, 0..2
  float flatness = 1;  // geometric over arithmetic mean of power, 100 Hz to 5 kHz, 0..1
  float alpha_ratio_db = 0;  // energy 50 Hz..1 kHz over 1..5 kHz
  float hammarberg_db = 0;   // strongest bin of 0..2 kHz over that of 2..5 kHz
  float slope_0_500 = 0;     // dB per kHz, least squares
  float slope_500_1500 = 0;
  std::array<float, kCepstra> mfcc{};
};

// Frame after frame of one sound. Not thread-safe.
class SpectrumAnalyzer {
 public:
  SpectrumAnalyzer();
  ~SpectrumAnalyzer();
  SpectrumAnalyzer(const SpectrumAnalyzer&) = delete;
  SpectrumAnalyzer& operator=(const SpectrumAnalyzer&) = delete;

  SpectralShape Analyze(std::span<const float, kSpectrumWindow> window);
  // Magnitudes of the last window, [kBins].
  const std::array<float, kBins>& magnitudes() const { return magnitudes_; }
  void Reset();

 private:
  static constexpr int kMelBands = 26;
  struct Free {
    void operator()(kiss_fftr_state* state) const;
  };
  std::unique_ptr<kiss_fftr_state, Free> fft_;
  std::array<float, kSpectrumWindow> taper_{};
  std::array<std::array<float, kBins>, kMelBands> mel_{};
  std::array<std::array<float, kMelBands>, kCepstra> cosine_{};
  std::array<float, kBins> magnitudes_{}, unit_{};
  bool first_ = true;
};

}  // namespace heed::media
