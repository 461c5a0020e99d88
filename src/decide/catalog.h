// The catalog of hosts, rooms and products: JSON documents kept durably, their facts in memory.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "heed/engine.h"

#include "store/documents.h"

namespace heed::decide {

// What may be taken of a room's broadcast: nothing; what is measured; that and the proxies of expression and
// arousal (docs/broadcast-law.md). Each allows what those before it do.
enum class BroadcastUse : uint8_t { kOff, kMeasures, kProxies };
std::string_view BroadcastUseName(BroadcastUse use);
std::optional<BroadcastUse> BroadcastUseByName(std::string_view name);

struct CatalogFacts {  // what ranking asks; absent members were not given
  bool off = false;    // status "off": never recommended
  std::string host_id;
  std::string category;
  std::string title;
  std::optional<int64_t> price_cents;
  std::optional<int64_t> stock;
  std::optional<BroadcastUse> broadcast;
};

// Checks one document and reads its facts. Members: id (required), status "active" or "off",
// category, attributes (any object), and
//   hosts: name; rooms: title, host_id, broadcast; products: title, host_id, price_cents, stock, image_url.
// Anything else is refused by name: a misspelt member would otherwise be lost without a word.
struct ParsedDocument {
  std::string id;
  std::string text;  // minified
  CatalogFacts facts;
};
Result<ParsedDocument> ParseCatalogDocument(CatalogKind kind, std::string_view json);

// Thread-safe.
class Catalog {
 public:
  static Result<std::unique_ptr<Catalog>> Open(store::Database& database);
  ~Catalog();

  Result<CatalogResult> Put(CatalogKind kind, std::string_view tenant,
                            std::span<const std::string> documents);
  Result<std::string> Get(CatalogKind kind, std::string_view tenant, std::string_view id) const;
  Status Delete(CatalogKind kind, std::string_view tenant, std::string_view id);
  Result<CatalogPage> List(CatalogKind kind, std::string_view tenant, std::string_view after,
                           size_t limit) const;

  std::optional<CatalogFacts> Find(CatalogKind kind, std::string_view tenant,
                                   std::string_view id) const;
  // Ids of the products whose host_id is `host`, sorted.
  std::vector<std::string> ProductsOf(std::string_view tenant, std::string_view host) const;

 private:
  struct Impl;
  explicit Catalog(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace heed::decide
