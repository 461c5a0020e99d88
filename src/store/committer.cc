#include "store/committer.h"

#include <pthread.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/bytes.h"
#include "store/log_row.h"

namespace heed::store {
namespace {

constexpr size_t kMaxGroupBytes = 16u << 20;  // bounds what one sync has to carry

}  // namespace

Committer::Committer(Database::Handles& handles, EventLogOptions options, uint64_t last_sequence)
    : handles_(handles),
      options_(std::move(options)),
      last_sequence_(last_sequence),
      thread_([this] { Run(); }) {}

Committer::~Committer() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

Status Committer::Enqueue(AppendBatch batch, bool never_shed) {
  {
    const std::lock_guard lock(mutex_);
    // A batch larger than the whole queue still passes when it is empty, or it never could.
    if (!never_shed && queued_events_ != 0 &&
        queued_events_ + batch.records.size() > options_.max_queued_events) {
      return {Code::kOverloaded, std::to_string(queued_events_) + " events wait to be written"};
    }
    queued_events_ += batch.records.size();
    queue_.push_back(std::move(batch));
  }
  wake_.notify_one();
  return {};
}

size_t Committer::queued_events() const {
  const std::lock_guard lock(mutex_);
  return queued_events_;
}

EventLogStats Committer::stats() const {
  return {events_.load(std::memory_order_relaxed), duplicates_.load(std::memory_order_relaxed),
          groups_.load(std::memory_order_relaxed)};
}

void Committer::Run() {
  pthread_setname_np(pthread_self(), "heed-commit");  // as shown by top and perf
  for (;;) {
    std::vector<AppendBatch> group = TakeGroup();
    if (group.empty()) return;
    Commit(std::move(group));
  }
}

// Empty: stopping and nothing left.
std::vector<AppendBatch> Committer::TakeGroup() {
  std::vector<AppendBatch> group;
  size_t events = 0;
  size_t bytes = 0;
  std::unique_lock lock(mutex_);
  wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
  while (!queue_.empty()) {
    const AppendBatch& next = queue_.front();
    events += next.records.size();
    bytes += next.encodings.total_bytes();
    if (!group.empty() && (events > options_.max_group_events || bytes > kMaxGroupBytes)) break;
    group.push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  return group;
}

void Committer::Commit(std::vector<AppendBatch> group) {
  items_.clear();
  for (const AppendBatch& batch : group) {
    for (size_t i = 0; i < batch.records.size(); ++i) {
      items_.push_back({batch.keys[i], batch.encodings[i], {}, 0, false});
    }
  }
  Status status = MarkDuplicates();
  if (status.ok()) status = WriteNew();
  {
    const std::lock_guard lock(mutex_);
    queued_events_ -= items_.size();
  }
  if (status.ok()) {
    ApplyAndAnswer(group);
  } else {
    for (const AppendBatch& batch : group) batch.done(status);
  }
}

// One sort serves three ends: equal keys of the group meet, the lookups go through RocksDB's files
// in order, and so do the inserts.
Status Committer::MarkDuplicates() {
  by_key_.resize(items_.size());
  std::iota(by_key_.begin(), by_key_.end(), 0u);
  std::sort(by_key_.begin(), by_key_.end(), [this](uint32_t a, uint32_t b) {
    const int order = items_[a].key.compare(items_[b].key);
    return order != 0 ? order < 0 : a < b;
  });
  std::vector<rocksdb::Slice> keys;
  std::vector<uint32_t> heads;  // the first item under each key
  keys.reserve(items_.size());
  heads.reserve(items_.size());
  for (const uint32_t i : by_key_) {
    if (heads.empty() || items_[heads.back()].key != items_[i].key) {
      heads.push_back(i);
      keys.emplace_back(items_[i].key.data(), items_[i].key.size());
    }
    items_[i].original = heads.back();
  }
  std::vector<rocksdb::PinnableSlice> values(keys.size());
  std::vector<rocksdb::Status> found(keys.size());
  handles_.db->MultiGet(rocksdb::ReadOptions(), handles_.ids, keys.size(), keys.data(),
                        values.data(), found.data(), /*sorted_input=*/true);
  for (size_t k = 0; k < heads.size(); ++k) {
    if (found[k].IsNotFound()) continue;
    if (!found[k].ok()) return FromRocks(found[k], "looking for an event id");
    Item& item = items_[heads[k]];
    ByteReader in({values[k].data(), values[k].size()});
    item.stored = true;
    item.answer = {in.Varint(), true};
    if (!in.ok() || in.remaining() != 0)
      return Corruption("the row of an event id is not a number");
  }
  return {};
}

Status Committer::WriteNew() {
  size_t bytes = 0;
  for (const Item& item : items_) bytes += item.key.size() + item.encoding.size() + 16;
  rocksdb::WriteBatch batch(bytes);
  const uint64_t first = last_sequence() + 1;
  uint64_t next = first;
  uint64_t row_first = first;
  LogRowBuilder row;
  const auto put_row = [&] {
    if (!row.empty()) batch.Put(handles_.log, LogKey(row_first), row.Finish(row_first));
    row_first = next;
  };
  for (uint32_t i = 0; i < items_.size(); ++i) {
    Item& item = items_[i];
    if (item.original != i) {
      item.answer = {items_[item.original].answer.sequence, true};
    } else if (!item.stored) {
      item.answer = {next++, false};
      row.Add(item.encoding);
      if (row.full()) put_row();
    }
  }
  put_row();
  const uint64_t written = next - first;
  if (written != 0) {
    std::string sequence;
    for (const uint32_t i : by_key_) {
      if (items_[i].answer.duplicate) continue;
      sequence.clear();
      ByteWriter(sequence).Varint(items_[i].answer.sequence);
      batch.Put(handles_.ids, {items_[i].key.data(), items_[i].key.size()}, sequence);
    }
    HEED_RETURN_IF_ERROR(handles_.Write(batch, true));
    last_sequence_.store(next - 1, std::memory_order_release);
    groups_.fetch_add(1, std::memory_order_relaxed);
    events_.fetch_add(written, std::memory_order_relaxed);
  }
  duplicates_.fetch_add(items_.size() - written, std::memory_order_relaxed);
  return {};
}

void Committer::ApplyAndAnswer(std::vector<AppendBatch>& group) {
  if (options_.apply) {
    size_t item = 0;
    for (AppendBatch& batch : group) {
      size_t kept = 0;
      for (LogRecord& record : batch.records) {
        const Appended& answer = items_[item++].answer;
        if (answer.duplicate) continue;
        record.sequence = answer.sequence;
        if (&batch.records[kept] != &record) batch.records[kept] = std::move(record);
        ++kept;
      }
      if (kept != 0) options_.apply({batch.records.data(), kept});
    }
  }
  size_t item = 0;
  for (const AppendBatch& batch : group) {
    std::vector<Appended> answers(batch.records.size());
    for (Appended& answer : answers) answer = items_[item++].answer;
    batch.done(std::move(answers));
  }
}

}  // namespace heed::store
