// From the time stamps of a container to the broadcast's time base.
//
// Containers start where they like (MPEG-TS at 1.4 s, a live publisher anywhere): the base is the time
// stamp less the common start of all streams, one subtraction for sound and picture, so that they stay
// in step. A jump of the time stamps begins a new epoch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace heed::media {

class Timeline {
 public:
  // base_us: where the first epoch begins on the broadcast's time base.
  Timeline(uint32_t epoch, int64_t base_us) : epoch_(epoch), base_us_(base_us) {}

  enum class Verdict : uint8_t {
    kKeep,
    kDrop,  // a stream that has not followed a jump yet
    kJump,  // keep, but flush the decoders first: a new epoch begins with this packet
  };
  // The packets of all streams in the order of the container. dts_us: decoding time stamp.
  Verdict OnPacket(size_t stream, int64_t dts_us);

  // Sets the common start; without it the first packet is the start.
  void SetStart(int64_t start_us) { start_us_ = start_us, have_start_ = true; }
  int64_t ToBase(int64_t pts_us) const { return base_us_ + pts_us - start_us_; }
  uint32_t epoch() const { return epoch_; }

 private:
  struct Stream {
    int64_t last_us = 0;
    bool seen = false;
    bool follows = true;  // false: after a jump, until its time stamps come near
    int dropped = 0;
  };
  uint32_t epoch_;
  int64_t base_us_;
  int64_t start_us_ = 0, latest_us_ = 0;
  bool have_start_ = false, any_ = false;
  std::vector<Stream> streams_;
};

}  // namespace heed::media
