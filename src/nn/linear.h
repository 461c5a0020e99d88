// y = x W + b, the rectifier and dropout. Letters: B rows of the batch, I inputs, O outputs.
//
// As everywhere in nn: Forward is const and thread-safe; Backward adds to the gradients of the
// layer's parameters and belongs to one thread; the caller keeps what the backward pass needs.
#pragma once

#include <string>
#include <vector>

#include "base/random.h"
#include "nn/mat.h"
#include "nn/parameter.h"

namespace heed::nn {

enum class Into : bool { kSet, kAdd };  // what happens to the numbers an output held before

// y += x W or y = x W, for views.
void MatMul(ConstMat x, ConstMat w, Mat y, Into into = Into::kSet);

class Linear {
 public:
  Linear() = default;
  // Weights uniform in ±sqrt(6 / (I + O)) (Glorot & Bengio 2010), bias 0.
  Linear(const std::string& name, size_t inputs, size_t outputs, Random& random);

  // x [B, I] -> y [B, O]
  void Forward(ConstMat x, Mat y) const;
  // dy [B, O]; W.grad += x^T dy, b.grad += sum of rows of dy, and d_x [B, I] = dy W^T when asked.
  void Backward(ConstMat x, ConstMat dy, Mat* d_x, Into into = Into::kSet);

  // The same layer when its input comes in two parts, x = [shared[shared_of[n]], own[n]]: the first
  // part's product is taken once per shared row and added to each of its users.
  // shared [R, I1], own [N, I - I1], products [R, O] (scratch kept by the caller), y [N, O].
  void ForwardSplit(ConstMat shared, ConstMat own, const std::vector<uint32_t>& shared_of,
                    Mat products, Mat y) const;
  // d_products [R, O] is scratch; d_shared and d_own are set or added to.
  void BackwardSplit(ConstMat shared, ConstMat own, const std::vector<uint32_t>& shared_of,
                     ConstMat dy, Mat d_products, Mat d_shared, Mat d_own, Into into = Into::kSet);

  size_t inputs() const { return weight.value.rows(); }
  size_t outputs() const { return weight.value.cols(); }

  Parameter weight;  // [I, O]
  Parameter bias;    // [1, O]
};

// x = max(x, 0) in place; the backward pass needs the output only.
void ReluForward(Mat x);
void ReluBackward(ConstMat y, Mat dy);

// Inverted dropout (Srivastava et al. 2014): each number survives with probability 1 - p and is then
// scaled by 1 / (1 - p). mask, of x's shape, receives the factors; the backward pass is dy *= mask.
// Draws from `random` only, so the same stream gives the same mask on every machine.
void DropoutForward(float p, Random& random, Mat x, Mat mask);
void DropoutBackward(ConstMat mask, Mat dy);

}  // namespace heed::nn
