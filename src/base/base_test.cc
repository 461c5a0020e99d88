#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/checksum.h"
#include "base/hash.h"
#include "base/random.h"
#include "base/status.h"

namespace heed {
namespace {

Status Fails() { return InvalidArgument("must be positive", "/count"); }
Result<int> Half(int x) {
  if (x % 2 != 0) return InvalidArgument("odd");
  return x / 2;
}
Status UsesMacros(int x, int* out) {
  HEED_ASSIGN_OR_RETURN(*out, Half(x));
  HEED_RETURN_IF_ERROR(*out == 3 ? Fails() : Status());
  return {};
}

TEST(StatusTest, MacrosReturnTheFirstFailure) {
  int out = 0;
  EXPECT_TRUE(UsesMacros(4, &out).ok());
  EXPECT_EQ(out, 2);
  EXPECT_EQ(UsesMacros(5, &out).message(), "odd");
  EXPECT_EQ(UsesMacros(6, &out).field(), "/count");
}

TEST(StatusTest, WithinKeepsCodeAndPrefixesPlace) {
  const Status status = Fails().Within("event 3", "/events/3");
  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_EQ(status.ToString(), "invalid argument at /events/3/count: event 3: must be positive");
}

TEST(BytesTest, RoundTripsAndRefusesShortInput) {
  std::string bytes;
  ByteWriter out(bytes);
  const std::vector<uint64_t> values = {0, 1, 127, 128, 300, std::numeric_limits<uint64_t>::max()};
  for (const uint64_t value : values) out.Varint(value);
  out.Signed(-5);
  out.Signed(std::numeric_limits<int64_t>::min());
  out.Fixed(2.5f);
  out.String("直播");
  ByteReader in(bytes);
  for (const uint64_t value : values) EXPECT_EQ(in.Varint(), value);
  EXPECT_EQ(in.Signed(), -5);
  EXPECT_EQ(in.Signed(), std::numeric_limits<int64_t>::min());
  EXPECT_EQ(in.Fixed<float>(), 2.5f);
  EXPECT_EQ(in.String(), "直播");
  EXPECT_TRUE(in.ok());
  EXPECT_EQ(in.remaining(), 0u);
  EXPECT_EQ(in.Varint(), 0u);
  EXPECT_FALSE(in.ok());
  for (size_t size = 0; size < bytes.size(); ++size) {  // every truncation is noticed
    ByteReader cut(std::string_view(bytes).substr(0, size));
    for (size_t i = 0; i < values.size(); ++i) cut.Varint();
    cut.Signed();
    cut.Signed();
    cut.Fixed<float>();
    cut.String();
    EXPECT_FALSE(cut.ok()) << size;
  }
}

TEST(BytesTest, RefusesOverlongVarints) {
  ByteReader padded(std::string_view("\x80\x00", 2));
  padded.Varint();
  EXPECT_FALSE(padded.ok());
  const std::string eleven(11, '\xFF');
  ByteReader wide(eleven);
  wide.Varint();
  EXPECT_FALSE(wide.ok());
}

TEST(HashTest, IsFixedForEver) {
  // Written to disk as table keys: a change of these numbers is a change of format.
  EXPECT_EQ(HashBytes("heed"), HashBytes("heed"));
  EXPECT_NE(HashBytes("heed"), HashBytes("heee"));
  EXPECT_EQ(Crc32("123456789"), 0xCBF43926u);
}

TEST(RandomTest, IsReproducibleAndUnbiased) {
  Random a(7), b(7);
  double sum = 0, squares = 0;
  const int n = 200000;
  for (int i = 0; i < n; ++i) {
    const double x = a.Normal();
    EXPECT_EQ(x, b.Normal());
    sum += x;
    squares += x * x;
  }
  EXPECT_NEAR(sum / n, 0.0, 0.01);
  EXPECT_NEAR(squares / n, 1.0, 0.02);
}

}  // namespace
}  // namespace heed
