// What the decoder process says to the engine: messages on a pipe, docs/formats/decoder_pipe.md.
//
// The reader trusts nothing: whoever parses hostile media may have become hostile.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "media/frames.h"

namespace heed::media {

inline constexpr uint32_t kWireMagic = 0x31444D48;  // "HMD1"
inline constexpr uint32_t kWireLargest = 8u << 20;  // bytes of a payload
inline constexpr int kWidestPicture = 960;          // pixels
inline constexpr int kTallestPicture = 2160;        // a portrait of that width
inline constexpr size_t kLongestSound = 16000;      // samples of mono16k in one message

enum class MessageType : uint8_t {
  kStream = 1,  // StreamInfo: what was found in the input
  kAudio = 2,   // mono16k, then stereo48k (six times as many floats, or none)
  kVideo = 3,   // width, height as two uint16, then the planes of I420 without padding
  kAlive = 4,   // nothing new, but at work
  kEnd = 5,     // the input is over
  kError = 6,   // why the input could not be read (text); the process ends
};

// How much of the picture is looked at, from all to none. A broadcast that lags walks down.
enum class PictureMode : uint8_t {
  kFull,         // 5 pictures a second
  kTwoASecond,   // 2
  kReferences,   // only pictures that others refer to are decoded, without loop filter
  kKeyPictures,  // only pictures that stand alone
  kNone,         // sound only
};
inline constexpr int kPictureModes = 5;
std::string_view PictureModeName(PictureMode mode);

struct MessageHeader {
  uint32_t magic = kWireMagic;
  MessageType type = MessageType::kAlive;
  PictureMode mode = PictureMode::kFull;
  uint16_t reserved = 0;
  uint32_t epoch = 0;
  uint32_t size = 0;   // bytes of payload that follow
  int64_t pts_us = 0;  // of audio and video
  int64_t lag_us = 0;  // behind the broadcast; 0 for a recording
};
static_assert(sizeof(MessageHeader) == 32);

struct StreamInfo {
  std::array<char, 16> video_codec{}, audio_codec{};  // empty: there is none; ends in 0
  uint16_t width = 0, height = 0;                     // as broadcast
};
static_assert(sizeof(StreamInfo) == 36);

// Takes messages from a pipe, whole ones only. Not thread-safe.
class MessageReader {
 public:
  // Reads what is there, up to the end of one message. True: header() and payload() are the next
  // message's, until the next call. False: more must come first. kUnavailable at the end of the pipe,
  // kCorruption for what no decoder sends.
  Result<bool> Read(int fd);

  const MessageHeader& header() const { return header_; }
  std::span<const uint8_t> payload() const { return {Bytes(), header_.size}; }
  // Views of the payload; kCorruption when it is not what its header says.
  Result<AudioChunk> Audio() const;
  Result<VideoFrame> Video() const;
  Result<StreamInfo> Stream() const;

 private:
  const uint8_t* Bytes() const { return reinterpret_cast<const uint8_t*>(payload_.data()); }

  MessageHeader header_;
  std::vector<float> payload_;  // floats, so that audio is aligned
  size_t got_ = 0;              // bytes of header and payload
  bool done_ = false;
};

// Whole messages to a blocking pipe. kIo when nobody reads any more.
class MessageWriter {
 public:
  explicit MessageWriter(int fd) : fd_(fd) {}
  Status Write(MessageHeader header, std::span<const std::span<const uint8_t>> parts);

 private:
  int fd_;
};

}  // namespace heed::media
