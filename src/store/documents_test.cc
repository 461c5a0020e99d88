#include "store/documents.h"

#include <gtest/gtest.h>
#include <rocksdb/db.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "store/fault_env.h"
#include "store/format_example.h"
#include "store/handles.h"
#include "store/testing.h"

namespace heed::store {
namespace {

class DocumentsTest : public ::testing::Test {
 protected:
  DocumentsTest() { Open(); }
  void Open() {
    auto database = Database::Open({directory_.path() + "/db", env_.env()});
    ASSERT_TRUE(database.ok()) << database.status().ToString();
    database_ = std::move(database).value();
    documents_ = std::make_unique<Documents>(*database_);
  }
  void Close() {
    documents_.reset();
    database_.reset();
  }
  Status Put(Collection collection, std::string_view tenant, std::vector<Document> documents,
             bool sync = true) {
    return documents_->Put(collection, tenant, documents, sync);
  }
  // The text, "none", or the error.
  std::string Get(Collection collection, std::string_view tenant, std::string_view id) {
    const auto got = documents_->Get(collection, tenant, id);
    return !got.ok() ? got.status().ToString() : got.value().value_or("none");
  }
  // "id=text id=text"
  std::string List(Collection collection, std::string_view tenant, std::string_view after = {},
                   size_t limit = 100) {
    const auto documents = documents_->List(collection, tenant, after, limit);
    if (!documents.ok()) return documents.status().ToString();
    std::string text;
    for (const Document& document : documents.value()) {
      text += (text.empty() ? "" : " ") + document.id + "=" + document.text;
    }
    return text;
  }

