// Rows a ranker can be trained and judged on, wherever they come from: a described CSV data set
// (dataset.h) or the event log (log_examples.h).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/batch.h"
#include "model/schema.h"

namespace heed::train {

enum class Split : uint8_t { kTrain, kValid, kTest, kNone };  // kNone: seen as history only

// How much of the past a judged row may know. Rows of the training split always know everything
// strictly earlier; the settings differ for rows of `valid` and `test`.
enum class Setting : uint8_t {
  kOnline,     // everything strictly earlier: state moves through the judged rows
  kDayLagged,  // rows of earlier days only (midnight in the data set's zone)
  kFrozen,     // rows before the first row of its own split only
};

// Which rows a table's min_count is counted on; rarer keys are given as absent (0). kAll gives every
// key: for judging and serving, where a key the model has not seen counts as absent anyway.
enum class Vocabulary : uint8_t { kAll, kTrain, kTrainAndValid };

struct View {
  Setting setting = Setting::kOnline;
  Vocabulary vocabulary = Vocabulary::kAll;
};

// Const members are safe from many threads.
class Examples {
 public:
  virtual ~Examples() = default;
  virtual const model::Schema& schema() const = 0;
  // Ascending, so in time order.
  virtual const std::vector<uint32_t>& samples_of(Split split) const = 0;
  // `samples` as N rows, each its own request.
  virtual void FillBatch(const View& view, std::span<const uint32_t> samples,
                         model::Batch* batch) const = 0;
  virtual float label(uint32_t sample, size_t task) const = 0;  // NaN: unknown
  virtual uint32_t group(uint32_t sample) const = 0;            // for GAUC
  // Mean and deviation of each of schema().numerics over `samples`, absent values left out; a
  // constant has deviation 1.
  virtual void NumericScaling(const View& view, std::span<const uint32_t> samples,
                              std::vector<float>* mean, std::vector<float>* deviation) const = 0;
};

}  // namespace heed::train
