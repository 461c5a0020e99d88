#include "train/dataset.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "base/hash.h"
#include "base/random.h"
#include "train/test_files.h"
#include "train/test_world.h"

namespace heed::train {
namespace {

using model::Batch;

Result<DatasetSpec> Parse(const std::string& text) {
  HEED_ASSIGN_OR_RETURN(const TomlTable root, TomlTable::Parse(text, "d.toml"));
  return ParseDatasetSpec(root);
}

// A hand-made log: one user, two videos, three days, two rows at one time.
constexpr char kSmallSpec[] = R"(name = "small"
time = "t"
time_unit = "s"
zone = "+01:00"
user = "u"
item = "v"
after_impression = ["seconds"]
ignore = ["note"]
segments = ["v"]
[[file]]
path = "rows.csv"
[split]
by = "day"
train = [1, 1]
valid = [2, 2]
test = [3, 3]
[[label]]
name = "click"
[[join]]
path = "videos.csv"
on = "v"
key = "id"
columns = ["author", "length"]
ignore = ["title"]
[[field]]
name = "video"
column = "v"
side = "candidate"
[[field]]
columns = ["author"]
side = "candidate"
[[field]]
name = "length_bucket"
column = "length"
side = "candidate"
bucket = { edges = [10, 20] }
[[field]]
of_time = "hour"
[[field]]
of_time = "weekday"
[[numeric]]
columns = ["length"]
side = "candidate"
[[derived]]
kind = "rate"
name = "user"
by = ["u"]
labels = ["click"]
prior = 0.5
strength = 2
transform = "none"
[[derived]]
kind = "count"
name = "user.count"
by = ["u"]
transform = "none"
[[derived]]
kind = "gap"
name = "user.gap"
by = ["u"]
transform = "none"
max_s = 1000000
[[derived]]
kind = "feedback"
name = "last"
by = ["u"]
labels = ["click"]
[[sequence]]
name = "seen"
max_length = 3
query = ["video"]
parts = [{ column = "v" }, { labels = ["click"], table = "feedback" }]
)";

// 86400 s = 1970-01-02 00:00 UTC = 01:00 in the zone, a Friday.
constexpr char kSmallRows[] =
    "u,v,t,day,click,seconds,note\n"
    "1,a,86400,1,1,5,x\n"
    "1,b,86410,1,0,5,x\n"
    "1,a,86410,1,1,5,x\n"   // the same time as the row before
    "1,a,169200,2,1,5,x\n"  // 3 Jan 00:00 in the zone
    "1,b,169205,2,0,5,x\n"
    "1,a,255600,3,,5,x\n"  // 4 Jan 00:00 in the zone; label unknown
    "1,a,255700,3,1,5,x\n";
constexpr char kSmallVideos[] = "id,author,length,title\na,A,10,\"t, \"\"1\"\"\"\nb,B,5,t\n";

struct Small {
  TestFolder folder;
  std::unique_ptr<Dataset> data;
  Small() {
    folder.Write("rows.csv", kSmallRows);
    folder.Write("videos.csv", kSmallVideos);
    const auto spec = Parse(kSmallSpec);
    EXPECT_TRUE(spec.ok()) << spec.status().ToString();
    auto loaded = Dataset::Load(spec.value(), folder.path());
    EXPECT_TRUE(loaded.ok()) << loaded.status().ToString();
    data = std::move(loaded).value();
  }
  Batch Fill(Setting setting) const {
    std::vector<uint32_t> all(data->samples());
    for (uint32_t i = 0; i < all.size(); ++i) all[i] = i;
    EXPECT_TRUE(data->Prepare(setting).ok());
    Batch batch;
    data->FillBatch({setting, Vocabulary::kAll}, all, &batch);
    const Status valid = batch.Validate(data->schema());
    EXPECT_TRUE(valid.ok()) << valid.ToString();
    return batch;
  }
};

std::vector<float> Column(const std::vector<float>& matrix, size_t width, size_t column) {
  std::vector<float> out;
  for (size_t i = column; i < matrix.size(); i += width) out.push_back(matrix[i]);
  return out;
}

TEST(Dataset, OnlineStateByHand) {
  const Small small;
  EXPECT_EQ(small.data->samples(), 7u);
  EXPECT_EQ(small.data->samples_of(Split::kTrain), (std::vector<uint32_t>{0, 1, 2}));
  EXPECT_EQ(small.data->samples_of(Split::kTest), (std::vector<uint32_t>{5, 6}));
  const Batch batch = small.Fill(Setting::kOnline);
  const auto& n = batch.request_numerics;  // rate, count, gap
  EXPECT_EQ(Column(n, 3, 0),
            (std::vector<float>{1.f / 2, 2.f / 3, 2.f / 3, 3.f / 5, 4.f / 6, 4.f / 7, 4.f / 7}));
  EXPECT_EQ(Column(n, 3, 1), (std::vector<float>{0, 1, 1, 3, 4, 5, 6}));
  EXPECT_EQ(Column(n, 3, 2), (std::vector<float>{1000000, 10, 10, 82790, 5, 86395, 100}));
  // Fields of the request: hour + 1, weekday + 1 (Monday 1), feedback of the newest earlier row.
  std::vector<model::Key> last;
  for (size_t i = 2; i < batch.request_keys.size(); i += 3) last.push_back(batch.request_keys[i]);
  EXPECT_EQ(last, (std::vector<model::Key>{0, 2, 2, 2, 2, 1, 3}));
  EXPECT_EQ(batch.request_keys[0], 2u);  // 01:00
  EXPECT_EQ(batch.request_keys[1], 5u);  // Friday
  // Tokens: strictly earlier rows, the newest three, oldest first.
  const auto& tokens = batch.sequences[0];
  EXPECT_EQ(tokens.offsets, (std::vector<uint32_t>{0, 0, 1, 2, 5, 8, 11, 14}));
  const model::Key a = HashBytes("a"), b = HashBytes("b");
  const std::vector<model::Key> of_row_4(tokens.keys.begin() + 10, tokens.keys.begin() + 16);
  EXPECT_EQ(of_row_4, (std::vector<model::Key>{b, 1, a, 2, a, 2}));
  EXPECT_EQ(tokens.age_s[0], 10);
  // Fields of the candidate: video, author (joined), bucket of the length (5 → 1, 10 → 2).
  EXPECT_EQ(batch.candidate_keys[0], a);
  EXPECT_EQ(batch.candidate_keys[1], HashBytes("A"));
  EXPECT_EQ(batch.candidate_keys[2], 2u);
  EXPECT_EQ(batch.candidate_keys[5], 1u);
  EXPECT_EQ(batch.candidate_numerics[1], 5);
  EXPECT_EQ(batch.labels[1], 0);
  EXPECT_TRUE(std::isnan(batch.labels[5]));
}

TEST(Dataset, LaggedAndFrozenKnowLess) {
  const Small small;
  const Batch lagged = small.Fill(Setting::kDayLagged), frozen = small.Fill(Setting::kFrozen);
  EXPECT_EQ(Column(lagged.request_numerics, 3, 1), (std::vector<float>{0, 1, 1, 3, 3, 5, 5}));
  EXPECT_EQ(Column(frozen.request_numerics, 3, 1), (std::vector<float>{0, 1, 1, 3, 3, 5, 5}));
  EXPECT_EQ(Column(frozen.request_numerics, 3, 2)[6], 86495);  // the gap is to the last known row
  EXPECT_EQ(frozen.sequences[0].offsets.back(), 14u);
  EXPECT_EQ(frozen.sequences[0].age_s.back(), 86495);
}

TEST(Dataset, ScalingLeavesOutAbsentValues) {
  const Small small;
  std::vector<float> mean, deviation;
  small.data->NumericScaling({}, small.data->samples_of(Split::kTrain), &mean, &deviation);
  ASSERT_EQ(mean.size(), 4u);  // schema order: length, rate, count, gap
  EXPECT_NEAR(mean[0], 25.0 / 3, 1e-5);
  EXPECT_NEAR(deviation[0], std::sqrt(50.0 / 9), 1e-5);
  EXPECT_NEAR(mean[2], 2.0 / 3, 1e-5);
}

TEST(Dataset, SegmentsAreListedColumns) {
  const Small small;
  const auto segments = small.data->SegmentsBy("v");
  ASSERT_TRUE(segments.ok());
  EXPECT_EQ(segments.value().names[segments.value().of[1]], "b");
  EXPECT_NE(small.data->SegmentsBy("vv").status().message().find("did you mean 'v'"),
            std::string::npos);
}

// ---- Leakage, as a property of random logs ----

std::vector<uint32_t> AllSamples(const Dataset& data) {
  std::vector<uint32_t> all(data.samples());
  for (uint32_t i = 0; i < all.size(); ++i) all[i] = i;
  return all;
}

TEST(Dataset, LaterOrEqualTimeLabelsNeverReachAFeature) {
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    const TestFolder folder;
    World world = MakeWorld(seed, 300);
    Random random(seed + 1000);
    const size_t pivot = random.Below(world.rows.size());
    const int64_t moment = world.rows[pivot].time_ms;
    auto data = LoadWorld(world, folder);
    ASSERT_TRUE(data.ok()) << data.status().ToString();
    for (WorldRow& row : world.rows) {  // everything at or after the moment turns round
      if (row.time_ms >= moment) row.click = 1 - row.click, row.like = 1 - row.like;
    }
    auto changed = LoadWorld(world, folder);
    ASSERT_TRUE(changed.ok()) << changed.status().ToString();
    for (const Setting setting : {Setting::kOnline, Setting::kDayLagged, Setting::kFrozen}) {
      ASSERT_TRUE(data.value()->Prepare(setting).ok());
      ASSERT_TRUE(changed.value()->Prepare(setting).ok());
      bool later_differs = false;
      for (const uint32_t sample : AllSamples(*data.value())) {
        Batch a, b;
        data.value()->FillBatch({setting, Vocabulary::kAll}, std::vector{sample}, &a);
        changed.value()->FillBatch({setting, Vocabulary::kAll}, std::vector{sample}, &b);
        const bool same = a.request_keys == b.request_keys &&
                          a.candidate_keys == b.candidate_keys &&
                          a.request_numerics == b.request_numerics &&
                          a.candidate_numerics == b.candidate_numerics &&
                          a.sequences[0].keys == b.sequences[0].keys &&
                          a.sequences[0].age_s == b.sequences[0].age_s;
        if (data.value()->time_ms(sample) <= moment) {
          EXPECT_TRUE(same) << "seed " << seed << " sample " << sample;
        } else {
          later_differs |= !same;
        }
      }
      // The test would be empty if features did not look at labels at all.
      if (setting == Setting::kOnline && moment < world.rows[world.rows.size() / 2].time_ms) {
        EXPECT_TRUE(later_differs) << "seed " << seed;
      }
    }
  }
}

