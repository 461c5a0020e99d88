// Tables that grow, forget and say what changed; and what a row costs.
#include "nn/embedding.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <map>

#include "base/random.h"

namespace heed::nn {
namespace {

std::vector<uint32_t> Count(EmbeddingTable* table, const std::vector<uint64_t>& keys) {
  std::vector<uint32_t> rows(keys.size());
  table->CountRows(keys.data(), 1, keys.size(), rows.data(), 1);
  return rows;
}

// One step of row-wise Adagrad on every row of `rows` once.
void Step(EmbeddingTable* table, const std::vector<uint32_t>& rows) {
  RowGradient gradient;
  gradient.Start(table->rows(), table->width());
  Matrix g(rows.size(), table->width());
  g.Fill(0.5f);
  gradient.Add(rows.data(), 1, 0, g.view());
  table->Apply({.rule = Rule::kAdagrad, .rate = 0.1f}, gradient);
}

bool Same(const EmbeddingTable& a, const EmbeddingTable& b) {
  const auto wait = [](const EmbeddingTable& table) {
    std::vector<std::pair<uint64_t, uint32_t>> all;
    for (const auto& one : table.waiting()) all.emplace_back(one.key, one.count);
    return all;
  };
  return a.keys() == b.keys() && wait(a) == wait(b) && a.values() == b.values() &&
         a.moment1() == b.moment1() && a.moment2() == b.moment2() && a.squares() == b.squares() &&
         a.counted_at() == b.counted_at();
}

TEST(EmbeddingTable, ExpiredRowsGiveTheirPlacesBack) {
  EmbeddingTable table({.width = 4, .admit_after = 2});
  table.SetClock(10);
  EXPECT_EQ(Count(&table, {7, 7, 8, 8, 9, 9, 5}), (std::vector<uint32_t>{1, 2, 1, 3, 1, 4, 1}));
  Step(&table, {2, 3, 4});
  const Floats seven(table.Row(2), table.Row(2) + 4);
  table.SetClock(20);
  Count(&table, {8});
  EXPECT_EQ(table.Expire(20), (std::vector<uint32_t>{4, 2}));
  EXPECT_EQ(table.keys(), (std::vector<uint64_t>{0, 0, 0, 8, 0}));
  EXPECT_EQ(Count(&table, {7, 9, 5}), (std::vector<uint32_t>{1, 1, 1})) << "as if never seen";
  // The lowest place first; the row is drawn anew and has learned nothing.
  EXPECT_EQ(Count(&table, {9, 7, 6, 6}), (std::vector<uint32_t>{2, 4, 1, 5}));
  EXPECT_EQ(table.squares()[2], 0.0f);
  EXPECT_NE(Floats(table.Row(4), table.Row(4) + 4), seven) << "the old one had been trained";
  EXPECT_EQ(table.rows(), 6u);
}

TEST(EmbeddingTable, TheSharedRowsStay) {
  EmbeddingTable table({.width = 2});
  table.SetClock(1);
  Count(&table, {3, 4});
  table.SetClock(50);
  EXPECT_EQ(table.Expire(50).size(), 2u);
  EXPECT_EQ(Count(&table, {0}), (std::vector<uint32_t>{EmbeddingTable::kAbsent}));
  EXPECT_EQ(table.rows(), 4u);
}

// Rows of any width in low precision, against the floats they were made from: bf16 rounds to 8 bits, int8 to
// half a step of a 127th of the row's largest number, a tail not at all.
RC_GTEST_PROP(EmbeddingTable, LowPrecisionIsWithinItsRounding, ()) {
  const auto precision = *rc::gen::element(kernels::Precision::kBf16, kernels::Precision::kInt8);
  const auto width = *rc::gen::inRange(1u, 70u);
  const auto tail = *rc::gen::inRange(0u, std::min(width, 5u));
  EmbeddingTable table({.width = width, .zero_tail = tail, .init_deviation = 1.0f});
  Random random(*rc::gen::arbitrary<uint64_t>());
  const auto fill = [&](uint32_t row) {  // rows of very different sizes; some all zeros
    const double size = random.Chance(0.1) ? 0.0 : std::exp2(random.Uniform(-30.0, 10.0));
    for (uint32_t i = 0; i < width; ++i) {
      table.Row(row)[i] = static_cast<float>(size * random.Uniform(-1.0, 1.0));
    }
  };
  Count(&table, {11, 12, 13, 14, 15});
  for (uint32_t row = 0; row < table.rows(); ++row) fill(row);
  table.TrackKeys();
  EmbeddingTable low = table;
  low.StoreAs(precision);
  // One row changes and two are new.
  fill(3);
  Count(&table, {16, 17});
  low.CopyRows(table, std::vector<uint32_t>{3});
  RC_ASSERT(low.rows() == table.rows() && low.values().empty());

  const uint32_t body = width - tail;
  const std::vector<uint64_t> keys = {13, 0, 12, 99, 17, 11, 16, 15, 14};
  std::vector<uint32_t> rows(keys.size());
  low.Rows(keys.data(), 1, keys.size(), rows.data(), 1);
  Matrix found(keys.size(), body), gathered(keys.size(), body);
  low.LookUp(keys.data(), 1, found.view());
  const uint32_t column = *rc::gen::inRange(0u, body);
  low.Gather(rows.data(), 1, column, gathered.view().Cols(column, body - column));
  Matrix last(keys.size(), tail);
  low.Gather(rows.data(), 1, body, last.view());
  for (size_t i = 0; i < keys.size(); ++i) {
    const float* want = table.Row(rows[i]);
    float top = 0.0f;
    for (uint32_t j = 0; j < body; ++j) top = std::max(top, std::abs(want[j]));
    for (uint32_t j = 0; j < body; ++j) {
      const float off =
          precision == kernels::Precision::kBf16 ? std::abs(want[j]) / 256 : top / 127 * 0.50001f;
      RC_ASSERT(std::abs(found.Row(i)[j] - want[j]) <= off);
      if (j >= column) RC_ASSERT(gathered.Row(i)[j] == found.Row(i)[j]);
    }
    for (uint32_t j = 0; j < tail; ++j) {
      RC_ASSERT(low.Tail(rows[i])[j] == want[body + j]);
      RC_ASSERT(last.Row(i)[j] == want[body + j]);
    }
  }
}

TEST(EmbeddingTable, LowPrecisionKeepsWhatIsNotFinite) {
  for (const auto precision : {kernels::Precision::kBf16, kernels::Precision::kInt8}) {
    EmbeddingTable table({.width = 20});
    Count(&table, {5, 6});
    table.Row(2)[7] = std::numeric_limits<float>::quiet_NaN();
    table.Row(3)[0] = 1e-40f;  // its row's scale is no normal number
    std::fill_n(table.Row(3) + 1, 19, 0.0f);
    table.StoreAs(precision);
    Matrix out(2, 20);
    const std::vector<uint64_t> keys = {5, 6};
    table.LookUp(keys.data(), 1, out.view());
    EXPECT_TRUE(std::isnan(out.Row(0)[7]));
    for (size_t i = 0; i < 20; ++i) EXPECT_NEAR(out.Row(1)[i], 0.0f, 2e-40f);
  }
}

TEST(EmbeddingTable, LowPrecisionTakesAHalfAndAQuarter) {
  EmbeddingTable table({.width = 64});
  std::vector<uint64_t> keys(20'000);
  for (size_t i = 0; i < keys.size(); ++i) keys[i] = i + 1;
  Count(&table, keys);
  const size_t index = table.bytes() - table.rows() * 256;
  for (const auto& [precision, row] :
       {std::pair{kernels::Precision::kBf16, 128}, {kernels::Precision::kInt8, 68}}) {
    EmbeddingTable low = table;
    low.StoreAs(precision);
    EXPECT_EQ(low.bytes() - index, low.rows() * static_cast<size_t>(row));
  }
}

// Against a plain map, over any history of counting and expiring; and a table that was stored and read
// again goes on alike.
RC_GTEST_PROP(EmbeddingTable, ExpiryIsWhatAMapSays, ()) {
  const TableShape shape{.width = 2, .admit_after = *rc::gen::inRange(1u, 4u)};
  EmbeddingTable table(shape), stored(shape);
  struct Known {
    uint32_t count = 0, at = 0;
    bool admitted = false;
  };
  std::map<uint64_t, Known> want;
  for (uint32_t now = 1; now < 30; ++now) {
    table.SetClock(now);
    stored.SetClock(now);
    const auto keys =
        *rc::gen::container<std::vector<uint64_t>>(8, rc::gen::inRange<uint64_t>(1, 25));
    RC_ASSERT(Count(&table, keys) == Count(&stored, keys));
    for (const uint64_t key : keys) {
      Known& known = want[key];
      known.at = now;
      known.admitted = known.admitted || ++known.count >= shape.admit_after;
    }
    if (now % 5 != 0) continue;
    (void)table.Expire(now - 3);
    (void)stored.Expire(now - 3);
    std::erase_if(want,
                  [&](const auto& one) { return !one.second.admitted || one.second.at < now - 3; });
    std::vector<uint64_t> admitted, found;
    for (const auto& [key, known] : want) admitted.push_back(key);
    for (const uint64_t key : table.keys()) {
      if (key != 0) found.push_back(key);
    }
    std::sort(found.begin(), found.end());
    RC_ASSERT(found == admitted);
    EmbeddingTable copy(shape);
    RC_ASSERT(copy.Restore({.keys = stored.keys(),
                            .waiting = stored.waiting(),
                            .values = stored.values(),
                            .moment1 = {},
                            .moment2 = {},
                            .squares = {},
                            .counted_at = stored.counted_at()})
                  .ok());
    stored = copy;
    RC_ASSERT(Same(table, stored));
  }
}

// Changes put on an earlier copy make the later table, whatever happened between.
RC_GTEST_PROP(EmbeddingTable, ChangesMakeTheLaterTable, ()) {
  const TableShape shape{.width = 3, .admit_after = *rc::gen::inRange(1u, 3u)};
  EmbeddingTable table(shape);
  Count(&table, {1, 2, 3, 1, 2});
  EmbeddingTable follower = table;
  table.TrackChanges(true);
  const bool ages = *rc::gen::arbitrary<bool>();
  for (uint32_t now = 1; now < 20; ++now) {
    if (ages) table.SetClock(now);
    std::vector<uint32_t> rows = Count(
        &table, *rc::gen::container<std::vector<uint64_t>>(4, rc::gen::inRange<uint64_t>(0, 30)));
    if (*rc::gen::arbitrary<bool>()) Step(&table, rows);
    if (ages && now % 6 == 0) (void)table.Expire(now - 2);
    if (*rc::gen::arbitrary<bool>()) continue;
    RC_ASSERT(follower.ApplyChange(table.ChangeOf(table.TakeChanged())).ok());
    RC_ASSERT(Same(table, follower));
    RC_ASSERT(table.TakeChanged().empty());
  }
}

// A table that only reads finds what the trained one has, after copies of the rows that changed.
RC_GTEST_PROP(EmbeddingTable, CopiedRowsAreFoundByTheirKeys, ()) {
  EmbeddingTable table({.width = 3});
  Count(&table, {1, 2, 3});
  table.SetClock(0);
  table.TrackKeys();
  table.TrackChanges(true);
  EmbeddingTable follower = table;
  follower.DropState();
  for (uint32_t now = 1; now < 20; ++now) {
    table.SetClock(now);
    std::vector<uint32_t> rows = Count(
        &table, *rc::gen::container<std::vector<uint64_t>>(4, rc::gen::inRange<uint64_t>(0, 30)));
    Step(&table, rows);
    if (now % 6 == 0) (void)table.Expire(now - 2);
    if (*rc::gen::arbitrary<bool>()) continue;
    follower.CopyRows(table, table.TakeChanged());
    RC_ASSERT(follower.keys() == table.keys());
    for (uint32_t row = 0; row < table.rows(); ++row) {
      RC_ASSERT(follower.KeyOf(row) == table.keys()[row]);
      for (size_t j = 0; j < 3; ++j) RC_ASSERT(follower.Row(row)[j] == table.Row(row)[j]);
    }
  }
}

TEST(EmbeddingTable, AChangeThatDoesNotFitIsRefused) {
  EmbeddingTable table({.width = 2});
  Count(&table, {4, 5});
  const EmbeddingTable before = table;
  table.TrackChanges(true);
  Count(&table, {6, 7});
  const EmbeddingTable::Change good = table.ChangeOf(table.TakeChanged());
  EXPECT_EQ(good.rows, (std::vector<uint32_t>{4, 5}));
  const auto refuses = [&](auto change) {
    EmbeddingTable::Change bad = good;
    change(&bad);
    EmbeddingTable target = before;
    EXPECT_EQ(target.ApplyChange(std::move(bad)).code(), Code::kCorruption);
    EXPECT_TRUE(Same(target, before));
  };
  refuses([](auto* c) { c->table_rows = 5; });
  refuses([](auto* c) { c->table_rows = 7; });
  refuses([](auto* c) { c->table_rows = 3; });
  refuses([](auto* c) { c->rows[1] = 4; });
  refuses([](auto* c) { c->rows[0] = 3; });
  refuses([](auto* c) { c->now.keys[0] = 5; });
  refuses([](auto* c) { c->now.values.pop_back(); });
  refuses([](auto* c) { c->squares = true; });
  refuses([](auto* c) { c->now.squares = {1, 2}; });
  EmbeddingTable target = before;
  ASSERT_TRUE(target.ApplyChange(good).ok());
  EXPECT_TRUE(Same(target, table));
}

// Keys that have a row, that wait and that were never seen, in a map whose lines overflow; by columns.
RC_GTEST_PROP(EmbeddingTable, RowsAreWhatAMapSays, ()) {
  const auto size = *rc::gen::inRange<uint64_t>(0, 4000);
  EmbeddingTable table({.width = 1, .admit_after = 2});
  Random random(*rc::gen::arbitrary<uint64_t>());
  std::vector<uint64_t> keys(size);
  for (uint64_t& key : keys) key = random.Next() % (size + 1);
  std::map<uint64_t, uint32_t> counts, want;
  for (const uint64_t key : keys) {
    if (key != 0 && ++counts[key] == 2) want.emplace(key, static_cast<uint32_t>(want.size() + 2));
  }
  Count(&table, keys);
  std::vector<uint64_t> asked(2 * (size + 50), 77);  // every second is a neighbour's
  for (uint64_t key = 0; key < size + 50; ++key) asked[2 * key] = key;
  std::vector<uint32_t> rows(asked.size(), 99);
  table.Rows(asked.data(), 2, size + 50, rows.data(), 2);
  for (uint64_t key = 0; key < size + 50; ++key) {
    const auto found = want.find(key);
    const uint32_t other = key == 0 ? EmbeddingTable::kAbsent : EmbeddingTable::kUnseen;
    RC_ASSERT(rows[2 * key] == (found == want.end() ? other : found->second));
    RC_ASSERT(rows[2 * key + 1] == 99u);
  }
}

// What lanes and fields leave is the sum by row; a row that is said to be alone is, and in a table with
// fewer rows than 16 times the places every row that is alone is said to be.
RC_GTEST_PROP(RowGradient, LanesAndFieldsMakeTheSumsByRow, ()) {
  constexpr size_t kWidth = 3;
  const auto table_rows = *rc::gen::inRange<size_t>(1, 5000);
  const auto places = *rc::gen::inRange<size_t>(0, 400);
  Random random(*rc::gen::arbitrary<uint64_t>());
  RowGradient gradient;
  for (int batch = 0; batch < 3; ++batch) {
    gradient.Start(table_rows, kWidth);
    std::vector<uint32_t> rows(2 * places), of_field(places / 4);  // the history has two columns
    for (uint32_t& row : rows) row = static_cast<uint32_t>(random.Next() % table_rows);
    for (uint32_t& row : of_field) row = static_cast<uint32_t>(random.Next() % table_rows);
    std::map<uint32_t, int> times;
    for (const uint32_t row : rows) ++times[row];
    for (const uint32_t row : of_field) ++times[row];
    gradient.StartMarks(rows.size() + of_field.size());
    for (size_t column = 0; column < 2; ++column) {
      gradient.Mark(rows.data() + column, 2, places);
    }
    gradient.Mark(of_field.data(), 1, of_field.size());
    std::vector<uint32_t> numbers(rows.size());
    for (size_t column = 0; column < 2; ++column) {
      gradient.Number(rows.data() + column, 2, places, numbers.data() + column);
    }
    Matrix g(rows.size() + of_field.size(), kWidth);
    for (size_t i = 0; i < g.size(); ++i) g.data()[i] = static_cast<float>(random.Next() % 100);
    std::map<uint32_t, std::vector<float>> want;
    const auto expect = [&](uint32_t row, const float* own) {
      std::vector<float>& sum = want[row];
      sum.resize(kWidth);
      for (size_t j = 0; j < kWidth; ++j) sum[j] += own[j];
    };
    for (size_t i = 0; i < rows.size(); ++i) {
      if (numbers[i] == RowGradient::kOnce) {
        RC_ASSERT(times[rows[i]] == 1);
        continue;
      }
      RC_ASSERT(times[rows[i]] > 1 || table_rows > 16 * (rows.size() + of_field.size()));
      const size_t lane = i * RowGradient::kLanes / rows.size();
      gradient.AddAt(lane, gradient.SlotOf(lane, numbers[i], rows[i]), g.Row(i));
      expect(rows[i], g.Row(i));
    }
    gradient.Add(of_field.data(), 1, 0,
                 ConstMat{g.Row(rows.size()), of_field.size(), kWidth, kWidth});
    for (size_t i = 0; i < of_field.size(); ++i) expect(of_field[i], g.Row(rows.size() + i));
    gradient.Merge();
    RC_ASSERT(gradient.rows().size() == want.size());
    for (size_t i = 0; i < want.size(); ++i) {
      const std::vector<float>& sum = want.at(gradient.rows()[i]);
      RC_ASSERT(std::equal(sum.begin(), sum.end(), gradient.Of(i)));
    }
  }
}

size_t ResidentBytes() {
  size_t pages = 0, resident = 0;
  if (std::FILE* in = std::fopen("/proc/self/statm", "r"); in != nullptr) {
    if (std::fscanf(in, "%zu %zu", &pages, &resident) != 2) resident = 0;
    (void)std::fclose(in);
  }
  return resident * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

// At every size that growth passes through, with an age and a mark of change for each row; and what we
// count is what the system gives, but for pages of 2 MB that are not full.
TEST(EmbeddingTable, ARowOf64NumbersTakesAtMost300Bytes) {
  [[maybe_unused]] const size_t before = ResidentBytes();
  EmbeddingTable table({.width = 64, .init_deviation = 0.01f});
  table.SetClock(1);
  table.TrackChanges(true);
  double most = 0.0;
  constexpr size_t kStep = 1000, kRows = 400'000;
  std::vector<uint64_t> keys(kStep);
  std::vector<uint32_t> rows(kStep);
  for (size_t n = kStep; n <= kRows; n += kStep) {
    for (size_t i = 0; i < kStep; ++i) keys[i] = n - i;
    table.CountRows(keys.data(), 1, kStep, rows.data(), 1);
    table.PrepareState(Rule::kAdagrad);
    most = std::max(most, static_cast<double>(table.bytes()) / static_cast<double>(n));
  }
  std::printf("bytes a row, at most: %.1f\n", most);
  EXPECT_LE(most, 300.0);
#if !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)  // their shadow memory counts, too
  if (before == 0) GTEST_SKIP() << "no /proc/self/statm";
  const auto resident = static_cast<double>(ResidentBytes() - before);
  constexpr double kMegabyte = 1 << 20, kArrays = 5;
  EXPECT_LE(resident, static_cast<double>(table.bytes()) + kArrays * 2 * kMegabyte);
#endif
}

}  // namespace
}  // namespace heed::nn
