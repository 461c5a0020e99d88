#include "media/price_text.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <string>

namespace heed::media {
namespace {

struct Case {
  const char* text;
  double price;   // -1: none
  int64_t stock;  // -1: none
};

TEST(PriceText, ReadsWhatAPersonWouldPay) {
  constexpr Case kCases[] = {
      {"抢购价 ¥99.00", 99, -1},
      {"抢购 价 Y99.00", 99, -1},
      {"券后价39.9元", 39.9, -1},
      {"直播价￥1299", 1299, -1},
      {"直播价：1,299.00", 1299, -1},
      {"价格 45", 45, -1},
      {"¥68.50", 68.5, -1},
      {"Y68.50", 68.5, -1},
      {"８８．５元", 88.5, -1},
      {"19块9", 19, -1},
      {"原价399 到手价268", 268, -1},
      {"到手价 268 元\n原价 399 元", 268, -1},
      {"原价 ¥399", -1, -1},
      {"日常价¥459 券后 327", 327, -1},
      {"抢购价\n99.00", 99, -1},
      {"满300减40", -1, -1},
      {"满300减40 到手价 259", 259, -1},
      {"20元优惠券", -1, -1},
      {"拍1发3件", -1, -1},
      {"500ml 大瓶装", -1, -1},
      {"7折起", -1, -1},
      {"限时价 2小时", -1, -1},
      {"Y327", -1, -1},
      {"电话 13800138000", -1, -1},
      {"价 1234567", -1, -1},
      {"价 12.345", -1, -1},
      {"¥0", -1, -1},
      {"库存50件", -1, 50},
      {"补水 面膜 库存 1280 件", -1, 1280},
      {"库存：36件 直播价 15.8", 15.8, 36},
      {"仅剩3件", -1, 3},
      {"库存充足", -1, -1},
      {"已售 3000 件", -1, -1},
      {"", -1, -1},
      {"2026-11-27 20:15", -1, -1},
  };
  for (const Case& c : kCases) {
    const Offer offer = ReadOffer(c.text);
    EXPECT_NEAR(offer.price_cny.value_or(-1), c.price, 1e-9) << c.text;
    EXPECT_EQ(offer.stock.value_or(-1), c.stock) << c.text;
  }
}

RC_GTEST_PROP(PriceText, AnyBytesGiveAPriceInRangeOrNone, (const std::string& bytes)) {
  const Offer offer = ReadOffer(bytes);
  RC_ASSERT(!offer.price_cny || (*offer.price_cny > 0 && *offer.price_cny < 1e6));
  RC_ASSERT(!offer.stock || (*offer.stock >= 0 && *offer.stock < 10'000'000));
}

RC_GTEST_PROP(PriceText, WhatATagSaysIsRead, ()) {
  const auto cents = *rc::gen::inRange(1, 100'000'000);
  const auto stock = *rc::gen::inRange(0, 10'000'000);
  char price[32];
  snprintf(price, sizeof(price), "%d.%02d", cents / 100, cents % 100);
  const Offer offer =
      ReadOffer("直播价 ¥" + std::string(price) + "\n库存" + std::to_string(stock) + "件");
  RC_ASSERT(offer.price_cny.has_value());
  RC_ASSERT(std::abs(*offer.price_cny - cents / 100.0) < 1e-6);
  RC_ASSERT(offer.stock == stock);
}

}  // namespace
}  // namespace heed::media
