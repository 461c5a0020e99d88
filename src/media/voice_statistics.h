// A stretch of speech as one vector: statistics of the frames' measurements, as sets for voice emotion
// use them (GeMAPS, Eyben et al. 2016, says which measurements; the choice of statistics is ours).
#pragma once

#include <span>
#include <string>
#include <vector>

#include "media/voice_frames.h"

namespace heed::media {

// Of each of 24 measurements: mean, deviation, 20th, 50th and 80th percentile, deviation of the change
// from frame to frame; then eight numbers of rhythm. Not a number where too few frames tell.
size_t VoiceStatisticsCount();
std::vector<std::string> VoiceStatisticsNames();
std::vector<float> VoiceStatistics(std::span<const VoiceFrame> frames);

}  // namespace heed::media
