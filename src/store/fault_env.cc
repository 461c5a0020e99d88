#include "store/fault_env.h"

#include <rocksdb/env.h>
#include <rocksdb/file_system.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "base/random.h"

namespace heed::store {
namespace {

using rocksdb::FileOptions;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;

std::string ParentOf(const std::string& path) { return path.substr(0, path.rfind('/')); }

// "a//b/" and "a/b" are one path.
std::string Clean(const std::string& path) {
  std::string clean;
  for (const char c : path) {
    if (c != '/' || clean.empty() || clean.back() != '/') clean += c;
  }
  while (clean.size() > 1 && clean.back() == '/') clean.pop_back();
  return clean;
}

IOStatus Refused(const char* why) { return IOStatus::IOError(why, "injected"); }

}  // namespace

class FaultEnv::Disk final : public rocksdb::FileSystemWrapper {
 public:
  Disk() : rocksdb::FileSystemWrapper(rocksdb::FileSystem::Default()) {}
  const char* Name() const override { return "FaultEnv"; }

  IOStatus NewSequentialFile(const std::string& name, const FileOptions& options,
                             std::unique_ptr<rocksdb::FSSequentialFile>* file,
                             IODebugContext* debug) override;
  IOStatus NewRandomAccessFile(const std::string& name, const FileOptions& options,
                               std::unique_ptr<rocksdb::FSRandomAccessFile>* file,
                               IODebugContext* debug) override;
  IOStatus NewWritableFile(const std::string& name, const FileOptions& options,
                           std::unique_ptr<rocksdb::FSWritableFile>* file,
                           IODebugContext* debug) override;
  IOStatus ReopenWritableFile(const std::string& name, const FileOptions& options,
                              std::unique_ptr<rocksdb::FSWritableFile>* file,
                              IODebugContext* debug) override;
  IOStatus NewDirectory(const std::string& name, const IOOptions& options,
                        std::unique_ptr<rocksdb::FSDirectory>* directory,
                        IODebugContext* debug) override;
  IOStatus RenameFile(const std::string& from, const std::string& to, const IOOptions& options,
                      IODebugContext* debug) override;
  IOStatus DeleteFile(const std::string& name, const IOOptions& options,
                      IODebugContext* debug) override;

  // What the file wrappers ask before they act. CountAppend says how many bytes may be written;
  // fewer than asked means that the append fails after them.
  size_t CountAppend(const std::string& path, size_t size, IOStatus* status);
  IOStatus CountSync(const std::string& path);
  IOStatus CountDirectorySync(const std::string& path);
  void CountTruncate(const std::string& path, uint64_t size);
  void FlipIn(const std::string& path, uint64_t offset, Slice* data, char* scratch) const;

  void FailSync(uint64_t n, std::string part);
  void FillDiskAfter(uint64_t bytes);
  void CutPowerAfter(uint64_t changes);
  bool power_is_cut() const;
  Status Restart(uint64_t seed);
  void FlipOnRead(std::string part, uint64_t offset);
  uint64_t syncs(const std::string& part) const;

 private:
  struct File {
    uint64_t size = 0;
    uint64_t synced = 0;  // of its bytes, the first so many survive a power cut
    bool named = false;   // its name survives
    bool failed = false;  // a sync failed: what was not synced then never will be
  };
  struct Rename {
    std::string from;
    std::string to;
    std::optional<std::string> replaced;  // what `to` held before
    File replaced_file;
  };

  // Null: removed while still open. With the mutex held, as for the next.
  File* Find(const std::string& path);
  // Each change passes here first, with the mutex held. False: the power is cut.
  bool Alive();
  Status UndoNames();
  Status CutTails(uint64_t seed);

