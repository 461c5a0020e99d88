// Whether other pictures refer to a picture, told by its packet before it is decoded.
#pragma once

#include <cstdint>
#include <span>

namespace heed::media {

enum class NalCodec : uint8_t {
  kNone,
  kH264,
  kHevc
};  // kNone: any other, which is not looked into

// Thread-safe.
class References {
 public:
  References() = default;
  // head: the codec's settings as the container has them; they say how a packet is divided.
  References(NalCodec codec, std::span<const uint8_t> head);

  // False when the first slice in the packet says that no other picture refers to it; true when it does not say so. A
  // wrong answer for damaged packets does no harm: the decoder looks for itself before it leaves one out.
  bool Has(std::span<const uint8_t> packet) const;

 private:
  NalCodec codec_ = NalCodec::kNone;
  size_t length_bytes_ = 0;  // before every unit; 0: start codes part them
};

}  // namespace heed::media
