#include "media/moments.h"

#include <fmt/format.h>

#include <algorithm>

namespace heed::media {
namespace {

constexpr int64_t kSecond = 1000000;
constexpr int64_t kWait = kSecond;  // for sound, when pictures say that a second is over

int64_t SecondAt(int64_t us) { return us >= 0 ? us / kSecond : -((-us + kSecond - 1) / kSecond); }

}  // namespace

std::string ToJson(const Moment& moment) {
  std::string features;
  for (size_t i = 0; i < kVoiceFeatures; ++i) {
    const auto& value = moment.voice.values[i];
    features +=
        fmt::format("{}\"{}\":{}", i == 0 ? "" : ",", Info(static_cast<VoiceFeature>(i)).name,
                    value ? fmt::format("{:.6g}", *value) : "null");
  }
  const bool sound = moment.voice.cover > 0, picture = moment.pictures > 0;
  return fmt::format(
      "{{\"v\":1,\"epoch\":{},\"t\":{},\"lag_ms\":{},\"mod\":{{\"audio\":{{\"ok\":{},\"cover\":{:."
      "2f}}},"
      "\"video\":{{\"ok\":{},\"fps\":{},\"mode\":\"{}\"}}}},\"f\":{{{}}},"
      "\"src\":{{\"video\":\"{}\",\"audio\":\"{}\",\"w\":{},\"h\":{},\"ver\":\"voice-1\"}}}}",
      moment.epoch, moment.second, moment.lag_us / 1000, sound ? 1 : 0, moment.voice.cover,
      picture ? 1 : 0, moment.pictures, PictureModeName(moment.mode), features,
      moment.stream.video_codec.data(), moment.stream.audio_codec.data(), moment.stream.width,
      moment.stream.height);
}

MediaSink MomentBuilder::Sink() {
  return {.audio = [this](const AudioChunk& chunk) { OnAudio(chunk); },
          .video = [this](const VideoFrame& frame) { OnVideo(frame); },
          .event = [this](const DecoderEvent& event) { OnEvent(event); },
          .lag = [this](int64_t lag_us) { lag_us_ = lag_us; },
          .idle = [this](int64_t silent_us) { OnIdle(silent_us); }};
}

void MomentBuilder::OnAudio(const AudioChunk& chunk) {
  if (any_ && chunk.epoch != epoch_) EndEpoch();
  if (!any_) next_ = SecondAt(chunk.pts_us);
  any_ = true, broken_off_ = false;
  epoch_ = chunk.epoch;
  if (!sound_) {
    EmitTo(SecondAt(chunk.pts_us));
    sound_ = true;
  }
  seen_us_ = std::max(seen_us_,
                      chunk.pts_us + static_cast<int64_t>(chunk.mono16k.size()) * kSecond / kRate);
  voice_.Add(chunk, &heard_);
  TakeVoice();
}

void MomentBuilder::OnVideo(const VideoFrame& frame) {
  if (any_ && frame.epoch != epoch_) EndEpoch();
  const int64_t second = SecondAt(frame.pts_us);
  if (!any_) next_ = second;
  any_ = true, broken_off_ = false;
  epoch_ = frame.epoch;
  seen_us_ = std::max(seen_us_, frame.pts_us);
  if (second >= next_) ++pictures_[second];
  if (sound_) {
    voice_.AdvanceTo(frame.pts_us - kWait, &heard_);
    TakeVoice();
  } else {
    EmitTo(SecondAt(frame.pts_us - kWait));
  }
}

void MomentBuilder::OnEvent(const DecoderEvent& event) {
  switch (event.kind) {
    case DecoderEvent::Kind::kOpened: stream_ = event.stream; break;
    case DecoderEvent::Kind::kMode:
      mode_ = event.mode;
      lag_us_ = event.lag_us;
      break;
    case DecoderEvent::Kind::kBrokenOff:
      if (any_) EndEpoch();
      broken_off_ = true;
      epoch_ = event.epoch;
      break;
  }
}

// While a stream is away, its seconds go on and say that nothing is known.
void MomentBuilder::OnIdle(int64_t silent_us) {
  if (any_ && broken_off_) EmitTo(SecondAt(seen_us_ + silent_us - kWait));
}

void MomentBuilder::TakeVoice() {
  for (VoiceSecond& voice : heard_) {
    if (voice.second < next_) continue;
    EmitTo(voice.second);
    arousal_.Update(&voice);
    Emitting(voice);
  }
  heard_.clear();
}

void MomentBuilder::EmitTo(int64_t second) {
  if (second - next_ > 3600) next_ = second;  // an hour of nothing is not told second by second
  while (next_ < second) {
    Emitting({.second = next_, .epoch = epoch_});
  }
}

void MomentBuilder::Emitting(const VoiceSecond& voice) {
  Moment moment{.second = voice.second,
                .epoch = voice.epoch,
                .voice = voice,
                .mode = mode_,
                .lag_us = lag_us_,
                .stream = stream_};
  if (const auto found = pictures_.find(voice.second); found != pictures_.end()) {
    moment.pictures = found->second;
  }
  next_ = voice.second + 1;
  pictures_.erase(pictures_.begin(), pictures_.lower_bound(next_));
  emit_(moment);
}

void MomentBuilder::EndEpoch() {
  voice_.Finish(&heard_);
  TakeVoice();
  if (!pictures_.empty()) EmitTo(pictures_.rbegin()->first + 1);
  pictures_.clear();
  sound_ = false;
}

void MomentBuilder::Finish() {
  if (any_) EndEpoch();
}

}  // namespace heed::media
