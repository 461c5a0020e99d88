// Durable JSON-text documents by (collection, tenant, id): the catalog of hosts, rooms and products,
// the decision log, API keys. Format: docs/formats/documents.md.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "store/database.h"

namespace heed::store {

enum class Collection : uint8_t {
  kHosts = 1,
  kRooms = 2,
  kProducts = 3,
  kDecisions = 4,
  kKeys = 5
};

struct Document {
  std::string id;
  std::string text;
};

// Thread-safe. A tenant may be empty (documents of nobody's), an id may not; neither may contain a
// NUL: kInvalidArgument. A damaged document is kCorruption.
class Documents {
 public:
  explicit Documents(Database& database) : database_(database) {}

  // All or none; durable on return when `sync`. Decisions are written without (the log of decisions
  // must not hold the answer) and become durable with the next synced write.
  Status Put(Collection collection, std::string_view tenant, std::span<const Document> documents,
             bool sync);
  Result<std::optional<std::string>> Get(Collection collection, std::string_view tenant,
                                         std::string_view id) const;
  // False when there was none.
  Result<bool> Delete(Collection collection, std::string_view tenant, std::string_view id);
  // In id order from the first id > `after`; at most `limit`.
  Result<std::vector<Document>> List(Collection collection, std::string_view tenant,
                                     std::string_view after, size_t limit) const;
  // Every tenant's, for filling caches at start.
  Status ForEach(
      Collection collection,
      const std::function<Status(std::string_view tenant, const Document&)>& visit) const;

 private:
  Database& database_;
  std::mutex deleting_;  // so that of two concurrent Deletes one says true
};

}  // namespace heed::store
