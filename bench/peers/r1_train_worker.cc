// Training R1 by Heed: model::Ranker::TrainStep on the data folder's samples, each with a history of
// its own; started by peers.py. The gradients are compared first, before any weight has moved.
#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <iostream>
#include <memory>

#include "kernels/table.h"
#include "model/mlp_block.h"
#include "peers/r1_data.h"
#include "peers/r1_net.h"
#include "peers/r1_ranker.h"

namespace heed::r1 {
namespace {

namespace json = boost::json;
using model::Batch;

Batch BatchOf(const Data& data, const Samples& samples, size_t first, size_t count) {
  Batch batch;
  batch.requests = batch.candidates = static_cast<uint32_t>(count);
  model::SequenceBatch& history = batch.sequences.emplace_back();
  const size_t length = data.history();
  for (size_t i = 0; i < count; ++i) {
    const uint32_t* ids = samples.ids.data() + (first + i) * (length + 1) * kTables;
    batch.request_of.push_back(static_cast<uint32_t>(i));
    batch.request_keys.insert(batch.request_keys.end(), 2, first + i + 1);
    for (size_t k = 0; k < length * kTables; ++k) history.keys.push_back(ids[k] + 1);
    for (size_t k = 0; k < kTables; ++k) {
      batch.candidate_keys.push_back(ids[length * kTables + k] + 1);
    }
    history.offsets.push_back(static_cast<uint32_t>((i + 1) * length));
  }
  history.age_s.assign(count * length, 0.0f);
  const float* labels = samples.labels.data() + first * kOutputs;
  batch.labels.assign(labels, labels + count * kOutputs);
  return batch;
}

// The largest error of the gradients of one tensor, against the largest number in it.
class Comparison {
 public:
  void Add(double ours, double truth) {
    const double error = std::abs(ours - truth);
    if (!(error <= error_)) error_ = error;
    top_ = std::max(top_, std::abs(truth));
  }
  // Not std::max: what is not a number must come out as that.
  void Into(double* worst) const {
    if (const double error = error_ / top_; !(error <= *worst)) *worst = error;
  }

