#include "text/classifier.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "kernels/denormals.h"
#include "kernels/table.h"
#include "text/classifier_net.h"

namespace heed::text {
namespace {

Status Within(const char* name, double value, double low, double high) {
  if (value >= low && value <= high) return {};  // NaN is not
  return InvalidArgument(std::string(name) + " is not within [" + std::to_string(low) + ", " +
                         std::to_string(high) + "]");
}

}  // namespace

void ClassifierScratchDeleter::operator()(ClassifierScratch* scratch) const { delete scratch; }

ScratchPtr NewScratch() { return ScratchPtr(new ClassifierScratch); }

Status ValidateConfig(const ClassifierConfig& config) {
  if (config.labels.size() < 2) return InvalidArgument("labels: two at least");
  if (std::set<std::string>(config.labels.begin(), config.labels.end()).size() !=
      config.labels.size()) {
    return InvalidArgument("labels: one comes twice");
  }
  HEED_RETURN_IF_ERROR(Within("labels", static_cast<double>(config.labels.size()), 2, 1000));
  HEED_RETURN_IF_ERROR(Within("ngrams", config.ngrams, 1, kLongestNgram));
  HEED_RETURN_IF_ERROR(Within("max_characters", config.max_characters, 1, 1 << 20));
  HEED_RETURN_IF_ERROR(Within("admit_after", config.admit_after, 1, 1 << 20));
  HEED_RETURN_IF_ERROR(Within("width", config.width, 1, 1024));
  HEED_RETURN_IF_ERROR(Within("heads", config.heads, 1, 64));
  HEED_RETURN_IF_ERROR(Within("members", config.members, 1, 64));
  const auto within = [](const char* name, float value, double low, double high) {
    return Within(name, static_cast<double>(value), low, high);
  };
  HEED_RETURN_IF_ERROR(within("temperature", config.temperature, 1e-3, 1e3));
  HEED_RETURN_IF_ERROR(within("power", config.power, 0, 1));
  HEED_RETURN_IF_ERROR(within("wide_scale", config.wide_scale, 0, 1000));
  HEED_RETURN_IF_ERROR(within("linear_share", config.linear_share, 0, 0.95));
  HEED_RETURN_IF_ERROR(within("linear_cost", config.linear_cost, 1e-6, 1e6));
  HEED_RETURN_IF_ERROR(within("ngram_dropout", config.ngram_dropout, 0, 0.95));
  HEED_RETURN_IF_ERROR(within("dropout", config.dropout, 0, 0.95));
  return within("init_deviation", config.init_deviation, 0, 10);
}

Classifier::Net::Net(const ClassifierConfig& classifier_config, uint64_t seed)
    : config(classifier_config) {
  const auto C = static_cast<uint32_t>(classes());
  table = nn::EmbeddingTable({.width = config.members * (config.width + C),
                              .zero_tail = config.members * C,
                              .admit_after = config.admit_after,
                              .init_deviation = config.init_deviation,
                              .seed = seed});
  Random random(seed);
  for (uint32_t m = 0; m < config.members; ++m) {
    const std::string name = "member" + std::to_string(m);
    Member member{
        nn::AttentionPooling(
            name,
            {.item_width = config.width, .heads = config.heads, .temperature = config.temperature},
            random),
        nn::Linear(name + ".output", size_t{config.heads} * config.width, C, random)};
    // T^power multiplies what comes in here: first logits should still be small.
    nn::Matrix& weight = member.output.weight.value;
    kernels::Active().scale(0.3f, weight.data(), weight.size());
    members.push_back(std::move(member));
  }
  if (config.linear_share > 0.0f) linear = LinearPart(table.rows(), C);
}

std::vector<nn::Parameter*> Classifier::Net::Parameters() {
  std::vector<nn::Parameter*> all;
  for (Member& member : members) {
    all.insert(all.end(), {&member.pooling.score, &member.output.weight, &member.output.bias});
  }
  return all;
}

float Classifier::Net::Power(size_t n) const {
  return n == 0 ? 0.0f : std::pow(static_cast<float>(n), config.power);
}

float Classifier::Net::WideFactor(size_t n) const {
  return n == 0 ? 0.0f : config.wide_scale / std::sqrt(static_cast<float>(n));
}

void Classifier::Net::Pool(size_t m, MemberPass* pass) const {
  const size_t T = pass->rows.size(), B = pass->offsets.size() - 1;
  pass->items.Resize(T, config.width);
  pass->wide.Resize(T, classes());
  pass->pooled.Resize(B, size_t{config.heads} * config.width);
  pass->evidence.Resize(B, config.heads);
  table.Gather(pass->rows.data(), 1, EmbeddingColumn(m), pass->items.view());
  table.Gather(pass->rows.data(), 1, WideColumn(m), pass->wide.view());
  members[m].pooling.Forward({.items = pass->items.view(), .offsets = pass->offsets}, &pass->tape,
                             pass->pooled.view(), pass->evidence.view());
  for (size_t b = 0; b < B; ++b) {
    kernels::Active().scale(Power(pass->offsets[b + 1] - pass->offsets[b]), pass->pooled.Row(b),
                            pass->pooled.cols());
  }
}

void Classifier::Net::Classify(size_t m, MemberPass* pass) const {
  const size_t B = pass->offsets.size() - 1, C = classes();
  pass->logits.Resize(B, C);
  members[m].output.Forward(pass->pooled.view(), pass->logits.view());
  for (size_t b = 0; b < B; ++b) {
    const size_t first = pass->offsets[b], last = pass->offsets[b + 1];
    const float factor = WideFactor(last - first);
    for (size_t c = 0; c < C; ++c) {
      float sum = 0.0f;
      for (size_t t = first; t < last; ++t) sum += pass->wide.Row(t)[c];
      pass->logits.Row(b)[c] += factor * sum;
    }
  }
}

float Classifier::Net::FrequencyOf(const Ngrams& ngrams, size_t t) const {
  if (config.linear_share == 0.0f || HasMark(ngrams.keys[t])) return 0.0f;
  const uint32_t count = ngrams.counts[t];
  return count == 1 ? 1.0f : 1.0f + std::log(static_cast<float>(count));
}

Classifier::Classifier(std::unique_ptr<Net> net) : net_(std::move(net)) {}
Classifier::~Classifier() = default;

Result<std::unique_ptr<Classifier>> Classifier::Create(const ClassifierConfig& config,
                                                       uint64_t seed) {
  HEED_RETURN_IF_ERROR(ValidateConfig(config));
  return std::unique_ptr<Classifier>(new Classifier(std::make_unique<Net>(config, seed)));
}

const ClassifierConfig& Classifier::config() const { return net_->config; }
size_t Classifier::known_ngrams() const { return net_->table.rows() - 2; }
float Classifier::scale() const { return net_->scale; }
void Classifier::set_scale(float scale) { net_->scale = scale; }

void Classifier::Append(std::string_view text, TextBatch* batch) const {
  thread_local Ngrams ngrams;
  MakeNgrams(text, net_->config.ngrams, net_->config.max_characters, &ngrams);
  batch->keys.insert(batch->keys.end(), ngrams.keys.begin(), ngrams.keys.end());
  for (size_t t = 0; t < ngrams.keys.size(); ++t)
    batch->frequencies.push_back(net_->FrequencyOf(ngrams, t));
  batch->offsets.push_back(static_cast<uint32_t>(batch->keys.size()));
}

void Classifier::Net::FindKnown(const TextBatch& batch, ClassifierScratch* scratch) const {
  scratch->rows.resize(batch.keys.size());
  table.Rows(batch.keys.data(), 1, batch.keys.size(), scratch->rows.data(), 1);
  MemberPass& pass = scratch->pass;
  pass.rows.clear();
  pass.frequencies.clear();
  pass.offsets.assign(1, 0);
  for (size_t b = 0; b < batch.size(); ++b) {
    for (size_t t = batch.offsets[b]; t < batch.offsets[b + 1]; ++t) {
      if (scratch->rows[t] <= nn::EmbeddingTable::kUnseen) continue;
      pass.rows.push_back(scratch->rows[t]);
      pass.frequencies.push_back(batch.frequencies[t]);
    }
    pass.offsets.push_back(static_cast<uint32_t>(pass.rows.size()));
  }
}

void Classifier::Score(const TextBatch& batch, ClassifierScratch* scratch,
                       std::span<float> logits) const {
  const kernels::FlushDenormals flush;
  const size_t B = batch.size(), C = net_->classes();
  assert(logits.size() == B * C);
  net_->FindKnown(batch, scratch);
  MemberPass& pass = scratch->pass;
  std::fill(logits.begin(), logits.end(), 0.0f);
  const float share = net_->MemberShare();
  for (size_t m = 0; m < net_->members.size(); ++m) {
    net_->Pool(m, &pass);
    net_->Classify(m, &pass);
    kernels::Active().axpy(share, pass.logits.data(), logits.data(), B * C);
  }
  if (net_->config.linear_share > 0.0f) {
    net_->linear.AddTo({pass.rows, pass.frequencies, pass.offsets}, net_->config.linear_share,
                       {logits.data(), B, C, C});
  }
}

void Classifier::ToProbabilities(std::span<float> logits) const {
  const size_t C = net_->classes();
  kernels::Active().scale(net_->scale, logits.data(), logits.size());
  for (size_t row = 0; row + C <= logits.size(); row += C) {
    kernels::Active().softmax_null(logits.data() + row, C, -INFINITY);
  }
}

Explanation Classifier::Explain(std::string_view text) const {
  const kernels::FlushDenormals flush;
  const Net& net = *net_;
  const size_t C = net.classes(), H = net.config.heads, D = net.config.width;
  Ngrams ngrams;
  MakeNgrams(text, net.config.ngrams, net.config.max_characters, &ngrams);
  std::vector<uint32_t> rows(ngrams.keys.size());
  net.table.Rows(ngrams.keys.data(), 1, rows.size(), rows.data(), 1);
  Explanation answer;
  MemberPass pass;
  for (size_t t = 0; t < rows.size(); ++t) {
    if (rows[t] <= nn::EmbeddingTable::kUnseen) continue;
    pass.rows.push_back(rows[t]);
    pass.frequencies.push_back(net.FrequencyOf(ngrams, t));
    answer.tokens.push_back(
        {ngrams.keys[t], ngrams.begins[t], ngrams.ends[t], 0.0f, std::vector<float>(C)});
  }
  const size_t T = pass.rows.size();
  pass.offsets = {0, static_cast<uint32_t>(T)};
  answer.probabilities.resize(C);
  answer.bias.resize(C);
  const float share = net.MemberShare(), scaled = net.scale * share;
  const float looks = 1.0f / static_cast<float>(net.members.size() * H);
  const float wide = scaled * net.WideFactor(T), deep = scaled * net.Power(T);
  for (size_t m = 0; m < net.members.size(); ++m) {
    net.Pool(m, &pass);
    net.Classify(m, &pass);
    const nn::Linear& output = net.members[m].output;
    for (size_t c = 0; c < C; ++c) {
      answer.probabilities[c] += share * pass.logits.data()[c];
      answer.bias[c] += scaled * output.bias.value.data()[c];
    }
    for (size_t t = 0; t < T; ++t) {
      Token& token = answer.tokens[t];
      const float* e = pass.items.Row(t);
      for (size_t c = 0; c < C; ++c) {
        token.contributions[c] += wide * pass.wide.Row(t)[c];
      }
      for (size_t h = 0; h < H; ++h) {
        const float a = pass.tape.weights[h * (T + 1) + t];
        token.weight += looks * a;
        for (size_t c = 0; c < C; ++c) {
          float value = 0.0f;
          for (size_t d = 0; d < D; ++d) value += e[d] * output.weight.value.Row(h * D + d)[c];
          token.contributions[c] += deep * a * value;
        }
      }
    }
  }
  if (const float part = net.config.linear_share; part > 0.0f) {
    const KnownNgrams known{pass.rows, pass.frequencies, pass.offsets};
    net.linear.AddTo(known, part, {answer.probabilities.data(), 1, C, C});
    const float factor = net.scale * part * net.linear.Norm(known, 0);
    for (size_t c = 0; c < C; ++c) {
      answer.bias[c] += net.scale * part * net.linear.bias.data()[c];
      for (size_t t = 0; t < T; ++t) {
        answer.tokens[t].contributions[c] +=
            factor * pass.frequencies[t] * net.linear.Weights(pass.rows[t])[c];
      }
    }
  }
  ToProbabilities(answer.probabilities);
  answer.label = static_cast<size_t>(
      std::max_element(answer.probabilities.begin(), answer.probabilities.end()) -
      answer.probabilities.begin());
  return answer;
}

}  // namespace heed::text
