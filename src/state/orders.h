// Orders between order.create and order.pay, so that one paid order counts once and a payment that
// does not repeat its lines still finds them.
#pragma once

#include <cstdint>
#include <deque>
#include <unordered_map>
#include <vector>

#include "state/state.h"

namespace heed::state {

inline constexpr size_t kMaxOrders = 16'384;  // of one tenant; the oldest is forgotten
inline constexpr size_t kMaxLines = 32;       // of one order

struct Line {
  Index product = kNone;
  uint64_t sku_key = 0;  // 0: none said
  int64_t qty = 0;
  int64_t amount_cents = 0;
};

struct OrderRecord {
  uint64_t key = 0;  // KeyOf(tenant, order id)
  Index user = kNone;
  int64_t pay_ts = -1;   // -1: not paid
  bool settled = false;  // its lines have been counted
  std::vector<Line> lines;
};

// One tenant's. Only the writer uses it: not thread-safe.
class OrderBook {
 public:
  // Finds or adds, forgetting the oldest when full. Valid until the next call.
  OrderRecord& At(uint64_t key);
  // False where the key is there already or the book is full. For Restore.
  bool Append(OrderRecord record);
  // Oldest first.
  const std::deque<OrderRecord>& records() const { return records_; }

 private:
  std::deque<OrderRecord> records_;
  std::unordered_map<uint64_t, uint64_t> places_;  // key -> how many were added before it
  uint64_t forgotten_ = 0;
};

}  // namespace heed::state
