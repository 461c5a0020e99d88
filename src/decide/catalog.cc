#include "decide/catalog.h"

#include <boost/json.hpp>
#include <map>
#include <mutex>
#include <set>
#include <shared_mutex>
#include <utility>

namespace heed::decide {
namespace {

namespace json = boost::json;

store::Collection CollectionOf(CatalogKind kind) {
  switch (kind) {
    case CatalogKind::kHosts: return store::Collection::kHosts;
    case CatalogKind::kRooms: return store::Collection::kRooms;
    case CatalogKind::kProducts: return store::Collection::kProducts;
  }
  return store::Collection::kProducts;
}

Status ReadText(const json::value& value, std::string_view name, size_t max_bytes,
                std::string* out) {
  const std::string pointer = "/" + std::string(name);
  if (!value.is_string()) return InvalidArgument("must be a string", pointer);
  const std::string_view text = value.get_string();
  if (text.size() > max_bytes) {
    return InvalidArgument("must have at most " + std::to_string(max_bytes) + " bytes, has " +
                               std::to_string(text.size()),
                           pointer);
  }
  if (text.find('\0') != std::string_view::npos) {
    return InvalidArgument("must not contain a NUL character", pointer);
  }
  *out = text;
  return {};
}

Status ReadCount(const json::value& value, std::string_view name, std::optional<int64_t>* out) {
  const std::string pointer = "/" + std::string(name);
  if (!value.is_int64()) return InvalidArgument("must be a whole number", pointer);
  if (value.get_int64() < 0) return InvalidArgument("must not be negative", pointer);
  *out = value.get_int64();
  return {};
}

Status ReadMember(CatalogKind kind, std::string_view name, const json::value& value,
                  ParsedDocument* out) {
  constexpr size_t kMaxText = 2'000;
  constexpr size_t kMaxId = 512;  // 128 code points of at most four bytes
  CatalogFacts& facts = out->facts;
  std::string unused;
  if (name == "id") {
    HEED_RETURN_IF_ERROR(ReadText(value, name, kMaxId, &out->id));
    return out->id.empty() ? InvalidArgument("must not be empty", "/id") : Status();
  }
  if (name == "status") {
    std::string status;
    HEED_RETURN_IF_ERROR(ReadText(value, name, kMaxText, &status));
    if (status != "active" && status != "off") {
      return InvalidArgument("must be \"active\" or \"off\"", "/status");
    }
    facts.off = status == "off";
    return {};
  }
  if (name == "category") return ReadText(value, name, kMaxText, &facts.category);
  if (name == "attributes") {
    return value.is_object() ? Status() : InvalidArgument("must be an object", "/attributes");
  }
  if (kind == CatalogKind::kHosts && name == "name") {
    return ReadText(value, name, kMaxText, &facts.title);
  }
  if (kind != CatalogKind::kHosts && name == "title") {
    return ReadText(value, name, kMaxText, &facts.title);
  }
  if (kind != CatalogKind::kHosts && name == "host_id") {
    return ReadText(value, name, kMaxId, &facts.host_id);
  }
  if (kind == CatalogKind::kRooms && name == "broadcast") {
    std::string use;
    HEED_RETURN_IF_ERROR(ReadText(value, name, kMaxText, &use));
    facts.broadcast = BroadcastUseByName(use);
    return facts.broadcast
               ? Status()
               : InvalidArgument("must be \"off\", \"measures\" or \"proxies\"", "/broadcast");
  }
  if (kind == CatalogKind::kProducts) {
    if (name == "price_cents") return ReadCount(value, name, &facts.price_cents);
    if (name == "stock") return ReadCount(value, name, &facts.stock);
    if (name == "image_url") return ReadText(value, name, kMaxText, &unused);
  }
  return InvalidArgument("unknown member; free-form data goes into \"attributes\"",
                         "/" + std::string(name));
}

using Id = std::pair<std::string, std::string>;  // tenant, id

}  // namespace

std::string_view BroadcastUseName(BroadcastUse use) {
  switch (use) {
    case BroadcastUse::kOff: return "off";
    case BroadcastUse::kMeasures: return "measures";
    case BroadcastUse::kProxies: return "proxies";
  }
  return "off";
}

std::optional<BroadcastUse> BroadcastUseByName(std::string_view name) {
  for (const BroadcastUse use :
       {BroadcastUse::kOff, BroadcastUse::kMeasures, BroadcastUse::kProxies}) {
    if (name == BroadcastUseName(use)) return use;
  }
  return std::nullopt;
}

Result<ParsedDocument> ParseCatalogDocument(CatalogKind kind, std::string_view text) {
  json::error_code error;
  const json::value value = json::parse(text, error);
  if (error) return InvalidArgument("not valid JSON: " + error.message());
  if (!value.is_object()) return InvalidArgument("must be a JSON object");
  ParsedDocument out;
  for (const auto& [name, member] : value.get_object()) {
    HEED_RETURN_IF_ERROR(ReadMember(kind, name, member, &out));
  }
  if (out.id.empty()) return InvalidArgument("is required", "/id");
  out.text = json::serialize(value);
  return out;
}

struct Catalog::Impl {
  explicit Impl(store::Database& database) : documents(database) {}

