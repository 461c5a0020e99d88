#include "model/next_item.h"

#include <algorithm>
#include <cmath>
#include <fstream>

#include "base/hash.h"
#include "kernels/denormals.h"
#include "kernels/gemm.h"
#include "kernels/table.h"
#include "model/next_item_net.h"

namespace heed::model {
namespace {

void FillNormal(nn::Matrix* m, float deviation, Random& random) {
  for (size_t i = 0; i < m->size(); ++i) {
    m->data()[i] = static_cast<float>(random.Normal()) * deviation;
  }
}

nn::EncoderShape ShapeOf(const NextItemConfig& config) {
  nn::EncoderShape shape{.width = config.width,
                         .layers = config.layers,
                         .hidden = config.hidden,
                         .pre_norm = config.pre_norm,
                         .dropout = config.dropout};
  shape.attention.heads = config.heads;
  shape.attention.causal = true;
  shape.attention.null_slot = config.null_slot;
  shape.attention.positions = config.relative_positions;
  shape.attention.dropout = config.attention_dropout;
  return shape;
}

}  // namespace

void ItemSequences::Clear() {
  offsets.assign(1, 0);
  items.clear();
  targets.clear();
}

void ItemSequences::Add(std::span<const uint32_t> sequence, size_t max_length) {
  const size_t length = std::min(sequence.size(), max_length);
  items.insert(items.end(), sequence.end() - static_cast<ptrdiff_t>(length), sequence.end());
  offsets.push_back(static_cast<uint32_t>(items.size()));
}

Status ValidateNextItem(const NextItemConfig& config, const ItemCatalog& catalog) {
  const auto probability = [](float p) { return p >= 0.0f && p < 1.0f; };
  if (config.width == 0 || config.heads == 0 || config.width % config.heads != 0) {
    return InvalidArgument("next_item: 'width' must be a multiple of 'heads', both above 0");
  }
  if (config.width > 4096 || config.hidden > 65536 || config.layers > 64) {
    return InvalidArgument("next_item: 'width', 'hidden' or 'layers' too large");
  }
  if (config.hidden == 0) return InvalidArgument("next_item: 'hidden' must be above 0");
  if (config.max_length == 0 || config.max_length > 65536) {
    return InvalidArgument("next_item: 'max_length' must be 1 to 65536");
  }
  if (config.relative_positions > 65536) {
    return InvalidArgument("next_item: 'relative_positions' must be at most 65536");
  }
  if (!probability(config.dropout) || !probability(config.attention_dropout)) {
    return InvalidArgument("next_item: a dropout must be at least 0 and below 1");
  }
  if (!(config.temperature > 0.0f)) {
    return InvalidArgument("next_item: 'temperature' must be above 0");
  }
  if (!(config.init_deviation >= 0.0f)) {
    return InvalidArgument("next_item: 'init_deviation' must not be negative");
  }
  if (catalog.ids.empty()) return InvalidArgument("next_item: a catalog without items");
  if (!config.attributes) return {};
  const std::vector<uint32_t>& offsets = catalog.attribute_offsets;
  if (offsets.size() != catalog.ids.size() + 1 || offsets.front() != 0 ||
      offsets.back() != catalog.attribute_numbers.size() ||
      !std::is_sorted(offsets.begin(), offsets.end())) {
    return InvalidArgument("next_item: attributes asked for, but the catalog has none");
  }
  for (const uint32_t a : catalog.attribute_numbers) {
    if (a >= catalog.attributes) return InvalidArgument("next_item: an attribute out of range");
  }
  return {};
}

NextItemNet::NextItemNet(const NextItemConfig& net_config, ItemCatalog net_catalog,
                         uint64_t net_seed)
    : config(net_config),
      catalog(std::move(net_catalog)),
      seed(net_seed),
      items("items", catalog.ids.size(), config.width, true) {
  Random random(MixHash(seed));
  FillNormal(&items.value, config.init_deviation, random);
  if (has_attributes()) {
    attributes = nn::Parameter("attributes", catalog.attributes, config.width, true);
    FillNormal(&attributes.value, config.init_deviation, random);
  }
  if (config.places != NextItemConfig::Places::kNone) {
    places = nn::Parameter("places", config.max_length, config.width, true);
    FillNormal(&places.value, config.init_deviation, random);
  }
  encoder = nn::Encoder("encoder", ShapeOf(config), random);
}

std::vector<nn::Parameter*> NextItemNet::Dense() {
  std::vector<nn::Parameter*> all = encoder.Parameters();
  for (nn::Parameter* p : {&attributes, &places}) {
    if (p->value.size() > 0) all.push_back(p);
  }
  return all;
}

std::vector<nn::Parameter*> NextItemNet::All() {
  std::vector<nn::Parameter*> all = Dense();
  all.insert(all.begin(), &items);
  return all;
}

float NextItemNet::input_scale() const {
  return config.scale_input ? std::sqrt(static_cast<float>(config.width)) : 1.0f;
}

size_t NextItemNet::PlaceOf(size_t t, size_t length) const {
  return config.places == NextItemConfig::Places::kFromEnd ? length - 1 - t : t;
}

void NextItemNet::Compose(std::span<const uint32_t> rows, nn::Mat out,
                          std::vector<float>* lengths) const {
  const kernels::Table& k = kernels::Active();
  const size_t W = config.width;
  k.gather(items.value.data(), W, rows.data(), 1, rows.size(), W, out.data, out.stride);
  for (size_t u = 0; has_attributes() && u < rows.size(); ++u) {
    const uint32_t first = catalog.attribute_offsets[rows[u]],
                   last = catalog.attribute_offsets[rows[u] + 1];
    const float share = 1.0f / static_cast<float>(std::max(last - first, 1u));
    for (uint32_t a = first; a < last; ++a) {
      k.axpy(share, attributes.value.Row(catalog.attribute_numbers[a]), out.Row(u), W);
    }
  }
  if (config.cosine) nn::NormalizeRows(out, out, lengths);
}

void NextItemNet::AddToAttributes(std::span<const uint32_t> rows, nn::ConstMat d) {
  if (!has_attributes()) return;
  const auto axpy = kernels::Active().axpy;
  for (size_t u = 0; u < rows.size(); ++u) {
    const uint32_t first = catalog.attribute_offsets[rows[u]],
                   last = catalog.attribute_offsets[rows[u] + 1];
    const float share = 1.0f / static_cast<float>(std::max(last - first, 1u));
    for (uint32_t a = first; a < last; ++a) {
      axpy(share, d.Row(u), attributes.grad.Row(catalog.attribute_numbers[a]), config.width);
    }
  }
}

void NextItemNet::Place(const std::vector<uint32_t>& offsets, nn::Mat rows) const {
  const kernels::Table& k = kernels::Active();
  for (size_t r = 0; r + 1 < offsets.size(); ++r) {
    const size_t length = offsets[r + 1] - offsets[r];
    for (size_t t = 0; t < length; ++t) {
      float* row = rows.Row(offsets[r] + t);
      k.scale(input_scale(), row, rows.cols);
      if (places.value.size() > 0) {
        k.axpy(1.0f, places.value.Row(PlaceOf(t, length)), row, rows.cols);
      }
    }
  }
}

struct NextItemModel::Impl {
  explicit Impl(std::unique_ptr<NextItemNet> the_net)
      : net(std::move(the_net)), trainer(net.get()) {}

