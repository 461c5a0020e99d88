#include "model/ranker.h"

#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <fstream>
#include <mutex>

#include "kernels/denormals.h"
#include "kernels/table.h"
#include "model/ranker_file.h"
#include "model/ranker_net.h"
#include "nn/loss.h"
#include "nn/optimizer.h"

namespace heed::model {
namespace {

// Workspaces of Forward: as many as ever ran at once, each used by one call at a time.
class WorkspacePool {
 public:
  std::unique_ptr<Workspace> Take() {
    const std::lock_guard lock(mutex_);
    if (free_.empty()) return std::make_unique<Workspace>();
    auto workspace = std::move(free_.back());
    free_.pop_back();
    return workspace;
  }
  void Give(std::unique_ptr<Workspace> workspace) {
    const std::lock_guard lock(mutex_);
    free_.push_back(std::move(workspace));
  }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<Workspace>> free_;
};

// On the disk before it returns, so that the rename which follows never puts an empty file, after a
// power cut, where a good model was.
Status WriteDurably(const std::string& path, const std::string& bytes) {
  std::FILE* file = std::fopen(path.c_str(), "wb");
  if (file == nullptr) return IoError(path + ": cannot be opened");
  const bool written = std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size() &&
                       std::fflush(file) == 0 && fsync(fileno(file)) == 0;
  const bool closed = std::fclose(file) == 0;
  return written && closed ? Status() : IoError(path + ": cannot be written");
}

nn::Update UpdateOf(const OptimizerConfig& optimizer, OptimizerConfig::Kind kind, float rate,
                    float l2, uint64_t step) {
  return {.rule = kind == OptimizerConfig::Kind::kAdam ? nn::Rule::kAdam : nn::Rule::kAdagrad,
          .rate = rate,
          .beta1 = optimizer.beta1,
          .beta2 = optimizer.beta2,
          .epsilon = optimizer.epsilon,
          .l2 = l2,
          .step = step};
}

}  // namespace

struct Ranker::Impl {
  explicit Impl(const Net& from) : net(from) {}

