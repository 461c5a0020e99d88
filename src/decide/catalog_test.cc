#include "decide/catalog.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "store/database.h"

namespace heed::decide {
namespace {

std::string FieldOf(CatalogKind kind, const std::string& text) {
  const Result<ParsedDocument> parsed = ParseCatalogDocument(kind, text);
  return parsed.ok() ? "accepted" : parsed.status().field();
}

TEST(CatalogTest, DocumentsAreCheckedMemberByMember) {
  const auto product = CatalogKind::kProducts;
  EXPECT_EQ(FieldOf(product, R"({"id":"p1","title":"针织衫","price_cents":9900,"stock":3,)"
                             R"("host_id":"h1","category":"服饰","attributes":{"size":["M"]}})"),
            "accepted");
  EXPECT_EQ(FieldOf(product, R"({"title":"no id"})"), "/id");
  EXPECT_EQ(FieldOf(product, R"({"id":""})"), "/id");
  EXPECT_EQ(FieldOf(product, R"({"id":7})"), "/id");
  EXPECT_EQ(FieldOf(product, R"({"id":"p","price_cents":-1})"), "/price_cents");
  EXPECT_EQ(FieldOf(product, R"({"id":"p","price_cents":1.5})"), "/price_cents");
  EXPECT_EQ(FieldOf(product, R"({"id":"p","stock":"many"})"), "/stock");
  EXPECT_EQ(FieldOf(product, R"({"id":"p","stok":1})"), "/stok");
  EXPECT_EQ(FieldOf(product, R"({"id":"p","status":"gone"})"), "/status");
  EXPECT_EQ(FieldOf(product, R"({"id":"p","attributes":[]})"), "/attributes");
  EXPECT_EQ(FieldOf(CatalogKind::kHosts, R"({"id":"h","price_cents":1})"), "/price_cents");
  EXPECT_EQ(FieldOf(CatalogKind::kHosts, R"({"id":"h","name":"小美"})"), "accepted");
  EXPECT_EQ(FieldOf(product, R"({"id":"p","broadcast":"off"})"), "/broadcast");
  EXPECT_EQ(FieldOf(CatalogKind::kRooms, R"({"id":"r","broadcast":"on"})"), "/broadcast");
  EXPECT_EQ(FieldOf(CatalogKind::kRooms, R"({"id":"r","broadcast":true})"), "/broadcast");
  for (const char* use : {"off", "measures", "proxies"}) {
    const auto room = ParseCatalogDocument(CatalogKind::kRooms,
                                           R"({"id":"r","broadcast":")" + std::string(use) + "\"}");
    ASSERT_TRUE(room.ok()) << room.status().ToString();
    EXPECT_EQ(BroadcastUseName(room.value().facts.broadcast.value()), use);
  }
  EXPECT_FALSE(ParseCatalogDocument(product, "[]").ok());
  EXPECT_FALSE(ParseCatalogDocument(product, "{").ok());
  EXPECT_FALSE(ParseCatalogDocument(product, "{\"id\":\"\xff\"}").ok());
}

class StoredCatalogTest : public testing::Test {
 protected:
  void SetUp() override {
    directory_ = testing::TempDir() + "/heed_catalog_test";
    std::filesystem::remove_all(directory_);
    Reopen();
  }
  void Reopen() {
    catalog_.reset();
    database_.reset();
    auto database = store::Database::Open({.directory = directory_});
    ASSERT_TRUE(database.ok()) << database.status().ToString();
    database_ = std::move(database).value();
    auto catalog = Catalog::Open(*database_);
    ASSERT_TRUE(catalog.ok()) << catalog.status().ToString();
    catalog_ = std::move(catalog).value();
  }

  std::string directory_;
  std::unique_ptr<store::Database> database_;
  std::unique_ptr<Catalog> catalog_;
};

TEST_F(StoredCatalogTest, SurvivesReopeningAndKeepsTenantsApart) {
  const std::vector<std::string> documents = {R"({"id":"p1","host_id":"h1","stock":0})",
                                              R"({"id":"p2","host_id":"h1","status":"off"})",
                                              R"({"id":"bad","colour":"red"})"};
  const Result<CatalogResult> put = catalog_->Put(CatalogKind::kProducts, "t1", documents);
  ASSERT_TRUE(put.ok());
  EXPECT_EQ(put.value().stored, 2u);
  ASSERT_EQ(put.value().refused.size(), 1u);
  EXPECT_EQ(put.value().refused[0].index, 2u);
  EXPECT_EQ(put.value().refused[0].status.field(), "/colour");
  Reopen();
  ASSERT_TRUE(catalog_->Find(CatalogKind::kProducts, "t1", "p1").has_value());
  EXPECT_EQ(catalog_->Find(CatalogKind::kProducts, "t1", "p1")->stock, 0);
  EXPECT_TRUE(catalog_->Find(CatalogKind::kProducts, "t1", "p2")->off);
  EXPECT_FALSE(catalog_->Find(CatalogKind::kProducts, "t2", "p1").has_value());
  EXPECT_EQ(catalog_->ProductsOf("t1", "h1"), (std::vector<std::string>{"p1", "p2"}));

  // A product that moves to another host leaves the first.
  const std::vector<std::string> moved = {R"({"id":"p1","host_id":"h2"})"};
  ASSERT_TRUE(catalog_->Put(CatalogKind::kProducts, "t1", moved).ok());
  EXPECT_EQ(catalog_->ProductsOf("t1", "h1"), (std::vector<std::string>{"p2"}));
  EXPECT_TRUE(catalog_->Delete(CatalogKind::kProducts, "t1", "p2").ok());
  EXPECT_EQ(catalog_->Delete(CatalogKind::kProducts, "t1", "p2").code(), Code::kNotFound);
  EXPECT_TRUE(catalog_->ProductsOf("t1", "h1").empty());
}

TEST_F(StoredCatalogTest, ListsInPagesThatMeet) {
  std::vector<std::string> documents;
  for (int i = 0; i < 25; ++i) documents.push_back("{\"id\":\"h" + std::to_string(100 + i) + "\"}");
  ASSERT_TRUE(catalog_->Put(CatalogKind::kHosts, "t", documents).ok());
  std::vector<std::string> seen;
  std::string after;
  int pages = 0;
  do {
    const Result<CatalogPage> page = catalog_->List(CatalogKind::kHosts, "t", after, 10);
    ASSERT_TRUE(page.ok());
    for (const std::string& document : page.value().documents) seen.push_back(document);
    after = page.value().next;
    ++pages;
  } while (!after.empty());
  EXPECT_EQ(pages, 3);
  EXPECT_EQ(seen, documents);
}

}  // namespace
}  // namespace heed::decide
