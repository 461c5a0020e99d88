#include "nn/optimizer.h"

#include <cmath>

namespace heed::nn {

kernels::AdamStep AdamStepOf(const Update& update) {
  const auto t = static_cast<double>(update.step);
  const double bias1 = 1.0 - std::pow(static_cast<double>(update.beta1), t);
  const double bias2 = 1.0 - std::pow(static_cast<double>(update.beta2), t);
  return {.step_size = static_cast<float>(static_cast<double>(update.rate) / bias1),
          .inv_sqrt_bias = static_cast<float>(1.0 / std::sqrt(bias2)),
          .beta1 = update.beta1,
          .beta2 = update.beta2,
          .epsilon = update.epsilon,
          .l2 = update.l2};
}

void Apply(const Update& update, Parameter& parameter) {
  const kernels::Table& k = kernels::Active();
  Update own = update;
  if (!parameter.decays) own.l2 = 0.0f;
  const size_t n = parameter.value.size();
  if (own.rule == Rule::kAdam) {
    k.adam(parameter.value.data(), parameter.moment1.data(), parameter.moment2.data(),
           parameter.grad.data(), n, AdamStepOf(own));
  } else {
    k.adagrad(parameter.value.data(), parameter.moment2.data(), parameter.grad.data(), n, own.rate,
              own.epsilon, own.l2);
  }
}

double GradientSquares(const std::vector<Parameter*>& parameters) {
  const kernels::Table& k = kernels::Active();
  double sum = 0.0;
  for (const Parameter* p : parameters) {
    sum += static_cast<double>(k.sum_squares(p->grad.data(), p->grad.size()));
  }
  return sum;
}

}  // namespace heed::nn
