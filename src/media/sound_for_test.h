// Sounds that tests make, and the programs that judge them.
#pragma once

#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <numbers>
#include <sstream>
#include <string>
#include <vector>

#include "media/voice.h"

namespace heed::media {

// Mono at 48 kHz; the 16 kHz signal of a chunk is every third sample, so nothing above 8 kHz may be in it.
using Sound = std::vector<float>;

inline Sound Make(double seconds, const std::function<double(double t)>& at) {
  Sound sound(static_cast<size_t>(seconds * 48000));
  for (size_t i = 0; i < sound.size(); ++i) {
    sound[i] = static_cast<float>(at(static_cast<double>(i) / 48000));
  }
  return sound;
}

inline Sound Sine(double seconds, double hz, double dbfs) {
  const double gain = std::pow(10.0, dbfs / 20);
  return Make(seconds, [=](double t) { return gain * std::sin(2 * std::numbers::pi * hz * t); });
}

// Ten harmonics falling by 6 dB an octave, whose frequency goes from one value to another.
inline Sound Voice(double seconds, double from_hz, double to_hz, double gain = 0.1) {
  return Make(seconds, [=](double t) {
    const double cycles = from_hz * t + 0.5 * (to_hz - from_hz) / seconds * t * t;
    double sum = 0;
    for (int h = 1; h <= 10; ++h) sum += std::sin(2 * std::numbers::pi * h * cycles + h) / h;
    return gain * sum;
  });
}

inline Sound operator+(Sound a, const Sound& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

struct Streams {
  std::vector<float> mono16k, stereo48k;
};

inline Streams ToStreams(const Sound& sound) {
  Streams streams;
  for (size_t i = 0; i + 3 <= sound.size(); i += 3) {
    streams.mono16k.push_back(sound[i]);
    for (size_t k = 0; k < 3; ++k) {
      streams.stereo48k.push_back(sound[i + k]);
      streams.stereo48k.push_back(sound[i + k]);
    }
  }
  return streams;
}

inline int64_t Microseconds(size_t samples) {
  return static_cast<int64_t>(samples) * 1000000 / kRate;
}

// Fed in chunks of `size(i)` samples of mono16k.
inline std::vector<VoiceSecond> Listen(
    const Streams& streams, const std::function<size_t(size_t)>& size = [](size_t) { return 1024; },
    int64_t start_us = 0) {
  VoiceExtractor extractor;
  std::vector<VoiceSecond> seconds;
  for (size_t at = 0, i = 0; at < streams.mono16k.size(); ++i) {
    const size_t n = std::min(size(i), streams.mono16k.size() - at);
    extractor.Add({.pts_us = start_us + Microseconds(at),
                   .mono16k = {streams.mono16k.data() + at, n},
                   .stereo48k = {streams.stereo48k.data() + 6 * at, 6 * n}},
                  &seconds);
    at += n;
  }
  extractor.Finish(&seconds);
  return seconds;
}

inline bool HaveProgram(const std::string& name) {
  return std::system(("command -v " + name + " >/dev/null 2>&1").c_str()) == 0;
}

// A folder that goes with the test.
class ScratchFolder {
 public:
  ScratchFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "heed_media_XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) std::abort();
    path_ = name;
  }
  ~ScratchFolder() { std::filesystem::remove_all(path_); }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

inline bool RunShell(const std::string& command) {
  return std::system(("( " + command + " ) >/dev/null 2>&1 </dev/null").c_str()) == 0;
}

inline std::string ReadText(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

inline std::vector<float> ReadFloats(const std::string& path) {
  const std::string bytes = ReadText(path);
  std::vector<float> floats(bytes.size() / sizeof(float));
  std::memcpy(floats.data(), bytes.data(), floats.size() * sizeof(float));
  return floats;
}

inline void WriteFloats(const std::string& path, const std::vector<float>& floats) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(floats.data()),
             static_cast<std::streamsize>(floats.size() * sizeof(float)));
}

}  // namespace heed::media
