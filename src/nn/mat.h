// Two-dimensional float arrays, row-major. Who owns is said by the type: ConstMat and Mat are views
// (copy them freely, they dangle when their owner dies or grows), Matrix is an owner.
#pragma once

#include <cassert>
#include <cstddef>
#include <cstring>
#include <vector>

#include "base/line_allocator.h"

namespace heed::nn {

struct ConstMat {
  const float* data = nullptr;
  size_t rows = 0, cols = 0;
  size_t stride = 0;  // distance between rows, >= cols

  const float* Row(size_t i) const { return data + i * stride; }
  ConstMat Rows(size_t first, size_t count) const {
    assert(first + count <= rows);
    return {data + first * stride, count, cols, stride};
  }
  ConstMat Cols(size_t first, size_t count) const {
    assert(first + count <= cols);
    return {data + first, rows, count, stride};
  }
};

struct Mat {
  float* data = nullptr;
  size_t rows = 0, cols = 0;
  size_t stride = 0;

  operator ConstMat() const {  // NOLINT(google-explicit-constructor): a view of the same numbers
    return {data, rows, cols, stride};
  }
  float* Row(size_t i) const { return data + i * stride; }
  Mat Rows(size_t first, size_t count) const {
    assert(first + count <= rows);
    return {data + first * stride, count, cols, stride};
  }
  Mat Cols(size_t first, size_t count) const {
    assert(first + count <= cols);
    return {data + first, rows, count, stride};
  }
};

using Floats = LineVector<float>;

// Owner with rows packed one after another. Resize keeps the memory it has: a matrix used again and
// again for batches stops allocating after the largest one.
class Matrix {
 public:
  Matrix() = default;
  Matrix(size_t rows, size_t cols) { Resize(rows, cols); }

  // Contents are unspecified afterwards (old numbers, or zeros where memory is new).
  void Resize(size_t rows, size_t cols) {
    rows_ = rows;
    cols_ = cols;
    if (values_.size() < rows * cols) values_.resize(rows * cols);
  }
  void Fill(float value) { std::fill(data(), data() + size(), value); }

  size_t rows() const { return rows_; }
  size_t cols() const { return cols_; }
  size_t size() const { return rows_ * cols_; }
  float* data() { return values_.data(); }
  const float* data() const { return values_.data(); }
  float* Row(size_t i) { return data() + i * cols_; }
  const float* Row(size_t i) const { return data() + i * cols_; }
  Mat view() { return {data(), rows_, cols_, cols_}; }
  ConstMat view() const { return {data(), rows_, cols_, cols_}; }

 private:
  Floats values_;
  size_t rows_ = 0, cols_ = 0;
};

}  // namespace heed::nn