  mutable std::mutex mutex_;
  std::map<std::string, File> files_;  // written since they were last known to be synced
  std::vector<Rename> renames_;        // not yet durable, oldest first
  std::map<std::string, uint64_t> syncs_;
  std::optional<uint64_t> syncs_left_;  // 1: the next of `sync_part_` fails
  std::string sync_part_;
  std::optional<uint64_t> bytes_left_;
  std::optional<uint64_t> changes_left_;  // 0: the power is cut
  bool may_tear_ = false;                 // the next append without power leaves half
  std::string flip_part_;
  std::optional<uint64_t> flip_offset_;
};

namespace {

class FaultWritable final : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  FaultWritable(std::unique_ptr<rocksdb::FSWritableFile> file, FaultEnv::Disk& disk,
                std::string path)
      : FSWritableFileOwnerWrapper(std::move(file)), disk_(disk), path_(std::move(path)) {}

  IOStatus Append(const Slice& data, const IOOptions& options, IODebugContext* debug) override {
    IOStatus refused;
    const size_t size = disk_.CountAppend(path_, data.size(), &refused);
    IOStatus status = target()->Append(Slice(data.data(), size), options, debug);
    // Down to the kernel at once: Restart cuts the real file.
    if (status.ok()) status = target()->Flush(options, debug);
    return refused.ok() ? status : refused;
  }
  IOStatus Append(const Slice& data, const IOOptions& options,
                  const rocksdb::DataVerificationInfo& /*checksums*/,
                  IODebugContext* debug) override {
    return Append(data, options, debug);
  }
  IOStatus Truncate(uint64_t size, const IOOptions& options, IODebugContext* debug) override {
    disk_.CountTruncate(path_, size);
    return target()->Truncate(size, options, debug);
  }
  IOStatus Sync(const IOOptions& /*options*/, IODebugContext* /*debug*/) override {
    return disk_.CountSync(path_);
  }
  IOStatus Fsync(const IOOptions& /*options*/, IODebugContext* /*debug*/) override {
    return disk_.CountSync(path_);
  }
  IOStatus RangeSync(uint64_t /*offset*/, uint64_t /*size*/, const IOOptions& /*options*/,
                     IODebugContext* /*debug*/) override {
    return IOStatus::OK();  // starts writing early; promises nothing
  }
  IOStatus Allocate(uint64_t /*offset*/, uint64_t /*size*/, const IOOptions& /*options*/,
                    IODebugContext* /*debug*/) override {
    return IOStatus::OK();
  }

 private:
  FaultEnv::Disk& disk_;
  const std::string path_;
};

class FaultSequential final : public rocksdb::FSSequentialFileOwnerWrapper {
 public:
  FaultSequential(std::unique_ptr<rocksdb::FSSequentialFile> file, FaultEnv::Disk& disk,
                  std::string path)
      : FSSequentialFileOwnerWrapper(std::move(file)), disk_(disk), path_(std::move(path)) {}

  IOStatus Read(size_t size, const IOOptions& options, Slice* result, char* scratch,
                IODebugContext* debug) override {
    IOStatus status = target()->Read(size, options, result, scratch, debug);
    if (status.ok()) disk_.FlipIn(path_, at_, result, scratch);
    at_ += result->size();
    return status;
  }
  IOStatus Skip(uint64_t size) override {
    at_ += size;
    return target()->Skip(size);
  }

 private:
  FaultEnv::Disk& disk_;
  const std::string path_;
  uint64_t at_ = 0;
};

class FaultRandomAccess final : public rocksdb::FSRandomAccessFileOwnerWrapper {
 public:
  FaultRandomAccess(std::unique_ptr<rocksdb::FSRandomAccessFile> file, FaultEnv::Disk& disk,
                    std::string path)
      : FSRandomAccessFileOwnerWrapper(std::move(file)), disk_(disk), path_(std::move(path)) {}

  IOStatus Read(uint64_t offset, size_t size, const IOOptions& options, Slice* result,
                char* scratch, IODebugContext* debug) const override {
    IOStatus status = target()->Read(offset, size, options, result, scratch, debug);
    if (status.ok()) disk_.FlipIn(path_, offset, result, scratch);
    return status;
  }
  IOStatus MultiRead(rocksdb::FSReadRequest* requests, size_t count, const IOOptions& options,
                     IODebugContext* debug) override {
    for (size_t i = 0; i < count; ++i) {
      rocksdb::FSReadRequest& request = requests[i];
      request.status =
          Read(request.offset, request.len, options, &request.result, request.scratch, debug);
    }
    return IOStatus::OK();
  }

