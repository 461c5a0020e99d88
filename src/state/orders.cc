#include "state/orders.h"

#include <utility>

namespace heed::state {

OrderRecord& OrderBook::At(uint64_t key) {
  if (const auto found = places_.find(key); found != places_.end()) {
    return records_[found->second - forgotten_];
  }
  if (records_.size() == kMaxOrders) {
    places_.erase(records_.front().key);
    records_.pop_front();
    ++forgotten_;
  }
  places_.emplace(key, forgotten_ + records_.size());
  OrderRecord& record = records_.emplace_back();
  record.key = key;
  return record;
}

bool OrderBook::Append(OrderRecord record) {
  if (records_.size() == kMaxOrders) return false;
  if (!places_.emplace(record.key, records_.size()).second) return false;
  records_.push_back(std::move(record));
  return true;
}

}  // namespace heed::state