 private:
  double error_ = 0, top_ = 0;
};

double WorstGradient(const Data& data, Family family) {
  const Samples& samples = data.agreement();
  const auto net = NetOf(data, family, samples.viewers, samples.contexts);
  const Batch batch = BatchOf(data, samples, 0, samples.count);
  model::Workspace work;
  net->Resolve(batch, &work);
  net->Forward(batch, {.phase = nn::Phase::kTrain}, &work);
  const double loss = net->Backward(batch, &work);
  const auto& truth = data.Gradients(family);
  double worst = std::abs(loss / truth.at("loss")[0] - 1.0);

  // R1's [outputs, inputs] beside ours [inputs, outputs].
  const auto compare = [&](const std::string& name, const nn::Parameter& p) {
    const std::span<const double> wanted = truth.at(name);
    const size_t inputs = p.grad.rows(), outputs = p.grad.cols();
    Comparison all;
    for (size_t k = 0; k < inputs; ++k) {
      for (size_t n = 0; n < outputs; ++n) {
        all.Add(static_cast<double>(p.grad.Row(k)[n]), wanted[n * inputs + k]);
      }
    }
    all.Into(&worst);
  };
  const auto compare_layer = [&](const std::string& name, const nn::Linear& layer) {
    compare(name + "_w", layer.weight);
    compare(name + "_b", layer.bias);
  };
  compare_layer("candidate", net->item);
  compare_layer("event", net->events[0]);
  compare("mlp1_b", net->blocks[0]->AsMlp()->layers()[0].bias);
  compare_layer("mlp2", net->blocks[0]->AsMlp()->layers()[1]);
  compare_layer("mlp3", net->blocks[0]->AsMlp()->layers()[2]);
  compare_layer("head", net->head.outputs()[0]);
  if (family == Family::kDot) {
    compare("query_w", net->attention[0].query);
    compare("key_w", net->attention[0].key);
    compare("value_w", net->attention[0].value);
  }
  // No row comes twice, so a row's sum is the gradient of the one place it was looked up at.
  Comparison rows;
  const std::span<const double> wanted = truth.at("rows");
  for (size_t t = 0; t < kTables; ++t) {
    const auto& names = net->layout.tables;
    const size_t table =
        static_cast<size_t>(std::find(names.begin(), names.end(), kItemTables[t]) - names.begin());
    const nn::RowGradient& own = work.d_rows[table];
    std::vector<uint32_t> place(net->tables[table].rows(), 0);
    for (size_t i = 0; i < own.rows().size(); ++i) {
      place[own.rows()[i]] = static_cast<uint32_t>(i + 1);
    }
    for (size_t at = 0; at < samples.count * (data.history() + 1); ++at) {
      const uint32_t slot = place[samples.ids[at * kTables + t] + 2];
      for (size_t j = 0; j < kWidth; ++j) {
        const double ours = slot == 0 ? std::nan("") : static_cast<double>(own.Of(slot - 1)[j]);
        rows.Add(ours, wanted[(at * kTables + t) * kWidth + j]);
      }
    }
  }
  rows.Into(&worst);
  return worst;
}

struct Trainee {
  std::string name;
  Family family;
  double error = 0;
  std::unique_ptr<model::Ranker> ranker = nullptr;  // made when first asked for: 2 GB each
};

void Start(const Data& data, size_t threads, Trainee* trainee) {
  trainee->error = WorstGradient(data, trainee->family);
  const Samples& samples = data.train();
  const auto net = NetOf(data, trainee->family, samples.viewers, samples.contexts);
  trainee->ranker = model::Ranker::Of(*net);
  trainee->ranker->SetThreads(threads);
}

json::object Step(const std::vector<Batch>& batches, Trainee* trainee, const json::value& asked) {
  constexpr model::OptimizerConfig kAdagrad{.dense = model::OptimizerConfig::Kind::kAdagrad,
                                            .tables = model::OptimizerConfig::Kind::kAdagrad,
                                            .dense_rate = 1e-2f,
                                            .table_rate = 1e-2f};
  const json::array& range = asked.at("requests").as_array();
  json::array times;
  for (auto i = range.at(0).to_number<size_t>(); i < range.at(1).to_number<size_t>(); ++i) {
    const auto started = std::chrono::steady_clock::now();
    const Result<double> loss = trainee->ranker->TrainStep(batches[i % batches.size()], kAdagrad);
    const std::chrono::duration<double, std::milli> took =
        std::chrono::steady_clock::now() - started;
    if (!loss.ok()) return {{"error", loss.status().ToString()}};
    times.emplace_back(took.count());
  }
  return {{"ms", std::move(times)}, {"max_abs_error", trainee->error}};
}

int Serve(const std::string& folder, size_t threads) {
  const Result<std::unique_ptr<Data>> opened = Data::Open(folder);
  if (!opened.ok()) {
    fmt::print(stderr, "r1_train_worker: {}\n", opened.status().ToString());
    return 1;
  }
  const Data& data = *opened.value();
  std::vector<Batch> batches;
  for (size_t first = 0; first < data.train().count; first += data.train_batch()) {
    batches.push_back(BatchOf(data, data.train(), first, data.train_batch()));
  }
  std::vector<Trainee> trainees;
  json::array names;
  trainees.push_back({.name = "train_dot", .family = Family::kDot});
  trainees.push_back({.name = "train_din", .family = Family::kDin});
  for (const Trainee& trainee : trainees) names.emplace_back(trainee.name);
  std::cout << json::object{{"ready", true},
                            {"version",
                             fmt::format("heed {}", kernels::LevelName(kernels::ActiveLevel()))},
                            {"variants", names}}
            << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
    json::object answer{{"error", "no such variant"}};
    try {
      const json::value asked = json::parse(line);
      for (Trainee& trainee : trainees) {
        if (asked.at("variant").as_string() != trainee.name.c_str()) continue;
        if (trainee.ranker == nullptr) Start(data, threads, &trainee);
        answer = Step(batches, &trainee, asked);
      }
    } catch (const std::exception& error) {
      answer = {{"error", error.what()}};
    }
    std::cout << answer << std::endl;
  }
  return 0;
}

}  // namespace
}  // namespace heed::r1

int main(int argc, char** argv) {
  if (argc != 2 && argc != 3) {
    fmt::print(stderr, "usage: {} [THREADS] DATA_FOLDER   (started by bench/peers/peers.py)\n",
               argv[0]);
    return 2;
  }
  return heed::r1::Serve(argv[argc - 1], argc == 3 ? std::stoul(argv[1]) : 1);
}
