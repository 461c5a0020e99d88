// Named arrays in one checksummed string. Format: docs/formats/model.md, version 1.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace heed::nn {

enum class TensorType : uint8_t { kFloat32 = 1, kUint32 = 2, kUint64 = 3, kBytes = 4 };

// Collects tensors; Finish writes them in the order of their names, so that equal contents are
// equal bytes. Not thread-safe.
class TensorWriter {
 public:
  // data.size() must be the product of dims. A name added twice is a bug.
  void Floats(const std::string& name, std::span<const float> data,
              const std::vector<uint64_t>& dims);
  void Uint32s(const std::string& name, std::span<const uint32_t> data);
  void Uint64s(const std::string& name, std::span<const uint64_t> data);
  void Bytes(const std::string& name, std::string_view data);
  std::string Finish();

 private:
  void Put(const std::string& name, TensorType type, const std::vector<uint64_t>& dims,
           std::string_view data);

  std::map<std::string, std::string> entries_;  // name → encoded entry
};

// Views into bytes that must outlive the reader.
class TensorReader {
 public:
  // Never trusts `bytes`: checks magic, version, checksum, order of names, and every length before
  // it is used; whatever is wrong is kCorruption.
  static Result<TensorReader> Open(std::string_view bytes);

  // Copies the tensor out; kCorruption unless it is there with this type and exactly these dims
  // (for the others: one dimension of any length, as the writer makes them).
  Status Floats(const std::string& name, const std::vector<uint64_t>& dims,
                std::span<float> out) const;
  Result<std::vector<uint32_t>> Uint32s(const std::string& name) const;
  Result<std::vector<uint64_t>> Uint64s(const std::string& name) const;
  Result<std::string_view> Bytes(const std::string& name) const;
  // The tensor's length in elements when present with that type, else kCorruption.
  Result<uint64_t> Length(const std::string& name, TensorType type) const;
  size_t count() const { return entries_.size(); }

 private:
  struct Entry {
    TensorType type = TensorType::kBytes;
    std::vector<uint64_t> dims;
    std::string_view data;
  };
  Result<const Entry*> Find(const std::string& name, TensorType type) const;
  Result<const Entry*> FindVector(const std::string& name, TensorType type) const;

  std::map<std::string, Entry, std::less<>> entries_;
};

}  // namespace heed::nn
