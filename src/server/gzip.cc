#include "server/gzip.h"

#include <zlib.h>

#include <algorithm>
#include <new>

namespace heed::server {
namespace {

constexpr int kGzipWindow = 15 + 16;  // 15 bits of window; 16: gzip wrapper only, no zlib or raw

struct Inflater {
  z_stream stream{};
  Inflater() {
    if (inflateInit2(&stream, kGzipWindow) != Z_OK) throw std::bad_alloc();
  }
  ~Inflater() { inflateEnd(&stream); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
};

// zlib counts input in 32 bits; bodies are limited far below.
void SetInput(z_stream& stream, std::string_view bytes) {
  stream.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
}

}  // namespace

Result<std::string> Gunzip(std::string_view packed, size_t max_bytes) {
  if (packed.size() > 0xFFFFFFFFu) return Status(Code::kTooLarge, "the gzip body is over 4 GiB");
  Inflater inflater;
  z_stream& stream = inflater.stream;
  SetInput(stream, packed);
  std::string out;
  size_t size = 0;
  for (;;) {
    if (size == out.size()) {
      if (size > max_bytes)
        return Status(Code::kTooLarge,
                      "the body unpacks to more than " + std::to_string(max_bytes) + " bytes");
      // One byte over the limit is enough to know; JSON usually packs 4 to 10 times.
      const size_t wanted = std::max({size * 2, packed.size() * 4, size_t{4096}});
      out.resize(std::min(wanted, max_bytes + 1));
    }
    stream.next_out = reinterpret_cast<Bytef*>(out.data() + size);
    stream.avail_out = static_cast<uInt>(std::min<size_t>(out.size() - size, 1u << 30));
    const uInt room = stream.avail_out;
    const int result = inflate(&stream, Z_NO_FLUSH);
    size += room - stream.avail_out;
    if (result == Z_STREAM_END) {
      if (stream.avail_in == 0) break;
      if (inflateReset(&stream) != Z_OK) return InvalidArgument("the gzip body is damaged");
    } else if (result == Z_MEM_ERROR) {
      throw std::bad_alloc();
    } else if (result != Z_OK && !(result == Z_BUF_ERROR && stream.avail_out == 0)) {
      return InvalidArgument(result == Z_BUF_ERROR ? "the gzip body ends too early"
                                                   : "the gzip body is damaged");
    } else if (stream.avail_in == 0 && stream.avail_out != 0) {
      return InvalidArgument("the gzip body ends too early");
    }
  }
  if (size > max_bytes)
    return Status(Code::kTooLarge,
                  "the body unpacks to more than " + std::to_string(max_bytes) + " bytes");
  out.resize(size);
  return out;
}

std::string Gzip(std::string_view text) {
  z_stream stream{};
  if (deflateInit2(&stream, 1, Z_DEFLATED, kGzipWindow, 8, Z_DEFAULT_STRATEGY) != Z_OK)
    throw std::bad_alloc();
  std::string out(deflateBound(&stream, static_cast<uLong>(text.size())), '\0');
  SetInput(stream, text);
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);  // deflateBound made room for all of it
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

}  // namespace heed::server
