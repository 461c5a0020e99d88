#include "model/ranker.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <mutex>

#include "base/file.h"
#include "base/team.h"
#include "kernels/denormals.h"
#include "kernels/table.h"
#include "model/ranker_file.h"
#include "model/ranker_net.h"
#include "nn/loss.h"
#include "nn/optimizer.h"
#include "nn/tensor_file.h"

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

// Before the step, of a resolved batch.
void Record(const Net& net, const Workspace& work, StepRecord* before) {
  before->dense.clear();
  for (const nn::Parameter* p : net.Parameters()) {
    before->dense.insert(before->dense.end(), p->value.data(), p->value.data() + p->value.size());
  }
  before->tables.resize(net.tables.size());
  for (StepRecord::Rows& table : before->tables) table.rows.clear();
  const auto take = [&](const auto& columns, const auto& table_of,
                        const std::vector<uint32_t>& rows) {
    for (size_t i = 0; i < rows.size(); ++i) {
      before->tables[table_of(columns[i % columns.size()])].rows.push_back(rows[i]);
    }
  };
  const auto of_field = [](const Layout::Field& field) { return field.table; };
  take(net.layout.request_fields, of_field, work.request_rows);
  take(net.layout.candidate_fields, of_field, work.candidate_rows);
  for (size_t s = 0; s < net.layout.sequences.size(); ++s) {
    take(
        net.layout.sequences[s].tables, [](size_t table) { return table; }, work.sequences[s].rows);
  }
  for (size_t i = 0; i < net.tables.size(); ++i) {
    StepRecord::Rows& own = before->tables[i];
    std::sort(own.rows.begin(), own.rows.end());
    own.rows.erase(std::unique(own.rows.begin(), own.rows.end()), own.rows.end());
    own.values.clear();
    for (const uint32_t row : own.rows) {
      const float* values = net.tables[i].Row(row);
      own.values.insert(own.values.end(), values, values + net.tables[i].width());
    }
  }
}

// Of all the step may have changed.
bool Finite(Net* net, const StepRecord& before) {
  const auto squares = kernels::Active().sum_squares;
  double sum = 0.0;
  for (const nn::Parameter* p : net->Parameters()) {
    sum += static_cast<double>(squares(p->value.data(), p->value.size()));
  }
  for (size_t i = 0; i < net->tables.size(); ++i) {
    for (const uint32_t row : before.tables[i].rows) {
      sum += static_cast<double>(squares(net->tables[i].Row(row), net->tables[i].width()));
    }
  }
  return std::isfinite(sum);
}

}  // namespace

struct Ranker::Impl {
  explicit Impl(const Net& from) : net(from) {}

  Net net;
  float rate_scale = 1.0f;
  bool counting = true;
  std::unique_ptr<Team> team;  // none: one thread
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
  return Of(*net);
}

std::unique_ptr<Ranker> Ranker::Of(const Net& net) {
  return std::unique_ptr<Ranker>(new Ranker(std::make_unique<Impl>(net)));
}

Result<std::unique_ptr<Ranker>> Ranker::Load(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return IoError(path + ": cannot be opened");
  const std::string bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  if (in.bad()) return IoError(path + ": cannot be read");
  auto ranker = Parse(bytes);
  if (!ranker.ok()) return ranker.status().Within(path);
  return ranker;
}

std::string Ranker::Serialize() const { return EncodeNet(impl_->net); }

void Ranker::TrackChanges() {
  for (nn::EmbeddingTable& table : impl_->net.tables) table.TrackChanges(true);
}

std::string Ranker::SerializeIncrement() { return EncodeIncrement(&impl_->net); }

Result<std::unique_ptr<Ranker>> Ranker::WithIncrement(std::string_view bytes) const {
  HEED_ASSIGN_OR_RETURN(const std::unique_ptr<Net> net, ApplyIncrement(bytes, impl_->net));
  return Of(*net);
}

Status Ranker::Save(const std::string& path) const { return ReplaceFile(path, Serialize()); }

