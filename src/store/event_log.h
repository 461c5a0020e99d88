// The durable event log: acknowledged means synced, exactly once by (tenant, event id), in one total
// order. Format: docs/formats/event_log.md.
//
// Appenders hand batches to one committer thread, which takes all that wait (group commit), drops
// events already known, gives sequences, writes and syncs once, applies them to state, and only then
// answers. So an acknowledged event is both durable and visible to the next read.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "event/event.h"
#include "store/database.h"

namespace heed::store {

struct Appended {
  uint64_t sequence = 0;   // of the event, or of the one first stored under its id
  bool duplicate = false;  // the id was known (whatever the content): nothing was written
  bool operator==(const Appended&) const = default;
};

struct LogRecord {
  uint64_t sequence = 0;  // from 1, no gaps
  event::Event event;
};

struct EventLogOptions {
  size_t max_queued_events = 200'000;  // over this, TryAppend refuses with kOverloaded
  size_t max_group_events = 8'192;     // one commit takes at most about so many
  // Called by the committer, in order, for what has become durable and is not a duplicate; must not
  // throw and must not call back into the log.
  std::function<void(std::span<const LogRecord>)> apply;
};

struct EventLogStats {  // since it was opened
  uint64_t events = 0;  // written, duplicates not counted
  uint64_t duplicates = 0;
  uint64_t groups = 0;  // commits: one sync each
};

// Thread-safe.
class EventLog {
 public:
  using Done = std::function<void(Result<std::vector<Appended>>)>;

  // Does not replay: the caller first brings state up to last_sequence() with Read, and only then
  // appends. One log a database at a time.
  static Result<std::unique_ptr<EventLog>> Open(Database& database, EventLogOptions options);
  // Commits what is queued, answers all, joins the committer.
  ~EventLog();

  // `done` runs on the committer thread, once, after the sync and after `apply`; keep it short. A
  // batch is written whole or not at all. A failed write fails the whole batch, nothing of it is
  // applied, and the log then refuses all writes (kIo) until reopened: after a failed sync what is
  // on disk is unknown, and a retry after reopening finds out by the id.
  // Any status but ok means: not queued, `done` not called. kOverloaded when the queue is full and
  // `never_shed` is false (orders are never shed); kInvalidArgument for a NUL in tenant or id;
  // kTooLarge for a batch of more than 256 MiB encoded. Encodes on the caller's thread.
  Status TryAppend(std::vector<event::Event> events, bool never_shed, Done done);
  // Waits for the answer.
  Result<std::vector<Appended>> Append(std::vector<event::Event> events);

  // Calls `visit` for each record from `from_sequence` to the end as of the call, in order. Stops at
  // the first error of either; a damaged or missing record is kCorruption naming its sequence.
  // About 1 µs a record; memory for one row.
  Status Read(uint64_t from_sequence, const std::function<Status(const LogRecord&)>& visit) const;

  uint64_t last_sequence() const;  // durable; 0 when empty
  size_t queued_events() const;    // waiting or being committed
  EventLogStats stats() const;
  // Ok, or why the log refuses writes.
  Status health() const;

 private:
  struct Impl;
  explicit EventLog(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace heed::store