  Net net;
  float rate_scale = 1.0f;
  bool counting = true;
  Workspace training;
  mutable WorkspacePool serving;
};

Ranker::Ranker(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Ranker::~Ranker() = default;

Result<std::unique_ptr<Ranker>> Ranker::Create(const RankerConfig& config, uint64_t seed) {
  HEED_RETURN_IF_ERROR(ValidateConfig(config));
  return std::unique_ptr<Ranker>(new Ranker(std::make_unique<Impl>(Net(config, seed))));
}

Result<std::unique_ptr<Ranker>> Ranker::Parse(std::string_view bytes) {
  HEED_ASSIGN_OR_RETURN(const std::unique_ptr<Net> net, DecodeNet(bytes));
  return std::unique_ptr<Ranker>(new Ranker(std::make_unique<Impl>(*net)));
}

Result<std::unique_ptr<Ranker>> Ranker::Load(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return IoError(path + ": cannot be opened");
  const std::string bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  if (in.bad()) return IoError(path + ": cannot be read");
  auto ranker = Parse(bytes);
  if (!ranker.ok()) return ranker.status().Within(path + ": ");
  return ranker;
}

std::string Ranker::Serialize() const { return EncodeNet(impl_->net); }

Status Ranker::Save(const std::string& path) const {
  const std::string partial = path + ".partial";
  HEED_RETURN_IF_ERROR(WriteDurably(partial, Serialize()));
  if (std::rename(partial.c_str(), path.c_str()) != 0) {
    return IoError(path + ": cannot be replaced");
  }
  return {};
}

const RankerConfig& Ranker::config() const { return impl_->net.config; }

Status Ranker::Forward(const Batch& batch, bool with_attention, Scores* scores) const {
  const Net& net = impl_->net;
  HEED_RETURN_IF_ERROR(batch.Validate(net.config.schema));
  const kernels::FlushDenormals flush;
  std::unique_ptr<Workspace> work = impl_->serving.Take();
  net.Resolve(batch, work.get());
  net.Forward(batch, nullptr, work.get());
  const nn::Matrix& logits = work->logits();
  const size_t T = logits.cols();
  scores->logits.assign(logits.data(), logits.data() + logits.size());
  scores->probabilities.resize(logits.size());
  for (size_t i = 0; i < logits.size(); ++i) {
    scores->probabilities[i] = nn::Sigmoid(net.calibration_scale[i % T] * scores->logits[i] +
                                           net.calibration_shift[i % T]);
  }
  scores->attention.clear();
  if (with_attention) {
    for (const Workspace::Sequence& sequence : work->sequences) {
      const nn::AttentionTape& tape = sequence.tape;
      scores->attention.push_back({{tape.weights.begin(), tape.weights.end()}, tape.starts});
    }
  }
  impl_->serving.Give(std::move(work));
  return {};
}

void Ranker::SetNumericScaling(const std::vector<float>& mean,
                               const std::vector<float>& deviation) {
  Net& net = impl_->net;
  assert(mean.size() == net.numeric_mean.size() && deviation.size() == mean.size());
  net.numeric_mean = mean;
  net.numeric_deviation = deviation;
  // A column that never varied says nothing, whatever it is divided by.
  for (float& d : net.numeric_deviation) {
    if (!(d > 1e-6f)) d = 1.0f;
  }
}

Result<double> Ranker::TrainStep(const Batch& batch, const OptimizerConfig& optimizer) {
  Net& net = impl_->net;
  Workspace* work = &impl_->training;
  HEED_RETURN_IF_ERROR(batch.Validate(net.config.schema));
  if (batch.candidates == 0) return InvalidArgument("an empty batch teaches nothing", "candidates");
  if (batch.labels.empty()) return InvalidArgument("no labels to learn from", "labels");
  const kernels::FlushDenormals flush;
  if (impl_->counting) {
    net.CountAndResolve(batch, work);
  } else {
    net.Resolve(batch, work);
  }
  const bool dropout = net.config.dropout > 0.0f;
  // A stream of its own for each step: nothing to store, and a resumed run drops the same units.
  Random random(MixHash(net.seed + MixHash(net.updates + 1)));
  net.Forward(batch, dropout ? &random : nullptr, work);
  const double loss = net.Backward(batch, dropout, work);

  const std::vector<nn::Parameter*> parameters = net.Parameters();
  const double dense_squares = nn::GradientSquares(parameters);
  double squares = dense_squares;
  for (const nn::RowGradient& gradient : work->d_rows) squares += gradient.Squares();
  if (!std::isfinite(loss) || !std::isfinite(squares)) {
    return InvalidArgument("loss or gradient is not finite; lower the rate");
  }
  ++net.updates;
  const double norm = std::sqrt(dense_squares);
  if (optimizer.clip_norm > 0.0f && norm > static_cast<double>(optimizer.clip_norm)) {
    const auto factor = static_cast<float>(static_cast<double>(optimizer.clip_norm) / norm);
    for (nn::Parameter* p : parameters) {
      kernels::Active().scale(factor, p->grad.data(), p->grad.size());
    }
  }
  const float scale = impl_->rate_scale;
  const nn::Update dense = UpdateOf(optimizer, optimizer.dense, scale * optimizer.dense_rate,
                                    optimizer.dense_l2, net.updates);
  for (nn::Parameter* p : parameters) nn::Apply(dense, *p);
  for (nn::TargetAttention& attention : net.attention) attention.ClampDecay();
  const nn::Update rows = UpdateOf(optimizer, optimizer.tables, scale * optimizer.table_rate,
                                   optimizer.table_l2, net.updates);
  for (size_t i = 0; i < net.tables.size(); ++i) net.tables[i].Apply(rows, work->d_rows[i]);
  return loss;
}

Status Ranker::CountKeys(const Batch& batch) {
  HEED_RETURN_IF_ERROR(batch.Validate(impl_->net.config.schema));
  impl_->net.CountAndResolve(batch, &impl_->training);
  return {};
}

void Ranker::SetCounting(bool counting) { impl_->counting = counting; }

void Ranker::SetTaskBias(const std::vector<float>& bias) {
  nn::Matrix& value = impl_->net.layers.back().bias.value;
  assert(bias.size() == value.size());
  std::copy(bias.begin(), bias.end(), value.data());
}

void Ranker::SetRateScale(float scale) { impl_->rate_scale = scale; }

void Ranker::SetCalibration(const std::vector<float>& scale, const std::vector<float>& shift) {
  Net& net = impl_->net;
  assert(scale.size() == net.calibration_scale.size() && shift.size() == scale.size());
  net.calibration_scale = scale;
  net.calibration_shift = shift;
}

std::unique_ptr<Ranker> Ranker::Copy() const {
  auto copy = std::unique_ptr<Ranker>(new Ranker(std::make_unique<Impl>(impl_->net)));
  copy->impl_->rate_scale = impl_->rate_scale;
  copy->impl_->counting = impl_->counting;
  return copy;
}

uint64_t Ranker::parameter_count() const {
  uint64_t count = impl_->net.layout.DenseCount(impl_->net.config);
  for (const nn::EmbeddingTable& table : impl_->net.tables) count += table.rows() * table.width();
  return count;
}

}  // namespace heed::model
