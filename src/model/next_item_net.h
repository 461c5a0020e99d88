// The next-item model's parts, for next_item.cc, next_item_train.cc and next_item_file.cc.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "model/next_item.h"
#include "nn/encoder.h"

namespace heed::model {

Status ValidateNextItem(const NextItemConfig& config, const ItemCatalog& catalog);

struct NextItemNet {
  NextItemNet(const NextItemConfig& net_config, ItemCatalog net_catalog, uint64_t net_seed);

  // Everything but `items`.
  std::vector<nn::Parameter*> Dense();
  std::vector<nn::Parameter*> All();  // items first
  bool has_attributes() const { return config.attributes && catalog.attributes > 0; }

  // out[u] = the vector of item rows[u]; with cosine `lengths` gets what they were divided by.
  void Compose(std::span<const uint32_t> rows, nn::Mat out, std::vector<float>* lengths) const;
  // Adds to the gradients of attributes what d [rows, W] says; the item's own part is d itself.
  void AddToAttributes(std::span<const uint32_t> rows, nn::ConstMat d);
  // rows[n] (an item's vector) to the encoder's input: scaled, with its place, dropped out.
  void Place(const std::vector<uint32_t>& offsets, nn::Mat rows) const;
  float input_scale() const;
  size_t PlaceOf(size_t t, size_t length) const;

  NextItemConfig config;
  ItemCatalog catalog;
  uint64_t seed = 0, updates = 0;
  nn::Parameter items;       // [V, W]
  nn::Parameter attributes;  // [attributes, W]
  nn::Parameter places;      // [max_length, W]
  nn::Encoder encoder;
};

std::string EncodeNextItem(NextItemNet& net);
Result<std::unique_ptr<NextItemNet>> DecodeNextItem(std::string_view bytes);

// One thread's training state around a net.
class NextItemTrainer {
 public:
  explicit NextItemTrainer(NextItemNet* net) : net_(net) {}

  void SetCounts(const std::vector<uint32_t>& counts) { counts_ = counts; }
  Result<double> Step(const ItemSequences& batch, const NextItemTraining& training);
  float rate_scale = 1.0f;

 private:
  void PickRows(const ItemSequences& batch, const NextItemTraining& training, Random& random);
  uint32_t Use(uint32_t item);
  uint32_t Draw(const NextItemTraining& training, Random& random);
  float OffsetOf(const NextItemTraining& training, uint32_t item, size_t drawn) const;
  double Loss(const NextItemTraining& training);
  void Update(const NextItemTraining& training);

  NextItemNet* net_;
  std::vector<uint32_t> counts_;
  std::vector<double> cumulative_;  // of count^power, for drawing
  double cumulative_power_ = 0;

  // The items a step works with and where they stand among them (0: nowhere, else 1 + place).
  std::vector<uint32_t> used_, slot_;
  std::vector<uint32_t> inputs_;                              // [N], places among used_
  std::vector<uint32_t> trained_;                             // [B], rows with a target
  std::vector<uint32_t> targets_;                             // [B], places among used_
  std::vector<uint32_t> drawn_;                               // negatives, places among used_
  std::vector<float> offsets_;                                // of drawn_
  nn::Matrix vectors_, d_vectors_;                            // [used, W]
  nn::Matrix rows_, d_rows_, kept_, h_, d_h_;                 // [N, W]
  nn::Matrix queries_, d_queries_, positives_, d_positives_;  // [B, W]
  nn::Matrix negatives_, d_negatives_, scores_;
  std::vector<float> lengths_, query_lengths_;
  nn::EncoderTape tape_;
};

}  // namespace heed::model
