#include "engine/shelf.h"

#include <utility>

namespace heed::engine {

std::vector<ShelfProduct> Shelf(const state::State& state, const decide::Catalog& catalog,
                                std::string_view tenant, std::string_view room) {
  std::vector<ShelfProduct> products;
  const state::RoomView view = state.ReadRoom(state.Find(state::Kind::kRoom, tenant, room));
  for (const state::BoundProduct& bound : view.products) {
    if (!bound.on) continue;
    ShelfProduct product;
    product.id = state.Name(state::Kind::kProduct, bound.product);
    product.title = state.ReadProduct(bound.product).title;
    if (bound.price_cents >= 0) product.price_cents = bound.price_cents;
    product.stock = bound.stock;
    if (const auto facts = catalog.Find(CatalogKind::kProducts, tenant, product.id)) {
      if (product.title.empty()) product.title = facts->title;
      if (!product.price_cents) product.price_cents = facts->price_cents;
      if (!product.stock) product.stock = facts->stock;
    }
    products.push_back(std::move(product));
  }
  return products;
}

}  // namespace heed::engine
