#include "sim/orders.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace heed::sim {
namespace {

using event::ActorKind;

constexpr double kPaidShare = 0.85;
constexpr double kMedianPayMs = 40.0 * kSecondMs;
constexpr double kPaySpread = 1.3;
constexpr int64_t kPayLimitMs = 30 * kMinuteMs;  // unpaid orders are cancelled then
constexpr double kRefundShare = 0.12;
constexpr int64_t kCouponCents = 1000;
constexpr const char* kReasons[] = {"size", "quality", "changed_mind", "late"};

event::OrderLine Line(const std::string& product, int64_t amount_cents) {
  event::OrderLine line;
  line.product_id = product;
  line.qty = 1;
  line.amount_cents = amount_cents;
  return line;
}

}  // namespace

void Orders::Create(User& user, uint32_t number) {
  const Product& product = stage_.people.products[number];
  const Host& host = stage_.people.hosts[product.host];
  Random& random = stage_.random;
  const auto index = static_cast<uint32_t>(orders_.size());
  Order& order = orders_.emplace_back();
  order.id = Numbered('o', index);
  order.user = user.id;
  order.room = host.room;
  order.session = host.session;
  order.product = number;
  order.amount_cents = product.price_cents;
  if (user.coupon_host == product.host && product.price_cents > 4 * kCouponCents) {
    order.coupon = std::exchange(user.coupon, {});
    user.coupon_host = kNobody;
    order.amount_cents -= kCouponCents;
  }

  auto& created = stage_.writer.Write<event::OrderCreate>(stage_.now, host);
  created.order_id = order.id;
  created.lines.push_back(Line(product.id, order.amount_cents));
  if (!order.coupon.empty()) created.coupon_id = order.coupon;
  stage_.writer.By(ActorKind::kViewer, user.id);
  auto& left = stage_.writer.Write<event::ProductStock>(stage_.now, host);
  left.product_id = product.id;
  left.stock = product.stock;
  stage_.writer.By(ActorKind::kPlatform, "platform");

  if (random.Chance(kPaidShare)) {
    const double delay = kMedianPayMs * std::exp(kPaySpread * random.Normal());
    const auto pay_ms = static_cast<int64_t>(
        std::clamp(delay, 2.0 * kSecondMs, static_cast<double>(kPayLimitMs - 1)));
    stage_.Schedule(stage_.now + pay_ms, Task::kOrderPay, index);
  } else {
    stage_.Schedule(stage_.now + kPayLimitMs, Task::kOrderCancel, index);
  }
}

void Orders::Run(const Due& due) {
  const Order order = orders_[due.who];
  switch (due.task) {
    case Task::kOrderPay: Pay(order, due.who); break;
    case Task::kOrderCancel: Cancel(order); break;
    case Task::kOrderRefundRequest:
      Refund(order, false);
      stage_.Schedule(stage_.now + stage_.Between(10 * kMinuteMs, 3 * kHourMs),
                      Task::kOrderRefundDone, due.who);
      break;
    default: Refund(order, true); break;
  }
}

void Orders::Pay(const Order& order, uint32_t number) {
  auto& paid = stage_.writer.Write<event::OrderPay>(stage_.now, order.room, order.session);
  paid.order_id = order.id;
  paid.amount_cents = order.amount_cents;
  paid.currency = "CNY";
  paid.lines.emplace().push_back(
      Line(stage_.people.products[order.product].id, order.amount_cents));
  stage_.writer.By(ActorKind::kViewer, order.user);
  if (!order.coupon.empty()) {
    auto& redeemed =
        stage_.writer.Write<event::CouponRedeem>(stage_.now, order.room, order.session);
    redeemed.coupon_id = order.coupon;
    redeemed.order_id = order.id;
    redeemed.discount_cents = kCouponCents;
    stage_.writer.By(ActorKind::kViewer, order.user);
  }
  if (stage_.random.Chance(kRefundShare)) {
    stage_.Schedule(stage_.now + stage_.Between(5 * kMinuteMs, 2 * kHourMs),
                    Task::kOrderRefundRequest, number);
  }
}

void Orders::Cancel(const Order& order) {
  auto& cancelled = stage_.writer.Write<event::OrderCancel>(stage_.now, order.room, order.session);
  cancelled.order_id = order.id;
  cancelled.reason = "unpaid_timeout";
  stage_.writer.By(ActorKind::kPlatform, "platform");
  Release(order.product);
}

void Orders::Refund(const Order& order, bool done) {
  auto& refund = stage_.writer.Write<event::OrderRefund>(stage_.now, order.room, order.session);
  refund.order_id = order.id;
  refund.amount_cents = order.amount_cents;
  refund.stage = done ? event::RefundStage::kDone : event::RefundStage::kRequest;
  // One order, one reason, whichever stage is written.
  refund.reason = kReasons[order.id.size() % std::size(kReasons)];
  stage_.writer.By(ActorKind::kViewer, order.user);
}

}  // namespace heed::sim
