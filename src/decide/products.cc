// Which product of the room to show a viewer.
#include <algorithm>
#include <unordered_set>
#include <utility>

#include "decide/decider.h"

namespace heed::decide {

using state::Index;
using state::Kind;

Status Decider::GatherProducts(Gathered* gathered) const {
  const RecommendRequest& request = *gathered->request;
  const int64_t now_ts = gathered->response.ts;
  RecommendResponse& response = gathered->response;
  response.state_sequence = state_.last_sequence();
  const Index room_index = state_.Find(Kind::kRoom, request.tenant, request.room);
  if (room_index == state::kNone) return NotFound("unknown room '" + request.room + "'");
  const state::RoomView room = state_.ReadRoom(room_index);
  gathered->viewer =
      model::ReadViewer(state_, state_.Find(Kind::kUser, request.tenant, request.user));
  const model::Viewer& viewer = gathered->viewer;
  model::Batch& batch = gathered->batch;
  batch.Clear(model::ProductSchema());
  model::AddProductRequest(state_, viewer, room, now_ts, &batch);

  // What the room said last wins over the catalog, and the product's own events over both:
  // product.stock is the shop's word on stock.
  const auto bound = [&](Index product) {
    return std::find_if(room.products.begin(), room.products.end(),
                        [&](const auto& entry) { return entry.product == product; });
  };
  std::vector<Candidate>& candidates = gathered->candidates;
  const auto consider = [&](const std::string& id, const char* source) {
    const auto facts = catalog_.Find(CatalogKind::kProducts, request.tenant, id);
    const Index index = state_.Find(Kind::kProduct, request.tenant, id);
    if (!facts && index == state::kNone) {
      response.filtered.push_back({id, "unknown"});
      return;
    }
    if (facts && facts->off) {
      response.filtered.push_back({id, "off"});
      return;
    }
    state::ProductView product = state_.ReadProduct(index);
    if (!product.stock && facts) product.stock = facts->stock;
    if (product.price_cents < 0 && facts && facts->price_cents) {
      product.price_cents = *facts->price_cents;
    }
    const auto entry = bound(index);
    if (index != state::kNone && entry != room.products.end()) {
      if (!entry->on) {
        response.filtered.push_back({id, "off"});
        return;
      }
      if (entry->price_cents >= 0) product.price_cents = entry->price_cents;
    }
    if (product.stock && *product.stock <= 0) {
      response.filtered.push_back({id, "out_of_stock"});
      return;
    }
    model::AddProductCandidate(state_, viewer, product, room, now_ts, &batch);
    candidates.push_back({id, {}, source});
  };

  if (!request.candidates.empty()) {
    std::unordered_set<std::string_view> seen;
    for (const std::string& id : request.candidates) {
      if (seen.insert(id).second) {
        consider(id, "given");
      } else {
        response.filtered.push_back({id, "duplicate"});
      }
    }
  } else if (!room.products.empty()) {
    for (const state::BoundProduct& entry : room.products) {
      if (candidates.size() >= options_.found_candidates) break;
      consider(state_.Name(Kind::kProduct, entry.product), "room");
    }
  } else {  // nothing bound yet: the host's products in the catalog
    for (const std::string& id :
         catalog_.ProductsOf(request.tenant, state_.Name(Kind::kHost, room.host))) {
      if (candidates.size() >= options_.found_candidates) break;
      consider(id, "catalog");
    }
  }
  return {};
}

}  // namespace heed::decide
