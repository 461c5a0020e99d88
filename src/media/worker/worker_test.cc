#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <utility>
#include <vector>

#include "base/random.h"
#include "media/worker/address_rules.h"
#include "media/worker/hls.h"
#include "media/worker/ladder.h"
#include "media/worker/lag.h"
#include "media/worker/picture_pick.h"
#include "media/worker/references.h"
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
  EXPECT_EQ(feed(20, 0.55), PictureMode::kFull);
  EXPECT_EQ(feed(1.0, 0.7), PictureMode::kTwoASecond);
  EXPECT_EQ(feed(1.0, 0.7), PictureMode::kReferences);
  EXPECT_EQ(feed(1.0, 0.7), PictureMode::kKeyPictures);
  EXPECT_EQ(feed(30, 0.7), PictureMode::kNone);
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

// Two seconds of media every two seconds, each read in a tenth of that: late, but never for want of work.
TEST(Lag, WhatComesInBurstsIsNoOverload) {
  LagMeter meter(0);
  OverloadLadder ladder;
  int64_t most_us = 0;
  for (int64_t burst = 1; burst <= 20; ++burst) {
    int64_t now = burst * 2 * kS;
    meter.Wait(now);
    for (int64_t dts = now - 2 * kS; dts < burst * 2 * kS; dts += 40000, now += 4000) {
      meter.Take(dts, now);
      EXPECT_EQ(ladder.Update(meter.own_us(), now), PictureMode::kFull) << dts;
      if (burst > 2) most_us = std::max(most_us, meter.lag_us());
    }
  }
  EXPECT_GT(most_us, 1700000);
}

TEST(Lag, WorkThatTakesLongerThanTheMediaIs) {
  LagMeter meter(0);
  OverloadLadder ladder;
  int64_t now = 0;
  for (int64_t dts = 0; dts < 12 * kS; dts += 40000) {
    if (now <= dts) {
      now = dts;
      meter.Wait(now);
    }
    meter.Take(dts, now);
    EXPECT_LE(std::abs(meter.lag_us() - (now - dts)), 20000) << dts;
    EXPECT_EQ(meter.own_us(), meter.lag_us());
    now += ladder.Update(meter.own_us(), now) < PictureMode::kKeyPictures ? 48000 : 1000;
  }
  EXPECT_EQ(ladder.mode(), PictureMode::kKeyPictures);
}

struct Coded {
  int64_t pts_us = 0;
  bool referred_to = false;
};

// In decoding order, groups of up to four as encoders order them: the last, the middle, what lies between.
std::vector<Coded> Groups(Random* random, int64_t frame_us, uint64_t spread_us, bool middle) {
  std::vector<Coded> out;
  int64_t now_us = -500000;
  for (int group = 0; group < 200; ++group) {
    std::vector<int64_t> shown_us(middle ? 4 : 1 + random->Below(4));
    for (int64_t& pts_us : shown_us) {
      pts_us = now_us;
      now_us += frame_us + static_cast<int64_t>(random->Below(spread_us));
    }
    out.push_back({shown_us.back(), true});
    if (middle) out.push_back({shown_us[1], true});
    for (size_t at = 0; at + 1 < shown_us.size(); ++at) {
      if (!middle || at != 1) out.push_back({shown_us[at], false});
    }
  }
  return out;
}

// The pictures looked at, as a decoder would give them that leaves out what it may.
std::vector<int64_t> LookedAt(const std::vector<Coded>& coded, PictureMode mode, size_t* decoded) {
  PicturePick pick;
  std::vector<int64_t> waiting, out;
  const auto show = [&](size_t kept_back) {
    std::sort(waiting.begin(), waiting.end());
    for (; waiting.size() > kept_back; waiting.erase(waiting.begin())) {
      if (pick.Wants(waiting.front(), mode)) out.push_back(waiting.front());
    }
  };
  *decoded = 0;
  for (const Coded& picture : coded) {
    if (pick.MayWant(picture.pts_us, picture.referred_to, mode) || picture.referred_to) {
      waiting.push_back(picture.pts_us);
      ++*decoded;
    }
    show(4);
  }
  show(0);
  return out;
}

TEST(PicturePick, EveryStretchHasOnePictureWhichOthersReferToWhereThereIsOne) {
  Random random(5);
  for (const int64_t frame_us : {16667, 20000, 33333, 40000, 100000, 300000}) {
    for (const uint64_t spread_us : {uint64_t{1}, uint64_t{30000}}) {
      for (const bool middle : {false, true}) {
        for (const auto& [mode, apart_us] :
             {std::pair(PictureMode::kFull, 200000), std::pair(PictureMode::kTwoASecond, 500000)}) {
          const std::vector<Coded> coded = Groups(&random, frame_us, spread_us, middle);
          const auto stretch = [apart = apart_us](int64_t pts_us) {
            return (pts_us + 1000000000) / apart;
          };
          std::map<int64_t, Coded> expected;  // by stretch
          for (const Coded& picture : coded) {
            const auto [at, first] = expected.try_emplace(stretch(picture.pts_us), picture);
            const bool better = picture.referred_to == at->second.referred_to
                                    ? picture.pts_us < at->second.pts_us
                                    : picture.referred_to;
            if (!first && better) {
              at->second = picture;
            }
          }
          size_t decoded = 0;
          const std::vector<int64_t> looked_at = LookedAt(coded, mode, &decoded);
          ASSERT_EQ(looked_at.size(), expected.size());
          for (const int64_t pts_us : looked_at) {
            EXPECT_EQ(pts_us, expected.at(stretch(pts_us)).pts_us);
          }
          size_t needed = 0;
          for (const Coded& picture : coded) needed += picture.referred_to ? 1 : 0;
          for (const auto& [at, picture] : expected) needed += picture.referred_to ? 0 : 1;
          EXPECT_EQ(decoded, needed);
        }
      }
    }
  }
}

