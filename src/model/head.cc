#include "model/head.h"

#include <algorithm>

namespace heed::model {

using nn::ConstMat;
using nn::Mat;
using nn::Matrix;

namespace {

nn::ExpertShape ShapeOf(const HeadConfig& config, size_t level, size_t inputs, size_t tasks) {
  const bool ple = config.kind == HeadKind::kPle;
  return {.inputs = level == 0 ? inputs : config.width,
          .outputs = config.width,
          .tasks = tasks,
          .shared = config.experts,
          .own = ple ? config.own_experts : 0,
          .shared_output = ple && level + 1 < config.levels};
}

size_t LevelsOf(const HeadConfig& config) {
  return config.kind == HeadKind::kShared ? 0 : (config.kind == HeadKind::kPle ? config.levels : 1);
}

}  // namespace

Head::Head(const HeadConfig& config, size_t inputs, size_t tasks, Random& random) : tasks_(tasks) {
  for (size_t l = 0; l < LevelsOf(config); ++l) {
    levels_.emplace_back("head.level." + std::to_string(l), ShapeOf(config, l, inputs, tasks),
                         random);
  }
  if (levels_.empty()) {
    out_.emplace_back("head", inputs, tasks, random);
    return;
  }
  for (size_t t = 0; t < tasks; ++t) {
    out_.emplace_back("head.task." + std::to_string(t), config.width, 1, random);
  }
}

uint64_t Head::Count(const HeadConfig& config, size_t inputs, size_t tasks) {
  if (config.kind == HeadKind::kShared) return (inputs + 1) * tasks;
  uint64_t count = (config.width + 1) * tasks;
  for (size_t l = 0; l < LevelsOf(config); ++l) {
    const nn::ExpertShape s = ShapeOf(config, l, inputs, tasks);
    const uint64_t experts = s.shared + s.own * tasks;
    count += experts * (s.inputs + 1) * s.outputs + tasks * s.inputs * (s.shared + s.own);
    if (s.shared_output) count += s.inputs * experts;
  }
  return count;
}

std::vector<nn::Parameter*> Head::Parameters() {
  std::vector<nn::Parameter*> all;
  for (nn::ExpertLayer& level : levels_) {
    for (nn::Parameter* p : level.Parameters()) all.push_back(p);
  }
  for (nn::Linear& out : out_) all.insert(all.end(), {&out.weight, &out.bias});
  return all;
}

void Head::SetBias(const std::vector<float>& bias) {
  assert(bias.size() == tasks_);
  for (size_t t = 0; t < tasks_; ++t) {
    (levels_.empty() ? out_[0].bias.value.data()[t] : out_[t].bias.value.data()[0]) = bias[t];
  }
}

// What each task's side and the shared side of a level read.
std::vector<ConstMat> Head::Inputs(ConstMat z, const HeadTape& tape, size_t level) const {
  std::vector<ConstMat> inputs(tasks_ + 1, z);
  for (size_t i = 0; level > 0 && i <= tasks_; ++i) inputs[i] = tape.levels[level - 1].y[i].view();
  return inputs;
}

void Head::Forward(ConstMat z, HeadTape* tape, Mat logits) const {
  if (levels_.empty()) return out_[0].Forward(z, logits);
  tape->levels.resize(levels_.size());
  for (size_t l = 0; l < levels_.size(); ++l) {
    HeadTape::Level& level = tape->levels[l];
    level.y.resize(levels_[l].outputs());
    std::vector<Mat> y;
    for (Matrix& m : level.y) {
      m.Resize(z.rows, levels_[l].shape().outputs);
      y.push_back(m.view());
    }
    levels_[l].Forward(Inputs(z, *tape, l), &level.experts, y);
  }
  for (size_t t = 0; t < tasks_; ++t) {
    out_[t].Forward(tape->levels.back().y[t].view(), logits.Cols(t, 1));
  }
}

void Head::Backward(ConstMat z, HeadTape* tape, ConstMat d_logits, Mat d_z) {
  if (levels_.empty()) return out_[0].Backward(z, d_logits, &d_z);
  const size_t N = z.rows;
  for (size_t l = 0; l < levels_.size(); ++l) {
    tape->levels[l].d_y.resize(levels_[l].outputs());
    for (Matrix& d : tape->levels[l].d_y) {
      d.Resize(N, levels_[l].shape().outputs);
      d.Fill(0.0f);
    }
  }
  for (size_t t = 0; t < tasks_; ++t) {
    Mat d_y = tape->levels.back().d_y[t].view();
    out_[t].Backward(tape->levels.back().y[t].view(), d_logits.Cols(t, 1), &d_y);
  }
  for (size_t n = 0; n < N; ++n) std::fill_n(d_z.Row(n), d_z.cols, 0.0f);
  for (size_t l = levels_.size(); l-- > 0;) {
    std::vector<ConstMat> d_y;
    for (const Matrix& d : tape->levels[l].d_y) d_y.push_back(d.view());
    std::vector<Mat> d_x(tasks_ + 1, d_z);
    for (size_t i = 0; l > 0 && i <= tasks_; ++i) d_x[i] = tape->levels[l - 1].d_y[i].view();
    levels_[l].Backward(Inputs(z, *tape, l), &tape->levels[l].experts, d_y, d_x);
  }
}

}  // namespace heed::model
