#include "sim/words.h"

#include <array>

namespace heed::sim {
namespace {

using Words = std::string_view;

constexpr Words kWomen[] = {"针织衫", "半身裙", "连衣裙", "衬衫", "风衣", "阔腿裤"};
constexpr Words kMen[] = {"夹克", "休闲裤", "卫衣", "羊毛衫", "衬衣", "牛仔裤"};
constexpr Words kShoes[] = {"小白鞋", "短靴", "跑鞋", "双肩包", "托特包", "乐福鞋"};
constexpr Words kBeauty[] = {"口红", "粉底液", "眼影盘", "腮红", "卸妆膏", "香水"};
constexpr Words kCare[] = {"面霜", "精华液", "洗面奶", "面膜", "防晒霜", "护手霜"};
constexpr Words kFood[] = {"坚果礼盒", "牛肉干", "蛋黄酥", "速食面", "果干", "辣条"};
constexpr Words kFresh[] = {"车厘子", "脐橙", "大闸蟹", "牛排", "三文鱼", "草莓"};
constexpr Words kHome[] = {"四件套", "保温杯", "收纳箱", "拖把", "毛巾", "枕头"};
constexpr Words kDigital[] = {"蓝牙耳机", "充电宝", "键盘", "智能手表", "台灯", "音箱"};
constexpr Words kBaby[] = {"纸尿裤", "绘本", "积木", "婴儿推车", "奶瓶", "连体衣"};
constexpr Words kJewel[] = {"和田玉手镯", "珍珠项链", "银耳钉", "翡翠吊坠", "黄金转运珠", "戒指"};
constexpr Words kSport[] = {"瑜伽裤", "冲锋衣", "哑铃", "露营帐篷", "登山鞋", "跳绳"};

constexpr std::array<Category, kCategories> kAll = {{
    {"女装", 150, true, kWomen},
    {"男装", 160, true, kMen},
    {"鞋包", 220, true, kShoes},
    {"美妆", 120, false, kBeauty},
    {"护肤", 180, false, kCare},
    {"零食", 45, false, kFood},
    {"生鲜", 90, false, kFresh},
    {"家居", 80, false, kHome},
    {"数码", 260, false, kDigital},
    {"母婴", 110, false, kBaby},
    {"珠宝", 900, false, kJewel},
    {"运动户外", 200, true, kSport},
}};

constexpr Words kStyles[] = {"秋冬", "新款", "轻奢", "经典", "加厚", "小众",
                             "复古", "升级", "简约", "限定", "同款", "进口"};
constexpr Words kSurnames[] = {"小鹿", "阿敏", "大林", "可可", "悠悠", "老周",
                               "安琪", "糖糖", "子墨", "丽姐", "阿杰", "雯雯"};
constexpr Words kShops[] = {"的店", "优选", "穿搭", "严选", "好物", "直播间", "小铺", "家"};
constexpr Words kOccasions[] = {"上新专场", "清仓福利", "粉丝专场",
                                "品牌日",   "源头好货", "晚间福利"};

constexpr Words kChatter[] = {"来了来了",     "主播晚上好", "第一次来",     "已经下单了",
                              "上次买的很好", "好看",       "这个颜色绝了", "有点贵",
                              "再便宜点",     "声音有点小", "支持主播",     "回购第三次了",
                              "质量怎么样啊", "哈哈哈哈",   "666"};
constexpr Words kQuestions[] = {"多少钱",           "几号链接",     "包邮吗",     "什么时候发货",
                                "能不能退",         "有没有优惠券", "保质期多久", "是正品吗",
                                "和上次那款一样吗", "还有库存吗",   "可以用券吗", "产地是哪里"};
constexpr Words kSizeQuestions[] = {"穿什么码", "多大尺码合适", "偏大还是偏小", "M码有货吗",
                                    "显胖吗"};

template <size_t N>
Words Pick(const Words (&words)[N], Random& random) {
  return words[random.Below(N)];
}

}  // namespace

const Category& CategoryOf(size_t index) { return kAll[index]; }

std::string HostName(Random& random) {
  std::string name(Pick(kSurnames, random));
  return name.append(Pick(kShops, random));
}

std::string ProductTitle(size_t category, Random& random) {
  const auto nouns = kAll[category].nouns;
  std::string title(Pick(kStyles, random));
  return title.append(nouns[random.Below(nouns.size())]);
}

std::string RoomTitle(size_t category, Random& random) {
  std::string title(kAll[category].name);
  return title.append(Pick(kOccasions, random));
}

std::string Comment(size_t category, Random& random) {
  const double kind = random.Uniform();
  if (kAll[category].sized && kind < 0.25) {
    // "165 120斤穿什么码": height in cm, weight in jin.
    std::string text;
    if (random.Chance(0.6)) {
      text = std::to_string(152 + random.Below(32)) + " " +
             std::to_string(90 + 5 * random.Below(16)) + "斤";
    }
    return text.append(Pick(kSizeQuestions, random));
  }
  return std::string(kind < 0.55 ? Pick(kQuestions, random) : Pick(kChatter, random));
}

}  // namespace heed::sim
