#include "store/database.h"

#include <rocksdb/cache.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/options.h>
#include <rocksdb/table.h>

#include <utility>
#include <vector>

#include "base/log.h"
#include "store/handles.h"

namespace heed::store {
namespace {

constexpr char kFormatKey[] = "format";
constexpr char kFormat[] = "1";

rocksdb::BlockBasedTableOptions TableOptions(const std::shared_ptr<rocksdb::Cache>& cache) {
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = cache;
  table.format_version = 5;
  table.checksum = rocksdb::kXXH3;
  table.block_size = 16u << 10;
  return table;
}

rocksdb::ColumnFamilyOptions FamilyOptions(const rocksdb::BlockBasedTableOptions& table) {
  rocksdb::ColumnFamilyOptions family;
  family.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  family.compression = rocksdb::kLZ4Compression;
  return family;
}

// Keys only grow, so files never overlap: compaction moves them down without rewriting, and the
// levels' sizes do not matter.
rocksdb::ColumnFamilyOptions LogOptions(rocksdb::BlockBasedTableOptions table) {
  table.block_size = 64u << 10;  // about one row
  rocksdb::ColumnFamilyOptions family = FamilyOptions(table);
  family.write_buffer_size = 64u << 20;
  family.max_write_buffer_number = 4;
  family.target_file_size_base = 64u << 20;
  return family;
}

// Random keys, read once for each new event, almost always to learn that they are absent: Bloom
// filters in front of every memtable and file answer that. The skip list of a 64 MiB memtable took
// half of the committer's time, in cache misses; lists of 4 MiB stay in cache, and eight are merged
// into one file. Universal compaction rewrites each row about half as often as levels would.
rocksdb::ColumnFamilyOptions IdOptions(rocksdb::BlockBasedTableOptions table) {
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(12, false));  // 0.3 % false
  rocksdb::ColumnFamilyOptions family = FamilyOptions(table);
  family.write_buffer_size = 4u << 20;
  family.min_write_buffer_number_to_merge = 8;
  family.max_write_buffer_number = 24;
  family.memtable_prefix_bloom_size_ratio = 0.02;
  family.memtable_whole_key_filtering = true;
  family.compaction_style = rocksdb::kCompactionStyleUniversal;
  family.level0_file_num_compaction_trigger = 6;
  return family;
}

rocksdb::ColumnFamilyOptions DocumentOptions(rocksdb::BlockBasedTableOptions table) {
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10, false));
  rocksdb::ColumnFamilyOptions family = FamilyOptions(table);
  family.write_buffer_size = 16u << 20;
  return family;
}

rocksdb::DBOptions DbOptions(const DatabaseOptions& options, rocksdb::Env* env) {
  rocksdb::DBOptions db;
  db.env = env;
  db.create_if_missing = true;
  db.create_missing_column_families = true;
  // Which damage in the write-ahead log may be passed over? A crash leaves a last record cut short;
  // that one was not acknowledged. kPointInTimeRecovery, RocksDB's default, also stops quietly at a
  // flipped byte anywhere, and drops all acknowledged records behind it. kAbsoluteConsistency would
  // refuse to open after every crash in mid-write. kTolerateCorruptedTailRecords drops the cut
  // record and refuses the rest, which is what we promise. Its price: no recycled log files.
  db.wal_recovery_mode = options.accept_damaged_tail
                             ? rocksdb::WALRecoveryMode::kPointInTimeRecovery
                             : rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
  // Space allotted ahead of the end reads as zeros after a power cut, in the middle of a record:
  // damage instead of a cut end. Without it the file system's order (data before size) keeps the end
  // clean.
  db.allow_fallocate = false;
  // Opening rewrites what the write-ahead log held into synced table files. So a record that could
  // be read back only from the page cache, after a failed sync, becomes durable before anyone
  // builds on it.
  db.avoid_flush_during_recovery = false;
  db.paranoid_checks = true;
  db.max_bgerror_resume_count = 0;  // a failed write is final until reopened, Handles::Write
  db.max_total_wal_size = 256u << 20;
  db.max_background_jobs = 2;  // one flush, one compaction
  db.bytes_per_sync = 1u << 20;
  db.info_log_level = rocksdb::WARN_LEVEL;
  db.keep_log_file_num = 3;
  db.max_log_file_size = 8u << 20;
  return db;
}

uint64_t Property(const Database::Handles& handles, rocksdb::ColumnFamilyHandle* family,
                  const std::string& name) {
  uint64_t value = 0;
  return handles.db->GetIntProperty(family, name, &value) ? value : 0;
}

// Written once; a later program with another layout finds it and can refuse or convert.
Status CheckFormat(Database::Handles& handles) {
  std::string format;
  const rocksdb::Status got =
      handles.db->Get(rocksdb::ReadOptions(), handles.meta, kFormatKey, &format);
  if (got.IsNotFound()) {
    rocksdb::WriteBatch batch;
    batch.Put(handles.meta, kFormatKey, kFormat);
    return handles.Write(batch, true);
  }
  if (!got.ok()) return FromRocks(got, "reading the database's format");
  if (format != kFormat) {
    return InvalidArgument("the database has format " + format + ", this program reads " + kFormat);
  }
  return {};
}

}  // namespace