  Status Check(std::span<const uint32_t> items) const {
    for (const uint32_t item : items) {
      if (item >= net->catalog.ids.size()) {
        return InvalidArgument("next_item: there is no item number " + std::to_string(item));
      }
    }
    return {};
  }

  Status Check(const ItemSequences& batch) const {
    if (batch.offsets.empty() || batch.offsets.front() != 0 ||
        batch.offsets.back() != batch.items.size() ||
        !std::is_sorted(batch.offsets.begin(), batch.offsets.end())) {
      return InvalidArgument("next_item: the batch's offsets do not fit its items");
    }
    for (size_t r = 0; r < batch.sequences(); ++r) {
      if (batch.offsets[r + 1] - batch.offsets[r] > net->config.max_length) {
        return InvalidArgument("next_item: a sequence longer than 'max_length'");
      }
    }
    return Check(batch.items);
  }

  // The encoder's last output, [N, W].
  void Run(const ItemSequences& batch, nn::EncoderTape* tape, nn::Matrix* h) const {
    nn::Matrix rows(batch.items.size(), net->config.width);
    h->Resize(rows.rows(), rows.cols());
    std::vector<float> lengths;
    net->Compose(batch.items, rows.view(), &lengths);
    net->Place(batch.offsets, rows.view());
    net->encoder.Forward({.rows = rows.view(), .offsets = batch.offsets}, nullptr, tape, h->view());
  }

