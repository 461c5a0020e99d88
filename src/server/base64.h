// Base64 with the alphabet and the padding of RFC 4648 §4.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace heed::server {

std::string Base64(std::string_view bytes);
// Empty for what Base64 never writes: another character, missing padding, bits after the last byte.
std::optional<std::string> FromBase64(std::string_view text);

}  // namespace heed::server
