// KuaiLive's published file format, on a small made-up set of that form: the real one may not be
// redistributed. Names and order of columns are the published ones; every value is invented here.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <sstream>

#include "base/random.h"
#include "train/dataset.h"
#include "train/test_files.h"

namespace heed::train {
namespace {

constexpr int64_t kStartMs = 1746374400000;  // 2025-05-05 00:00 in China

struct MadeUp {
  TestFolder folder;
  size_t clicks = 0, negatives = 0, gifts = 0;

  explicit MadeUp(uint64_t seed) {
    Random random(seed);
    const auto ranged = [&] { return random.Chance(0.5) ? "\"[0,100)\"" : "100+"; };
    const std::string bits = ",1,0,1,0,1,0,0";
    std::ostringstream users, streamers, rooms, click, negative, comment, like, gift;
    users
        << "user_id,age,gender,country,device_brand,device_price,reg_timestamp,fans_num,follow_num,"
           "first_watch_live_timestamp,accu_watch_live_cnt,accu_watch_live_duration,is_live_"
           "streamer,"
           "is_photo_author,onehot_feat0,onehot_feat1,onehot_feat2,onehot_feat3,onehot_feat4,"
           "onehot_feat5,onehot_feat6\n";
    for (int u = 0; u < 20; ++u) {
      users << u << ",24-30,F,CN,b" << u % 3 << "," << ranged() << ",2020-01-01," << ranged() << ","
            << ranged() << ",2021-01-01," << ranged() << "," << ranged() << ",0,1" << bits << "\n";
    }
    streamers
        << "streamer_id,gender,age,country,device_brand,device_price,live_operation_tag,"
           "fans_user_num,fans_group_fans_num,follow_user_num,first_live_timestamp,accu_live_cnt,"
           "accu_live_duration,accu_play_cnt,accu_play_duration,reg_timestamp,onehot_feat0,"
           "onehot_feat1,onehot_feat2,onehot_feat3,onehot_feat4,onehot_feat5,onehot_feat6\n";
    for (int s = 0; s < 8; ++s) {
      streamers << s << ",M,31-40,CN,b1," << ranged() << ",tag" << s % 2 << "," << ranged() << ","
                << ranged() << "," << ranged() << ",2019-01-01," << ranged() << "," << ranged()
                << "," << ranged() << "," << ranged() << ",2018-01-01" << bits << "\n";
    }
    rooms << "p_date,live_id,streamer_id,live_type,start_timestamp,end_timestamp,"
             "live_content_category,live_name_id\n";
    for (int room = 0; room < 40; ++room) {
      const int64_t start = kStartMs + room * 3600000;
      rooms << 20250505 + room / 24 << "," << 1000 + room << "," << room % 8 << "," << room % 3
            << "," << start << "," << start + 7200000 << "," << (room % 2 == 0 ? "shop" : "game")
            << "," << room << "\n";
    }
    rooms << "20250506,1000,0,0," << kStartMs << "," << kStartMs + 1 << ",shop,0\n";  // once more
    const std::string header = "user_id,live_id,streamer_id,timestamp";
    click << header << ",watch_live_time\n";
    negative << header << "\n", comment << header << "\n", like << header << "\n";
    gift << header << ",gift_price\n";
    for (int i = 0; i < 1200; ++i) {
      const auto user = random.Below(20), room = random.Below(40);
      const int64_t time = kStartMs + static_cast<int64_t>(room) * 3600000 +
                           static_cast<int64_t>(random.Below(7200000));
      std::ostringstream row;
      row << user << "," << 1000 + room << "," << room % 8 << "," << time;
      if (!random.Chance(user % 2 == room % 2 ? 0.6 : 0.1)) {
        negative << row.str() << "\n";
        ++negatives;
        continue;
      }
      click << row.str() << "," << random.Below(200000) << "\n";
      ++clicks;
      if (random.Chance(0.2)) gift << row.str() << ",6\n", ++gifts;  // at the click's very time
      if (random.Chance(0.2))
        comment << user << "," << 1000 + room << "," << room % 8 << "," << time + 5 << "\n";
      if (random.Chance(0.2))
        like << user << "," << 1000 + room << "," << room % 8 << "," << time + 9 << "\n";
    }
    folder.Write("user.csv", users.str()), folder.Write("streamer.csv", streamers.str());
    folder.Write("room.csv", rooms.str()), folder.Write("click.csv", click.str());
    folder.Write("negative.csv", negative.str()), folder.Write("comment.csv", comment.str());
    folder.Write("like.csv", like.str()), folder.Write("gift.csv", gift.str());
  }
};

std::string SpecPath() {
  const char* source = std::getenv("HEED_SOURCE_DIR");  // NOLINT(concurrency-mt-unsafe): one thread
  return std::string(source == nullptr ? "." : source) + "/examples/datasets/kuailive.toml";
}

size_t NumericColumn(const model::Schema& schema, model::Side side, const std::string& name) {
  const std::vector<size_t> columns = schema.NumericsOf(side);
  for (size_t i = 0; i < columns.size(); ++i) {
    if (schema.numerics[columns[i]].name == name) return i;
  }
  ADD_FAILURE() << "no numeric " << name;
  return 0;
}

TEST(KuaiLive, FilesAreMergedByTimeWithTheirLabels) {
  const MadeUp made(1);
  const auto spec = LoadDatasetSpec(SpecPath());
  ASSERT_TRUE(spec.ok()) << spec.status().ToString();
  const auto loaded = Dataset::Load(spec.value(), made.folder.path());
  ASSERT_TRUE(loaded.ok()) << loaded.status().ToString();
  const Dataset& data = *loaded.value();
  ASSERT_EQ(data.samples(), made.clicks + made.negatives);  // comments, likes, gifts are no samples
  EXPECT_EQ(data.schema().tasks.size(), 2u);

  std::vector<uint32_t> all(data.samples());
  size_t clicks = 0, gifts_seen = 0, stays_unknown = 0;
  for (uint32_t i = 0; i < all.size(); ++i) {
    all[i] = i;
    if (i > 0) {
      EXPECT_LE(data.time_ms(i - 1), data.time_ms(i));
    }
    clicks += data.label(i, 0) == 1.0f ? 1 : 0;
    EXPECT_EQ(std::isnan(data.label(i, 1)), data.label(i, 0) == 0.0f);
    stays_unknown += std::isnan(data.label(i, 1)) ? 1 : 0;
  }
  EXPECT_EQ(clicks, made.clicks);
  EXPECT_EQ(stays_unknown, made.negatives);
  const auto in = [&](Split split) { return static_cast<double>(data.samples_of(split).size()); };
  EXPECT_NEAR(in(Split::kTrain) / static_cast<double>(all.size()), 0.8, 0.01);
  EXPECT_NEAR(in(Split::kTest) / static_cast<double>(all.size()), 0.1, 0.01);

  model::Batch batch;
  data.FillBatch({}, all, &batch);
  ASSERT_TRUE(batch.Validate(data.schema()).ok());
  const size_t width = data.schema().NumericsOf(model::Side::kCandidate).size();
  const size_t age = NumericColumn(data.schema(), model::Side::kCandidate, "room_age");
  const size_t gifts = NumericColumn(data.schema(), model::Side::kCandidate, "user_streamer.gifts");
  for (uint32_t i = 0; i < all.size(); ++i) {
    EXPECT_GE(batch.candidate_numerics[i * width + age], 0);
    EXPECT_LE(batch.candidate_numerics[i * width + age], std::log1p(7200.0f));
    gifts_seen += batch.candidate_numerics[i * width + gifts] > 0 ? 1 : 0;
  }
  EXPECT_GT(gifts_seen, 0u);
}

// 85 % of the real gifts carry the very time of their click: counted with "not later" instead of
// "earlier" they would tell that the click happened.
TEST(KuaiLive, AGiftAtTheClicksTimeIsNotSeenByTheClick) {
  const MadeUp made(2);
  const std::string header = "user_id,live_id,streamer_id,timestamp";
  std::ostringstream click, negative, gift;
  click << header << ",watch_live_time\n", negative << header << "\n";
  gift << header << ",gift_price\n";
  for (int i = 0; i < 20; ++i) {
    const int64_t time = kStartMs + 1000 * i;
    if (i % 2 == 0) {
      click << "1,1000,0," << time << ",5\n";
      gift << "1,1000,0," << time << ",6\n";
    } else {
      negative << "1,1000,0," << time << "\n";
    }
  }
  made.folder.Write("click.csv", click.str());
  made.folder.Write("negative.csv", negative.str());
  made.folder.Write("gift.csv", gift.str());
  made.folder.Write("comment.csv", header + "\n");
  made.folder.Write("like.csv", header + "\n");
  const auto loaded = Dataset::Load(LoadDatasetSpec(SpecPath()).value(), made.folder.path());
  ASSERT_TRUE(loaded.ok()) << loaded.status().ToString();
  const Dataset& data = *loaded.value();
  const size_t width = data.schema().NumericsOf(model::Side::kCandidate).size();
  const size_t gifts = NumericColumn(data.schema(), model::Side::kCandidate, "user_streamer.gifts");
  for (uint32_t i = 0; i < data.samples(); ++i) {
    model::Batch batch;
    data.FillBatch({}, std::vector{i}, &batch);
    EXPECT_FLOAT_EQ(batch.candidate_numerics[gifts], std::log1p(static_cast<float>((i + 1) / 2)));
    EXPECT_EQ(batch.candidate_numerics.size(), width);
  }
}

}  // namespace
}  // namespace heed::train
