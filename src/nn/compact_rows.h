// A table's rows in bf16 or int8, for a table that is only read: a half or a quarter of the memory, and of the lines
// that a lookup waits for. int8 rows have a scale each, the largest of their numbers over 127: rows of rare keys
// are small, and one scale for all would leave them nothing.
//
// A row's last numbers, its tail, stay float and lie in front of the others: they are weights of a wide part,
// which are added up as they are.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/line_allocator.h"
#include "kernels/product.h"

namespace heed::nn {

class CompactRows {
 public:
  CompactRows() = default;  // none
  // Of kBf16 or kInt8. width: numbers a row, `tail` of them the tail.
  CompactRows(kernels::Precision precision, size_t width, size_t tail);

  bool empty() const { return bytes_.empty(); }
  void Resize(size_t rows) { bytes_.resize(rows * row_bytes_); }  // new ones hold zeros
  // values [width], rounded. int8: a row with a number that is not finite reads as NaN.
  void Set(size_t row, const float* values);
  // Numbers column .. column + n - 1 of the row that begins there; of the body or of the tail.
  void Read(const std::byte* row, size_t column, size_t n, float* out) const;

  const std::byte* Row(size_t row) const { return bytes_.data() + row * row_bytes_; }
  const float* Tail(size_t row) const {
    return reinterpret_cast<const float*>(Row(row) + scale_bytes_);
  }
  size_t row_bytes() const { return row_bytes_; }
  size_t bytes() const { return bytes_.size(); }

 private:
  // [scale, with int8 | tail | body], to 4 bytes
  kernels::Precision precision_ = kernels::Precision::kBf16;
  size_t width_ = 0, tail_ = 0;
  size_t scale_bytes_ = 0, row_bytes_ = 0;
  LineVector<std::byte> bytes_;
};

}  // namespace heed::nn
