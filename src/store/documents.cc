#include "store/documents.h"

#include <algorithm>
#include <memory>

#include "base/bytes.h"
#include "base/checksum.h"
#include "store/handles.h"

namespace heed::store {
namespace {

constexpr uint8_t kVersion = 1;

std::string_view View(const rocksdb::Slice& slice) { return {slice.data(), slice.size()}; }

Status CheckTenant(std::string_view tenant) {
  if (tenant.find('\0') == std::string_view::npos) return {};
  return InvalidArgument("may not contain U+0000", "tenant");
}

Status CheckId(std::string_view id) {
  if (id.empty()) return InvalidArgument("may not be empty", "id");
  if (id.find('\0') == std::string_view::npos) return {};
  return InvalidArgument("may not contain U+0000", "id");
}

// Collection, tenant, 0: what the keys of one tenant's documents begin with.
std::string Prefix(Collection collection, std::string_view tenant) {
  std::string key(1, static_cast<char>(collection));
  key += tenant;
  key += '\0';
  return key;
}

Result<std::string> Key(Collection collection, std::string_view tenant, std::string_view id) {
  HEED_RETURN_IF_ERROR(CheckTenant(tenant));
  HEED_RETURN_IF_ERROR(CheckId(id));
  return Prefix(collection, tenant) += id;
}

// Version, checksum of key and text, text. RocksDB's block checksums already guard table files; this
// one also notices a text that turns up under another key.
std::string Value(std::string_view key, std::string_view text) {
  std::string value;
  value.reserve(sizeof kVersion + sizeof(uint32_t) + text.size());
  ByteWriter out(value);
  out.Fixed(kVersion);
  out.Fixed(Crc32(text, Crc32(key)));
  value += text;
  return value;
}

Result<std::string> Text(std::string_view key, std::string_view value) {
  ByteReader in(value);
  const auto version = in.Fixed<uint8_t>();
  const auto checksum = in.Fixed<uint32_t>();
  if (!in.ok()) return Corruption("a document cut short");
  if (version != kVersion) {
    return Corruption("a document of unknown version " + std::to_string(version));
  }
  if (Crc32(in.rest(), Crc32(key)) != checksum) return Corruption("a document's bad checksum");
  return std::string(in.rest());
}

}  // namespace

Status Documents::Put(Collection collection, std::string_view tenant,
                      std::span<const Document> documents, bool sync) {
  rocksdb::WriteBatch batch;
  for (const Document& document : documents) {
    HEED_ASSIGN_OR_RETURN(const std::string key, Key(collection, tenant, document.id));
    batch.Put(database_.handles().documents, key, Value(key, document.text));
  }
  return database_.handles().Write(batch, sync);
}

Result<std::optional<std::string>> Documents::Get(Collection collection, std::string_view tenant,
                                                  std::string_view id) const {
  HEED_ASSIGN_OR_RETURN(const std::string key, Key(collection, tenant, id));
  const Database::Handles& handles = database_.handles();
  rocksdb::PinnableSlice value;
  const rocksdb::Status got =
      handles.db->Get(rocksdb::ReadOptions(), handles.documents, key, &value);
  if (got.IsNotFound()) return std::optional<std::string>();
  HEED_RETURN_IF_ERROR(FromRocks(got, "reading a document"));
  HEED_ASSIGN_OR_RETURN(std::string text, Text(key, View(value)));
  return std::optional<std::string>(std::move(text));
}

Result<bool> Documents::Delete(Collection collection, std::string_view tenant,
                               std::string_view id) {
  HEED_ASSIGN_OR_RETURN(const std::string key, Key(collection, tenant, id));
  Database::Handles& handles = database_.handles();
  const std::lock_guard lock(deleting_);
  rocksdb::PinnableSlice value;
  const rocksdb::Status got =
      handles.db->Get(rocksdb::ReadOptions(), handles.documents, key, &value);
  if (got.IsNotFound()) return false;
  HEED_RETURN_IF_ERROR(FromRocks(got, "reading a document"));
  rocksdb::WriteBatch batch;
  batch.Delete(handles.documents, key);
  HEED_RETURN_IF_ERROR(handles.Write(batch, true));
  return true;
}

Result<std::vector<Document>> Documents::List(Collection collection, std::string_view tenant,
                                              std::string_view after, size_t limit) const {
  HEED_RETURN_IF_ERROR(CheckTenant(tenant));
  const std::string prefix = Prefix(collection, tenant);
  std::vector<Document> documents;
  const Database::Handles& handles = database_.handles();
  const std::unique_ptr<rocksdb::Iterator> it(
      handles.db->NewIterator(rocksdb::ReadOptions(), handles.documents));
  // The next possible key after prefix + after; with an empty `after`, where the ids begin.
  std::string from = prefix + std::string(after);
  if (!after.empty()) from += '\0';
  for (it->Seek(from); documents.size() < limit && it->Valid(); it->Next()) {
    const std::string_view key = View(it->key());
    if (!key.starts_with(prefix)) break;
    HEED_ASSIGN_OR_RETURN(std::string text, Text(key, View(it->value())));
    documents.push_back({std::string(key.substr(prefix.size())), std::move(text)});
  }
  HEED_RETURN_IF_ERROR(FromRocks(it->status(), "listing documents"));
  return documents;
}

Status Documents::ForEach(
    Collection collection,
    const std::function<Status(std::string_view tenant, const Document&)>& visit) const {
  const Database::Handles& handles = database_.handles();
  rocksdb::ReadOptions options;
  options.fill_cache = false;
  const std::unique_ptr<rocksdb::Iterator> it(handles.db->NewIterator(options, handles.documents));
  const std::string prefix(1, static_cast<char>(collection));
  for (it->Seek(prefix); it->Valid(); it->Next()) {
    const std::string_view key = View(it->key());
    if (!key.starts_with(prefix)) break;
    const size_t nul = key.find('\0', 1);
    if (nul == std::string_view::npos) return Corruption("the key of a document has no tenant");
    HEED_ASSIGN_OR_RETURN(std::string text, Text(key, View(it->value())));
    HEED_RETURN_IF_ERROR(
        visit(key.substr(1, nul - 1), Document{std::string(key.substr(nul + 1)), std::move(text)}));
  }
  return FromRocks(it->status(), "reading documents");
}

}  // namespace heed::store
