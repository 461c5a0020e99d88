// What the labelled comments promise (docs/comments-guideline.md).
#include "text/labelled_comments.h"

#include <fstream>
#include <map>
#include <set>

#include "text/normalize.h"
#include "text/test_data.h"

namespace heed::text {
namespace {

TEST(LabelledComments, CoverWhatTheGuidelinePromises) {
  const std::set<std::string> intents = {"question", "price",  "size",      "stock", "shipping",
                                         "purchase", "praise", "complaint", "chat",  "spam"};
  std::set<std::string> texts, rooms;
  for (const std::string which : {"train", "valid", "held_out"}) {
    std::set<std::string> own_rooms, own_intents;
    for (const LabelledComment& comment : Labelled(which)) {
      EXPECT_TRUE(intents.contains(comment.intent)) << comment.text;
      EXPECT_TRUE(texts.insert(Normalize(comment.text)).second) << comment.text << " comes twice";
      EXPECT_EQ(ValidUtf8(comment.text), comment.text);
      EXPECT_TRUE(comment.sentiment == "positive" || comment.sentiment == "neutral" ||
                  comment.sentiment == "negative")
          << comment.text;
      EXPECT_FALSE(comment.intent == "question" && !comment.asks()) << comment.text;
      own_rooms.insert(comment.room);
      own_intents.insert(comment.intent);
    }
    EXPECT_EQ(own_intents, intents);
    for (const std::string& room : own_rooms) EXPECT_TRUE(rooms.insert(room).second) << room;
  }
  EXPECT_GE(texts.size(), 600u);
  EXPECT_GE(rooms.size(), 12u);
}

// A room's questions come in groups: clusters of one alone would make purity say nothing.
TEST(LabelledComments, MostQuestionsAreAskedTwiceOrMore) {
  for (const std::string which : {"train", "held_out"}) {
    std::map<std::string, size_t> sizes;
    for (const LabelledComment& comment : Labelled(which)) {
      if (comment.asks()) ++sizes[comment.room + "/" + comment.cluster];
    }
    size_t questions = 0, shared = 0;
    for (const auto& [cluster, size] : sizes) {
      questions += size;
      if (size > 1) shared += size;
    }
    EXPECT_GE(questions, 100u);
    EXPECT_GE(shared * 10, questions * 7);
  }
}

TEST(LabelledComments, MistakesNameTheLine) {
  const std::string path = testing::TempDir() + "labelled_comments.tsv";
  std::ofstream(path) << "room\tcategory\tintent\tsentiment\toffence\tcluster\ttext\nr\tc\tchat\n";
  const Status status = ReadLabelledComments(path).status();
  EXPECT_EQ(status.message(), path + ":2: 3 fields, not 7");
}

}  // namespace
}  // namespace heed::text
