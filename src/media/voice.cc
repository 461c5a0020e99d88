#include "media/voice.h"

#include <algorithm>
#include <cmath>

namespace heed::media {
namespace {

constexpr int64_t kBlocksPerSecond = 100;
constexpr int64_t kJitter =
    kRate * 3 / 100;  // samples: time stamps are rounded, containers to 1 ms
constexpr int64_t kLongestGap = 10 * kBlocksPerSecond;
constexpr size_t kStereoHop = 2 * 480;  // floats of one block

int64_t SampleAt(int64_t pts_us) {
  return static_cast<int64_t>(std::floor((static_cast<double>(pts_us) * kRate + 500000) / 1e6));
}

int64_t BlockAfter(int64_t sample) {  // the first block that begins at or after it
  return sample >= 0 ? (sample + kHop - 1) / kHop : -(-sample / kHop);
}

int64_t SecondOf(int64_t block) {
  return block >= 0 ? block / kBlocksPerSecond
                    : -((-block + kBlocksPerSecond - 1) / kBlocksPerSecond);
}

constexpr std::array<FeatureInfo, kVoiceFeatures> kInfo = {{
    {"audio.lufs_m_max", "LUFS", -70, 5},
    {"audio.lufs_s", "LUFS", -70, 5},
    {"audio.true_peak", "dBTP", -70, 5},
    {"audio.rms_db", "dBFS", -90, 0},
    {"audio.dyn_range_db", "dB", 0, 60},
    {"audio.music_likely", "ratio", 0, 1},
    {"voice.active", "ratio", 0, 1},
    {"voice.pause_max", "s", 0, 1},
    {"voice.pause_count", "n", 0, 10},
    {"voice.f0_median", "Hz", 55, 500},
    {"voice.f0_p20", "Hz", 55, 500},
    {"voice.f0_p80", "Hz", 55, 500},
    {"voice.f0_range_st", "semitones", 0, 40},
    {"voice.f0_slope_st_s", "semitones/s", -200, 200},
    {"voice.voiced_ratio", "ratio", 0, 1},
    {"voice.hnr_db", "dB", -10, 40},
    {"voice.syll_rate", "1/s", 0, 12},
    {"voice.syll_rate_5s", "1/s", 0, 12},
    {"spec.centroid", "Hz", 0, 8000},
    {"spec.rolloff85", "Hz", 0, 8000},
    {"spec.flux", "1", 0, 2},
    {"spec.flatness", "ratio", 0, 1},
    {"spec.alpha_ratio", "dB", -100, 100},
    {"spec.hammarberg", "dB", -100, 100},
    {"spec.slope_0_500", "dB/kHz", -400, 400},
    {"spec.slope_500_1500", "dB/kHz", -200, 200},
    {"spec.mfcc1", "1", -200, 200},
    {"spec.mfcc2", "1", -200, 200},
    {"spec.mfcc3", "1", -200, 200},
    {"spec.mfcc4", "1", -200, 200},
    {"voice.arousal_proxy", "z", -4, 4},
}};

}  // namespace

const FeatureInfo& Info(VoiceFeature feature) { return kInfo[static_cast<size_t>(feature)]; }

void VoiceSecond::Set(VoiceFeature f, double value) {
  if (!std::isfinite(value)) return;
  const FeatureInfo& info = Info(f);
  values[static_cast<size_t>(f)] = std::clamp(static_cast<float>(value), info.low, info.high);
}

void VoiceExtractor::Begin(const AudioChunk& chunk, int64_t sample) {
  const int64_t block = BlockAfter(sample);
  if (!started_ || block - EndBlock() > kLongestGap) {
    frames_.clear();
    loudness_.clear();
    syllables_.clear();
    second_ = SecondOf(block);
    first_frame_ = second_ * kBlocksPerSecond;
    started_ = true;
  }
  frames_.resize(std::max(frames_.size(), static_cast<size_t>(block - first_frame_)));
  in_segment_ = true;
  with_stereo_ = !chunk.stereo48k.empty();
  next_sample_ = sample;
  next_block_ = block;
  mono_.clear();
  stereo_.clear();
  meter_.Reset();
}

void VoiceExtractor::EndSegment() {
  if (!in_segment_) return;
  std::vector<VoiceFrame> done;
  analyzer_.End(&done);
  frames_.insert(frames_.end(), done.begin(), done.end());
  in_segment_ = false;
}

void VoiceExtractor::Add(const AudioChunk& chunk, std::vector<VoiceSecond>* seconds) {
  if (started_ && chunk.epoch != epoch_) Finish(seconds);
  epoch_ = chunk.epoch;
  int64_t sample = SampleAt(chunk.pts_us);
  size_t skip = 0;
  const bool stereo_fits = chunk.stereo48k.size() == 6 * chunk.mono16k.size();
  const bool stereo = stereo_fits && !chunk.stereo48k.empty();
  if (in_segment_ && std::abs(sample - next_sample_) <= kJitter && stereo == with_stereo_) {
    sample = next_sample_;
  } else if (started_) {
    // Cut what was heard already; what is left begins a new segment.
    EndSegment();
    const int64_t heard_to = EndBlock() * kHop;
    if (sample < heard_to) {
      skip = static_cast<size_t>(
          std::min<int64_t>(heard_to - sample, static_cast<int64_t>(chunk.mono16k.size())));
    }
    sample += static_cast<int64_t>(skip);
    if (BlockAfter(sample) - EndBlock() > kLongestGap) {
      const uint32_t epoch = epoch_;
      Finish(seconds);
      epoch_ = epoch;
    }
  }
  if (skip == chunk.mono16k.size()) return CloseReady(seconds);
  if (!in_segment_) {
    AudioChunk kind = chunk;
    if (!stereo) kind.stereo48k = {};
    Begin(kind, sample);
  }
  // Up to the first whole block of the segment.
  const int64_t before = std::max<int64_t>(next_block_ * kHop - sample, 0);
  const size_t drop =
      mono_.empty() ? std::min(skip + static_cast<size_t>(before), chunk.mono16k.size()) : skip;
  mono_.insert(mono_.end(), chunk.mono16k.begin() + static_cast<ptrdiff_t>(drop),
               chunk.mono16k.end());
  if (with_stereo_) {
    stereo_.insert(stereo_.end(), chunk.stereo48k.begin() + static_cast<ptrdiff_t>(6 * drop),
                   chunk.stereo48k.end());
  }
  next_sample_ = sample + static_cast<int64_t>(chunk.mono16k.size() - skip);
  size_t used = 0;
  for (; used + kHop <= mono_.size(); used += kHop, ++next_block_) {
    TakeBlock(next_block_, mono_.data() + used,
              with_stereo_ ? stereo_.data() + used / kHop * kStereoHop : nullptr);
  }
  mono_.erase(mono_.begin(), mono_.begin() + static_cast<ptrdiff_t>(used));
  if (with_stereo_) {
    stereo_.erase(stereo_.begin(), stereo_.begin() + static_cast<ptrdiff_t>(6 * used));
  }
  CloseReady(seconds);
}

void VoiceExtractor::TakeBlock(int64_t block, const float* mono, const float* stereo) {
  if (stereo != nullptr) {
    meter_.Add({stereo, kStereoHop});
    const auto at = static_cast<size_t>(SecondOf(block) - second_);
    if (loudness_.size() <= at) loudness_.resize(at + 1);
    Loudness& loudness = loudness_[at];
    loudness.true_peak = std::max(loudness.true_peak.value_or(-70), meter_.TakeTruePeak());
    if ((block + 1) % 10 == 0) {
      if (const auto momentary = meter_.Momentary()) {
        loudness.momentary_max = std::max(loudness.momentary_max.value_or(-70), *momentary);
      }
    }
    if ((block + 1) % kBlocksPerSecond == 0) loudness.short_term = meter_.ShortTerm();
  }
  std::vector<VoiceFrame> done;
  analyzer_.Add(std::span<const float, kHop>(mono, kHop), &done);
  frames_.insert(frames_.end(), done.begin(), done.end());
}

void VoiceExtractor::AdvanceTo(int64_t pts_us, std::vector<VoiceSecond>* seconds) {
  if (!started_) return;
  const int64_t block = BlockAfter(SampleAt(pts_us));
  if (block <= next_block_) return;
  EndSegment();
  if (block <= EndBlock()) return;
  if (block - EndBlock() > kLongestGap) return Finish(seconds);
  frames_.resize(static_cast<size_t>(block - first_frame_));
  CloseReady(seconds);
}

void VoiceExtractor::Finish(std::vector<VoiceSecond>* seconds) {
  if (!started_) return;
  EndSegment();
  const int64_t end = EndBlock();
  while (second_ * kBlocksPerSecond < end) Close(seconds);
  started_ = false;
  frames_.clear();
  loudness_.clear();
  syllables_.clear();
}

void VoiceExtractor::CloseReady(std::vector<VoiceSecond>* seconds) {
  // A quarter second more shows the syllable that peaks at the very end.
  while ((second_ + 1) * kBlocksPerSecond + kBlocksPerSecond / 4 <= EndBlock()) Close(seconds);
}

void VoiceExtractor::Close(std::vector<VoiceSecond>* seconds) {
  VoiceSecond out{.second = second_, .epoch = epoch_};
  const auto first = static_cast<size_t>(second_ * kBlocksPerSecond - first_frame_);
  std::vector<VoiceFrame> frames(frames_.begin(), frames_.end());
  if (frames.size() < first + kBlocksPerSecond) frames.resize(first + kBlocksPerSecond);
  const std::optional<int> nuclei = SummarizeVoice(frames, first, &out);
  if (keep_frames_) {
    const auto begin = frames.begin() + static_cast<ptrdiff_t>(first);
    std::copy_if(begin, begin + kBlocksPerSecond, std::back_inserter(kept_),
                 [](const VoiceFrame& frame) { return frame.heard; });
  }
  syllables_.push_back(nuclei);
  if (syllables_.size() == 5) {
    int total = 0;
    bool all = true;
    for (const auto& count : syllables_) all &= count.has_value(), total += count.value_or(0);
    if (all) out.Set(VoiceFeature::kSyllableRate5s, total / 5.0);
    syllables_.pop_front();
  }
  if (!loudness_.empty()) {
    const Loudness loudness = loudness_.front();
    loudness_.pop_front();
    const auto set = [&](VoiceFeature f, const std::optional<double>& v) {
      if (v) out.Set(f, *v);
    };
    set(VoiceFeature::kLoudnessMomentary, loudness.momentary_max);
    set(VoiceFeature::kLoudnessShortTerm, loudness.short_term);
    set(VoiceFeature::kTruePeak, loudness.true_peak);
  }
  seconds->push_back(out);
  ++second_;
  const int64_t keep_from = (second_ - 1) * kBlocksPerSecond;
  while (first_frame_ < keep_from && !frames_.empty()) frames_.pop_front(), ++first_frame_;
}

}  // namespace heed::media