TEST(Dataset, DerivedAgreeWithASlowDefinition) {
  const TestFolder folder;
  const World world = MakeWorld(77, 300);
  auto loaded = LoadWorld(world, folder);
  ASSERT_TRUE(loaded.ok()) << loaded.status().ToString();
  const Dataset& data = *loaded.value();
  Batch batch;
  data.FillBatch({}, AllSamples(data), &batch);
  const size_t width = data.schema().NumericsOf(model::Side::kRequest).size();
  for (uint32_t s = 0; s < data.samples(); ++s) {
    const WorldRow& row = world.rows[s];  // written in the order of time
    double ones = 0, count = 0;
    for (const WorldRow& other : world.rows) {
      if (other.user != row.user || other.time_ms >= row.time_ms) continue;
      ones += other.click, count += 1;
    }
    const double rate = (ones + 5 * 0.4) / (count + 5);
    EXPECT_NEAR(batch.request_numerics[s * width], std::log(rate / (1 - rate)), 1e-5);
    EXPECT_NEAR(batch.request_numerics[s * width + 1], std::log1p(count), 1e-5);
  }
}

TEST(Dataset, RareKeysAreAbsentInTrainingOnly) {
  const TestFolder folder;
  const World world = MakeWorld(5, 400);
  auto loaded = LoadWorld(world, folder);
  ASSERT_TRUE(loaded.ok()) << loaded.status().ToString();
  const Dataset& data = *loaded.value();
  std::map<int, int> train, train_and_valid;
  for (uint32_t s = 0; s < data.samples(); ++s) {
    const auto in = [&](Split split) {
      const auto& list = data.samples_of(split);
      return std::binary_search(list.begin(), list.end(), s);
    };
    if (in(Split::kTrain)) ++train[world.rows[s].item];
    if (in(Split::kTrain) || in(Split::kValid)) ++train_and_valid[world.rows[s].item];
  }
  const size_t width = data.schema().FieldsOf(model::Side::kCandidate).size();
  size_t absent = 0;
  for (const auto vocabulary : {Vocabulary::kAll, Vocabulary::kTrain, Vocabulary::kTrainAndValid}) {
    Batch batch;
    data.FillBatch({Setting::kOnline, vocabulary}, AllSamples(data), &batch);
    for (uint32_t s = 0; s < data.samples(); ++s) {
      auto& counts = vocabulary == Vocabulary::kTrain ? train : train_and_valid;
      const bool kept = vocabulary == Vocabulary::kAll || counts[world.rows[s].item] >= 3;
      EXPECT_EQ(batch.candidate_keys[s * width] != 0, kept);
      absent += kept ? 0 : 1;
    }
  }
  EXPECT_GT(absent, 0u);
}

