// What a group of rows had done before a moment. The log is in the order of time, so "before" is a
// cut: a row number; rows below it are the strictly earlier ones (rows of one time share a cut).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "train/row_log.h"

namespace heed::train {

// The rows of a log by group: one contiguous run a group, in the order of time.
class GroupIndex {
 public:
  struct Filter {
    bool with_history = true;
    const std::vector<float>* only = nullptr;  // keep rows where this label is 1
  };
  // O(rows log rows). kInvalidArgument when the columns have too many combinations for 64 bits.
  static Result<GroupIndex> Build(const RowLog& log, const std::vector<std::string>& by,
                                  const Filter& filter);

  struct Range {  // of positions in order()
    uint32_t begin, end;
    uint32_t size() const { return end - begin; }
  };
  // The group of `row` (any row of the log, kept by the filter or not), restricted to rows from
  // `first` up to, not including, `cut`. O(log group).
  Range Between(uint32_t row, uint32_t first, uint32_t cut) const;
  const std::vector<uint32_t>& order() const { return order_; }  // position → row

 private:
  std::vector<uint32_t> group_of_;  // [rows]
  std::vector<uint32_t> starts_;    // [groups + 1]
  std::vector<uint32_t> order_;
};

// A row to be described, and the moment whose knowledge it may use.
struct Viewpoint {
  uint32_t row;
  uint32_t cut;    // <= the first row of the same time as `row`
  int64_t cut_ms;  // the moment itself
};

// One derived feature for each viewpoint, before its transform. kGap without an earlier row is
// `max_s`; kFeedback is 0 without enough rows, else 1 + base-3 digits (0, 1, 2 = unknown), first label
// lowest.
std::vector<double> Derive(const FeatureSpec& feature, const DatasetSpec& spec, const RowLog& log,
                           const GroupIndex& index, std::span<const Viewpoint> viewpoints);

// The feedback of one row as that category.
uint32_t FeedbackCode(const RowLog& log, std::span<const size_t> labels, uint32_t row);

}  // namespace heed::train
