#include "train/training_state.h"

#include <bit>

#include "base/bytes.h"
#include "base/checksum.h"
#include "base/hash.h"
#include "nn/tensor_file.h"

namespace heed::train {
namespace {

constexpr uint64_t kVersion = 1;

std::vector<uint64_t> Bits(const std::vector<double>& values) {
  std::vector<uint64_t> bits;
  bits.reserve(values.size());
  for (const double value : values) bits.push_back(std::bit_cast<uint64_t>(value));
  return bits;
}

std::vector<uint64_t> Bits(const std::vector<ValidPoint>& points) {
  std::vector<uint64_t> bits;
  for (const ValidPoint& point : points) {
    bits.push_back(point.step);
    bits.push_back(std::bit_cast<uint64_t>(point.epochs));
    bits.push_back(std::bit_cast<uint64_t>(point.metric));
  }
  return bits;
}

Result<std::vector<double>> ReadDoubles(const nn::TensorReader& in, const std::string& name) {
  HEED_ASSIGN_OR_RETURN(const auto bits, in.Uint64s(name));
  std::vector<double> values;
  values.reserve(bits.size());
  for (const uint64_t one : bits) values.push_back(std::bit_cast<double>(one));
  return values;
}

Result<std::vector<ValidPoint>> ReadPoints(const nn::TensorReader& in, const std::string& name) {
  HEED_ASSIGN_OR_RETURN(const auto bits, in.Uint64s(name));
  if (bits.size() % 3 != 0) return Corruption(name + ": not in threes");
  std::vector<ValidPoint> points;
  for (size_t i = 0; i < bits.size(); i += 3) {
    points.push_back(
        {bits[i], std::bit_cast<double>(bits[i + 1]), std::bit_cast<double>(bits[i + 2])});
  }
  return points;
}

Status ReadFloats(const nn::TensorReader& in, const std::string& name, std::vector<float>* out) {
  HEED_ASSIGN_OR_RETURN(const uint64_t length, in.Length(name, nn::TensorType::kFloat32));
  out->resize(length);  // the file holds that many
  return in.Floats(name, {length}, *out);
}

}  // namespace

uint64_t FingerprintOf(const Examples& data, const TrainOptions& options) {
  std::string bytes;
  ByteWriter out(bytes);
  const auto number = [&](double value) { out.Fixed(std::bit_cast<uint64_t>(value)); };
  const model::OptimizerConfig& optimizer = options.optimizer;
  out.Varint(options.seed);
  out.String(options.stop_task);
  for (const auto value :
       {static_cast<uint32_t>(options.schedule), options.batch_size, options.evaluate_every_steps,
        options.patience, static_cast<uint32_t>(options.stop_metric),
        static_cast<uint32_t>(options.refit), static_cast<uint32_t>(options.calibrate),
        static_cast<uint32_t>(optimizer.dense), static_cast<uint32_t>(optimizer.tables),
        static_cast<uint32_t>(optimizer.all_rows)}) {
    out.Varint(value);
  }
  for (const double value : {options.epochs, options.plateau_factor, options.average,
                             options.warmup, options.negative_share}) {
    number(value);
  }
  for (const float value :
       {optimizer.dense_rate, optimizer.table_rate, optimizer.beta1, optimizer.beta2,
        optimizer.epsilon, optimizer.dense_l2, optimizer.table_l2, optimizer.clip_norm}) {
    out.Fixed(std::bit_cast<uint32_t>(value));
  }
  for (const float weight : options.positive_weights) out.Fixed(std::bit_cast<uint32_t>(weight));
  for (const Split split : {Split::kTrain, Split::kValid}) {
    for (const uint32_t sample : data.samples_of(split)) {
      out.Fixed(sample);
      for (size_t t = 0; t < data.schema().tasks.size(); ++t) {
        out.Fixed(std::bit_cast<uint32_t>(data.label(sample, t)));
      }
    }
    out.Varint(data.samples_of(split).size());
  }
  return MixHash(Crc32(bytes) + (uint64_t{bytes.size()} << 32));
}

std::string EncodeState(const TrainingState& state) {
  nn::TensorWriter out;
  out.Uint64s("training",
              std::vector<uint64_t>{kVersion, state.fingerprint, state.step, state.best_step,
                                    state.rows_seen, state.without_gain});
  out.Uint64s("figures", Bits({state.plateau_scale, state.best_metric, state.seconds}));
  out.Uint64s("losses", Bits(state.losses));
  out.Uint64s("valid", Bits(state.valid));
  out.Bytes("ranker", state.ranker);
  out.Bytes("average", state.average);
  out.Bytes("best", state.best);
  if (state.fit.has_value()) {
    const TrainingState::Fit& fit = *state.fit;
    out.Uint64s("fit", std::vector<uint64_t>{fit.steps, fit.rows_seen});
    out.Uint64s("fit.figures", Bits({fit.best_metric, fit.best_epochs, fit.loss, fit.seconds}));
    out.Uint64s("fit.valid", Bits(fit.valid));
    out.Floats("fit.scale", fit.calibration_scale, {fit.calibration_scale.size()});
    out.Floats("fit.shift", fit.calibration_shift, {fit.calibration_shift.size()});
    out.Bytes("fit.ranker", fit.ranker);
  }
  return out.Finish();
}

Result<TrainingState> DecodeState(std::string_view bytes) {
  HEED_ASSIGN_OR_RETURN(const nn::TensorReader in, nn::TensorReader::Open(bytes));
  TrainingState state;
  HEED_ASSIGN_OR_RETURN(const auto head, in.Uint64s("training"));
  HEED_ASSIGN_OR_RETURN(const auto figures, ReadDoubles(in, "figures"));
  if (head.size() != 6 || figures.size() != 3) return Corruption("training: sizes");
  if (head[0] != kVersion) return Corruption("training: a version that is not known");
  state.fingerprint = head[1], state.step = head[2], state.best_step = head[3];
  state.rows_seen = head[4], state.without_gain = head[5];
  state.plateau_scale = figures[0], state.best_metric = figures[1], state.seconds = figures[2];
  HEED_ASSIGN_OR_RETURN(state.losses, ReadDoubles(in, "losses"));
  HEED_ASSIGN_OR_RETURN(state.valid, ReadPoints(in, "valid"));
  HEED_ASSIGN_OR_RETURN(state.ranker, in.Bytes("ranker"));
  HEED_ASSIGN_OR_RETURN(state.average, in.Bytes("average"));
  HEED_ASSIGN_OR_RETURN(state.best, in.Bytes("best"));
  if (in.count() == 7) return state;
  // Not emplace(): Clang 14 takes a struct nested in its own class for one without a default constructor.
  TrainingState::Fit& fit = *(state.fit = TrainingState::Fit{});
  HEED_ASSIGN_OR_RETURN(const auto fit_head, in.Uint64s("fit"));
  HEED_ASSIGN_OR_RETURN(const auto fit_figures, ReadDoubles(in, "fit.figures"));
  if (fit_head.size() != 2 || fit_figures.size() != 4) return Corruption("training: sizes");
  fit.steps = fit_head[0], fit.rows_seen = fit_head[1];
  fit.best_metric = fit_figures[0], fit.best_epochs = fit_figures[1];
  fit.loss = fit_figures[2], fit.seconds = fit_figures[3];
  HEED_ASSIGN_OR_RETURN(fit.valid, ReadPoints(in, "fit.valid"));
  HEED_RETURN_IF_ERROR(ReadFloats(in, "fit.scale", &fit.calibration_scale));
  HEED_RETURN_IF_ERROR(ReadFloats(in, "fit.shift", &fit.calibration_shift));
  HEED_ASSIGN_OR_RETURN(fit.ranker, in.Bytes("fit.ranker"));
  if (in.count() != 13) return Corruption("training: tensors that do not belong");
  return state;
}

}  // namespace heed::train