// ---- Histories ----

TEST(Dataset, HistoryListsComeBeforeTheFirstRow) {
  const TestFolder folder;
  folder.Write("rows.csv", "u,v,t,click,like\n7,x,1000,1,0\n7,y,2000,0,1\n8,x,500,0,0\n");
  folder.Write("before.tsv",
               "u\tlast\twatched\tliked\n7\t900\tx y x z\tq q x\n8\t600\tx\t\n9\t1\tx\tx\n");
  const auto spec = Parse(R"(name = "h"
time = "t"
user = "u"
item = "v"
[[file]]
path = "rows.csv"
split = "train"
[[label]]
name = "click"
[[label]]
name = "like"
[[history]]
path = "before.tsv"
time = "last"
items = "watched"
marks = { like = "liked" }
[[derived]]
kind = "count"
name = "ever"
by = ["u"]
transform = "none"
[[derived]]
kind = "count"
name = "rows"
by = ["u"]
from = "rows"
transform = "none"
[[field]]
columns = ["v"]
side = "candidate"
[[sequence]]
name = "seen"
query = ["v"]
parts = [{ column = "v" }, { labels = ["click", "like"] }]
)");
  ASSERT_TRUE(spec.ok()) << spec.status().ToString();
  auto loaded = Dataset::Load(spec.value(), folder.path());
  ASSERT_TRUE(loaded.ok()) << loaded.status().ToString();
  const Dataset& data = *loaded.value();
  EXPECT_EQ(data.history_rows(), 6u);
  EXPECT_EQ(data.samples(), 3u);
  Batch batch;
  data.FillBatch({}, AllSamples(data), &batch);  // user 8 at 500, user 7 at 1000 and 2000
  EXPECT_EQ(batch.request_numerics, (std::vector<float>{0, 0, 4, 0, 5, 1}));
  const model::Key x = HashBytes("x"), y = HashBytes("y"), z = HashBytes("z");
  // Feedback: 1 + click + 3 * like, click unknown = 2. Only the newest "x" is the like: the list of
  // likes goes further back than the list of watches.
  EXPECT_EQ(
      std::vector<model::Key>(batch.sequences[0].keys.begin(), batch.sequences[0].keys.begin() + 8),
      (std::vector<model::Key>{x, 3, y, 3, x, 6, z, 3}));
}

