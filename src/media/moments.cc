#include "media/moments.h"

#include <algorithm>
#include <utility>

#include "base/log.h"

namespace heed::media {
namespace {

constexpr int64_t kSecond = 1000000;
constexpr int64_t kWait = kSecond;  // of sound for pictures, and of pictures for sound

int64_t SecondAt(int64_t us) { return us >= 0 ? us / kSecond : -((-us + kSecond - 1) / kSecond); }

}  // namespace

MomentBuilder::MomentBuilder(const MomentOptions& options, Emit emit)
    : room_(options.room),
      emit_(std::move(emit)),
      arousal_(options.arousal),
      picture_(options.picture) {}

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
  media_us_ = std::max(media_us_,
                       chunk.pts_us + static_cast<int64_t>(chunk.mono16k.size()) * kSecond / kRate);
  voice_.Add(chunk, &heard_);
  TakeVoice();
}

void MomentBuilder::OnVideo(const VideoFrame& frame) {
  if (any_ && frame.epoch != epoch_) EndEpoch();
  if (!any_) next_ = SecondAt(frame.pts_us);
  any_ = true, broken_off_ = false;
  epoch_ = frame.epoch;
  media_us_ = std::max(media_us_, frame.pts_us);
  if (const Status status = picture_.Add(frame, &seen_); !status.ok()) {
    LogWarn("a picture at {} us is not measured: {}", frame.pts_us, status.message());
    return;
  }
  frame_us_ = frame.pts_us;
  pictures_ = true;
  TakePictures();
  if (sound_) {
    voice_.AdvanceTo(frame.pts_us - kWait, &heard_);
    TakeVoice();
  } else {
    EmitTo(SecondAt(frame.pts_us - kWait));
  }
}

void MomentBuilder::OnEvent(const DecoderEvent& event) {
  switch (event.kind) {
    case DecoderEvent::Kind::kOpened: break;
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
  if (any_ && broken_off_) EmitTo(SecondAt(media_us_ + silent_us - kWait));
}

void MomentBuilder::TakeVoice() {
  for (VoiceSecond& voice : heard_) {
    arousal_.Update(&voice);
    waiting_.push_back(voice);
  }
  heard_.clear();
  EmitReady(/*all=*/false);
}

void MomentBuilder::TakePictures() {
  for (PictureSecond& second : seen_) {
    if (second.second >= next_) shown_[second.second] = std::move(second);
  }
  seen_.clear();
}

void MomentBuilder::EmitReady(bool all) {
  for (; !waiting_.empty(); waiting_.pop_front()) {
    const VoiceSecond& voice = waiting_.front();
    const int64_t end_us = (voice.second + 1) * kSecond;
    // On the ladder's last steps there is no picture to wait for in most seconds.
    const bool few = mode_ >= PictureMode::kKeyPictures;
    const bool complete = !pictures_ || few || frame_us_ >= end_us || media_us_ >= end_us + kWait;
    if (!all && !complete) return;
    if (voice.second < next_) continue;
    EmitTo(voice.second);
    Emitting(voice);
  }
}

void MomentBuilder::EmitTo(int64_t second) {
  if (second - next_ > 3600) next_ = second;  // an hour of nothing is not told second by second
  while (next_ < second) Emitting({.second = next_, .epoch = epoch_});
}

void MomentBuilder::Emitting(const VoiceSecond& voice) {
  if (pictures_) picture_.AdvanceTo((voice.second + 1) * kSecond, &seen_);
  TakePictures();
  Moment moment{.room = room_, .epoch = voice.epoch, .second = voice.second};
  moment.lag_ms = lag_us_ / 1000;
  moment.mode = PictureModeName(mode_);
  AddTo(voice, &moment);
  if (voice.cover > 0) {
    voice_second_ = voice.second;
    heard_of_ = voice.epoch;
  } else if (heard_of_ == static_cast<int64_t>(voice.epoch)) {
    moment.of(Modality::kVoice).age_ms = (voice.second - voice_second_) * 1000;
  }
  if (const auto found = shown_.find(voice.second);
      found != shown_.end() && found->second.epoch == voice.epoch) {
    AddTo(found->second, &moment);
  }
  next_ = voice.second + 1;
  shown_.erase(shown_.begin(), shown_.lower_bound(next_));
  norm_.Apply(&moment);
  emit_(moment);
}

void MomentBuilder::EndEpoch() {
  picture_.Finish(&seen_);
  TakePictures();
  pictures_ = false;
  voice_.Finish(&heard_);
  TakeVoice();
  EmitReady(/*all=*/true);
  if (!shown_.empty()) EmitTo(shown_.rbegin()->first + 1);
  shown_.clear();
  sound_ = false;
}

void MomentBuilder::Finish() {
  if (any_) EndEpoch();
}

}  // namespace heed::media