  store::Documents documents;
  mutable std::shared_mutex mutex;
  std::map<Id, CatalogFacts, std::less<>> facts[3];           // by kind
  std::map<Id, std::set<std::string>, std::less<>> products;  // (tenant, host) → product ids

  // Both need the mutex held.
  void Forget(CatalogKind kind, std::string_view tenant, std::string_view id) {
    auto& table = facts[static_cast<size_t>(kind)];
    const auto found = table.find(Id(tenant, id));
    if (found == table.end()) return;
    if (kind == CatalogKind::kProducts) {
      const auto host = products.find(Id(tenant, found->second.host_id));
      if (host != products.end()) host->second.erase(std::string(id));
    }
    table.erase(found);
  }
  void Remember(CatalogKind kind, std::string_view tenant, const ParsedDocument& document) {
    Forget(kind, tenant, document.id);
    if (kind == CatalogKind::kProducts && !document.facts.host_id.empty()) {
      products[Id(tenant, document.facts.host_id)].insert(document.id);
    }
    facts[static_cast<size_t>(kind)][Id(tenant, document.id)] = document.facts;
  }
};

Catalog::Catalog(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Catalog::~Catalog() = default;

Result<std::unique_ptr<Catalog>> Catalog::Open(store::Database& database) {
  auto impl = std::make_unique<Impl>(database);
  for (const CatalogKind kind :
       {CatalogKind::kHosts, CatalogKind::kRooms, CatalogKind::kProducts}) {
    HEED_RETURN_IF_ERROR(impl->documents.ForEach(
        CollectionOf(kind), [&](std::string_view tenant, const store::Document& stored) -> Status {
          const Result<ParsedDocument> parsed = ParseCatalogDocument(kind, stored.text);
          if (!parsed.ok()) {
            return Corruption("catalog document '" + stored.id +
                              "': " + parsed.status().ToString());
          }
          impl->Remember(kind, tenant, parsed.value());
          return {};
        }));
  }
  return std::unique_ptr<Catalog>(new Catalog(std::move(impl)));
}

Result<CatalogResult> Catalog::Put(CatalogKind kind, std::string_view tenant,
                                   std::span<const std::string> documents) {
  CatalogResult result;
  std::vector<ParsedDocument> parsed;
  std::vector<store::Document> to_store;
  for (size_t i = 0; i < documents.size(); ++i) {
    Result<ParsedDocument> document = ParseCatalogDocument(kind, documents[i]);
    if (!document.ok()) {
      result.refused.push_back({i, {}, document.status()});
      continue;
    }
    to_store.push_back({document.value().id, document.value().text});
    parsed.push_back(std::move(document).value());
  }
  if (parsed.empty()) return result;
  const std::unique_lock lock(impl_->mutex);
  HEED_RETURN_IF_ERROR(impl_->documents.Put(CollectionOf(kind), tenant, to_store, /*sync=*/true));
  for (const ParsedDocument& document : parsed) impl_->Remember(kind, tenant, document);
  result.stored = parsed.size();
  return result;
}

Result<std::string> Catalog::Get(CatalogKind kind, std::string_view tenant,
                                 std::string_view id) const {
  HEED_ASSIGN_OR_RETURN(const std::optional<std::string> text,
                        impl_->documents.Get(CollectionOf(kind), tenant, id));
  if (!text) return NotFound("no such document: " + std::string(id));
  return *text;
}

Status Catalog::Delete(CatalogKind kind, std::string_view tenant, std::string_view id) {
  const std::unique_lock lock(impl_->mutex);
  HEED_ASSIGN_OR_RETURN(const bool existed,
                        impl_->documents.Delete(CollectionOf(kind), tenant, id));
  impl_->Forget(kind, tenant, id);
  return existed ? Status() : NotFound("no such document: " + std::string(id));
}

Result<CatalogPage> Catalog::List(CatalogKind kind, std::string_view tenant, std::string_view after,
                                  size_t limit) const {
  // One more than asked tells whether there is a next page.
  HEED_ASSIGN_OR_RETURN(std::vector<store::Document> found,
                        impl_->documents.List(CollectionOf(kind), tenant, after, limit + 1));
  CatalogPage page;
  if (found.size() > limit) {
    found.resize(limit);
    if (!found.empty()) page.next = found.back().id;
  }
  for (store::Document& document : found) page.documents.push_back(std::move(document.text));
  return page;
}

std::optional<CatalogFacts> Catalog::Find(CatalogKind kind, std::string_view tenant,
                                          std::string_view id) const {
  const std::shared_lock lock(impl_->mutex);
  const auto& table = impl_->facts[static_cast<size_t>(kind)];
  const auto found = table.find(Id(tenant, id));
  if (found == table.end()) return std::nullopt;
  return found->second;
}

std::vector<std::string> Catalog::ProductsOf(std::string_view tenant, std::string_view host) const {
  const std::shared_lock lock(impl_->mutex);
  const auto found = impl_->products.find(Id(tenant, host));
  if (found == impl_->products.end()) return {};
  return {found->second.begin(), found->second.end()};
}

}  // namespace heed::decide
