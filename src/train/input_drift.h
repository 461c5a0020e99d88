// How far what a model is served is from the rows it was made on. Deterministic, not thread-safe.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "model/numeric_bins.h"
#include "model/ranker.h"
#include "train/examples.h"

namespace heed::train {

// The bins of a data set's numbers, for a ranker trained on it: of all `samples`, or of 50,000 spread evenly over
// them where there are more.
model::NumericBins BinNumerics(const Examples& data, const View& view,
                               std::span<const uint32_t> samples);

// Exponentially forgetting means over about `horizon` examples.
class InputDrift {
 public:
  static constexpr double kMinPsiRows = 200;

  struct Numeric {
    // In deviations of the training rows; 0 and 1 where nothing has changed.
    double mean = 0, deviation = 1;
    double absent = 0;  // share without a value
    // How far that is from the training rows, as normals of these means and deviations: the symmetric
    // Kullback-Leibler divergence, in nats. The population stability index is its estimate from bins,
    // and its rules of thumb hold: 0.1 is worth a look, 0.25 another population. Infinite without spread.
    double divergence() const;
    // Population stability index against the shares of the training rows (model/numeric_bins.h), absent
    // ones a bin of their own: sees what leaves mean and deviation alone, by the same rules of thumb. NaN:
    // not available, as the model's file has no bins or fewer than kMinPsiRows rows were seen, of which
    // chance alone makes about 2 B / rows.
    double psi = 0;
  };
  InputDrift(const model::Schema& schema, uint32_t horizon);

  // Every row of `batch`, against the scaling and the tables of `ranker`.
  void Add(const model::Ranker& ranker, const model::Batch& batch);
  // By the schema's numerics; `ranker` is what Add was given.
  std::vector<Numeric> numerics(const model::Ranker& ranker) const;
  // Share of the keys of the fields, absent ones left out, that have no row in the model.
  double unseen_keys() const;

  void Write(ByteWriter* out) const;
  void Read(ByteReader* in);
  // What is counted by bins, which states of earlier builds do not have.
  void WriteBins(ByteWriter* out) const;
  void ReadBins(ByteReader* in);

 private:
  struct Mean {  // of what it is given, from the first value on
    double value = 0, weight = 0;
    void Add(double x, double keep) {
      weight = keep * weight + 1;
      value += (x - value) / weight;
    }
  };
  static void Write(Mean mean, ByteWriter* out);
  static void Read(Mean* mean, ByteReader* in);

  double keep_;
  std::vector<Mean> means_, squares_, absent_;  // by numeric
  Mean unseen_;
  std::vector<Mean> shares_;  // [numerics, model::NumericBins::kShares], where the model has bins
};

// sum (a - e) ln (a / e) over bins, where a share below kLeastShare counts as that. `expected` and
// `actual` sum to 1.
constexpr double kLeastShare = 1e-4;
double Psi(std::span<const double> expected, std::span<const double> actual);

}  // namespace heed::train
