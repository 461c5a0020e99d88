#include "nn/tensor_file.h"

#include <cassert>

#include "base/bytes.h"
#include "base/checksum.h"

namespace heed::nn {
namespace {

constexpr std::string_view kMagic = "HEEDTNS1";
constexpr size_t kMaxDims = 4;

size_t ElementSize(TensorType type) {
  switch (type) {
    case TensorType::kFloat32:
    case TensorType::kUint32: return 4;
    case TensorType::kUint64: return 8;
    case TensorType::kBytes: return 1;
  }
  return 0;  // an unknown type, which the reader refuses
}

template <typename T>
std::string_view AsBytes(std::span<const T> data) {
  return {reinterpret_cast<const char*>(data.data()), data.size_bytes()};
}

template <typename T>
std::vector<T> Copy(std::string_view data) {
  std::vector<T> out(data.size() / sizeof(T));
  if (!out.empty()) std::memcpy(out.data(), data.data(), out.size() * sizeof(T));
  return out;
}

}  // namespace

void TensorWriter::Put(const std::string& name, TensorType type, const std::vector<uint64_t>& dims,
                       std::string_view data) {
  std::string entry;
  ByteWriter out(entry);
  out.String(name);
  out.Fixed(static_cast<uint8_t>(type));
  out.Varint(dims.size());
  for (const uint64_t dim : dims) out.Varint(dim);
  out.Raw(data.data(), data.size());
  [[maybe_unused]] const bool added = entries_.emplace(name, std::move(entry)).second;
  assert(added && "a tensor named twice");
}

void TensorWriter::Floats(const std::string& name, std::span<const float> data,
                          const std::vector<uint64_t>& dims) {
  Put(name, TensorType::kFloat32, dims, AsBytes(data));
}

void TensorWriter::Uint32s(const std::string& name, std::span<const uint32_t> data) {
  Put(name, TensorType::kUint32, {data.size()}, AsBytes(data));
}

void TensorWriter::Uint64s(const std::string& name, std::span<const uint64_t> data) {
  Put(name, TensorType::kUint64, {data.size()}, AsBytes(data));
}

void TensorWriter::Bytes(const std::string& name, std::string_view data) {
  Put(name, TensorType::kBytes, {data.size()}, data);
}

std::string TensorWriter::Finish() {
  std::string bytes(kMagic);
  ByteWriter out(bytes);
  out.Varint(entries_.size());
  for (const auto& [name, entry] : entries_) bytes += entry;
  out.Fixed(Crc32(bytes));
  return bytes;
}

Result<TensorReader> TensorReader::Open(std::string_view bytes) {
  if (bytes.size() < kMagic.size() + 4 || bytes.substr(0, kMagic.size()) != kMagic) {
    return Corruption("not a tensor file");
  }
  const std::string_view body = bytes.substr(0, bytes.size() - 4);
  if (ByteReader(bytes.substr(body.size())).Fixed<uint32_t>() != Crc32(body)) {
    return Corruption("tensor file: bad checksum");
  }
  ByteReader in(body.substr(kMagic.size()));
  TensorReader reader;
  const uint64_t count = in.Varint();
  std::string_view last;
  for (uint64_t i = 0; i < count; ++i) {
    Entry entry;
    const std::string_view name = in.String();
    entry.type = static_cast<TensorType>(in.Fixed<uint8_t>());
    const uint64_t rank = in.Varint();
    const size_t element = ElementSize(entry.type);
    if (!in.ok() || element == 0 || rank > kMaxDims) {
      return Corruption("tensor file: bad entry header");
    }
    uint64_t elements = 1;
    for (uint64_t d = 0; d < rank; ++d) {
      entry.dims.push_back(in.Varint());
      // Whatever does not fit the rest of the file is wrong, and this keeps the product small.
      if (entry.dims.back() > in.remaining() ||
          __builtin_mul_overflow(elements, entry.dims.back(), &elements) ||
          elements > in.remaining()) {
        return Corruption("tensor file: a tensor larger than the file");
      }
    }
    entry.data = in.Raw(elements * element);
    if (!in.ok()) return Corruption("tensor file: cut short");
    if (i > 0 && name <= last) return Corruption("tensor file: names out of order");
    last = name;
    reader.entries_.emplace_hint(reader.entries_.end(), std::string(name), std::move(entry));
  }
  if (!in.ok() || in.remaining() != 0) return Corruption("tensor file: wrong length");
  return reader;
}

Result<const TensorReader::Entry*> TensorReader::Find(const std::string& name,
                                                      TensorType type) const {
  const auto found = entries_.find(name);
  if (found == entries_.end()) return Corruption("tensor file: no tensor " + name);
  if (found->second.type != type) return Corruption("tensor file: wrong type of " + name);
  return &found->second;
}

Result<const TensorReader::Entry*> TensorReader::FindVector(const std::string& name,
                                                            TensorType type) const {
  HEED_ASSIGN_OR_RETURN(const Entry* const entry, Find(name, type));
  if (entry->dims.size() != 1) return Corruption("tensor file: wrong shape of " + name);
  return entry;
}

Status TensorReader::Floats(const std::string& name, const std::vector<uint64_t>& dims,
                            std::span<float> out) const {
  HEED_ASSIGN_OR_RETURN(const Entry* const entry, Find(name, TensorType::kFloat32));
  if (entry->dims != dims || entry->data.size() != out.size_bytes()) {
    return Corruption("tensor file: wrong shape of " + name);
  }
  if (!out.empty()) std::memcpy(out.data(), entry->data.data(), out.size_bytes());
  return {};
}

Result<std::vector<uint32_t>> TensorReader::Uint32s(const std::string& name) const {
  HEED_ASSIGN_OR_RETURN(const Entry* const entry, FindVector(name, TensorType::kUint32));
  return Copy<uint32_t>(entry->data);
}

Result<std::vector<uint64_t>> TensorReader::Uint64s(const std::string& name) const {
  HEED_ASSIGN_OR_RETURN(const Entry* const entry, FindVector(name, TensorType::kUint64));
  return Copy<uint64_t>(entry->data);
}

Result<std::string_view> TensorReader::Bytes(const std::string& name) const {
  HEED_ASSIGN_OR_RETURN(const Entry* const entry, FindVector(name, TensorType::kBytes));
  return entry->data;
}

Result<uint64_t> TensorReader::Length(const std::string& name, TensorType type) const {
  HEED_ASSIGN_OR_RETURN(const Entry* const entry, Find(name, type));
  return entry->data.size() / ElementSize(type);
}

}  // namespace heed::nn
