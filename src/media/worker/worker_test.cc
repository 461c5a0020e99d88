#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <functional>

#include "base/random.h"
#include "media/worker/address_rules.h"
#include "media/worker/hls.h"
#include "media/worker/ladder.h"
#include "media/worker/picture_pick.h"
#include "media/worker/sandbox.h"
#include "media/worker/timeline.h"

namespace heed::media {
namespace {

bool Allowed(const AddressRules& rules, const std::string& text) {
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  if (inet_pton(AF_INET, text.c_str(), &v4.sin_addr) == 1) {
    return rules.Allows(reinterpret_cast<sockaddr*>(&v4), sizeof(v4));
  }
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  EXPECT_EQ(inet_pton(AF_INET6, text.c_str(), &v6.sin6_addr), 1) << text;
  return rules.Allows(reinterpret_cast<sockaddr*>(&v6), sizeof(v6));
}

TEST(AddressRules, OnlyPublicUnicast) {
  const AddressRules rules;
  for (const char* text : {"8.8.8.8", "1.1.1.1", "172.15.255.255", "172.32.0.1", "100.63.0.1",
                           "223.255.255.255", "2606:4700::1111", "2a00:1450:4001::1",
                           "64:ff9b::808:808", "::ffff:8.8.8.8", "2002:808:808::1"}) {
    EXPECT_TRUE(Allowed(rules, text)) << text;
  }
  for (const char* text : {"0.0.0.0",
                           "10.0.0.1",
                           "100.64.0.1",
                           "127.0.0.1",
                           "127.255.255.254",
                           "169.254.169.254",
                           "172.16.0.1",
                           "172.31.255.255",
                           "192.168.1.1",
                           "192.0.0.8",
                           "198.18.0.1",
                           "224.0.0.1",
                           "255.255.255.255",
                           "::",
                           "::1",
                           "fc00::1",
                           "fd12::1",
                           "fe80::1",
                           "ff02::1",
                           "::ffff:127.0.0.1",
                           "::ffff:10.0.0.1",
                           "64:ff9b::7f00:1",
                           "64:ff9b::a00:1",
                           "2002:7f00:1::1",
                           "2001:0:1::1",
                           "::7f00:1",
                           "2001:db8::1"}) {
    EXPECT_FALSE(Allowed(rules, text)) << text;
  }
  sockaddr local{};
  local.sa_family = AF_UNIX;
  EXPECT_FALSE(rules.Allows(&local, sizeof(local)));
}

TEST(AddressRules, WhatIsAllowedBesides) {
  AddressRules rules;
  ASSERT_TRUE(rules.Allow("10.1.0.0/16").ok());
  ASSERT_TRUE(rules.Allow("127.0.0.1").ok());
  ASSERT_TRUE(rules.Allow("fd00::/9").ok());
  EXPECT_TRUE(Allowed(rules, "10.1.255.3"));
  EXPECT_FALSE(Allowed(rules, "10.2.0.1"));
  EXPECT_TRUE(Allowed(rules, "127.0.0.1"));
  EXPECT_TRUE(Allowed(rules, "::ffff:127.0.0.1"));
  EXPECT_FALSE(Allowed(rules, "127.0.0.2"));
  EXPECT_TRUE(Allowed(rules, "fd7f::1"));
  EXPECT_FALSE(Allowed(rules, "fd80::1"));
  for (const char* bad :
       {"", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/x", "host", "::/129", "1.2.3"}) {
    EXPECT_EQ(rules.Allow(bad).code(), Code::kInvalidArgument) << bad;
  }
}

TEST(Hls, MediaPlaylist) {
  const auto parsed = ParsePlaylist(
      "#EXTM3U\r\n#EXT-X-VERSION:7\r\n#EXT-X-TARGETDURATION:2\r\n#EXT-X-MEDIA-SEQUENCE:41\r\n"
      "#EXT-X-MAP:URI=\"init.mp4\"\r\n#EXTINF:2.000,title, with a comma\r\na.m4s\r\n\r\n"
      "#EXT-X-DISCONTINUITY\r\n#EXTINF:1.5,\r\nb.m4s?x=1\r\n#EXT-X-ENDLIST\r\n");
  ASSERT_TRUE(parsed.ok()) << parsed.status().ToString();
  const HlsPlaylist& list = parsed.value();
  ASSERT_EQ(list.segments.size(), 2u);
  EXPECT_EQ(list.segments[0].sequence, 41);
  EXPECT_EQ(list.segments[1].sequence, 42);
  EXPECT_EQ(list.segments[1].uri, "b.m4s?x=1");
  EXPECT_EQ(list.segments[1].seconds, 1.5);
  EXPECT_EQ(list.segments[0].map_uri, "init.mp4");
  EXPECT_TRUE(list.ended);
  EXPECT_EQ(list.target_seconds, 2);
}

TEST(Hls, MasterPlaylist) {
  const auto parsed = ParsePlaylist(
      "#EXTM3U\n#EXT-X-STREAM-INF:CODECS=\"avc1,mp4a\",BANDWIDTH=800000\nlow/i.m3u8\n"
      "#EXT-X-STREAM-INF:BANDWIDTH=2000000\nhigh/i.m3u8\n");
  ASSERT_TRUE(parsed.ok());
  ASSERT_EQ(parsed.value().variants.size(), 2u);
  EXPECT_EQ(parsed.value().variants[0].bandwidth, 800000);
  EXPECT_EQ(parsed.value().variants[1].uri, "high/i.m3u8");
}

TEST(Hls, WhatIsNotReadIsSaidWithItsLine) {
  const auto message = [](std::string_view text) { return ParsePlaylist(text).status().message(); };
  EXPECT_NE(message("<html>").find("#EXTM3U"), std::string::npos);
  EXPECT_NE(message("#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n").find("line 2: encrypted"),
            std::string::npos);
  EXPECT_NE(message("#EXTM3U\n#EXTINF:1,\n#EXT-X-BYTERANGE:5@0\na.ts").find("line 3: byte"),
            std::string::npos);
  EXPECT_NE(message("#EXTM3U\nstray.ts").find("line 2"), std::string::npos);
}

TEST(Hls, References) {
  const auto resolve = [](std::string_view base, std::string_view reference) {
    const auto url = ResolveUrl(base, reference);
    return url.ok() ? url.value() : "refused";
  };
  const char* base = "https://a.example:8443/live/x/i.m3u8?t=1/2";
  EXPECT_EQ(resolve(base, "s1.ts"), "https://a.example:8443/live/x/s1.ts");
  EXPECT_EQ(resolve(base, "/s1.ts"), "https://a.example:8443/s1.ts");
  EXPECT_EQ(resolve(base, "//b.example/s1.ts"), "https://b.example/s1.ts");
  EXPECT_EQ(resolve(base, "http://c.example/s"), "http://c.example/s");
  EXPECT_EQ(resolve("http://a.example", "s.ts"), "http://a.example/s.ts");
  EXPECT_EQ(resolve(base, "s.ts?u=http://x/"), "https://a.example:8443/live/x/s.ts?u=http://x/");
  for (const char* bad : {"file:///etc/passwd", "concat:a|b", "data:text/plain,x", "rtmp://h/a",
                          "gopher://h", "a b", "a\nb", "subfile,,start,0,end,9,,:/etc/passwd"}) {
    EXPECT_EQ(resolve(base, bad), "refused") << bad;
  }
}

constexpr int64_t kS = 1000000;

TEST(Ladder, DownUnderLoadAndUpAgain) {
  OverloadLadder ladder;
  int64_t now = 0;
  const auto feed = [&](double seconds, double lag_s) {
    for (const int64_t until = now + static_cast<int64_t>(seconds * 1e6); now < until;
         now += 50000) {
      ladder.Update(static_cast<int64_t>(lag_s * 1e6), now);
    }
    return ladder.mode();
  };
  EXPECT_EQ(feed(20, 0.9), PictureMode::kFull);
  EXPECT_EQ(feed(1.0, 1.2), PictureMode::kTwoASecond);
  EXPECT_EQ(feed(1.0, 1.2), PictureMode::kReferences);
  EXPECT_EQ(feed(1.0, 1.2), PictureMode::kKeyPictures);
  EXPECT_EQ(feed(30, 1.2), PictureMode::kNone);
  EXPECT_EQ(feed(9.9, 0.1), PictureMode::kNone);
  EXPECT_EQ(feed(0.2, 0.1), PictureMode::kKeyPictures);
  EXPECT_EQ(feed(60, 0.1), PictureMode::kFull);
}

TEST(Ladder, ALagThatShrinksIsLeftAlone) {
  OverloadLadder ladder;
  for (int64_t now = 0; now < 20 * kS; now += 50000) {
    ladder.Update(10 * kS - now / 2, now);
  }
  EXPECT_LE(ladder.mode(), PictureMode::kTwoASecond);
}

TEST(Ladder, DoesNotSwing) {
  // A machine that can just not do one step more: each try up costs a second of lag.
  OverloadLadder ladder;
  int changes = 0;
  PictureMode last = ladder.mode();
  for (int64_t now = 0; now < 600 * kS; now += 50000) {
    const bool heavy = ladder.mode() < PictureMode::kReferences;
    changes += ladder.Update(heavy ? 2 * kS : 0, now) != last;
    last = ladder.mode();
  }
  EXPECT_LT(changes, 20);
}

// Groups of four as encoders order them: the last, the middle, the two between, of which none refers to another. What is
// not decoded is not missed, whatever the distance from picture to picture.
TEST(PicturePick, WhatWillNotBeWantedIsKnownBeforeItIsDecoded) {
  Random random(5);
  size_t pictures = 0, left_out = 0;
  for (const uint64_t spread_us : {uint64_t{1}, uint64_t{60000}}) {
    PicturePick all, some;
    int64_t now_us = -500000;
    for (int group = 0; group < 200; ++group) {
      std::array<int64_t, 4> shown_us{};
      for (int64_t& pts_us : shown_us) {
        pts_us = now_us;
        now_us += 33333 + static_cast<int64_t>(random.Below(spread_us));
      }
      std::array<bool, 4> decoded{};
      for (const size_t at : {size_t{3}, size_t{1}, size_t{0}, size_t{2}}) {
        const bool referred_to = at == 3 || at == 1;
        decoded[at] = some.MayWant(shown_us[at], PictureMode::kFull) || referred_to;
      }
      for (size_t at = 0; at < 4; ++at) {
        const bool wanted = all.Wants(shown_us[at], PictureMode::kFull);
        const bool got = decoded[at] && some.Wants(shown_us[at], PictureMode::kFull);
        EXPECT_EQ(wanted, got) << shown_us[at];
        ++pictures;
        left_out += decoded[at] ? 0 : 1;
      }
    }
  }
  EXPECT_GT(left_out, pictures / 4);
}

TEST(Timeline, CommonStartForBothStreams) {
  Timeline line(0, 0);
  line.SetStart(1466666);
  EXPECT_EQ(line.OnPacket(0, 1466666), Timeline::Verdict::kKeep);
  EXPECT_EQ(line.OnPacket(1, 1500000), Timeline::Verdict::kKeep);
  EXPECT_EQ(line.ToBase(1500000), 33334);
}

TEST(Timeline, AJumpIsANewEpochAtAWholeSecond) {
  for (const int64_t to : {50 * kS, int64_t{0}, int64_t{-20 * kS}}) {
    Timeline line(4, 100 * kS);
    for (int64_t t = 10 * kS; t < 13 * kS + 300000; t += 100000) {
      EXPECT_EQ(line.OnPacket(0, t), Timeline::Verdict::kKeep);
      EXPECT_EQ(line.OnPacket(1, t - 50000), Timeline::Verdict::kKeep);
    }
    EXPECT_EQ(line.OnPacket(0, to), Timeline::Verdict::kJump);
    EXPECT_EQ(line.epoch(), 5u);
    EXPECT_EQ(line.ToBase(to), 104 * kS);  // 103.2 s were told
    // The other stream still tells of the time before.
    EXPECT_EQ(line.OnPacket(1, 13 * kS + 300000), Timeline::Verdict::kDrop);
    EXPECT_EQ(line.OnPacket(1, to + 20000), Timeline::Verdict::kKeep);
    EXPECT_EQ(line.ToBase(to + 20000), 104 * kS + 20000);
    EXPECT_EQ(line.OnPacket(0, to + 100000), Timeline::Verdict::kKeep);
    EXPECT_EQ(line.epoch(), 5u);
  }
}

TEST(Timeline, SlidesBesideSoundAreNoJumps) {
  Timeline line(0, 0);
  for (int64_t t = 0; t < 30 * kS; t += 20000) {
    EXPECT_EQ(line.OnPacket(0, t), Timeline::Verdict::kKeep);
    if (t % (10 * kS) == 0) {
      EXPECT_EQ(line.OnPacket(1, t), Timeline::Verdict::kKeep);
    }
  }
  EXPECT_EQ(line.epoch(), 0u);
}

// How a child that gave up its rights ended: its exit code, or minus the signal.
int InSandbox(const std::function<Status()>& enter, const std::function<int()>& act) {
  const pid_t pid = fork();
  if (pid == 0) {
    const bool entered = LimitProcess().ok() && enter().ok();
    _exit(entered ? act() : 99);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

#ifdef HEED_SANITIZED
constexpr int kSocketEnds = EPERM;  // see EnterDecodeSandbox
constexpr int kProgramEnds = EPERM;
#else
constexpr int kSocketEnds = -SIGSYS;
constexpr int kProgramEnds = -SIGSYS;
#endif

TEST(Sandbox, TheDecoderHasNoNetworkFilesOrPrograms) {
  EXPECT_EQ(
      InSandbox(EnterDecodeSandbox, [] { return socket(AF_INET, SOCK_STREAM, 0) < 0 ? errno : 0; }),
      kSocketEnds);
  EXPECT_EQ(
      InSandbox(EnterDecodeSandbox, [] { return open("/etc/passwd", O_RDONLY) < 0 ? errno : 0; }),
      EACCES);
  EXPECT_EQ(InSandbox(EnterDecodeSandbox,
                      [] {
                        char name[] = "/bin/true";
                        char* const argv[] = {name, nullptr};
                        execve(name, argv, argv + 1);
                        return errno;
                      }),
            kProgramEnds);
  EXPECT_EQ(InSandbox(EnterDecodeSandbox, [] { return fork() < 0 ? errno : 0; }), kSocketEnds);
  EXPECT_EQ(InSandbox(EnterDecodeSandbox, [] { return 7; }), 7);
}

TEST(Sandbox, TheFetcherMayConnectAndReadButNotWriteOrStartPrograms) {
  EXPECT_EQ(
      InSandbox(EnterFetchSandbox, [] { return socket(AF_INET, SOCK_STREAM, 0) >= 0 ? 0 : errno; }),
      0);
  EXPECT_EQ(
      InSandbox(EnterFetchSandbox, [] { return open("/etc/hosts", O_RDONLY) >= 0 ? 0 : errno; }),
      0);
  EXPECT_EQ(InSandbox(EnterFetchSandbox,
                      [] { return open("/tmp/heed_x", O_WRONLY | O_CREAT, 0600) < 0 ? errno : 0; }),
            EACCES);
  EXPECT_EQ(InSandbox(EnterFetchSandbox,
                      [] {
                        char name[] = "/bin/true";
                        char* const argv[] = {name, nullptr};
                        execve(name, argv, argv + 1);
                        return errno;
                      }),
            -SIGSYS);
}

}  // namespace
}  // namespace heed::media
