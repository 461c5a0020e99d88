// What a line on the screen offers: the price to pay and the stock left, from text as it is read by a
// machine (¥ lost or taken for Y, spaces between characters, full-width digits).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace heed::media {

struct Offer {
  std::optional<double> price_cny;
  std::optional<int64_t> stock;
};

// A number of up to six digits, thousands' commas and two decimals is a price behind ¥ (Y only with decimals), before
// 元 or 块, or shortly behind 价, 券后 or 到手. One named as the price to pay (券后, 抢购, 直播 and their
// kin) goes before others, and the first before the rest. List prices (原价 and its kin), amounts off (满, 减, 省, ...), counts (件), shares (%, 折) and measures are
// none. Stock: 库存 or 剩 before a number of 件. Any bytes. Thread-safe.
Offer ReadOffer(std::string_view text);

}  // namespace heed::media
