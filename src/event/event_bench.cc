// Cost of one event through each door. items_per_second counts events.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "event/codec.h"
#include "event/json.h"

namespace heed::event {
namespace {

// What an evening is made of, by share: mostly heartbeats, impressions and comments.
std::vector<std::string> Typical() {
  const auto text = [](std::string_view type, std::string_view data, size_t i) {
    return R"({"v":"1","id":"demo-1764000035000-)" + std::to_string(i) + R"(","type":")" +
           std::string(type) + R"(","ts":)" + std::to_string(1764000000000 + i * 37) +
           R"(,"recv_ts":)" + std::to_string(1764000000180 + i * 37) + R"(,"seq":)" +
           std::to_string(i) + R"(,"tenant":"t1","room":"room-42","session":"s-2025-11-24",)" +
           R"("src":{"platform":"douyin-open","adapter":"webhook","raw_type":"live_comment"},)" +
           R"("actor":{"id":"h:5f2c9a71d04b","kind":"viewer","follower":false},"data":)" +
           std::string(data) + "}";
  };
  std::vector<std::string> texts;
  for (size_t i = 0; i < 100; ++i) {
    switch (i % 5) {
      case 0:
        texts.push_back(text("viewer.heartbeat", R"({"watch_ms":10000,"foreground":true})", i));
        break;
      case 1:
        texts.push_back(
            text("room.impression", R"({"channel":"feed","position":3,"paid":false})", i));
        break;
      case 2:
        texts.push_back(
            text("comment.post", R"({"text":"165 120斤穿什么码？","is_question":true})", i));
        break;
      case 3:
        texts.push_back(text("product.click", R"({"product_id":"p-10023","surface":"card"})", i));
        break;
      default:
        texts.push_back(text("order.pay",
                             R"({"order_id":"o-1","amount_cents":9900,"currency":"CNY",)"
                             R"("lines":[{"product_id":"p-1","qty":1,"amount_cents":9900}]})",
                             i));
    }
  }
  return texts;
}

std::string Lines() {
  std::string body;
  for (const std::string& text : Typical()) body += text + "\n";
  return body;
}

std::string Array() {
  std::string body = "[";
  for (const std::string& text : Typical()) body += (body.size() > 1 ? "," : "") + text;
  return body + "]";
}

std::vector<Event> Events() { return JsonReader().ReadBody(Lines(), 100).value().events; }

void Count(benchmark::State& state, size_t bytes) {
  const auto events = static_cast<int64_t>(state.iterations()) * 100;
  state.SetItemsProcessed(events);
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations()) * static_cast<int64_t>(bytes));
  state.counters["bytes_per_event"] = static_cast<double>(bytes) / 100;
}

void Read(benchmark::State& state, const std::string& body) {
  JsonReader reader;
  for (auto _ : state) {
    const auto result = reader.ReadBody(body, 100);
    if (!result.ok() || result.value().events.size() != 100) state.SkipWithError("refused");
  }
  Count(state, body.size());
}
void BM_ReadLines(benchmark::State& state) { Read(state, Lines()); }
BENCHMARK(BM_ReadLines);
void BM_ReadArray(benchmark::State& state) { Read(state, Array()); }
BENCHMARK(BM_ReadArray);

void BM_ToJson(benchmark::State& state) {
  const std::vector<Event> events = Events();
  size_t bytes = 0;
  for (auto _ : state) {
    bytes = 0;
    for (const Event& event : events) bytes += ToJson(event).size();
  }
  Count(state, bytes);
}
BENCHMARK(BM_ToJson);

void BM_Encode(benchmark::State& state) {
  const std::vector<Event> events = Events();
  std::string bytes;
  for (auto _ : state) {
    bytes.clear();
    for (const Event& event : events) Encode(event, bytes);
    benchmark::DoNotOptimize(bytes.data());
  }
  Count(state, bytes.size());
}
BENCHMARK(BM_Encode);

void BM_Decode(benchmark::State& state) {
  std::vector<std::string> encoded;
  size_t bytes = 0;
  for (const Event& event : Events()) {
    Encode(event, encoded.emplace_back());
    bytes += encoded.back().size();
  }
  for (auto _ : state) {
    for (const std::string& one : encoded) {
      if (!Decode(one).ok()) state.SkipWithError("refused");
    }
  }
  Count(state, bytes);
}
BENCHMARK(BM_Decode);

}  // namespace
}  // namespace heed::event
