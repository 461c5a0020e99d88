// The vector of a second, by an encoder of the user's.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "media/encoder.h"

namespace heed::cli {

// Of the first picture of each second. Not thread-safe.
class SecondEncoder {
 public:
  SecondEncoder(std::unique_ptr<media::Encoder> encoder, bool live)
      : encoder_(std::move(encoder)), live_(live) {}

  // Pictures come in order. The first failure is told, and no vector comes after it.
  void See(const media::VideoFrame& frame);
  // Of this second, if it has one; those before it go.
  std::optional<std::vector<float>> Take(uint32_t epoch, int64_t second);

 private:
  std::unique_ptr<media::Encoder> encoder_;  // null: it failed
  const bool live_;
  std::pair<uint32_t, int64_t> last_ = {0, INT64_MIN};
  int64_t free_us_ = INT64_MIN;  // of the broadcast: from when on it may work again
  std::map<std::pair<uint32_t, int64_t>, std::vector<float>> vectors_;
};

}  // namespace heed::cli
