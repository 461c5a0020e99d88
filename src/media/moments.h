// Sound and pictures gathered into one record a second: what the rest of Heed learns of a broadcast.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "media/arousal.h"
#include "media/decoder.h"
#include "media/voice.h"

namespace heed::media {

struct Moment {
  int64_t second = 0;  // of the broadcast's time base
  uint32_t epoch = 0;
  VoiceSecond voice;  // cover 0 and no values where nothing was heard
  int pictures = 0;   // looked at within the second
  PictureMode mode = PictureMode::kFull;
  int64_t lag_us = 0;
  StreamInfo stream;
};

// {"v":1,"epoch":0,"t":12,"lag_ms":0,"mod":{…},"f":{…},"src":{…}}: docs/formats/moment.md. What was not
// measured is null.
std::string ToJson(const Moment& moment);

// Every second of the broadcast once, in order, at most 1.3 s after its end. A second that lies in two
// epochs is two moments, each of what one epoch said. Not thread-safe.
class MomentBuilder {
 public:
  using Emit = std::function<void(const Moment&)>;
  MomentBuilder(const ArousalOptions& arousal, Emit emit)
      : arousal_(arousal), emit_(std::move(emit)) {}

  // To hand to Decode; refers to this object.
  MediaSink Sink();
  // After Decode.
  void Finish();

 private:
  void OnAudio(const AudioChunk& chunk);
  void OnVideo(const VideoFrame& frame);
  void OnEvent(const DecoderEvent& event);
  void OnIdle(int64_t silent_us);
  void TakeVoice();
  void EmitTo(int64_t second);
  void Emitting(const VoiceSecond& voice);
  void EndEpoch();

  ArousalProxy arousal_;
  Emit emit_;
  VoiceExtractor voice_;
  std::vector<VoiceSecond> heard_;   // scratch
  std::map<int64_t, int> pictures_;  // of seconds not emitted yet
  bool any_ = false, broken_off_ = false;
  uint32_t epoch_ = 0;
  int64_t next_ = 0;     // second
  int64_t seen_us_ = 0;  // end of media so far
  bool sound_ = false;   // in this epoch
  PictureMode mode_ = PictureMode::kFull;
  int64_t lag_us_ = 0;
  StreamInfo stream_;
};

}  // namespace heed::media