 private:
  FaultEnv::Disk& disk_;
  const std::string path_;
};

class FaultDirectory final : public rocksdb::FSDirectory {
 public:
  FaultDirectory(FaultEnv::Disk& disk, std::string path) : disk_(disk), path_(std::move(path)) {}

  IOStatus Fsync(const IOOptions& /*options*/, IODebugContext* /*debug*/) override {
    return disk_.CountDirectorySync(path_);
  }
  size_t GetUniqueId(char* /*id*/, size_t /*max_size*/) const override { return 0; }

 private:
  FaultEnv::Disk& disk_;
  const std::string path_;
};

}  // namespace

bool FaultEnv::Disk::Alive() {
  if (!changes_left_) return true;
  if (*changes_left_ == 0) return false;
  --*changes_left_;
  return true;
}

FaultEnv::Disk::File* FaultEnv::Disk::Find(const std::string& path) {
  const auto file = files_.find(path);
  return file != files_.end() ? &file->second : nullptr;
}

IOStatus FaultEnv::Disk::NewSequentialFile(const std::string& name, const FileOptions& options,
                                           std::unique_ptr<rocksdb::FSSequentialFile>* file,
                                           IODebugContext* debug) {
  std::unique_ptr<rocksdb::FSSequentialFile> real;
  IOStatus status = target()->NewSequentialFile(name, options, &real, debug);
  if (status.ok()) *file = std::make_unique<FaultSequential>(std::move(real), *this, Clean(name));
  return status;
}

IOStatus FaultEnv::Disk::NewRandomAccessFile(const std::string& name, const FileOptions& options,
                                             std::unique_ptr<rocksdb::FSRandomAccessFile>* file,
                                             IODebugContext* debug) {
  std::unique_ptr<rocksdb::FSRandomAccessFile> real;
  IOStatus status = target()->NewRandomAccessFile(name, options, &real, debug);
  if (status.ok()) {
    *file = std::make_unique<FaultRandomAccess>(std::move(real), *this, Clean(name));
  }
  return status;
}

IOStatus FaultEnv::Disk::NewWritableFile(const std::string& name, const FileOptions& options,
                                         std::unique_ptr<rocksdb::FSWritableFile>* file,
                                         IODebugContext* debug) {
  const std::lock_guard lock(mutex_);
  if (!Alive()) return Refused("power cut");
  std::unique_ptr<rocksdb::FSWritableFile> real;
  IOStatus status = target()->NewWritableFile(name, options, &real, debug);
  if (!status.ok()) return status;
  const std::string path = Clean(name);
  files_[path] = File();
  *file = std::make_unique<FaultWritable>(std::move(real), *this, path);
  return status;
}

IOStatus FaultEnv::Disk::ReopenWritableFile(const std::string& name, const FileOptions& options,
                                            std::unique_ptr<rocksdb::FSWritableFile>* file,
                                            IODebugContext* debug) {
  const std::lock_guard lock(mutex_);
  if (!Alive()) return Refused("power cut");
  std::unique_ptr<rocksdb::FSWritableFile> real;
  IOStatus status = target()->ReopenWritableFile(name, options, &real, debug);
  if (!status.ok()) return status;
  const std::string path = Clean(name);
  if (!files_.contains(path)) {
    const uint64_t size = real->GetFileSize(IOOptions(), debug);
    files_[path] = {size, size, size != 0, false};
  }
  *file = std::make_unique<FaultWritable>(std::move(real), *this, path);
  return status;
}

IOStatus FaultEnv::Disk::NewDirectory(const std::string& name, const IOOptions& /*options*/,
                                      std::unique_ptr<rocksdb::FSDirectory>* directory,
                                      IODebugContext* /*debug*/) {
  *directory = std::make_unique<FaultDirectory>(*this, Clean(name));
  return IOStatus::OK();
}

