#include "text/room_comments.h"

#include "base/random.h"
#include "text/test_data.h"

namespace heed::text {
namespace {

// By the word lists alone: what a model adds is judged elsewhere.
const Analyzer& ByLists() {
  static const std::unique_ptr<Analyzer> analyzer =
      Analyzer::Load({.word_lists = SourcePath("src/text/data/word_lists.toml")}).value();
  return *analyzer;
}

class RoomCommentsTest : public testing::Test {
 protected:
  RoomCommentsTest() {
    const auto lists = WordLists::ReadFile(SourcePath("src/text/data/word_lists.toml")).value();
    room_ = std::make_unique<RoomComments>(
        std::make_shared<const QuestionMeaning>(lists, std::span<const std::string>()), nullptr,
        RoomCommentsConfig{});
  }
  void Say(uint64_t viewer, int64_t t_ms, const std::string& text) {
    room_->Add({text, viewer, t_ms, ++sequence_}, ByLists().Analyze(text));
  }
  std::vector<std::string> HotWords(int64_t now_ms) {
    std::vector<std::string> words;
    for (const auto& word : room_->Now(now_ms, 20).words) words.push_back(word.text);
    return words;
  }

  std::unique_ptr<RoomComments> room_;
  uint64_t sequence_ = 100;
};

TEST_F(RoomCommentsTest, QuestionsBuyersAndAnswers) {
  room_->ShowProduct("cup");
  Say(1, 1'000, "这个多少钱");
  Say(2, 2'000, "价格多少");
  Say(3, 3'000, "主播好漂亮");
  Say(3, 4'000, "新疆包邮吗");
  room_->WantsToBuy(2, 5'000, Interest::kCarted);
  auto questions = room_->Questions(6'000);
  ASSERT_EQ(questions.size(), 2u);
  EXPECT_EQ(questions[0].id, 101u);
  EXPECT_EQ(questions[0].product, "cup");
  EXPECT_EQ(questions[0].viewers, 2u);
  EXPECT_EQ(questions[0].buying, 1u);
  EXPECT_EQ(questions[0].carted, 1u);

  // A partial segment may still change: it answers nothing.
  TranscriptSegment segment{5'000, 7'000, "价格是九十九块钱多少不变", "", false};
  EXPECT_FALSE(room_->HostSaid(segment).value());
  EXPECT_EQ(room_->Questions(8'000)[0].id, 101u);
  segment.final = true;
  EXPECT_TRUE(room_->HostSaid(segment).value());
  questions = room_->Questions(8'000);
  EXPECT_EQ(questions[0].id, 104u);
  EXPECT_EQ(questions[1].answered_ms, 7'000);
  room_->HostWrote("新疆也包邮哦", 8'500);
  EXPECT_EQ(room_->Questions(9'000)[0].waiting, 0u);
}

TEST_F(RoomCommentsTest, AnAnswerFindsItsClusterByWordsWhereTheIdIsAnothers) {
  Say(1, 1'000, "这个多少钱");
  EXPECT_FALSE(room_->MarkAnswered(7, "几天能到", 2'000));
  EXPECT_TRUE(room_->MarkAnswered(7, "多少钱", 2'000));
  EXPECT_EQ(room_->Questions(3'000)[0].answered_ms, 2'000);
  EXPECT_FALSE(room_->MarkAnswered(7, "", 2'000));
}

TEST_F(RoomCommentsTest, ProductNamesAreWords) {
  const std::vector<std::string> titles = {"不锈钢保温杯 大容量", "T恤", "", "🎉🎉"};
  Say(1, 1'000, "不锈钢保温杯好看");
  std::vector<std::string> words = HotWords(1'500);
  EXPECT_EQ(std::count(words.begin(), words.end(), "不锈钢保温杯"), 0);
  room_->NameProducts(titles);
  Say(2, 2'000, "不锈钢保温杯好看 T恤");
  words = HotWords(2'500);
  EXPECT_EQ(std::count(words.begin(), words.end(), "不锈钢保温杯"), 1);
  EXPECT_EQ(std::count(words.begin(), words.end(), "好看"), 1);  // two single characters
  EXPECT_EQ(std::count(words.begin(), words.end(), "t恤"), 1);
}

TEST_F(RoomCommentsTest, CommentsLagBehindTheHost) {
  const char* goods[] = {"保温杯", "连衣裙", "洗衣液", "充电宝", "牛仔裤", "防晒霜", "电饭煲",
                         "台灯",   "拖鞋",   "雨伞",   "枕头",   "耳机",   "口红",   "坚果"};
  Random random(1);
  for (int64_t i = 0; i < 120; ++i) {
    const std::string word = goods[random.Below(14)];
    const int64_t t_ms = 5'000 * i;
    EXPECT_TRUE(room_->HostSaid({t_ms, t_ms + 2'000, "来看" + word, "", true}).value());
    Say(static_cast<uint64_t>(i), t_ms + 10'000 + 200 * (i % 5), word + "不错");
  }
  ASSERT_TRUE(room_->lag().has_value());
  EXPECT_NEAR(static_cast<double>(room_->lag()->lag_ms), 9'000, 2'000);
}

TEST_F(RoomCommentsTest, AnyBytesAreAComment) {
  Say(1, 1'000, "");
  Say(1, 1'000, "\xFF\xFE吗？");
  Say(1, 1'000, std::string(10'000, 'a') + "多少钱");
  std::string marks;
  for (int i = 0; i < 5'000; ++i) AppendUtf8(0x0301, &marks);
  Say(1, 1'000, marks);
  EXPECT_EQ(room_->Now(1'500, 5).comments, 4u);
}

}  // namespace
}  // namespace heed::text
