// /v1/catalog/{hosts,products,rooms}: list, bulk write, and one document at a time.
#include <boost/json/serialize.hpp>
#include <string>
#include <utility>
#include <vector>

#include "server/api.h"
#include "server/json.h"
#include "server/problem.h"

namespace heed::server {
namespace {

constexpr size_t kDefaultPage = 100;
constexpr size_t kMaxPage = 1'000;

Result<Response> List(Api& api, CatalogKind kind, const Request& request) {
  HEED_ASSIGN_OR_RETURN(const std::string tenant, TenantFor(request));
  HEED_ASSIGN_OR_RETURN(const size_t limit,
                        QueryNumber(request, "limit", kDefaultPage, 1, kMaxPage));
  const std::string* after = request.Query("cursor");
  HEED_ASSIGN_OR_RETURN(
      const CatalogPage page,
      api.engine.ListCatalog(kind, tenant, after != nullptr ? *after : "", limit));
  Response response;
  response.body = "{\"items\":[";
  for (size_t i = 0; i < page.documents.size(); ++i) {
    if (i > 0) response.body += ',';
    response.body += page.documents[i];
  }
  response.body += ']';
  if (!page.next.empty()) {
    response.body += ",\"next_cursor\":";
    AppendJsonString(response.body, page.next);
  }
  response.body += '}';
  return response;
}

Result<Response> PutMany(Api& api, CatalogKind kind, const Request& request) {
  HEED_ASSIGN_OR_RETURN(const std::string tenant, TenantFor(request));
  HEED_ASSIGN_OR_RETURN(
      const std::vector<std::string_view> parts,
      SplitDocuments(request.body, static_cast<size_t>(api.config.max_documents_per_request)));
  if (parts.empty()) return InvalidArgument("the body holds no document");
  const std::vector<std::string> documents(parts.begin(), parts.end());
  HEED_ASSIGN_OR_RETURN(const CatalogResult result, api.engine.PutCatalog(kind, tenant, documents));
  std::string errors = "[";
  for (const CatalogRefusal& refusal : result.refused) {
    if (errors.size() > 1) errors += ',';
    errors += "{\"index\":";
    AppendNumber(errors, refusal.index);
    errors += ",\"problem\":";
    AppendProblem(errors, refusal.status);
    errors += '}';
  }
  errors += ']';
  if (result.stored == 0) {
    return Refuse(request, result.refused[0].status, "\"errors\":" + errors);
  }
  Response response;
  response.body = "{\"stored\":";
  AppendNumber(response.body, result.stored);
  response.body += ",\"refused\":";
  AppendNumber(response.body, result.refused.size());
  response.body += ",\"errors\":" + errors + "}";
  return response;
}

Result<Response> Get(Api& api, CatalogKind kind, const Request& request) {
  HEED_ASSIGN_OR_RETURN(const std::string tenant, TenantFor(request));
  Response response;
  HEED_ASSIGN_OR_RETURN(response.body, api.engine.GetCatalog(kind, tenant, request.params[0]));
  return response;
}

Result<Response> PutOne(Api& api, CatalogKind kind, const Request& request) {
  HEED_ASSIGN_OR_RETURN(const std::string tenant, TenantFor(request));
  HEED_ASSIGN_OR_RETURN(boost::json::value body, ParseJson(request.body));
  if (!body.is_object()) return InvalidArgument("must be a JSON object");
  // The path names the document; a body that names another is a mistake worth telling.
  const boost::json::value* id = body.get_object().if_contains("id");
  if (id == nullptr) {
    body.get_object()["id"] = request.params[0];
  } else if (!id->is_string() || id->get_string() != request.params[0]) {
    return InvalidArgument("differs from the id in the path", "/id");
  }
  const std::vector<std::string> document = {boost::json::serialize(body)};
  HEED_ASSIGN_OR_RETURN(const CatalogResult result, api.engine.PutCatalog(kind, tenant, document));
  if (!result.refused.empty()) return result.refused[0].status;
  Response response;
  response.body = document[0];
  return response;
}

Result<Response> Delete(Api& api, CatalogKind kind, const Request& request) {
  HEED_ASSIGN_OR_RETURN(const std::string tenant, TenantFor(request));
  HEED_RETURN_IF_ERROR(api.engine.DeleteCatalog(kind, tenant, request.params[0]));
  Response response;
  response.status = 204;
  return response;
}

using Function = Result<Response> (*)(Api&, CatalogKind, const Request&);

}  // namespace

void AddCatalogRoutes(Api& api, std::vector<Route>* routes) {
  struct Entry {
    Method method;
    bool one;  // …/{id}
    Body body;
    Function function;
  };
  const Entry entries[] = {{Method::kGet, false, Body::kNone, List},
                           {Method::kPost, false, Body::kJsonOrLines, PutMany},
                           {Method::kGet, true, Body::kNone, Get},
                           {Method::kPut, true, Body::kJson, PutOne},
                           {Method::kDelete, true, Body::kNone, Delete}};
  const std::pair<const char*, CatalogKind> kinds[] = {{"hosts", CatalogKind::kHosts},
                                                       {"products", CatalogKind::kProducts},
                                                       {"rooms", CatalogKind::kRooms}};
  for (const auto& [name, kind_of] : kinds) {
    const CatalogKind kind = kind_of;
    for (const Entry& entry : entries) {
      Route route;
      route.method = entry.method;
      route.pattern = std::string("/v1/catalog/") + name + (entry.one ? "/{id}" : "");
      route.scope = entry.method == Method::kGet ? "catalog:read" : "catalog:write";
      route.body = entry.body;
      route.lane = Lane::kDisk;
      route.query = {"tenant"};
      if (entry.function == List) route.query = {"tenant", "limit", "cursor"};
      const Function function = entry.function;
      route.handler = Answering(
          [&api, kind, function](const Request& request) { return function(api, kind, request); });
      routes->push_back(std::move(route));
    }
  }
}

}  // namespace heed::server
