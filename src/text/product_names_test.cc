#include "text/product_names.h"

#include "text/test_data.h"

namespace heed::text {
namespace {

TEST(ProductNames, ShortenedTitlesAreFound) {
  const auto lists = WordLists::ReadFile(SourcePath("src/text/data/word_lists.toml")).value();
  const std::vector<std::string> titles = {"不锈钢保温杯 500ml 包邮", "法式连衣裙 夏季",
                                           "半身裙 夏季", "", "ＡＢ款充电宝"};
  const ProductNames names(lists, titles);
  EXPECT_EQ(names.Named("那个保温杯多少钱"), 0u);
  EXPECT_EQ(names.Named("連衣裙有S碼嗎"), 1u);  // traditional
  EXPECT_EQ(names.Named("半身裙起球吗"), 2u);
  EXPECT_EQ(names.Named("ab款的还有吗"), 4u);
  EXPECT_EQ(names.Named("夏季的"), std::nullopt);  // two of them
  EXPECT_EQ(names.Named("包邮吗"), std::nullopt);  // a topic, whatever a title says
  EXPECT_EQ(names.Named("多少钱"), std::nullopt);
  EXPECT_EQ(names.Named(""), std::nullopt);
  EXPECT_EQ(ProductNames(lists, {}).Named("保温杯"), std::nullopt);
}

}  // namespace
}  // namespace heed::text
