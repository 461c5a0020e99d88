#include "sim/catalog.h"

#include <fmt/format.h>

#include "sim/words.h"

namespace heed::sim {

// No word of the simulated world needs escaping in JSON (words.cc; sim_test parses every document).

std::vector<CatalogDocument> HostDocuments(const Population& people) {
  std::vector<CatalogDocument> documents;
  for (const Host& host : people.hosts) {
    documents.push_back({host.id, fmt::format(R"({{"id":"{}","name":"{}","category":"{}"}})",
                                              host.id, host.name, CategoryOf(host.category).name)});
  }
  return documents;
}

std::vector<CatalogDocument> ProductDocuments(const Population& people) {
  std::vector<CatalogDocument> documents;
  for (const Product& product : people.products) {
    documents.push_back(
        {product.id,
         fmt::format(
             R"({{"id":"{}","title":"{}","category":"{}","price_cents":{},"stock":{},"host_id":"{}"}})",
             product.id, product.title, CategoryOf(product.category).name, product.price_cents,
             product.stock, people.hosts[product.host].id)});
  }
  return documents;
}

std::vector<CatalogDocument> RoomDocuments(const Population& people) {
  std::vector<CatalogDocument> documents;
  for (const Host& host : people.hosts) {
    if (!host.live) continue;
    documents.push_back(
        {host.room, fmt::format(R"({{"id":"{}","title":"{}","category":"{}","host_id":"{}"}})",
                                host.room, host.name, CategoryOf(host.category).name, host.id)});
  }
  return documents;
}

}  // namespace heed::sim
