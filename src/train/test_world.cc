#include "train/test_world.h"

#include <sstream>

#include "base/random.h"

namespace heed::train {

World MakeWorld(uint64_t seed, size_t rows) {
  Random random(seed);
  World world;
  int64_t time_ms = 1700000000000;
  const int users = 12;
  const auto items = static_cast<uint64_t>(20 + rows / 10);
  for (size_t i = 0; i < rows; ++i) {
    // A third of the rows share the time of the row before.
    if (!random.Chance(0.33)) time_ms += static_cast<int64_t>(random.Below(3600000 * 2));
    WorldRow row{};
    row.user = static_cast<int>(random.Below(users));
    row.item = static_cast<int>(random.Below(items));
    row.kind = row.item % 2;
    row.time_ms = time_ms;
    row.click = random.Chance(row.user % 2 == row.kind ? 0.8 : 0.2) ? 1 : 0;
    row.like = row.click == 1 && random.Chance(0.3) ? 1 : 0;
    world.rows.push_back(row);
  }
  return world;
}

std::string WorldSpec() {
  return R"(name = "world"
time = "time_ms"
user = "user"
item = "item"
segments = ["kind"]
[table.item]
min_count = 3
[[file]]
path = "rows.csv"
[split]
by = "share"
train = 0.6
valid = 0.2
test = 0.2
[[label]]
name = "click"
[[label]]
name = "like"
loss_weight = 0.5
[[field]]
columns = ["item", "kind"]
side = "candidate"
[[field]]
columns = ["user"]
[[derived]]
kind = "rate"
name = "user"
by = ["user"]
labels = ["click"]
prior = 0.4
strength = 5
[[derived]]
kind = "count"
name = "user.count"
by = ["user"]
[[derived]]
kind = "rate"
name = "user_day"
by = ["user"]
labels = ["click", "like"]
prior = [0.4, 0.1]
strength = 5
window_s = 86400
[[derived]]
kind = "gap"
name = "gap"
by = ["user"]
bucket = { quantiles = 4 }
[[derived]]
kind = "feedback"
name = "second_last"
by = ["user"]
position = 2
labels = ["click", "like"]
[[derived]]
kind = "rate"
name = "user_kind"
by = ["user", "kind"]
labels = ["click"]
prior = 0.4
strength = 5
side = "candidate"
[[sequence]]
name = "seen"
max_length = 5
query = ["item", "kind"]
parts = [{ column = "item" }, { column = "kind" }, { labels = ["click", "like"] }]
)";
}

Result<std::unique_ptr<Dataset>> LoadWorld(const World& world, const TestFolder& folder) {
  std::ostringstream csv;
  csv << "user,item,kind,time_ms,click,like\n";
  for (const WorldRow& row : world.rows) {
    csv << row.user << ',' << row.item << ',' << row.kind << ',' << row.time_ms << ',' << row.click
        << ',' << row.like << '\n';
  }
  folder.Write("rows.csv", csv.str());
  HEED_ASSIGN_OR_RETURN(const TomlTable root, TomlTable::Parse(WorldSpec(), "world.toml"));
  HEED_ASSIGN_OR_RETURN(const DatasetSpec spec, ParseDatasetSpec(root));
  return Dataset::Load(spec, folder.path());
}

}  // namespace heed::train