IOStatus FaultEnv::Disk::RenameFile(const std::string& from_name, const std::string& to_name,
                                    const IOOptions& options, IODebugContext* debug) {
  const std::lock_guard lock(mutex_);
  if (!Alive()) return Refused("power cut");
  Rename rename{Clean(from_name), Clean(to_name), std::nullopt, {}};
  if (std::string old; rocksdb::ReadFileToString(rocksdb::Env::Default(), to_name, &old).ok()) {
    const auto known = files_.find(rename.to);
    rename.replaced_file =
        known != files_.end() ? known->second : File{old.size(), old.size(), true, false};
    rename.replaced = std::move(old);
  }
  IOStatus status = target()->RenameFile(from_name, to_name, options, debug);
  if (!status.ok()) return status;
  File moved{0, 0, true, false};
  if (const auto file = files_.find(rename.from); file != files_.end()) {
    moved = file->second;
    files_.erase(file);
  } else if (IOStatus sized = target()->GetFileSize(to_name, options, &moved.size, debug);
             sized.ok()) {
    moved.synced = moved.size;
  }
  files_[rename.to] = moved;
  renames_.push_back(std::move(rename));
  return status;
}

IOStatus FaultEnv::Disk::DeleteFile(const std::string& name, const IOOptions& options,
                                    IODebugContext* debug) {
  const std::lock_guard lock(mutex_);
  if (!Alive()) return Refused("power cut");
  IOStatus status = target()->DeleteFile(name, options, debug);
  if (status.ok()) files_.erase(Clean(name));
  return status;
}

size_t FaultEnv::Disk::CountAppend(const std::string& path, size_t size, IOStatus* status) {
  const std::lock_guard lock(mutex_);
  size_t allowed = size;
  if (!Alive()) {
    allowed = std::exchange(may_tear_, false) ? size / 2 : 0;
    *status = Refused("power cut");
  } else if (bytes_left_ && *bytes_left_ < size) {
    allowed = *bytes_left_;
    *status = IOStatus::NoSpace("injected");
  }
  if (bytes_left_) *bytes_left_ -= allowed;
  if (File* file = Find(path)) file->size += allowed;
  return allowed;
}

IOStatus FaultEnv::Disk::CountSync(const std::string& path) {
  const std::lock_guard lock(mutex_);
  if (!Alive()) return Refused("power cut");
  File* file = Find(path);
  if (file == nullptr) return IOStatus::OK();
  if (syncs_left_ && path.find(sync_part_) != std::string::npos && --*syncs_left_ == 0) {
    syncs_left_.reset();
    file->failed = true;
  }
  if (file->failed) return Refused("sync failed");
  file->synced = file->size;
  ++syncs_[path];
  return IOStatus::OK();
}

IOStatus FaultEnv::Disk::CountDirectorySync(const std::string& path) {
  const std::lock_guard lock(mutex_);
  if (!Alive()) return Refused("power cut");
  for (auto& [name, file] : files_) {
    if (ParentOf(name) == path) file.named = true;
  }
  std::erase_if(renames_, [&](const Rename& rename) { return ParentOf(rename.to) == path; });
  return IOStatus::OK();
}

void FaultEnv::Disk::CountTruncate(const std::string& path, uint64_t size) {
  const std::lock_guard lock(mutex_);
  if (File* file = Find(path)) {
    file->size = size;
    file->synced = std::min(file->synced, size);
  }
}

void FaultEnv::Disk::FlipIn(const std::string& path, uint64_t offset, Slice* data,
                            char* scratch) const {
  const std::lock_guard lock(mutex_);
  if (!flip_offset_ || path.find(flip_part_) == std::string::npos) return;
  if (*flip_offset_ < offset || *flip_offset_ - offset >= data->size()) return;
  if (data->data() != scratch) std::copy_n(data->data(), data->size(), scratch);
  scratch[*flip_offset_ - offset] ^= 0x10;
  *data = Slice(scratch, data->size());
}

void FaultEnv::Disk::FailSync(uint64_t n, std::string part) {
  const std::lock_guard lock(mutex_);
  syncs_left_ = n;
  sync_part_ = std::move(part);
}

void FaultEnv::Disk::FillDiskAfter(uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  bytes_left_ = bytes;
}

void FaultEnv::Disk::CutPowerAfter(uint64_t changes) {
  const std::lock_guard lock(mutex_);
  changes_left_ = changes;
  may_tear_ = true;
}

