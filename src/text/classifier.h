// A classifier of short texts whose every answer can be taken apart: n-gram embeddings, attention
// pooling, classes.
//
// Letters: T n-grams of a text that the vocabulary knows, M members, H heads, D embedding width,
// C classes. Member m has its own embeddings e, wide weights z, attention w and output U:
//   a_h = softmax over the T n-grams of w_h . e_i / tau            (nn/attention_pooling.h)
//   logit_c = b_c + T^power sum_h U_hc . (sum_i a_hi e_i)  +  wide_scale / sqrt(T) sum_i z_ic
// The probability is softmax(scale * mean over members of logit), with `scale` fitted to held-out
// texts; with a linear part, that mean is averaged with the part's logits (linear_part.h). T^power gives back what a softmax takes away: how much evidence there is. The wide part is
// the linear n-gram model of Wang & Manning 2012; embeddings pooled to classes are Joulin et al. 2017,
// with attention in the mean's place. Members differ by their first weights and by what dropout hid
// from them, and are averaged (Lakshminarayanan et al. 2017).
//
// Everything after the softmax is linear, so logit_c is exactly b_c plus one contribution for each
// n-gram, and Explain returns them beside the weights.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "base/status.h"
#include "text/ngrams.h"

namespace heed::text {

struct ClassifierConfig {
  std::vector<std::string> labels;  // names of the classes, at least two, all different
  uint32_t ngrams = 3;              // longest, 1 to 3
  uint32_t max_characters = 1000;   // of a text; the rest is not read
  uint32_t admit_after = 2;         // an n-gram seen less often in training is not known
  uint32_t width = 32;              // D
  uint32_t heads = 4;               // H
  uint32_t members = 4;             // M
  float temperature = 0.03f;        // tau of attention: small ones learn to look at little
  float power = 0.5f;               // of T, within [0, 1]
  float wide_scale = 3.0f;          // 0: no wide part
  float linear_share = 0.0f;        // of the linear part in the logits, below 1; 0: there is none
  float linear_cost = 1.0f;         // of its errors, against the penalty of its weights
  float ngram_dropout = 0.3f;       // share of n-grams hidden from a member in a training step
  float dropout = 0.3f;             // of the pooled vector
  float init_deviation = 0.1f;      // of embeddings
};

// kInvalidArgument naming the member that is out of range.
Status ValidateConfig(const ClassifierConfig& config);

struct ClassifierUpdate {
  float table_rate = 0.003f, dense_rate = 0.003f;  // Adam
  float l2 = 0.0f;                                 // of embeddings touched by the batch
  float smoothing = 0.0f;                          // of labels
  std::span<const float> class_weights;            // [C] or empty
};

struct Token {
  uint64_t key = 0;                  // NgramText(key) is what it reads
  uint32_t begin = 0, end = 0;       // bytes of the text
  float weight = 0;                  // attention: mean over members and heads; sums to 1
  std::vector<float> contributions;  // [C], to the scaled logits
};

struct Explanation {
  size_t label = 0;                  // the most probable class
  std::vector<float> probabilities;  // [C]
  std::vector<float> bias;           // [C]: what the scaled logits are without any n-gram
  std::vector<Token> tokens;         // by place; only n-grams the vocabulary knows
};

// n-grams of many texts, one after another: what training and scoring work on.
struct TextBatch {
  std::vector<uint64_t> keys;
  std::vector<float>
      frequencies;  // parallel: what a linear part takes an n-gram for (linear_part.h)
  std::vector<uint32_t> offsets = {0};

  size_t size() const { return offsets.size() - 1; }
};

// Memory of one caller of Score, reused from batch to batch.
struct ClassifierScratch;
struct ClassifierScratchDeleter {
  void operator()(ClassifierScratch* scratch) const;
};
using ScratchPtr = std::unique_ptr<ClassifierScratch, ClassifierScratchDeleter>;
ScratchPtr NewScratch();

// Score, Explain and Serialize are const and thread-safe; the others need the object alone.
class Classifier {
 public:
  static Result<std::unique_ptr<Classifier>> Create(const ClassifierConfig& config, uint64_t seed);
  ~Classifier();

  // Appends one text to the batch.
  void Append(std::string_view text, TextBatch* batch) const;

  // Training: count every text once, then any number of steps. Texts of the batch `at` take part, with
  // `labels` below C, parallel to the batch. The loss is the mean over members and texts.
  void CountNgrams(const TextBatch& batch);
  // The linear part, on its own and at once; nothing without one. Parallel to the batch.
  void FitLinear(const TextBatch& batch, std::span<const uint32_t> labels,
                 std::span<const float> class_weights);
  double TrainStep(const TextBatch& batch, std::span<const uint32_t> at,
                   std::span<const uint32_t> labels, const ClassifierUpdate& update,
                   Random& random);
  // Of the texts' unscaled logits [N, C] on held-out rows: sets the scale to the most likely one.
  void FitScale(std::span<const float> logits, std::span<const uint32_t> labels);
  void set_scale(float scale);
  float scale() const;

  // logits [batch.size(), C] are set, before the scale.
  void Score(const TextBatch& batch, ClassifierScratch* scratch, std::span<float> logits) const;
  // softmax(scale * logits) in place, a row of C numbers.
  void ToProbabilities(std::span<float> logits) const;
  Explanation Explain(std::string_view text) const;

  const ClassifierConfig& config() const;
  size_t known_ngrams() const;

  // docs/formats/text_model.md. The optimiser's state is not kept: a loaded classifier scores.
  std::string Serialize() const;
  // Never trusts `bytes`: anything wrong is kCorruption.
  static Result<std::unique_ptr<Classifier>> Parse(std::string_view bytes);
  Status Save(const std::string& path) const;
  static Result<std::unique_ptr<Classifier>> Load(const std::string& path);

 private:
  struct Net;
  explicit Classifier(std::unique_ptr<Net> net);
  std::unique_ptr<Net> net_;
};

}  // namespace heed::text
