// What recent decisions were decided by: the features of each item shown, so that what comes of an
// impression is learned with what was known when it was decided, not with what is known when it
// happened.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "model/batch.h"

namespace heed::engine {

// Thread-safe. Memory: 2-4 KB a row; the oldest rows go.
class ServedFeatures {
 public:
  using Features = std::shared_ptr<const model::Batch>;  // one request, one candidate

  explicit ServedFeatures(size_t rows) : ring_(rows) {}

  // `shown`: the room of a host, the id of a product, as its impression will name it.
  void Add(std::string_view tenant, std::string_view decision_id, std::string_view shown,
           Features features);
  // Null when unknown, or forgotten. An impression takes its row: a second one finds none.
  Features Take(std::string_view tenant, std::string_view decision_id, std::string_view shown);

 private:
  struct Row {
    uint64_t key = 0;  // 0: free
    Features features;
  };
  std::mutex mutex_;
  std::vector<Row> ring_;
  size_t next_ = 0;
  std::unordered_map<uint64_t, size_t> places_;  // in ring_
};

}  // namespace heed::engine
