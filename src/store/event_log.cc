#include "store/event_log.h"

#include <algorithm>
#include <future>
#include <utility>

#include "event/codec.h"
#include "store/committer.h"
#include "store/handles.h"
#include "store/log_row.h"

namespace heed::store {
namespace {

constexpr size_t kMaxBatchBytes = 256u << 20;

std::string_view View(const rocksdb::Slice& slice) { return {slice.data(), slice.size()}; }

Status Within(uint64_t sequence, const Status& status) {
  return status.Within("record " + std::to_string(sequence) + " of the event log");
}

Result<uint64_t> LastSequence(const Database::Handles& handles) {
  rocksdb::ReadOptions options;
  options.fill_cache = false;  // or the first Read would not see the disk there
  const std::unique_ptr<rocksdb::Iterator> it(handles.db->NewIterator(options, handles.log));
  it->SeekToLast();
  if (!it->Valid()) {
    HEED_RETURN_IF_ERROR(FromRocks(it->status(), "reading the end of the event log"));
    return uint64_t{0};
  }
  Result<LogRow> row = ParseLogRow(View(it->key()), View(it->value()));
  if (!row.ok()) return row.status().Within("the last row of the event log");
  return row.value().first_sequence + row.value().events.size() - 1;
}

// tenant, 0, id. Without a NUL in either no two pairs share a key.
Status AddKey(const event::Event& event, StringList& keys) {
  if (event.tenant.find('\0') != std::string::npos) {
    return InvalidArgument("may not contain U+0000", "/tenant");
  }
  if (event.id.find('\0') != std::string::npos) {
    return InvalidArgument("may not contain U+0000", "/id");
  }
  keys.bytes() += event.tenant;
  keys.bytes() += '\0';
  keys.bytes() += event.id;
  keys.End();
  return {};
}

}  // namespace

struct EventLog::Impl {
  Impl(Database::Handles& h, EventLogOptions options, uint64_t last_sequence)
      : handles(h), committer(h, std::move(options), last_sequence) {}

  Database::Handles& handles;
  Committer committer;
};

Result<std::unique_ptr<EventLog>> EventLog::Open(Database& database, EventLogOptions options) {
  HEED_ASSIGN_OR_RETURN(const uint64_t last, LastSequence(database.handles()));
  return std::unique_ptr<EventLog>(
      new EventLog(std::make_unique<Impl>(database.handles(), std::move(options), last)));
}

EventLog::EventLog(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
EventLog::~EventLog() = default;

Status EventLog::TryAppend(std::vector<event::Event> events, bool never_shed, Done done) {
  HEED_RETURN_IF_ERROR(health());
  AppendBatch batch;
  batch.done = std::move(done);
  batch.records.reserve(events.size());
  batch.keys.Reserve(events.size(), events.size() * 64);
  batch.encodings.Reserve(events.size(), events.size() * 256);
  for (event::Event& event : events) {
    HEED_RETURN_IF_ERROR(AddKey(event, batch.keys));
    event::Encode(event, batch.encodings.bytes());
    batch.encodings.End();
    if (batch.encodings.total_bytes() > kMaxBatchBytes) {
      return {Code::kTooLarge, "a batch of more than 256 MiB"};
    }
    batch.records.push_back({0, std::move(event)});
  }
  return impl_->committer.Enqueue(std::move(batch), never_shed);
}

Result<std::vector<Appended>> EventLog::Append(std::vector<event::Event> events) {
  // Shared: set_value may still be at work in the promise when the waiter is already gone.
  const auto promise = std::make_shared<std::promise<Result<std::vector<Appended>>>>();
  HEED_RETURN_IF_ERROR(TryAppend(
      std::move(events), false,
      [promise](Result<std::vector<Appended>> answer) { promise->set_value(std::move(answer)); }));
  return promise->get_future().get();
}

Status EventLog::Read(uint64_t from_sequence,
                      const std::function<Status(const LogRecord&)>& visit) const {
  const uint64_t end = last_sequence();
  uint64_t next = std::max<uint64_t>(from_sequence, 1);
  if (next > end) return {};
  rocksdb::ReadOptions options;
  options.fill_cache = false;  // read once, from end to end
  options.readahead_size = 2u << 20;
  const std::unique_ptr<rocksdb::Iterator> it(
      impl_->handles.db->NewIterator(options, impl_->handles.log));
  it->SeekForPrev(LogKey(next));
  for (bool first_row = true; next <= end; first_row = false, it->Next()) {
    if (!it->Valid()) {
      HEED_RETURN_IF_ERROR(Within(next, FromRocks(it->status(), "reading")));
      return Within(next, Corruption("missing"));
    }
    Result<LogRow> parsed = ParseLogRow(View(it->key()), View(it->value()));
    if (!parsed.ok()) return Within(next, parsed.status());
    const LogRow& row = parsed.value();
    // Only the first row may begin before the record that is next.
    if (row.first_sequence > next || next - row.first_sequence >= row.events.size() ||
        (!first_row && row.first_sequence != next)) {
      return Within(next, Corruption("missing"));
    }
    for (size_t i = next - row.first_sequence; i < row.events.size() && next <= end; ++i, ++next) {
      Result<event::Event> event = event::Decode(row.events[i]);
      if (!event.ok()) return Within(next, event.status());
      HEED_RETURN_IF_ERROR(visit({next, std::move(event).value()}));
    }
  }
  return {};
}

uint64_t EventLog::last_sequence() const { return impl_->committer.last_sequence(); }
size_t EventLog::queued_events() const { return impl_->committer.queued_events(); }
EventLogStats EventLog::stats() const { return impl_->committer.stats(); }
Status EventLog::health() const { return impl_->handles.health(); }

}  // namespace heed::store
