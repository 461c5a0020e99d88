// Little-endian fields and varints in a byte string: what every file format of ours is made of.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>

namespace heed {

// Appends to a string. Not thread-safe.
class ByteWriter {
 public:
  explicit ByteWriter(std::string& out) : out_(out) {}

  template <typename T>
  requires(std::is_arithmetic_v<T>) void Fixed(T value) {
    static_assert(std::endian::native == std::endian::little, "formats are little-endian");
    char bytes[sizeof(T)];
    std::memcpy(bytes, &value, sizeof(T));
    out_.append(bytes, sizeof(T));
  }
  // LEB128: 7 bits a byte, low bits first.
  void Varint(uint64_t value) {
    while (value >= 0x80) {
      out_.push_back(static_cast<char>(value | 0x80));
      value >>= 7;
    }
    out_.push_back(static_cast<char>(value));
  }
  // Zigzag, so that small negative numbers are short.
  void Signed(int64_t value) {
    Varint((static_cast<uint64_t>(value) << 1) ^ static_cast<uint64_t>(value >> 63));
  }
  void String(std::string_view bytes) {
    Varint(bytes.size());
    out_.append(bytes);
  }
  void Raw(const void* data, size_t size) { out_.append(static_cast<const char*>(data), size); }

 private:
  std::string& out_;
};

// Takes fields off the front of a view, and never reads past its end: after the first short read
// every further one returns zero or empty and ok() is false, so a decoder checks once, at the end
// (and before it trusts a count). Not thread-safe.
class ByteReader {
 public:
  explicit ByteReader(std::string_view in) : in_(in) {}

  bool ok() const { return ok_; }
  size_t remaining() const { return in_.size(); }
  std::string_view rest() const { return in_; }
  void Fail() { ok_ = false, in_ = {}; }

  template <typename T>
  requires(std::is_arithmetic_v<T>) T Fixed() {
    T value{};
    if (in_.size() < sizeof(T)) return Fail(), value;
    std::memcpy(&value, in_.data(), sizeof(T));
    in_.remove_prefix(sizeof(T));
    return value;
  }
  uint64_t Varint() {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      if (in_.empty()) return Fail(), 0;
      const auto byte = static_cast<uint8_t>(in_.front());
      in_.remove_prefix(1);
      if (shift == 63 && byte > 1) return Fail(), 0;  // would not fit 64 bits
      value |= static_cast<uint64_t>(byte & 0x7F) << shift;
      if ((byte & 0x80) == 0) {
        if (byte == 0 && shift > 0) return Fail(), 0;  // one value, one spelling
        return value;
      }
    }
    return Fail(), 0;
  }
  int64_t Signed() {
    const uint64_t value = Varint();
    return static_cast<int64_t>(value >> 1) ^ -static_cast<int64_t>(value & 1);
  }
  // A view into the input: valid as long as the input is.
  std::string_view String() { return Raw(Varint()); }
  std::string_view Raw(uint64_t size) {
    if (size > in_.size()) return Fail(), std::string_view();
    const std::string_view bytes = in_.substr(0, size);
    in_.remove_prefix(size);
    return bytes;
  }

 private:
  std::string_view in_;
  bool ok_ = true;
};

}  // namespace heed
