// Sound and pictures gathered into one record a second: what the rest of Heed learns of a broadcast.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "media/arousal.h"
#include "media/decoder.h"
#include "media/moment.h"
#include "media/picture.h"
#include "media/running_norm.h"
#include "media/voice.h"

namespace heed::media {

struct MomentOptions {
  std::string room;  // of every moment
  ArousalOptions arousal;
  PictureConfig picture;
};

// Every second of the broadcast once, in order, at most 1.3 s after its end: sound waits a second for
// pictures, pictures for sound. A second that lies in two epochs is what one of them said. wall_ms is left
// to the caller. Not thread-safe.
class MomentBuilder {
 public:
  using Emit = std::function<void(const Moment&)>;
  MomentBuilder(const MomentOptions& options, Emit emit);

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
  void TakePictures();
  void EmitReady(bool all);
  void EmitTo(int64_t second);
  void Emitting(const VoiceSecond& voice);
  void EndEpoch();

  const std::string room_;
  Emit emit_;
  ArousalProxy arousal_;
  VoiceExtractor voice_;
  PictureExtractor picture_;
  RunningNorm norm_;

  std::vector<VoiceSecond> heard_;          // scratch
  std::vector<PictureSecond> seen_;         // scratch
  std::deque<VoiceSecond> waiting_;         // for their pictures
  std::map<int64_t, PictureSecond> shown_;  // of seconds not emitted yet
  bool any_ = false, broken_off_ = false;
  uint32_t epoch_ = 0;
  int64_t next_ = 0;                          // second
  int64_t media_us_ = 0;                      // end of media so far
  int64_t frame_us_ = 0;                      // of the last picture
  bool sound_ = false, pictures_ = false;     // in this epoch
  int64_t voice_second_ = 0, heard_of_ = -1;  // last with a voice heard, and its epoch
  PictureMode mode_ = PictureMode::kFull;
  int64_t lag_us_ = 0;
};

}  // namespace heed::media
