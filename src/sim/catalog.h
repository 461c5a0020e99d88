// The world's catalog as JSON documents, for the bulk catalog API.
#pragma once

#include <string>
#include <vector>

#include "sim/people.h"

namespace heed::sim {

struct CatalogDocument {
  std::string id;
  std::string json;  // one object, minified; its "id" is `id`
};

// id, name, category
std::vector<CatalogDocument> HostDocuments(const Population& people);
// id, title, category, price_cents, stock, host_id
std::vector<CatalogDocument> ProductDocuments(const Population& people);
// The rooms live now: id, title, category, host_id
std::vector<CatalogDocument> RoomDocuments(const Population& people);

}  // namespace heed::sim