const RankerConfig& Ranker::config() const { return impl_->net.config; }

const Net& Ranker::net() const { return impl_->net; }

Status Ranker::Forward(const Batch& batch, bool with_attention, Scores* scores) const {
  const Net& net = impl_->net;
  HEED_RETURN_IF_ERROR(batch.Validate(net.config.schema));
  const kernels::FlushDenormals flush;
  std::unique_ptr<Workspace> work = impl_->serving.Take();
  net.Resolve(batch, work.get());
  net.Forward(batch, {}, work.get());
  const nn::Matrix& logits = work->logits;
  scores->logits.assign(logits.data(), logits.data() + logits.size());
  scores->probabilities = scores->logits;
  net.Outcomes(scores->probabilities.data(), logits.rows());
  scores->attention.clear();
  if (with_attention) {
    for (size_t s = 0; s < work->sequences.size(); ++s) {
      const bool dot = net.config.PoolOf(s).kind == PoolKind::kDot;
      const Workspace::Sequence& own = work->sequences[s];
      const nn::Floats& weights = dot ? own.tape.weights : own.unit.weights;
      scores->attention.push_back({.weights = {weights.begin(), weights.end()},
                                   .starts = dot ? own.tape.starts : own.unit.starts,
                                   .heads = net.layout.sequences[s].heads});
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
  if (batch.labels.empty()) return InvalidArgument("no labels to learn from", "labels");
  return Step(batch, optimizer, nullptr, nullptr);
}

Result<double> Ranker::TrainStep(const Batch& batch, const OptimizerConfig& optimizer,
                                 const LogitLoss& loss, StepRecord* before) {
  if (optimizer.all_rows) {
    return InvalidArgument("a step of touched rows cannot move all rows", "all_rows");
  }
  return Step(batch, optimizer, &loss, before);
}

Result<double> Ranker::Step(const Batch& batch, const OptimizerConfig& optimizer,
                            const LogitLoss* own_loss, StepRecord* before) {
  Net& net = impl_->net;
  Workspace* work = &impl_->training;
  HEED_RETURN_IF_ERROR(batch.Validate(net.config.schema));
  if (batch.candidates == 0) return InvalidArgument("an empty batch teaches nothing", "candidates");
  const kernels::FlushDenormals flush;
  const Team::Use use(impl_->team.get());
  if (impl_->counting) {
    net.CountAndResolve(batch, work);
  } else {
    net.Resolve(batch, work);
  }
  if (before != nullptr) Record(net, *work, before);
  // A stream of its own for each step: nothing to store, and a resumed run drops the same units.
  Random random(MixHash(net.seed + MixHash(net.updates + 1)));
  net.Forward(batch,
              own_loss == nullptr ? Pass{.phase = nn::Phase::kTrain, .dropout = &random} : Pass{},
              work);
  const float scale = impl_->rate_scale;
  nn::Update rows = UpdateOf(optimizer, optimizer.tables, scale * optimizer.table_rate,
                             optimizer.table_l2, net.updates + 1);
  rows.all_rows = optimizer.all_rows;
  // A wide part's weights lie in the same rows and get their gradient apart.
  // A step that can be taken back is small: nothing of it is worth doing before it is known to be finite.
  const bool at_once = !rows.all_rows && !net.config.wide && before == nullptr;
  const double loss = net.Backward(batch, work, at_once ? &rows : nullptr, own_loss);

  const std::vector<nn::Parameter*> parameters = net.Parameters();
  const double dense_squares = nn::GradientSquares(parameters);
  double squares = dense_squares + work->squares_now;
  for (const nn::RowGradient& gradient : work->d_rows) squares += gradient.Squares();
  if (!std::isfinite(loss) || !std::isfinite(squares)) {
    return InvalidArgument("loss or gradient is not finite; lower the rate");
  }
  ++net.updates;
  net.activation_ranges.clear();
  if (own_loss == nullptr) net.Track(*work);
  const double norm = std::sqrt(dense_squares);
  if (optimizer.clip_norm > 0.0f && norm > static_cast<double>(optimizer.clip_norm)) {
    const auto factor = static_cast<float>(static_cast<double>(optimizer.clip_norm) / norm);
    for (nn::Parameter* p : parameters) {
      kernels::Active().scale(factor, p->grad.data(), p->grad.size());
    }
  }
  const nn::Update dense = UpdateOf(optimizer, optimizer.dense, scale * optimizer.dense_rate,
                                    optimizer.dense_l2, net.updates);
  for (nn::Parameter* p : parameters) nn::Apply(dense, *p);
  net.Clamp();
  for (size_t i = 0; i < net.tables.size(); ++i) net.tables[i].Apply(rows, work->d_rows[i]);
  // An activation may hide a weight that is not finite from the logits, but not from the next gradient.
  if (before != nullptr && !Finite(&net, *before)) {
    KeepOfStep(*before, 0.0f);
    return InvalidArgument("weights would not be finite; lower the rate");
  }
  return loss;
}

void Ranker::KeepOfStep(const StepRecord& before, float keep) {
  Net& net = impl_->net;
  const auto blend = [keep](const float* old, float* now, size_t n) {
    // Not by the formula: what is not finite now would stay so.
    if (keep == 0.0f) {
      std::copy(old, old + n, now);
      return;
    }
    for (size_t i = 0; i < n; ++i) now[i] = old[i] + keep * (now[i] - old[i]);
  };
  const float* dense = before.dense.data();
  for (nn::Parameter* p : net.Parameters()) {
    blend(dense, p->value.data(), p->value.size());
    dense += p->value.size();
  }
  for (size_t i = 0; i < net.tables.size(); ++i) {
    const size_t width = net.tables[i].width();
    const StepRecord::Rows& own = before.tables[i];
    for (size_t r = 0; r < own.rows.size(); ++r) {
      blend(own.values.data() + r * width, net.tables[i].Row(own.rows[r]), width);
    }
  }
  net.activation_ranges.clear();
}

Status Ranker::CountKeys(const Batch& batch) {
  HEED_RETURN_IF_ERROR(batch.Validate(impl_->net.config.schema));
  impl_->net.CountAndResolve(batch, &impl_->training);
  return {};
}

void Ranker::SetClock(uint32_t now) {
  for (nn::EmbeddingTable& table : impl_->net.tables) table.SetClock(now);
}

TableRows Ranker::ExpireRows(uint32_t oldest) {
  TableRows rows;
  for (nn::EmbeddingTable& table : impl_->net.tables) rows.push_back(table.Expire(oldest));
  return rows;
}

void Ranker::SetCounting(bool counting) { impl_->counting = counting; }

void Ranker::SetTaskBias(const std::vector<float>& bias) { impl_->net.SetTaskBias(bias); }

void Ranker::SetThreads(size_t threads) {
  impl_->team = threads > 1 ? std::make_unique<Team>(threads) : nullptr;
}

void Ranker::SetRateScale(float scale) { impl_->rate_scale = scale; }

void Ranker::SetCalibration(const std::vector<float>& scale, const std::vector<float>& shift) {
  Net& net = impl_->net;
  assert(scale.size() == net.calibration_scale.size() && shift.size() == scale.size());
  net.calibration_scale = scale;
  net.calibration_shift = shift;
}

void Ranker::SetActivationRanges(std::vector<float> ranges) {
  impl_->net.activation_ranges = std::move(ranges);
}

void Ranker::MoveTowards(const Ranker& other, float keep) {
  const kernels::Table& k = kernels::Active();
  Net& net = impl_->net;
  auto& later = const_cast<Net&>(other.impl_->net);  // read only
  const auto move = [&](float* own, const float* to, size_t n) {
    k.scale(keep, own, n);
    k.axpy(1.0f - keep, to, own, n);
  };
  const std::vector<nn::Parameter*> own = net.Parameters(), to = later.Parameters();
  for (size_t i = 0; i < own.size(); ++i) {
    move(own[i]->value.data(), to[i]->value.data(), own[i]->value.size());
  }
  const std::vector<nn::Buffer> buffers = net.Buffers(), later_buffers = later.Buffers();
  for (size_t i = 0; i < buffers.size(); ++i) {
    move(buffers[i].value->data(), later_buffers[i].value->data(), buffers[i].value->size());
  }
  for (size_t i = 0; i < net.tables.size(); ++i) net.tables[i].MoveTowards(later.tables[i], keep);
  net.updates = later.updates;
  net.activation_ranges.clear();
}

std::unique_ptr<Ranker> Ranker::Copy() const {
  auto copy = std::unique_ptr<Ranker>(new Ranker(std::make_unique<Impl>(impl_->net)));
  copy->impl_->rate_scale = impl_->rate_scale;
  copy->impl_->counting = impl_->counting;
  return copy;
}

std::unique_ptr<Ranker> Ranker::CopyInPlaceOf(const Ranker& replaced) {
  std::unique_ptr<Ranker> copy = Copy();
  std::vector<nn::EmbeddingTable>& tables = impl_->net.tables;
  for (size_t i = 0; i < tables.size(); ++i) {
    copy->impl_->net.tables[i].TakePlaceOf(replaced.impl_->net.tables[i], &tables[i]);
  }
  return copy;
}

void Ranker::ForgetCopies() {
  for (nn::EmbeddingTable& table : impl_->net.tables) table.ForgetCopies();
}

std::unique_ptr<Ranker> Ranker::CopyToServe() const {
  auto copy = std::unique_ptr<Ranker>(new Ranker(std::make_unique<Impl>(impl_->net)));
  for (nn::EmbeddingTable& table : copy->impl_->net.tables) {
    table.DropState();
    table.TrackKeys();
  }
  return copy;
}

void Ranker::StoreTables(kernels::Precision precision) {
  for (nn::EmbeddingTable& table : impl_->net.tables) table.StoreAs(precision);
}

void Ranker::TrackKeys() {
  for (nn::EmbeddingTable& table : impl_->net.tables) table.TrackKeys();
}

void Ranker::CopyRows(const Ranker& from, const TableRows& rows) {
  for (size_t i = 0; i < rows.size(); ++i) {
    impl_->net.tables[i].CopyRows(from.impl_->net.tables[i], rows[i]);
  }
}

void Ranker::CopyDense(const Ranker& from) {
  Net& net = impl_->net;
  auto& later = const_cast<Net&>(from.impl_->net);  // read only
  const std::vector<nn::Parameter*> own = net.Parameters(), to = later.Parameters();
  for (size_t i = 0; i < own.size(); ++i) {
    std::copy_n(to[i]->value.data(), to[i]->value.size(), own[i]->value.data());
  }
  const std::vector<nn::Buffer> buffers = net.Buffers(), later_buffers = later.Buffers();
  for (size_t i = 0; i < buffers.size(); ++i) {
    std::copy_n(later_buffers[i].value->data(), later_buffers[i].value->size(),
                buffers[i].value->data());
  }
  net.numeric_mean = later.numeric_mean;
  net.numeric_deviation = later.numeric_deviation;
  net.calibration_scale = later.calibration_scale;
  net.calibration_shift = later.calibration_shift;
  net.updates = later.updates;
}

std::vector<Key> Ranker::KeysOf(const TableRows& rows) const {
  std::vector<Key> keys;
  for (size_t i = 0; i < rows.size(); ++i) {
    for (const uint32_t row : rows[i]) {
      if (const Key key = impl_->net.tables[i].KeyOf(row); key != 0) keys.push_back(key);
    }
  }
  return keys;
}

uint64_t Ranker::parameter_count() const {
  uint64_t count = impl_->net.layout.DenseCount(impl_->net.config);
  for (const nn::EmbeddingTable& table : impl_->net.tables) count += table.rows() * table.width();
  return count;
}

}  // namespace heed::model
