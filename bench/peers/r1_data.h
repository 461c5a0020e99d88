// The data folder of reference model R1, written by bench/peers/r1_model.py, read in place.
//
// R1 has two families that differ in how a candidate attends to the history (docs/benchmarks.md):
// dot-product attention with four heads, and DIN's activation unit. Everything else is the same: rows
// of three tables (item, author, category) side by side make the input of an event and of a candidate.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"

namespace heed::r1 {

enum class Family { kDot, kDin };

inline constexpr size_t kTables = 3;
inline constexpr size_t kWidth = 64;   // of a table row, of an event, of a candidate
inline constexpr size_t kOutputs = 4;  // logits per candidate

// Row-major, in the mapped file.
struct Tensor {
  std::span<const float> values;
  std::vector<size_t> shape;
};

// One request to score: the first ids are the viewer's events, the rest the candidates; each id is
// three row numbers, one for each table. Author and category are functions of the item, so that an
// item's own part may be computed beforehand.
struct Request {
  std::span<const uint32_t> history;     // [history()][kTables]
  std::span<const uint32_t> candidates;  // [candidates()][kTables]
  std::span<const float> viewer;         // [kWidth]
  std::span<const float> context;        // [kWidth]
};

// What a training step reads: samples that have a history each. `rows` of a table are drawn evenly and
// for each table on its own.
struct Samples {
  size_t count = 0;
  std::span<const uint32_t> ids;    // [count][history + 1][kTables]: the events, then the candidate
  std::span<const float> viewers;   // [count][kWidth]
  std::span<const float> contexts;  // [count][kWidth]
  std::span<const float> labels;    // [count][kOutputs], 0 or 1
};

// Immutable once open; all spans live as long as it does. Safe to read from any thread.
class Data {
 public:
  // Errors: kNotFound for a missing file; kCorruption when a size is not what the manifest says.
  static Result<std::unique_ptr<Data>> Open(const std::string& folder);
  ~Data();
  Data(const Data&) = delete;
  Data& operator=(const Data&) = delete;

  size_t history() const { return history_; }        // events of a viewer, L
  size_t candidates() const { return candidates_; }  // of a request, N
  size_t requests() const { return requests_; }
  size_t truths() const { return truths_; }  // the first so many requests have Truth

  size_t rows(size_t table) const { return tables_[table].size() / kWidth; }
  std::span<const float> table(size_t table) const { return tables_[table]; }  // [rows][kWidth]
  // The author and the category of every item: [rows(0)].
  std::span<const uint32_t> author_of() const { return author_of_; }
  std::span<const uint32_t> category_of() const { return category_of_; }

  Request request(size_t index) const;
  // What PyTorch answers in double precision: [candidates()][kOutputs].
  std::span<const double> Truth(Family family, size_t request) const;

  size_t train_batch() const { return train_batch_; }  // samples of a step
  const Samples& train() const { return train_; }      // whole batches
  // One small batch in which no row comes twice, and what PyTorch in double precision finds on it: the
  // loss "loss" (of a sample the sum over its outputs, then the mean of samples), and its gradient by
  // weight name, "rows" for that of ids, [count][history + 1][kTables][kWidth].
  const Samples& agreement() const { return agreement_; }
  const std::map<std::string, std::span<const double>>& Gradients(Family family) const {
    return gradients_[static_cast<size_t>(family)];
  }

  // A weight by its name, "mlp1_w" [outputs, inputs], "mlp1_b" [outputs]; y = x wᵀ + b. In both families:
  //   event_w [64, 192]  candidate_w [64, 192]  (rows of item, author, category side by side)
  //   mlp1_w [256, 256] on (viewer, candidate, attended, context)  mlp2_w [128, 256]  mlp3_w [64, 128]
  //   head_w [4, 64], each with its _b; ReLU after mlp1, mlp2, mlp3.
  // Dot: query_w, key_w, value_w, output_w [64, 64], no bias; head h is columns 16h to 16h+15; scores
  //   are divided by 4, softmax over the events.
  // DIN: unit1_w [80, 256] on (q, k, q - k, q * k), slope1 [80]; unit2_w [40, 80], slope2 [40] (PReLU);
  //   unit3_w [1, 40], its output divided by 8, softmax over the events; attended = weighted events.
  // An unknown name throws std::out_of_range.
  const Tensor& Weight(Family family, const std::string& name) const;

 private:
  Data() = default;
  Status Read(const std::string& folder);
  template <typename T>
  Status Map(const std::string& path, size_t count, std::span<const T>& out);

  struct Mapping {
    void* address;
    size_t bytes;
  };
  std::vector<Mapping> mappings_;
  size_t history_ = 0, candidates_ = 0, requests_ = 0, truths_ = 0;
  std::span<const float> tables_[kTables];
  std::span<const uint32_t> author_of_, category_of_, ids_;
  std::span<const float> viewers_, contexts_;
  std::span<const double> truth_[2];
  std::map<std::string, Tensor> weights_;
  size_t train_batch_ = 0;
  Samples train_, agreement_;
  std::map<std::string, std::span<const double>> gradients_[2];
};

}  // namespace heed::r1
