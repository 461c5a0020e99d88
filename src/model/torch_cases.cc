// Trains a small ranker for five steps and writes everything on the way (the model file before and
// after, the batches, the first step's gradients, the losses), for torch_judge.py.
//   model_torch_cases FILE
#include <algorithm>
#include <fstream>

#include "model/batch_for_test.h"
#include "model/ranker_file.h"
#include "nn/tensor_file.h"

namespace heed::model {
namespace {

constexpr int kSteps = 5;

void PutBatch(const Batch& batch, const std::string& prefix, nn::TensorWriter* out) {
  const auto floats = [&](const char* name, const std::vector<float>& values) {
    out->Floats(prefix + name, values, {values.size()});
  };
  out->Uint32s(prefix + "request_of", batch.request_of);
  out->Uint64s(prefix + "request_keys", batch.request_keys);
  out->Uint64s(prefix + "candidate_keys", batch.candidate_keys);
  floats("request_numerics", batch.request_numerics);
  floats("candidate_numerics", batch.candidate_numerics);
  floats("labels", batch.labels);
  floats("weights", batch.weights);
  for (size_t s = 0; s < batch.sequences.size(); ++s) {
    const std::string sequence = prefix + "sequence" + std::to_string(s) + ".";
    out->Uint32s(sequence + "offsets", batch.sequences[s].offsets);
    out->Uint64s(sequence + "keys", batch.sequences[s].keys);
    out->Floats(sequence + "age_s", batch.sequences[s].age_s, {batch.sequences[s].age_s.size()});
  }
}

// The gradient of one batch, taken from a copy of the model.
Status PutGradients(const std::string& model, const Batch& batch, nn::TensorWriter* out) {
  HEED_ASSIGN_OR_RETURN(const std::unique_ptr<Net> net, DecodeNet(model));
  Workspace work;
  net->Resolve(batch, &work);
  net->Forward(batch, {.phase = nn::Phase::kTrain}, &work);
  net->Backward(batch, &work);
  for (const nn::Parameter* p : net->Parameters()) {
    out->Floats("grad/" + p->name, {p->grad.data(), p->grad.size()},
                {p->grad.rows(), p->grad.cols()});
  }
  for (size_t t = 0; t < net->tables.size(); ++t) {
    const nn::EmbeddingTable& table = net->tables[t];
    std::vector<float> dense(table.rows() * table.width(), 0.0f);
    for (size_t i = 0; i < work.d_rows[t].rows().size(); ++i) {
      std::copy_n(work.d_rows[t].Of(i), table.width(),
                  dense.data() + work.d_rows[t].rows()[i] * table.width());
    }
    out->Floats("grad/table." + std::to_string(t), dense, {table.rows(), table.width()});
  }
  return {};
}

Status PutCase(const std::string& name, const RankerConfig& config, OptimizerConfig::Kind tables,
               uint32_t per_request, nn::TensorWriter* out) {
  HEED_ASSIGN_OR_RETURN(const std::unique_ptr<Ranker> ranker, Ranker::Create(config, 99));
  Random random(77);
  std::vector<Batch> batches;
  for (int i = 0; i < kSteps; ++i) {
    batches.push_back(
        RandomBatch(config.schema, {.requests = 24, .per_request = per_request}, random));
    HEED_RETURN_IF_ERROR(ranker->CountKeys(batches.back()));
    PutBatch(batches.back(), name + "/batch" + std::to_string(i) + ".", out);
  }
  ranker->SetCounting(false);
  ranker->SetNumericScaling({0.1f, -0.2f, 0.3f}, {1.5f, 0.5f, 1.0f});
  std::vector<float> bias = {-0.5f, -1.0f, 0.7f};
  bias.resize(config.schema.tasks.size());
  ranker->SetTaskBias(bias);
  const std::string before = ranker->Serialize();
  out->Bytes(name + "/before", before);
  nn::TensorWriter gradients;
  HEED_RETURN_IF_ERROR(PutGradients(before, batches[0], &gradients));
  out->Bytes(name + "/gradients", gradients.Finish());
  // The epsilon is large so that weights with hardly any gradient, whose Adam step would be the sign
  // of a rounding error, stand still in both programs.
  OptimizerConfig optimizer;
  optimizer.tables = tables;
  optimizer.dense_rate = 1e-2f;
  optimizer.table_rate = 2e-2f;
  optimizer.epsilon = 1e-4f;
  optimizer.dense_l2 = 1e-3f;
  std::vector<float> losses;
  for (const Batch& batch : batches) {
    HEED_ASSIGN_OR_RETURN(const double loss, ranker->TrainStep(batch, optimizer));
    losses.push_back(static_cast<float>(loss));
  }
  out->Floats(name + "/losses", losses, {losses.size()});
  out->Bytes(name + "/after", ranker->Serialize());
  return {};
}

Status WriteAll(const std::string& path) {
  nn::TensorWriter out;
  using Kind = OptimizerConfig::Kind;
  RankerConfig config = SmallConfig();
  config.admit_after = 2;
  RankerConfig wide = config;
  wide.wide = true;
  HEED_RETURN_IF_ERROR(PutCase("single adam", config, Kind::kAdam, 1, &out));
  HEED_RETURN_IF_ERROR(PutCase("many adam wide", wide, Kind::kAdam, 8, &out));
  HEED_RETURN_IF_ERROR(PutCase("single adagrad", config, Kind::kAdagrad, 1, &out));
  RankerConfig valued = wide;
  valued.schema.tasks.push_back({"amount", 0.7f, 1.0f, TaskKind::kValue, 2.5f, "order"});
  HEED_RETURN_IF_ERROR(PutCase("many adam valued", valued, Kind::kAdam, 8, &out));
  config.projection = wide.projection = 6;
  HEED_RETURN_IF_ERROR(PutCase("projection dot", config, Kind::kAdam, 8, &out));
  wide.pool = {.kind = PoolKind::kDin, .hidden = {5, 3}, .activation = nn::ActivationKind::kPRelu};
  HEED_RETURN_IF_ERROR(PutCase("projection din wide", wide, Kind::kAdam, 8, &out));
  config.pool = wide.pool;
  config.pool.kind = PoolKind::kDinSum;
  HEED_RETURN_IF_ERROR(PutCase("projection din_sum adagrad", config, Kind::kAdagrad, 1, &out));
  const std::string bytes = out.Finish();
  std::ofstream file(path, std::ios::binary);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  file.close();
  return file ? Status() : IoError(path);
}

}  // namespace
}  // namespace heed::model

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  return heed::model::WriteAll(argv[1]).ok() ? 0 : 1;
}
