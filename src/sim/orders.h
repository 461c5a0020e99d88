// Orders from their creation to pay or cancel, and refund.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/stage.h"

namespace heed::sim {

class Orders {
 public:
  explicit Orders(Stage& stage) : stage_(stage) {}

  // One piece less in stock, held for a viewer who is about to order.
  void Hold(uint32_t product) { --stage_.people.products[product].stock; }
  void Release(uint32_t product) { ++stage_.people.products[product].stock; }
  // Writes order.create and product.stock for a held piece; the rest follows by itself.
  void Create(User& user, uint32_t product);
  void Run(const Due& due);

 private:
  struct Order {
    std::string id, user, room, session, coupon;
    uint32_t product = kNobody;
    int64_t amount_cents = 0;
  };
  void Pay(const Order& order, uint32_t number);
  void Cancel(const Order& order);
  void Refund(const Order& order, bool done);

  Stage& stage_;
  std::vector<Order> orders_;
};

}  // namespace heed::sim
