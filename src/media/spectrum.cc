#include "media/spectrum.h"

#include <kiss_fftr.h>

#include <algorithm>
#include <cmath>
#include <new>
#include <numbers>

namespace heed::media {
namespace {

constexpr double kBinHz = 16000.0 / kFftSize;

int Bin(double hz) { return static_cast<int>(std::lround(hz / kBinHz)); }
double Mel(double hz) { return 2595.0 * std::log10(1.0 + hz / 700.0); }
double Decibel(double power) { return 10.0 * std::log10(power + 1e-12); }

// Least-squares slope of the level over frequency, dB per kHz.
float Slope(const std::array<double, kBins>& power, double low_hz, double high_hz) {
  double n = 0, sx = 0, sy = 0, sxx = 0, sxy = 0;
  for (int b = std::max(Bin(low_hz), 1); b <= Bin(high_hz); ++b) {
    const double x = b * kBinHz / 1000.0, y = Decibel(power[static_cast<size_t>(b)]);
    n += 1, sx += x, sy += y, sxx += x * x, sxy += x * y;
  }
  return static_cast<float>((n * sxy - sx * sy) / (n * sxx - sx * sx));
}

}  // namespace

void SpectrumAnalyzer::Free::operator()(kiss_fftr_state* state) const { kiss_fftr_free(state); }

SpectrumAnalyzer::SpectrumAnalyzer() : fft_(kiss_fftr_alloc(kFftSize, 0, nullptr, nullptr)) {
  if (fft_ == nullptr) throw std::bad_alloc();
  for (size_t i = 0; i < taper_.size(); ++i) {
    taper_[i] =
        static_cast<float>(0.5 - 0.5 * std::cos(2 * std::numbers::pi *
                                                (static_cast<double>(i) + 0.5) / kSpectrumWindow));
  }
  const double top = Mel(8000.0);
  for (int m = 0; m < kMelBands; ++m) {
    const double step = top / (kMelBands + 1), centre = step * (m + 1);
    for (int b = 0; b < kBins; ++b) {
      const double away = std::abs(Mel(b * kBinHz) - centre) / step;
      mel_[static_cast<size_t>(m)][static_cast<size_t>(b)] =
          static_cast<float>(std::max(0.0, 1.0 - away));
    }
    for (int c = 0; c < kCepstra; ++c) {
      cosine_[static_cast<size_t>(c)][static_cast<size_t>(m)] =
          static_cast<float>(std::sqrt(2.0 / kMelBands) *
                             std::cos(std::numbers::pi * (c + 1) * (m + 0.5) / kMelBands));
    }
  }
}

SpectrumAnalyzer::~SpectrumAnalyzer() = default;

void SpectrumAnalyzer::Reset() { first_ = true; }

SpectralShape SpectrumAnalyzer::Analyze(std::span<const float, kSpectrumWindow> window) {
  std::array<float, kFftSize> tapered{};
  double squares = 0;
  for (size_t i = 0; i < window.size(); ++i) {
    tapered[i] = window[i] * taper_[i];
    squares += static_cast<double>(window[i]) * static_cast<double>(window[i]);
  }
  std::array<kiss_fft_cpx, kBins> bins;
  kiss_fftr(fft_.get(), tapered.data(), bins.data());
  std::array<double, kBins> power;
  // A full-scale sine then reads 0 dB whatever the window's length.
  constexpr double kScale = 16.0 / (static_cast<double>(kSpectrumWindow) * kSpectrumWindow);
  for (size_t b = 0; b < power.size(); ++b) {
    const double re = static_cast<double>(bins[b].r), im = static_cast<double>(bins[b].i);
    power[b] = kScale * (re * re + im * im);
    magnitudes_[b] = static_cast<float>(std::sqrt(power[b]));
  }

  SpectralShape shape;
  shape.level_db = static_cast<float>(std::max(Decibel(squares / kSpectrumWindow), -90.0));
  double mass = 0, moment = 0, energy = 0, logs = 0, mean = 0, low = 0, high = 0;
  double peak_low = 0, peak_high = 0;
  const int first = Bin(100), last = Bin(5000);
  for (int b = 1; b < kBins; ++b) {
    const double p = power[static_cast<size_t>(b)], hz = b * kBinHz, m = std::sqrt(p);
    mass += m, moment += m * hz, energy += p;
    if (b >= first && b <= last) logs += std::log(p + 1e-12), mean += p + 1e-12;
    if (hz >= 50 && hz < 1000) low += p;
    if (hz >= 1000 && hz < 5000) high += p;
    if (hz < 2000) peak_low = std::max(peak_low, p);
    if (hz >= 2000 && hz < 5000) peak_high = std::max(peak_high, p);
  }
  shape.centroid_hz = static_cast<float>(mass > 0 ? moment / mass : 0.0);
  double below = 0;
  for (int b = 1; b < kBins; ++b) {
    below += power[static_cast<size_t>(b)];
    if (below >= 0.85 * energy) {
      shape.rolloff85_hz = static_cast<float>(b * kBinHz);
      break;
    }
  }
  const double n = last - first + 1;
  shape.flatness = static_cast<float>(std::exp(logs / n) / (mean / n));
  shape.alpha_ratio_db = static_cast<float>(Decibel(low) - Decibel(high));
  shape.hammarberg_db = static_cast<float>(Decibel(peak_low) - Decibel(peak_high));
  shape.slope_0_500 = Slope(power, 0, 500);
  shape.slope_500_1500 = Slope(power, 500, 1500);

  const auto norm = static_cast<float>(std::sqrt(energy + 1e-12));
  double moved = 0;
  for (size_t b = 0; b < unit_.size(); ++b) {
    const float unit = magnitudes_[b] / norm;
    const auto d = static_cast<double>(unit - unit_[b]);
    moved += d * d;
    unit_[b] = unit;
  }
  shape.flux = first_ ? 0.0f : static_cast<float>(std::sqrt(moved));
  first_ = false;

  std::array<float, kMelBands> bands;
  for (size_t m = 0; m < bands.size(); ++m) {
    double sum = 0;
    for (size_t b = 0; b < power.size(); ++b) sum += static_cast<double>(mel_[m][b]) * power[b];
    bands[m] = static_cast<float>(std::log(sum + 1e-10));
  }
  for (size_t c = 0; c < shape.mfcc.size(); ++c) {
    float sum = 0;
    for (size_t m = 0; m < bands.size(); ++m) sum += cosine_[c][m] * bands[m];
    shape.mfcc[c] = sum;
  }
  return shape;
}

}  // namespace heed::media