TEST(PicturePick, WithoutTheOtherKindItIsTheFirst) {
  PicturePick pick;
  size_t looked_at = 0;
  for (int64_t pts_us = 0; pts_us < 20 * kS; pts_us += 40000) {
    const bool first = pts_us % 200000 == 0;
    EXPECT_EQ(pick.MayWant(pts_us, true, PictureMode::kFull), first) << pts_us;
    EXPECT_EQ(pick.Wants(pts_us, PictureMode::kFull), first) << pts_us;
    looked_at += first ? 1 : 0;
  }
  EXPECT_EQ(looked_at, 100u);
}

TEST(PicturePick, WhereTheChosenOneIsDamagedTheNextWillDo) {
  PicturePick pick;
  EXPECT_TRUE(pick.MayWant(0, true, PictureMode::kFull));
  EXPECT_TRUE(pick.Wants(0, PictureMode::kFull));
  EXPECT_TRUE(pick.MayWant(300000, true, PictureMode::kFull));
  EXPECT_TRUE(pick.MayWant(233333, true, PictureMode::kFull));
  EXPECT_FALSE(pick.MayWant(200000, false, PictureMode::kFull));
  EXPECT_FALSE(pick.Wants(200000, PictureMode::kFull));
  EXPECT_TRUE(pick.Wants(300000, PictureMode::kFull));  // 233333 never came
  EXPECT_FALSE(pick.Wants(333333, PictureMode::kFull));
  // Another step of the ladder, a jump: what was chosen before is forgotten.
  EXPECT_TRUE(pick.Wants(500000, PictureMode::kTwoASecond));
  EXPECT_TRUE(pick.MayWant(1100000, true, PictureMode::kTwoASecond));
  pick.Restart();
  EXPECT_TRUE(pick.Wants(1000000, PictureMode::kTwoASecond));
}

TEST(References, OfPacketsInBothForms) {
  const std::vector<uint8_t> avcc = {1, 100, 0, 31, 0xff, 0xe1}, none;
  const References h264(NalCodec::kH264, avcc), h264_stream(NalCodec::kH264, none);
  // Settings and remarks come first: SEI (6), delimiter (9).
  EXPECT_FALSE(h264.Has(std::vector<uint8_t>{0, 0, 0, 2, 6, 1, 0, 0, 0, 3, 0x01, 9, 9}));
  EXPECT_TRUE(h264.Has(std::vector<uint8_t>{0, 0, 0, 2, 6, 1, 0, 0, 0, 3, 0x41, 9, 9}));
  EXPECT_TRUE(h264.Has(std::vector<uint8_t>{0, 0, 0, 1, 0x65}));
  EXPECT_FALSE(h264_stream.Has(std::vector<uint8_t>{0, 0, 0, 1, 9, 0xf0, 0, 0, 1, 0x01, 9}));
  EXPECT_TRUE(h264_stream.Has(std::vector<uint8_t>{0, 0, 0, 1, 9, 0xf0, 0, 0, 1, 0x21, 9}));

  std::vector<uint8_t> hvcc(23);
  hvcc[0] = 1, hvcc[21] = 0xfd;  // lengths of two bytes
  const References hevc(NalCodec::kHevc, hvcc), hevc_stream(NalCodec::kHevc, none);
  for (int type = 0; type < 32; ++type) {
    const auto first = static_cast<uint8_t>(type << 1);
    const bool referred_to = type >= 16 || type % 2 == 1;
    EXPECT_EQ(hevc.Has(std::vector<uint8_t>{0, 3, 78, 1, 0, 0, 3, first, 1, 0}), referred_to);
    EXPECT_EQ(hevc_stream.Has(std::vector<uint8_t>{0, 0, 1, first, 1, 0}), referred_to);
  }
  EXPECT_TRUE(References().Has(std::vector<uint8_t>{0, 0, 1, 1}));
}

// Whatever the bytes: an answer, and no byte beyond them (the sanitizers would tell).
TEST(References, OfAnyBytes) {
  Random random(9);
  for (int i = 0; i < 20000; ++i) {
    std::vector<uint8_t> head(random.Below(30)), packet(random.Below(24));
    for (uint8_t& byte : head) byte = static_cast<uint8_t>(random.Below(4));
    for (uint8_t& byte : packet)
      byte = static_cast<uint8_t>(random.Below(random.Below(2) ? 3 : 256));
    for (const NalCodec codec : {NalCodec::kNone, NalCodec::kH264, NalCodec::kHevc}) {
      const References references(codec, head);
      const bool says = references.Has(packet);
      if (packet.empty() || codec == NalCodec::kNone) {
        EXPECT_TRUE(says);
      }
    }
  }
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