TEST(Dataset, SharesAreOfSamplesAndKeepEqualTimesTogether) {
  const TestFolder folder;
  std::string rows = "u,v,t,click\n", comments = "u,v,t\n";
  for (int i = 0; i < 20; ++i) {  // pairs of one time, each with a comment that sorts before them
    rows += "1,a," + std::to_string(1000 + i / 2) + ",1\n";
    comments += "1,a," + std::to_string(1000 + i / 2) + "\n";
  }
  folder.Write("comments.csv", comments), folder.Write("rows.csv", rows);
  const auto spec = Parse(R"(name = "s"
time = "t"
user = "u"
[[file]]
path = "comments.csv"
history_only = true
[[file]]
path = "rows.csv"
[split]
by = "share"
train = 0.55
valid = 0.2
test = 0.25
[[label]]
name = "click"
[[field]]
columns = ["v"]
side = "candidate"
)");
  ASSERT_TRUE(spec.ok()) << spec.status().ToString();
  const auto data = Dataset::Load(spec.value(), folder.path());
  ASSERT_TRUE(data.ok()) << data.status().ToString();
  EXPECT_EQ(data.value()->samples_of(Split::kTrain).size(), 12u);  // .55 falls inside a pair
  EXPECT_EQ(data.value()->samples_of(Split::kValid).size(), 4u);
  EXPECT_EQ(data.value()->samples_of(Split::kTest).size(), 4u);
}

