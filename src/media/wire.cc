#include "media/wire.h"

#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>

namespace heed::media {
namespace {

Status CheckHeader(const MessageHeader& header) {
  if (header.magic != kWireMagic) return Corruption("decoder pipe: not a message");
  if (header.type < MessageType::kStream || header.type > MessageType::kError ||
      static_cast<int>(header.mode) >= kPictureModes) {
    return Corruption("decoder pipe: unknown message");
  }
  if (header.size > kWireLargest) return Corruption("decoder pipe: message too large");
  constexpr int64_t kFar = int64_t{1} << 52;  // 142 years
  if (header.pts_us < -kFar || header.pts_us > kFar) return Corruption("decoder pipe: bad time");
  return {};
}

}  // namespace

std::string_view PictureModeName(PictureMode mode) {
  constexpr std::array<std::string_view, kPictureModes> kNames = {"full", "2fps", "references",
                                                                  "keys", "none"};
  return kNames[static_cast<size_t>(mode)];
}

Result<bool> MessageReader::Read(int fd) {
  if (done_) got_ = 0, done_ = false;
  while (true) {
    uint8_t* to = nullptr;
    size_t want = 0;
    if (got_ < sizeof(header_)) {
      to = reinterpret_cast<uint8_t*>(&header_) + got_;
      want = sizeof(header_) - got_;
    } else {
      to = reinterpret_cast<uint8_t*>(payload_.data()) + (got_ - sizeof(header_));
      want = sizeof(header_) + header_.size - got_;
    }
    if (want > 0) {
      const ssize_t n = read(fd, to, want);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return false;
      if (n < 0)
        return IoError(std::string("decoder pipe: ") + std::system_category().message(errno));
      if (n == 0) {
        if (got_ > 0) return Corruption("decoder pipe: ends within a message");
        return Status(Code::kUnavailable, "decoder pipe: closed");
      }
      got_ += static_cast<size_t>(n);
    }
    if (got_ == sizeof(header_)) {
      HEED_RETURN_IF_ERROR(CheckHeader(header_));
      payload_.resize((header_.size + sizeof(float) - 1) / sizeof(float));
    }
    if (got_ >= sizeof(header_) && got_ == sizeof(header_) + header_.size) return done_ = true;
  }
}

Result<AudioChunk> MessageReader::Audio() const {
  const size_t floats = header_.size / sizeof(float);
  const size_t mono = floats % 7 == 0 ? floats / 7 : 0;
  if (header_.size % sizeof(float) != 0 || mono == 0 || mono > kLongestSound) {
    return Corruption("decoder pipe: sound of a wrong size");
  }
  return AudioChunk{.pts_us = header_.pts_us,
                    .epoch = header_.epoch,
                    .mono16k = {payload_.data(), mono},
                    .stereo48k = {payload_.data() + mono, 6 * mono}};
}

Result<VideoFrame> MessageReader::Video() const {
  std::array<uint16_t, 2> size{};
  if (header_.size < sizeof(size)) return Corruption("decoder pipe: picture of a wrong size");
  std::memcpy(size.data(), Bytes(), sizeof(size));
  const int width = size[0], height = size[1];
  const auto luma = static_cast<size_t>(width) * static_cast<size_t>(height);
  if (width < 2 || height < 2 || width % 2 != 0 || height % 2 != 0 || width > kWidestPicture ||
      height > kTallestPicture || header_.size != sizeof(size) + luma / 2 * 3) {
    return Corruption("decoder pipe: picture of a wrong size");
  }
  const uint8_t* y = Bytes() + sizeof(size);
  return VideoFrame{.pts_us = header_.pts_us,
                    .epoch = header_.epoch,
                    .width = width,
                    .height = height,
                    .y = {y, luma},
                    .u = {y + luma, luma / 4},
                    .v = {y + luma + luma / 4, luma / 4},
                    .y_stride = width,
                    .uv_stride = width / 2};
}

Result<StreamInfo> MessageReader::Stream() const {
  StreamInfo info;
  if (header_.size != sizeof(info)) return Corruption("decoder pipe: stream of a wrong size");
  std::memcpy(&info, Bytes(), sizeof(info));
  info.video_codec.back() = info.audio_codec.back() = 0;
  return info;
}

Status MessageWriter::Write(MessageHeader header, std::span<const std::span<const uint8_t>> parts) {
  header.size = 0;
  std::vector<iovec> pieces(1 + parts.size());
  pieces[0] = {&header, sizeof(header)};
  for (size_t i = 0; i < parts.size(); ++i) {
    pieces[i + 1] = {const_cast<uint8_t*>(parts[i].data()), parts[i].size()};  // writev only reads
    header.size += static_cast<uint32_t>(parts[i].size());
  }
  size_t at = 0;
  while (at < pieces.size()) {
    ssize_t n = writev(fd_, pieces.data() + at, static_cast<int>(pieces.size() - at));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0)
      return IoError(std::string("decoder pipe: ") + std::system_category().message(errno));
    for (; at < pieces.size() && static_cast<size_t>(n) >= pieces[at].iov_len; ++at) {
      n -= static_cast<ssize_t>(pieces[at].iov_len);
    }
    if (at < pieces.size()) {
      pieces[at].iov_base = static_cast<uint8_t*>(pieces[at].iov_base) + n;
      pieces[at].iov_len -= static_cast<size_t>(n);
    }
  }
  return {};
}

}  // namespace heed::media
