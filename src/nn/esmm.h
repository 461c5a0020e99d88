// The entire-space chain (Ma et al. 2018, ESMM): what happens only after something else is
// predicted for every impression as a product, p(order) = p(click) p(order | click), and the loss is
// on the product, so that no row is left out.
//
// In logits: a = logit p(click), c = logit p(order | click), z = logit of the product. Because
// 1/p = (1 + e^-a)(1 + e^-c) and z = -log(1/p - 1),
//   z = -log(e^-a + e^-c + e^(-a-c))
// which is a log-sum-exp: no subtraction of nearly equal numbers, finite for any finite a and c. With
// the softmax (u, v, w) of (-a, -c, -a-c): dz/da = u + w, dz/dc = v + w.
// Because z is a logit like any other, links chain (click, cart, order) and nothing downstream
// (loss, calibration, serving) knows about them.
#pragma once

#include <cstddef>
#include <vector>

#include "nn/mat.h"

namespace heed::nn {

struct ChainLink {  // task happens only when `given` did
  size_t task = 0, given = 0;
  bool operator==(const ChainLink&) const = default;
};

// The logit of sigmoid(a) sigmoid(c).
float ProductLogit(float a, float c);

// logits [N, T], in place: in the order of `links`, logits[:, task] = ProductLogit(logits[:, given],
// logits[:, task]). A chain lists the earlier link first. conditional [N, links] keeps what the
// columns held before.
void ChainForward(const std::vector<ChainLink>& links, Mat logits, Mat conditional);
// d_logits [N, T], in place: gradients of the products become gradients of the conditional logits.
// `logits` as ChainForward left them.
void ChainBackward(const std::vector<ChainLink>& links, ConstMat logits, ConstMat conditional,
                   Mat d_logits);

}  // namespace heed::nn