// ---- Errors ----

std::string ErrorOf(const std::string& from, const std::string& to) {
  std::string text = kSmallSpec;
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  text.replace(at, from.size(), to);
  const auto spec = Parse(text);
  if (!spec.ok()) return spec.status().message();
  const TestFolder folder;
  folder.Write("rows.csv", kSmallRows);
  folder.Write("videos.csv", kSmallVideos);
  const auto data = Dataset::Load(spec.value(), folder.path());
  if (data.ok()) return "";
  std::string message = data.status().message();
  if (message.starts_with(folder.path())) message.erase(0, folder.path().size() + 1);
  return message;
}

TEST(DatasetErrors, ColumnsAfterTheImpressionAreRefused) {
  EXPECT_EQ(ErrorOf("columns = [\"author\"]\nside", "columns = [\"author\", \"seconds\"]\nside"),
            "d.toml:30: column 'seconds' comes after the impression, so it cannot be a feature; "
            "earlier rows' feedback enters by [[derived]] and [[sequence]]");
  EXPECT_NE(ErrorOf("column = \"v\"\n", "column = \"click\"\n").find("'click' comes after"),
            std::string::npos);
  EXPECT_NE(ErrorOf("by = [\"u\"]", "by = [\"u\", \"click\"]").find("'click' comes after"),
            std::string::npos);
  EXPECT_NE(ErrorOf("{ column = \"v\" }", "{ column = \"seconds\" }").find("'seconds' comes after"),
            std::string::npos);
  EXPECT_NE(ErrorOf("on = \"v\"", "on = \"seconds\"").find("'seconds' comes after"),
            std::string::npos);
}

TEST(DatasetErrors, NameTheLineAndTheNearestName) {
  EXPECT_EQ(ErrorOf("zone =", "zome ="), "d.toml:4: unknown key 'zome' (did you mean 'zone'?)");
  EXPECT_EQ(ErrorOf("\"+01:00\"", "\"Berlin\""),
            "d.toml:4: 'zone' must be an offset from UTC such as \"+08:00\"");
  EXPECT_EQ(ErrorOf("labels = [\"click\"]", "labels = [\"clik\"]"),
            "d.toml:48: unknown label 'clik' (did you mean 'click'?)");
  EXPECT_EQ(
      ErrorOf("kind = \"gap\"", "kind = \"gab\""),
      "d.toml:58: 'gab' is not a known kind (did you mean 'gap'?); known are: rate, count, gap, "
      "feedback");
  EXPECT_EQ(ErrorOf("strength = 2", "strength = \"2\""),
            "d.toml:50: 'strength' must be a list of numbers");
  EXPECT_EQ(ErrorOf("prior = 0.5\n", ""),
            "d.toml:44: 'prior' is missing: the rate of a group never seen");
  EXPECT_NE(ErrorOf("name = \"last\"", "name = \"user.gap\"").find("two features are called"),
            std::string::npos);
  EXPECT_TRUE(ErrorOf("time = \"t\"", "time = ").starts_with("d.toml:2: "))
      << ErrorOf("time = \"t\"", "time = ");
}

TEST(DatasetErrors, ColumnsAndRolesMustMatch) {
  EXPECT_EQ(ErrorOf("ignore = [\"note\"]", "ignore = []"),
            "rows.csv:1: column 'note' has no role; give it one or list it in 'ignore'");
  EXPECT_EQ(ErrorOf("ignore = [\"note\"]", "ignore = [\"note\", \"nota\"]"),
            "data set 'small': column 'nota' is to be ignored, but no file has it (did you mean "
            "'note'?)");
  EXPECT_EQ(
      ErrorOf("ignore = [\"title\"]", "ignore = []"),
      "videos.csv:1: column 'title' has no role; give it one or list it in this table's 'ignore'");
  EXPECT_EQ(ErrorOf("columns = [\"author\", \"length\"]", "columns = [\"autor\", \"length\"]"),
            "videos.csv:1: there is no column 'autor' (did you mean 'author'?)");
  EXPECT_EQ(ErrorOf("path = \"rows.csv\"", "path = \"rows.tsv\"").find("rows.tsv: No such file"),
            0u);
  EXPECT_EQ(ErrorOf("time_unit = \"s\"", "time_unit = \"us\""), "");  // early in 1970, but a time
  EXPECT_EQ(ErrorOf("name = \"click\"",
                    "name = \"click\"\ncolumn = \"day\"\n"
                    "[[label]]\nname = \"c2\"\ncolumn = \"click\""),
            "rows.csv:5: label column 'day' is neither 0 nor 1; 'at_least' makes it so");
}

