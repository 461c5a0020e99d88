// The one thread that writes the event log. Internal to event_log.cc.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/status.h"
#include "store/event_log.h"
#include "store/handles.h"

namespace heed::store {

// Many short strings in one allocation.
class StringList {
 public:
  void Reserve(size_t strings, size_t bytes) { ends_.reserve(strings), bytes_.reserve(bytes); }
  // Append to it, then End() closes the string.
  std::string& bytes() { return bytes_; }
  void End() { ends_.push_back(bytes_.size()); }
  size_t total_bytes() const { return bytes_.size(); }
  // Valid until the list changes.
  std::string_view operator[](size_t i) const {
    const size_t begin = i == 0 ? 0 : ends_[i - 1];
    return std::string_view(bytes_).substr(begin, ends_[i] - begin);
  }

 private:
  std::string bytes_;
  std::vector<size_t> ends_;
};

// What one TryAppend handed over.
struct AppendBatch {
  std::vector<LogRecord> records;  // sequence 0 until committed
  StringList keys;                 // of the id rows
  StringList encodings;
  EventLog::Done done;
};

class Committer {
 public:
  Committer(Database::Handles& handles, EventLogOptions options, uint64_t last_sequence);
  ~Committer();

  // Thread-safe, as are the accessors.
  Status Enqueue(AppendBatch batch, bool never_shed);
  uint64_t last_sequence() const { return last_sequence_.load(std::memory_order_acquire); }
  size_t queued_events() const;
  EventLogStats stats() const;

 private:
  // One event of the group being committed; its batch outlives it.
  struct Item {
    std::string_view key;
    std::string_view encoding;
    Appended answer;
    uint32_t original = 0;  // the item of this group first under the key; itself for most
    bool stored = false;    // the key is in the database
  };

  void Run();
  std::vector<AppendBatch> TakeGroup();
  void Commit(std::vector<AppendBatch> group);
  // The steps of Commit, on items_.
  Status MarkDuplicates();
  Status WriteNew();
  void ApplyAndAnswer(std::vector<AppendBatch>& group);

  Database::Handles& handles_;
  const EventLogOptions options_;
  std::atomic<uint64_t> last_sequence_;
  std::atomic<uint64_t> events_ = 0;
  std::atomic<uint64_t> duplicates_ = 0;
  std::atomic<uint64_t> groups_ = 0;

  mutable std::mutex mutex_;  // guards the next four
  std::condition_variable wake_;
  std::deque<AppendBatch> queue_;
  size_t queued_events_ = 0;
  bool stopping_ = false;

  // Of the committer thread alone; members only to keep their memory between groups.
  std::vector<Item> items_;
  std::vector<uint32_t> by_key_;  // items in order of (key, position)

  std::thread thread_;
};

}  // namespace heed::store
