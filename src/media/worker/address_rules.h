// Which addresses the fetch process may connect to. A broadcast's URL comes from outside, and its
// server may redirect or name playlist entries as it likes: without rules the engine could be made to
// ask machines that only its own network reaches (server-side request forgery).
#pragma once

#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace heed::media {

class AddressRules {
 public:
  // "10.1.0.0/16", "127.0.0.1", "fd00::/8": reachable although not public. kInvalidArgument otherwise.
  Status Allow(std::string_view network);
  // Public unicast addresses of IPv4 and IPv6, and what was allowed. IPv4 inside IPv6 is judged as
  // IPv4. Other families (UNIX sockets) never.
  bool Allows(const sockaddr* address, socklen_t size) const;

 private:
  struct Network {
    std::array<uint8_t, 16> bytes{};  // IPv4 as ::ffff:a.b.c.d
    int bits = 128;
  };
  static bool Within(const std::array<uint8_t, 16>& address, const Network& network);
  static Result<Network> Parse(std::string_view text);

  std::vector<Network> allowed_;
};

// "203.0.113.7", for messages.
std::string AddressText(const sockaddr* address, socklen_t size);

}  // namespace heed::media