TEST(DatasetErrors, ValuesAreChecked) {
  const TestFolder folder;
  folder.Write("videos.csv", kSmallVideos);
  const auto error = [&](const std::string& row) {
    folder.Write("rows.csv", "u,v,t,day,click,seconds,note\n1,a,86400,1,1,5,x\n" + row + "\n");
    const std::string message =
        Dataset::Load(Parse(kSmallSpec).value(), folder.path()).status().message();
    return message.substr(std::min(message.size(), folder.path().size() + 1));
  };
  EXPECT_EQ(error("1,a,then,1,1,5,x"), "rows.csv:3: column 't': 'then' is not a number");
  EXPECT_EQ(error("1,a,,1,1,5,x"),
            "rows.csv:3: no time, or one outside 1970..2200: check 'time_unit'");
  EXPECT_EQ(error("1,a,86400,1,nan,5,x"), "rows.csv:3: column 'click': 'nan' is not a number");
  EXPECT_EQ(error("1,a,86400,1,1,5"), "rows.csv:3: expected 7 columns, found 6");
  folder.Write("videos.csv", "id,author,length,title\na,A,1,t\na,A,1,t\n");
  EXPECT_EQ(error("1,a,86401,1,1,5,x"), "videos.csv:3: key 'a' appears twice");
}

// label,fields…: no time, no user, splits by file.
constexpr char kPlainSpec[] = R"(name = "plain"
[[file]]
path = "train.csv"
split = "train"
[[file]]
path = "test.csv"
split = "test"
[[label]]
name = "label"
[[field]]
columns = ["a", "b"]
)";

TEST(DatasetWithoutTime, KeepsTheOrderOfTheFilesAndHasOneGroup) {
  const TestFolder folder;
  folder.Write("train.csv", "label,a,b\n1,x,p\n0,y,q\n1,z,p\n");
  folder.Write("test.csv", "label,a,b\n0,x,new\n");
  const auto spec = Parse(kPlainSpec);
  ASSERT_TRUE(spec.ok()) << spec.status().ToString();
  const auto data = Dataset::Load(spec.value(), folder.path());
  ASSERT_TRUE(data.ok()) << data.status().ToString();
  EXPECT_EQ(data.value()->samples_of(Split::kTrain), (std::vector<uint32_t>{0, 1, 2}));
  EXPECT_EQ(data.value()->samples_of(Split::kTest), (std::vector<uint32_t>{3}));
  EXPECT_EQ(data.value()->label(1, 0), 0.0f);
  EXPECT_EQ(data.value()->group(0), data.value()->group(3));
  Batch batch;
  data.value()->FillBatch({}, std::vector<uint32_t>{0, 3}, &batch);
  EXPECT_EQ(batch.request_keys[0], batch.request_keys[2]);
  EXPECT_NE(batch.request_keys[1], batch.request_keys[3]);
}

TEST(DatasetWithoutTime, RefusesWhatLooksBack) {
  const auto error = [](const std::string& more) {
    return Parse(kPlainSpec + more).status().message();
  };
  EXPECT_NE(error("[split]\nby = \"share\"\n").find("needs 'time'"), std::string::npos);
  EXPECT_NE(error("[[field]]\nof_time = \"hour\"\n").find("'hour' needs 'time'"),
            std::string::npos);
  EXPECT_NE(error("[[sequence]]\nname = \"s\"\nparts = [{ column = \"a\" }]\n")
                .find("[[sequence]] needs 'time'"),
            std::string::npos);
  EXPECT_NE(
      error("[[derived]]\nkind = \"count\"\nname = \"n\"\nby = [\"a\"]\n").find("'n' needs 'time'"),
      std::string::npos);
}

}  // namespace
}  // namespace heed::train
