#include "nn/esmm.h"

#include <algorithm>
#include <cmath>

namespace heed::nn {

float ProductLogit(float a, float c) {
  const double x = -static_cast<double>(a), y = -static_cast<double>(c);
  const double top = std::max({x, y, x + y});
  return static_cast<float>(
      -(top + std::log(std::exp(x - top) + std::exp(y - top) + std::exp(x + y - top))));
}

void ChainForward(const std::vector<ChainLink>& links, Mat logits, Mat conditional) {
  for (size_t l = 0; l < links.size(); ++l) {
    for (size_t n = 0; n < logits.rows; ++n) {
      float& z = logits.Row(n)[links[l].task];
      conditional.Row(n)[l] = z;
      z = ProductLogit(logits.Row(n)[links[l].given], z);
    }
  }
}

void ChainBackward(const std::vector<ChainLink>& links, ConstMat logits, ConstMat conditional,
                   Mat d_logits) {
  for (size_t l = links.size(); l-- > 0;) {
    for (size_t n = 0; n < logits.rows; ++n) {
      // u + w = e^z (e^-a + e^(-a-c)): each term of the sum divided by the sum, e^-z.
      const double a = static_cast<double>(logits.Row(n)[links[l].given]);
      const double c = static_cast<double>(conditional.Row(n)[l]);
      const double z = static_cast<double>(logits.Row(n)[links[l].task]);
      const double w = std::exp(z - a - c);
      const double by_given = std::exp(z - a) + w, by_task = std::exp(z - c) + w;
      float* d = d_logits.Row(n);
      const double d_z = static_cast<double>(d[links[l].task]);
      d[links[l].given] += static_cast<float>(d_z * by_given);
      d[links[l].task] = static_cast<float>(d_z * by_task);
    }
  }
}

}  // namespace heed::nn