Status FromRocks(const rocksdb::Status& status, std::string_view doing) {
  if (status.ok()) return {};
  Code code = Code::kInternal;
  if (status.IsCorruption()) {
    code = Code::kCorruption;
  } else if (status.IsIOError() || status.IsNoSpace()) {
    code = Code::kIo;
  } else if (status.IsNotFound() || status.IsPathNotFound()) {
    code = Code::kNotFound;
  } else if (status.IsBusy() || status.IsTimedOut() || status.IsShutdownInProgress()) {
    code = Code::kUnavailable;
  } else if (status.IsInvalidArgument()) {
    code = Code::kInvalidArgument;
  }
  return {code, std::string(doing) + ": " + status.ToString()};
}

Database::Handles::~Handles() {
  if (db == nullptr) return;
  for (rocksdb::ColumnFamilyHandle* family : {meta, log, ids, documents}) {
    if (family != nullptr) db->DestroyColumnFamilyHandle(family);
  }
  const rocksdb::Status closed = db->Close();
  if (!closed.ok()) LogWarn("closing the database: {}", closed.ToString());
}

Status Database::Handles::Write(rocksdb::WriteBatch& batch, bool sync) {
  HEED_RETURN_IF_ERROR(health());
  rocksdb::WriteOptions options;
  options.sync = sync;
  const rocksdb::Status written = db->Write(options, &batch);
  if (written.ok()) return {};
  const std::lock_guard lock(mutex_);
  if (failure_.ok()) {
    failure_ = IoError("a write failed (" + written.ToString() +
                       "); all writes are refused until the database is opened again");
    LogError("store: {}", failure_.message());
  }
  return failure_;
}

Status Database::Handles::health() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

Result<std::unique_ptr<Database>> Database::Open(const DatabaseOptions& options) {
  auto handles = std::make_unique<Handles>();
  handles->directory = options.directory;
  handles->env = options.env != nullptr ? options.env : rocksdb::Env::Default();
  handles->env->SetBackgroundThreads(1, rocksdb::Env::HIGH);
  handles->env->SetBackgroundThreads(1, rocksdb::Env::LOW);

  const rocksdb::BlockBasedTableOptions table =
      TableOptions(rocksdb::NewLRUCache(options.cache_bytes));
  const std::vector<rocksdb::ColumnFamilyDescriptor> families = {
      {rocksdb::kDefaultColumnFamilyName, FamilyOptions(table)},
      {"log", LogOptions(table)},
      {"ids", IdOptions(table)},
      {"documents", DocumentOptions(table)}};
  std::vector<rocksdb::ColumnFamilyHandle*> opened;
  rocksdb::DB* db = nullptr;
  const rocksdb::Status status = rocksdb::DB::Open(DbOptions(options, handles->env),
                                                   options.directory, families, &opened, &db);
  if (!status.ok()) {
    const std::string doing = "opening the database in " + options.directory;
    if (status.IsIOError() && status.ToString().find("lock") != std::string::npos) {
      return Status(Code::kUnavailable, doing + ": in use: " + status.ToString());
    }
    return FromRocks(status, doing);
  }
  handles->db.reset(db);
  handles->meta = opened[0];
  handles->log = opened[1];
  handles->ids = opened[2];
  handles->documents = opened[3];
  if (options.accept_damaged_tail) {
    LogWarn("store: opened accepting a damaged end of the write-ahead log");
  }
  HEED_RETURN_IF_ERROR(CheckFormat(*handles));
  return std::unique_ptr<Database>(new Database(std::move(handles)));
}

Database::Database(std::unique_ptr<Handles> handles) : handles_(std::move(handles)) {}

Database::~Database() {
  // With the write-ahead log empty, what rests on disk until the next start is table files only,
  // which are checksummed to the last byte.
  const Status flushed = health().ok() ? Flush() : Status();
  if (!flushed.ok()) LogWarn("store: {}", flushed.ToString());
}

const std::string& Database::directory() const { return handles_->directory; }

rocksdb::Env& Database::env() const { return *handles_->env; }

Status Database::health() const { return handles_->health(); }

DatabaseStats Database::stats() const {
  const Handles& handles = *handles_;
  DatabaseStats stats;
  stats.log_bytes = Property(handles, handles.log, rocksdb::DB::Properties::kTotalSstFilesSize);
  stats.id_bytes = Property(handles, handles.ids, rocksdb::DB::Properties::kTotalSstFilesSize);
  stats.document_bytes =
      Property(handles, handles.documents, rocksdb::DB::Properties::kTotalSstFilesSize);
  rocksdb::VectorLogPtr files;
  if (handles.db->GetSortedWalFiles(files).ok()) {
    for (const auto& file : files) stats.wal_bytes += file->SizeFileBytes();
  }
  for (rocksdb::ColumnFamilyHandle* family : {handles.log, handles.ids, handles.documents}) {
    stats.memory_bytes +=
        Property(handles, family, rocksdb::DB::Properties::kCurSizeAllMemTables) +
        Property(handles, family, rocksdb::DB::Properties::kEstimateTableReadersMem);
  }
  stats.memory_bytes += Property(handles, handles.log, rocksdb::DB::Properties::kBlockCacheUsage);
  return stats;
}

Status Database::Flush() {
  return FromRocks(
      handles_->db->Flush(rocksdb::FlushOptions(),
                          {handles_->meta, handles_->log, handles_->ids, handles_->documents}),
      "flushing the database");
}

}  // namespace heed::store