  std::unique_ptr<NextItemNet> net;
  NextItemTrainer trainer;
};

NextItemModel::NextItemModel(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
NextItemModel::~NextItemModel() = default;

Result<std::unique_ptr<NextItemModel>> NextItemModel::Create(const NextItemConfig& config,
                                                             ItemCatalog catalog, uint64_t seed) {
  HEED_RETURN_IF_ERROR(ValidateNextItem(config, catalog));
  auto net = std::make_unique<NextItemNet>(config, std::move(catalog), seed);
  return std::unique_ptr<NextItemModel>(new NextItemModel(std::make_unique<Impl>(std::move(net))));
}

Result<std::unique_ptr<NextItemModel>> NextItemModel::Parse(std::string_view bytes) {
  HEED_ASSIGN_OR_RETURN(std::unique_ptr<NextItemNet> net, DecodeNextItem(bytes));
  return std::unique_ptr<NextItemModel>(new NextItemModel(std::make_unique<Impl>(std::move(net))));
}

Result<std::unique_ptr<NextItemModel>> NextItemModel::Load(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return NotFound(path + ": cannot be opened");
  const std::string bytes{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  Result<std::unique_ptr<NextItemModel>> model = Parse(bytes);
  if (!model.ok()) return model.status().Within(path + ": ");
  return model;
}

std::string NextItemModel::Serialize() const { return EncodeNextItem(*impl_->net); }

const NextItemConfig& NextItemModel::config() const { return impl_->net->config; }
const ItemCatalog& NextItemModel::catalog() const { return impl_->net->catalog; }

uint64_t NextItemModel::parameter_count() const {
  uint64_t count = 0;
  for (const nn::Parameter* p : impl_->net->All()) count += p->value.size();
  return count;
}

void NextItemModel::SetCounts(const std::vector<uint32_t>& counts) {
  impl_->trainer.SetCounts(counts);
}

void NextItemModel::SetRateScale(float scale) { impl_->trainer.rate_scale = scale; }

Result<double> NextItemModel::TrainStep(const ItemSequences& batch,
                                        const NextItemTraining& training) {
  HEED_RETURN_IF_ERROR(impl_->Check(batch));
  if (batch.targets.size() != batch.items.size()) {
    return InvalidArgument("next_item: a batch to train on needs a target for each item");
  }
  for (const uint32_t target : batch.targets) {
    if (target == ItemSequences::kNoTarget) continue;
    HEED_RETURN_IF_ERROR(impl_->Check(std::span(&target, 1)));
  }
  return impl_->trainer.Step(batch, training);
}

std::unique_ptr<NextItemModel> NextItemModel::Copy() const {
  auto copy = std::make_unique<Impl>(std::make_unique<NextItemNet>(*impl_->net));
  copy->trainer.rate_scale = impl_->trainer.rate_scale;
  return std::unique_ptr<NextItemModel>(new NextItemModel(std::move(copy)));
}

Status NextItemModel::Represent(const ItemSequences& batch, nn::Mat out) const {
  HEED_RETURN_IF_ERROR(impl_->Check(batch));
  const kernels::FlushDenormals flush;
  nn::EncoderTape tape;
  nn::Matrix h;
  impl_->Run(batch, &tape, &h);
  for (size_t r = 0; r < batch.sequences(); ++r) {
    std::fill_n(out.Row(r), out.cols, 0.0f);
    if (batch.offsets[r + 1] == batch.offsets[r]) continue;
    std::copy_n(h.Row(batch.offsets[r + 1] - 1), out.cols, out.Row(r));
  }
  if (config().cosine) {
    std::vector<float> lengths;
    nn::NormalizeRows(out, out, &lengths);
  }
  return {};
}

void NextItemModel::ItemVectors(nn::Mat out) const {
  std::vector<uint32_t> all(catalog().ids.size());
  for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<uint32_t>(i);
  std::vector<float> lengths;
  impl_->net->Compose(all, out, &lengths);
  if (!config().cosine) return;
  for (size_t i = 0; i < out.rows; ++i) {
    kernels::Active().scale(1.0f / config().temperature, out.Row(i), out.cols);
  }
}

std::vector<ScoredItem> BestOf(std::span<const float> scores, size_t k) {
  std::vector<uint32_t> order(scores.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<uint32_t>(i);
  k = std::min(k, order.size());
  std::partial_sort(order.begin(), order.begin() + static_cast<ptrdiff_t>(k), order.end(),
                    [&](uint32_t a, uint32_t b) {
                      return scores[a] != scores[b] ? scores[a] > scores[b] : a < b;
                    });
  std::vector<ScoredItem> best;
  for (size_t i = 0; i < k; ++i) best.push_back({order[i], scores[order[i]]});
  return best;
}

Result<std::vector<ScoredItem>> NextItemModel::TopK(std::span<const uint32_t> items, size_t k,
                                                    std::span<const uint32_t> excluded) const {
  ItemSequences batch;
  batch.Add(items, config().max_length);
  nn::Matrix h(1, config().width), vectors(catalog().ids.size(), config().width);
  HEED_RETURN_IF_ERROR(Represent(batch, h.view()));
  HEED_RETURN_IF_ERROR(impl_->Check(excluded));
  ItemVectors(vectors.view());
  std::vector<float> scores(vectors.rows());
  kernels::Gemm(kernels::Trans::kNo, kernels::Trans::kYes, 1, vectors.rows(), vectors.cols(),
                h.data(), h.cols(), vectors.data(), vectors.cols(), 0.0f, scores.data(),
                scores.size());
  for (const uint32_t item : excluded) scores[item] = -std::numeric_limits<float>::infinity();
  std::vector<ScoredItem> best = BestOf(scores, k);
  std::erase_if(best, [](const ScoredItem& one) { return std::isinf(one.score); });
  return best;
}

Result<std::vector<float>> NextItemModel::Attention(std::span<const uint32_t> items) const {
  ItemSequences batch;
  batch.Add(items, config().max_length);
  HEED_RETURN_IF_ERROR(impl_->Check(batch));
  nn::EncoderTape tape;
  nn::Matrix h;
  impl_->Run(batch, &tape, &h);
  std::vector<float> weights;
  const size_t L = batch.items.size();
  if (tape.blocks.empty() || L == 0) return weights;
  const nn::MultiHeadTape& last = tape.blocks.back().attention;
  for (size_t head = 0; head < config().heads; ++head) {
    const float* row = last.weights.data() + (head * L + L - 1) * (L + 1);
    weights.insert(weights.end(), row, row + L + 1);
  }
  return weights;
}

}  // namespace heed::model
