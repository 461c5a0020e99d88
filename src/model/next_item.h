// The next-item model: from the items somebody met, in order, to a score of each to come next.
// Letters: V items, W width, R sequences, N rows of all sequences together.
//   item vector   e_i = table[i] + mean of the vectors of its attributes; with cosine: of length 1
//   row           x_t = drop(sqrt(W) e_{i_t} + place[p])      p counts from the newest row
//   encoder       causal self-attention blocks (nn/encoder.h), h_t their last output
//   score         s_t(j) = h_t·e_j, with cosine: h_t·e_j / (|h_t| temperature)
// SASRec (Kang & McAuley 2018) trained with softmax cross-entropy at every row at once (Klenitskiy
// & Vasilev 2023); attributes added to the item on both sides.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "nn/mat.h"

namespace heed::model {

struct NextItemConfig {
  enum class Places : uint8_t { kNone, kFromEnd, kFromStart };

  uint32_t width = 64;   // W
  uint32_t layers = 2;   // blocks
  uint32_t heads = 2;    // W is a multiple
  uint32_t hidden = 64;  // of the feed-forward nets
  bool pre_norm = true;
  uint32_t max_length = 50;          // newest items of a sequence that are read
  Places places = Places::kFromEnd;  // learned vector of a row's place
  uint32_t relative_positions = 0;   // values of attention's bias by distance (nn/self_attention.h)
  bool null_slot = false;            // attention may answer "nothing here"
  bool attributes = false;           // add the catalog's attributes to the items
  bool scale_input = true;           // the sqrt(W) above
  bool cosine = false;               // score by cosine
  float temperature = 1.0f;          // with cosine
  float dropout = 0.2f;              // of rows, hidden layers and what joins the residual path
  float attention_dropout = 0.2f;    // of weights
  float init_deviation = 0.02f;      // of the numbers of a new vector
  bool operator==(const NextItemConfig&) const = default;
};

// The items a model knows. An item's number is its place here.
struct ItemCatalog {
  std::vector<std::string> ids;
  uint32_t attributes = 0;                        // how many different ones
  std::vector<uint32_t> attribute_offsets = {0};  // [V + 1]; item i has attribute_numbers from
  std::vector<uint32_t> attribute_numbers;        // offsets[i] to offsets[i + 1], repeats count
};

struct ItemSequences {
  static constexpr uint32_t kNoTarget = 0xFFFFFFFFu;

  std::vector<uint32_t> offsets = {0};  // [R + 1]
  std::vector<uint32_t> items;          // [N], oldest first
  std::vector<uint32_t> targets;        // [N] what came after each row, or kNoTarget; training only

  void Clear();
  // The newest max_length of `items`, without targets.
  void Add(std::span<const uint32_t> items, size_t max_length);
  size_t sequences() const { return offsets.size() - 1; }
};

struct NextItemTraining {
  enum class Loss : uint8_t {
    kSoftmax,         // over all items
    kSampledSoftmax,  // over `negatives` drawn for the whole batch
    kBinary,          // against `negatives` drawn for each row
  };
  Loss loss = Loss::kSoftmax;
  uint32_t negatives = 256;
  double popularity_power = 0;  // negatives are drawn by count^power; 0: all alike
  bool log_q = true;            // sampled softmax: correct for how they were drawn

  // Adam. With the full softmax or `move_all` every item moves at each step, by its moments and its
  // decay if by nothing else; otherwise only those the batch touched do.
  bool move_all = false;
  float rate = 1e-3f;
  float beta1 = 0.9f, beta2 = 0.999f, epsilon = 1e-8f;
  float l2 = 0.0f;            // added to the gradient: of matrices and vectors, not of biases
  float weight_decay = 0.0f;  // of the same, taken from the weight itself (AdamW)
  float clip_norm = 0.0f;     // of the whole gradient; 0: none
};

struct ScoredItem {
  uint32_t item = 0;
  float score = 0;
};

class NextItemModel {
 public:
  static Result<std::unique_ptr<NextItemModel>> Create(const NextItemConfig& config,
                                                       ItemCatalog catalog, uint64_t seed);
  // docs/formats/next_item.md; checksummed, written whole, a damaged one is kCorruption.
  static Result<std::unique_ptr<NextItemModel>> Load(const std::string& path);
  static Result<std::unique_ptr<NextItemModel>> Parse(std::string_view bytes);
  Status Save(const std::string& path) const;
  std::string Serialize() const;  // weights and catalog; not the optimiser's state
  ~NextItemModel();

  const NextItemConfig& config() const;
  const ItemCatalog& catalog() const;
  uint64_t parameter_count() const;

  // Training: one thread. How often each item comes, for drawing by popularity.
  void SetCounts(const std::vector<uint32_t>& counts);
  // Forward, backward, update; the mean loss before the update. Deterministic given the seed and
  // the steps so far. A loss or gradient that is not finite changes no weight and is
  // kInvalidArgument.
  Result<double> TrainStep(const ItemSequences& batch, const NextItemTraining& training);
  void SetRateScale(float scale);  // multiplies the rate of later steps
  std::unique_ptr<NextItemModel> Copy() const;

  // Scoring: thread-safe with itself, not with training.
  // What the sequence says of the next item: [R, W], compared with ItemVectors. An empty sequence
  // gives zeros, so all its scores are 0.
  Status Represent(const ItemSequences& batch, nn::Mat out) const;
  // [V, W]: the e_j, scaled so that score = dot product. Set `out`.
  void ItemVectors(nn::Mat out) const;
  // The k best items of a sequence, best first (of equal scores the lower number), leaving out
  // `excluded`. kInvalidArgument for numbers that are no items.
  Result<std::vector<ScoredItem>> TopK(std::span<const uint32_t> items, size_t k,
                                       std::span<const uint32_t> excluded = {}) const;
  // Weights of the last block's heads for the newest row: [heads, L + 1], over the items read,
  // oldest first, then the null slot.
  Result<std::vector<float>> Attention(std::span<const uint32_t> items) const;

 private:
  struct Impl;
  explicit NextItemModel(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// The best k of `scores`, best first; of equal scores the lower index.
std::vector<ScoredItem> BestOf(std::span<const float> scores, size_t k);

}  // namespace heed::model
