#include "media/worker/address_rules.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace heed::media {
namespace {

using Bytes = std::array<uint8_t, 16>;

// IANA's special-purpose registries: what is not public unicast.
constexpr std::array<std::string_view, 28> kNotPublic = {
    "0.0.0.0/8",     "10.0.0.0/8",      "100.64.0.0/10",  "127.0.0.0/8",    "169.254.0.0/16",
    "172.16.0.0/12", "192.0.0.0/24",    "192.0.2.0/24",   "192.88.99.0/24", "192.168.0.0/16",
    "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4",    "240.0.0.0/4",
    "::/128",        "::1/128",         "64:ff9b:1::/48", "100::/64",       "2001::/32",
    "2001:2::/48",   "2001:db8::/32",   "2001:10::/28",   "2001:20::/28",   "fc00::/7",
    "fe80::/10",     "fec0::/10",       "ff00::/8"};

Bytes Mapped(const uint8_t* v4) {
  Bytes bytes{};
  bytes[10] = bytes[11] = 0xff;
  std::copy_n(v4, 4, bytes.begin() + 12);
  return bytes;
}

// IPv4 that travels inside IPv6: compatible, NAT64 (64:ff9b::/96), 6to4 (2002::/16).
Bytes Unwrapped(const Bytes& bytes) {
  static constexpr std::array<uint8_t, 12> kNat64 = {0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0};
  if (std::equal(kNat64.begin(), kNat64.end(), bytes.begin())) return Mapped(bytes.data() + 12);
  if (bytes[0] == 0x20 && bytes[1] == 0x02) return Mapped(bytes.data() + 2);
  const bool compatible =
      std::all_of(bytes.begin(), bytes.begin() + 12, [](uint8_t b) { return b == 0; });
  if (compatible && (bytes[12] != 0 || bytes[13] != 0)) return Mapped(bytes.data() + 12);
  return bytes;
}

}  // namespace

bool AddressRules::Within(const Bytes& address, const Network& network) {
  for (int bit = 0; bit < network.bits; bit += 8) {
    const auto byte = static_cast<size_t>(bit / 8);
    const int left = std::min(8, network.bits - bit);
    const auto mask = static_cast<uint8_t>(0xff << (8 - left));
    if ((address[byte] ^ network.bytes[byte]) & mask) return false;
  }
  return true;
}

Result<AddressRules::Network> AddressRules::Parse(std::string_view text) {
  const size_t slash = text.find('/');
  const std::string host(text.substr(0, slash));
  const Status bad =
      InvalidArgument("'" + std::string(text) + "' is no network such as 10.1.0.0/16 or fd00::/8");
  Network network;
  std::array<uint8_t, 4> v4{};
  int whole = 128;
  if (inet_pton(AF_INET, host.c_str(), v4.data()) == 1) {
    network.bytes = Mapped(v4.data());
    whole = 32;
  } else if (inet_pton(AF_INET6, host.c_str(), network.bytes.data()) != 1) {
    return bad;
  }
  int bits = whole;
  if (slash != std::string_view::npos) {
    const std::string_view digits = text.substr(slash + 1);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), bits);
    if (error != std::errc() || end != digits.data() + digits.size() || bits < 0 || bits > whole) {
      return bad;
    }
  }
  network.bits = 128 - whole + bits;
  return network;
}

Status AddressRules::Allow(std::string_view text) {
  HEED_ASSIGN_OR_RETURN(const Network network, Parse(text));
  allowed_.push_back(network);
  return {};
}

bool AddressRules::Allows(const sockaddr* address, socklen_t size) const {
  static const std::vector<Network> not_public = [] {
    std::vector<Network> all;
    all.reserve(kNotPublic.size());
    for (const std::string_view text : kNotPublic) all.push_back(Parse(text).value());
    return all;
  }();
  Bytes bytes{};
  if (address->sa_family == AF_INET && size >= sizeof(sockaddr_in)) {
    sockaddr_in v4{};
    std::memcpy(&v4, address, sizeof(v4));
    bytes = Mapped(reinterpret_cast<const uint8_t*>(&v4.sin_addr));
  } else if (address->sa_family == AF_INET6 && size >= sizeof(sockaddr_in6)) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, address, sizeof(v6));
    std::copy_n(v6.sin6_addr.s6_addr, 16, bytes.begin());
    bytes = Unwrapped(bytes);
  } else {
    return false;
  }
  const auto within = [&](const Network& network) { return Within(bytes, network); };
  return std::any_of(allowed_.begin(), allowed_.end(), within) ||
         std::none_of(not_public.begin(), not_public.end(), within);
}

std::string AddressText(const sockaddr* address, socklen_t size) {
  std::array<char, NI_MAXHOST> host{};
  if (getnameinfo(address, size, host.data(), host.size(), nullptr, 0, NI_NUMERICHOST) != 0) {
    return "an address";
  }
  return host.data();
}

}  // namespace heed::media