bool FaultEnv::Disk::power_is_cut() const {
  const std::lock_guard lock(mutex_);
  return changes_left_ == 0u;
}

void FaultEnv::Disk::FlipOnRead(std::string part, uint64_t offset) {
  const std::lock_guard lock(mutex_);
  flip_part_ = std::move(part);
  flip_offset_ = offset;
}

uint64_t FaultEnv::Disk::syncs(const std::string& part) const {
  const std::lock_guard lock(mutex_);
  uint64_t sum = 0;
  for (const auto& [path, count] : syncs_) {
    if (path.find(part) != std::string::npos) sum += count;
  }
  return sum;
}

Status FaultEnv::Disk::Restart(uint64_t seed) {
  const std::lock_guard lock(mutex_);
  if (changes_left_ == 0u) {
    HEED_RETURN_IF_ERROR(UndoNames());
    HEED_RETURN_IF_ERROR(CutTails(seed));
    files_.clear();
    renames_.clear();
  }
  syncs_left_.reset();
  bytes_left_.reset();
  changes_left_.reset();
  flip_offset_.reset();
  for (auto& [path, file] : files_) file.failed = false;
  return {};
}

Status FaultEnv::Disk::UndoNames() {
  rocksdb::Env* real = rocksdb::Env::Default();
  for (auto rename = renames_.rbegin(); rename != renames_.rend(); ++rename) {
    const auto moved = files_.find(rename->to);
    if (moved == files_.end()) continue;  // removed since
    if (!real->RenameFile(rename->to, rename->from).ok()) return IoError("undoing a rename");
    files_[rename->from] = moved->second;
    files_.erase(rename->to);
    if (!rename->replaced) continue;
    if (!rocksdb::WriteStringToFile(real, *rename->replaced, rename->to).ok()) {
      return IoError("bringing back a replaced file");
    }
    files_[rename->to] = rename->replaced_file;
  }
  return {};
}

Status FaultEnv::Disk::CutTails(uint64_t seed) {
  rocksdb::Env* real = rocksdb::Env::Default();
  Random random(seed);
  for (const auto& [path, file] : files_) {
    if (!file.named) {
      // Absent already when its directory was removed.
      if (real->FileExists(path).ok() && !real->DeleteFile(path).ok()) {
        return IoError("dropping " + path);
      }
    } else if (file.synced < file.size) {
      const uint64_t kept = file.synced + random.Below(file.size - file.synced + 1);
      std::error_code error;
      std::filesystem::resize_file(path, kept, error);
      if (error) return IoError("cutting " + path + ": " + error.message());
    }
  }
  return {};
}

FaultEnv::FaultEnv() : disk_(std::make_shared<Disk>()), env_(rocksdb::NewCompositeEnv(disk_)) {}
FaultEnv::~FaultEnv() = default;

rocksdb::Env* FaultEnv::env() { return env_.get(); }
void FaultEnv::FailSync(uint64_t n, std::string part) { disk_->FailSync(n, std::move(part)); }
void FaultEnv::FillDiskAfter(uint64_t bytes) { disk_->FillDiskAfter(bytes); }
void FaultEnv::CutPowerAfter(uint64_t changes) { disk_->CutPowerAfter(changes); }
bool FaultEnv::power_is_cut() const { return disk_->power_is_cut(); }
Status FaultEnv::Restart(uint64_t seed) { return disk_->Restart(seed); }
void FaultEnv::FlipOnRead(std::string part, uint64_t offset) {
  disk_->FlipOnRead(std::move(part), offset);
}
uint64_t FaultEnv::syncs(const std::string& part) const { return disk_->syncs(part); }

Status FlipByte(const std::string& path, uint64_t offset) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(static_cast<std::streamoff>(offset));
  char byte = 0;
  if (!file.get(byte)) return IoError("no byte " + std::to_string(offset) + " in " + path);
  file.seekp(static_cast<std::streamoff>(offset));
  file.put(static_cast<char>(byte ^ 0x10));
  return file.flush() ? Status() : IoError("writing " + path);
}

}  // namespace heed::store