  TemporaryDirectory directory_;
  FaultEnv env_;
  std::unique_ptr<Database> database_;
  std::unique_ptr<Documents> documents_;
};

TEST_F(DocumentsTest, PutsGetsReplacesAndDeletes) {
  ASSERT_TRUE(Put(Collection::kHosts, "t", {{"h1", "one"}, {"h2", "two"}}).ok());
  EXPECT_EQ(Get(Collection::kHosts, "t", "h1"), "one");
  EXPECT_EQ(Get(Collection::kHosts, "t", "h3"), "none");
  EXPECT_EQ(Get(Collection::kRooms, "t", "h1"), "none");
  EXPECT_EQ(Get(Collection::kHosts, "u", "h1"), "none");
  ASSERT_TRUE(Put(Collection::kHosts, "t", {{"h1", "new"}, {"h3", ""}}).ok());
  EXPECT_EQ(List(Collection::kHosts, "t"), "h1=new h2=two h3=");
  EXPECT_TRUE(documents_->Delete(Collection::kHosts, "t", "h2").value());
  EXPECT_FALSE(documents_->Delete(Collection::kHosts, "t", "h2").value());
  Close();
  Open();
  EXPECT_EQ(List(Collection::kHosts, "t"), "h1=new h3=");
}

TEST_F(DocumentsTest, ListsInPagesAndOnlyOneTenant) {
  ASSERT_TRUE(Put(Collection::kProducts, "t", {{"b", "2"}, {"a", "1"}, {"ab", "3"}}).ok());
  ASSERT_TRUE(Put(Collection::kProducts, "ta", {{"x", "4"}}).ok());
  ASSERT_TRUE(Put(Collection::kProducts, "", {{"y", "5"}}).ok());
  ASSERT_TRUE(Put(Collection::kDecisions, "t", {{"z", "6"}}, false).ok());
  EXPECT_EQ(List(Collection::kProducts, "t"), "a=1 ab=3 b=2");
  EXPECT_EQ(List(Collection::kProducts, "t", "", 2), "a=1 ab=3");
  EXPECT_EQ(List(Collection::kProducts, "t", "ab", 2), "b=2");
  EXPECT_EQ(List(Collection::kProducts, "t", "aa"), "ab=3 b=2");
  EXPECT_EQ(List(Collection::kProducts, "t", "b"), "");
  EXPECT_EQ(List(Collection::kProducts, ""), "y=5");
  EXPECT_EQ(List(Collection::kProducts, "nobody"), "");
  std::string seen;
  ASSERT_TRUE(documents_
                  ->ForEach(Collection::kProducts,
                            [&](std::string_view tenant, const Document& document) {
                              seen += std::string(tenant) + "/" + document.id + "=" +
                                      document.text + " ";
                              return Status();
                            })
                  .ok());
  EXPECT_EQ(seen, "/y=5 t/a=1 t/ab=3 t/b=2 ta/x=4 ");
  EXPECT_EQ(documents_
                ->ForEach(Collection::kProducts,
                          [](std::string_view, const Document&) { return NotFound("enough"); })
                .message(),
            "enough");
}

TEST_F(DocumentsTest, RefusesWhatCannotBeAKey) {
  const std::string nul("a\0b", 3);
  EXPECT_EQ(Put(Collection::kHosts, nul, {{"h", ""}}).field(), "tenant");
  // All or none: the good one is not written either.
  EXPECT_EQ(Put(Collection::kHosts, "t", {{"h", ""}, {nul, ""}}).code(), Code::kInvalidArgument);
  EXPECT_EQ(Put(Collection::kHosts, "t", {{"h", ""}, {"", ""}}).field(), "id");
  EXPECT_EQ(List(Collection::kHosts, "t"), "");
  EXPECT_EQ(documents_->Get(Collection::kHosts, "t", nul).status().field(), "id");
  EXPECT_EQ(documents_->Delete(Collection::kHosts, nul, "h").status().field(), "tenant");
  EXPECT_EQ(documents_->List(Collection::kHosts, nul, "", 1).status().field(), "tenant");
}

TEST_F(DocumentsTest, RowIsAsTheFormatPageSays) {
  ASSERT_TRUE(Put(Collection::kHosts, "t1", {{"h7", "{\"name\":\"Lin\"}"}}).ok());
  const std::string key("\x01t1\0h7", 6);
  std::string value;
  Database::Handles& handles = database_->handles();
  ASSERT_TRUE(handles.db->Get(rocksdb::ReadOptions(), handles.documents, key, &value).ok());
  EXPECT_EQ(key + value, FormatExample("documents.md"));
}

TEST_F(DocumentsTest, EveryFlippedBitOfARowIsNoticed) {
  Database::Handles& handles = database_->handles();
  ASSERT_TRUE(Put(Collection::kHosts, "t", {{"h", "text"}}).ok());
  const std::string key("\x01t\0h", 4);
  std::string value;
  ASSERT_TRUE(handles.db->Get(rocksdb::ReadOptions(), handles.documents, key, &value).ok());
  for (size_t bit = 0; bit < 8 * value.size(); ++bit) {
    std::string damaged = value;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    rocksdb::WriteBatch batch;
    batch.Put(handles.documents, key, damaged);
    ASSERT_TRUE(handles.Write(batch, false).ok());
    EXPECT_EQ(documents_->Get(Collection::kHosts, "t", "h").status().code(), Code::kCorruption);
    EXPECT_EQ(documents_->List(Collection::kHosts, "t", "", 9).status().code(), Code::kCorruption);
  }
  // Under another key.
  rocksdb::WriteBatch batch;
  batch.Put(handles.documents, std::string("\x01t\0i", 4), value);
  ASSERT_TRUE(handles.Write(batch, false).ok());
  EXPECT_EQ(documents_->Get(Collection::kHosts, "t", "i").status().code(), Code::kCorruption);
}

TEST_F(DocumentsTest, SyncedOnesSurviveAPowerCutAndUnsyncedOnesFollowTheNextSync) {
  ASSERT_TRUE(Put(Collection::kHosts, "t", {{"h1", "one"}}).ok());
  ASSERT_TRUE(Put(Collection::kDecisions, "t", {{"d1", "one"}}, false).ok());
  ASSERT_TRUE(Put(Collection::kHosts, "t", {{"h2", "two"}}).ok());
  ASSERT_TRUE(Put(Collection::kDecisions, "t", {{"d2", "two"}}, false).ok());
  env_.CutPowerAfter(0);
  Close();
  // Of the tail that was not synced nothing, a part or all survives; a part is not a document.
  ASSERT_TRUE(env_.Restart(1).ok());
  Open();
  EXPECT_EQ(List(Collection::kHosts, "t"), "h1=one h2=two");
  const std::string decisions = List(Collection::kDecisions, "t");
  EXPECT_TRUE(decisions == "d1=one" || decisions == "d1=one d2=two") << decisions;
}

TEST_F(DocumentsTest, CleanCloseKeepsUnsyncedOnes) {
  ASSERT_TRUE(Put(Collection::kDecisions, "t", {{"d1", "one"}}, false).ok());
  Close();
  env_.CutPowerAfter(0);
  ASSERT_TRUE(env_.Restart(1).ok());
  Open();
  EXPECT_EQ(List(Collection::kDecisions, "t"), "d1=one");
}

TEST_F(DocumentsTest, OfConcurrentDeletesOneSaysTrue) {
  for (int round = 0; round < 20; ++round) {
    ASSERT_TRUE(Put(Collection::kKeys, "", {{"k", "key"}}).ok());
    std::atomic<int> deleted = 0;
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        const Result<bool> result = documents_->Delete(Collection::kKeys, "", "k");
        deleted += result.ok() && result.value();
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(deleted, 1);
  }
}

}  // namespace
}  // namespace heed::store
