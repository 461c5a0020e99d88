#include "server/moment_feed.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <chrono>
#include <cmath>
#include <random>
#include <string_view>
#include <utility>

#include "server/base64.h"
#include "server/json.h"

namespace heed::server {
namespace {

struct Address {
  std::string host;
  uint16_t port = 0;
};

// No names: the client resolves none, and a key in the clear should not leave the machine by mistake.
Result<Address> ParseTarget(const std::string& to) {
  const Status wrong = InvalidArgument("'" + to +
                                       "' is not http:// with an address or localhost, and a port "
                                       "(http://127.0.0.1:7600)");
  std::string_view rest = to;
  if (!rest.starts_with("http://")) return wrong;
  rest.remove_prefix(7);
  if (rest.ends_with('/')) rest.remove_suffix(1);
  const size_t colon = rest.rfind(':');
  if (colon == std::string_view::npos) return wrong;
  Address out;
  const std::string_view digits = rest.substr(colon + 1);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), out.port);
  if (error != std::errc() || end != digits.data() + digits.size() || out.port == 0) return wrong;
  std::string_view host = rest.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  out.host = host == "localhost" ? "127.0.0.1" : host;
  if (out.host.empty() ||
      out.host.find_first_not_of("0123456789abcdefABCDEF.:") != std::string::npos)
    return wrong;
  return out;
}

std::string PercentEncode(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_' || c == '.';
    if (plain) {
      out += c;
    } else {
      out += fmt::format("%{:02X}", static_cast<uint8_t>(c));
    }
  }
  return out;
}

// Two processes, or one and its restart, must not get the same.
std::string FreshId() {
  std::random_device device;
  return fmt::format("{:08x}{:08x}", device(), device());
}

std::string DetailOf(const ClientResponse& response) {
  boost::json::error_code error;
  const boost::json::value body = boost::json::parse(response.body, error);
  if (!error && body.is_object()) {
    const boost::json::value* detail = body.get_object().if_contains("detail");
    if (detail != nullptr && detail->is_string()) {
      return fmt::format("{} {}", response.status, std::string_view(detail->get_string()));
    }
  }
  return fmt::format("status {}", response.status);
}

}  // namespace

std::string EmbeddingItem(int64_t t_ms, std::span<const float> vector) {
  double square = 0;
  for (const float x : vector) square += static_cast<double>(x) * static_cast<double>(x);
  const std::string_view bytes(reinterpret_cast<const char*>(vector.data()), vector.size_bytes());
  return fmt::format(R"({{"t_ms":{},"dur_ms":1000,"vec":"{}","norm":{}}})", t_ms, Base64(bytes),
                     std::sqrt(square));
}

MomentFeed::Form MomentFeed::FormOf(const MomentFeedOptions& options) {
  const std::string room = "/v1/rooms/" + PercentEncode(options.room);
  if (!options.encoder) {
    return {.target = room + "/moments?feed=" + FreshId(),
            .content_type = "application/x-ndjson",
            .before = {},
            .between = "\n",
            .after = "\n"};
  }
  std::string before = R"({"encoder_id":)";
  AppendJsonString(before, options.encoder->id);
  before += fmt::format(R"(,"dim":{},"modality":"{}","items":[)", options.encoder->dim,
                        options.encoder->modality);
  return {.target = room + "/embeddings",
          .content_type = "application/json",
          .before = std::move(before),
          .between = ",",
          .after = "]}"};
}

MomentFeed::MomentFeed(const MomentFeedOptions& options, std::string host, uint16_t port)
    : options_(options), form_(FormOf(options)), host_(std::move(host)), port_(port) {
  thread_ = std::thread([this] { Loop(); });
}

Result<std::unique_ptr<MomentFeed>> MomentFeed::Start(const MomentFeedOptions& options) {
  HEED_ASSIGN_OR_RETURN(Address to, ParseTarget(options.to));
  if (options.room.empty()) return InvalidArgument("a room is required");
  return std::unique_ptr<MomentFeed>(new MomentFeed(options, std::move(to.host), to.port));
}

MomentFeed::~MomentFeed() { Finish(0); }

void MomentFeed::Add(std::string record) {
  {
    const std::lock_guard lock(mutex_);
    if (waiting_.size() >= options_.max_waiting) {
      waiting_.pop_front();
      ++counts_.dropped;
    }
    waiting_.push_back(std::move(record));
  }
  wake_.notify_one();
}

MomentFeedCounts MomentFeed::counts() const {
  const std::lock_guard lock(mutex_);
  MomentFeedCounts counts = counts_;
  counts.waiting = waiting_.size() + in_hand_;
  return counts;
}

MomentFeedCounts MomentFeed::Finish(int64_t within_ms) {
  {
    std::unique_lock lock(mutex_);
    finishing_ = true;
    wake_.notify_one();
    done_.wait_for(lock, std::chrono::milliseconds(within_ms), [this] { return finished_; });
    stopping_ = true;
    wake_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
  return counts();
}

void MomentFeed::Loop() {
  int64_t wait_ms = 0;
  size_t alone = 0;  // records of a refused request that are sent one by one, to find the culprit
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      if (wait_ms > 0) {
        wake_.wait_for(lock, std::chrono::milliseconds(wait_ms), [this] { return stopping_; });
      }
      wake_.wait(
          lock, [this] { return stopping_ || finishing_ || !batch_.empty() || !waiting_.empty(); });
      while (batch_.size() < kBatch && !waiting_.empty()) {
        batch_.push_back(std::move(waiting_.front()));
        waiting_.pop_front();
      }
      in_hand_ = batch_.size();
      if (stopping_ || batch_.empty()) {
        finished_ = true;
        done_.notify_one();
        return;
      }
    }
    const size_t records = alone > 0 ? 1 : batch_.size();
    const Outcome outcome = Send(records);
    {
      const std::lock_guard lock(mutex_);
      counts_.trouble = outcome == Outcome::kTaken ? std::string() : why_;
    }
    if (outcome == Outcome::kAgain) {
      wait_ms = std::clamp(wait_ms * 2, options_.first_wait_ms, options_.longest_wait_ms);
      Tell(fmt::format("{}: {}; what is measured waits", options_.to, why_));
      continue;
    }
    wait_ms = 0;
    if (outcome == Outcome::kRefusedForOne && records > 1) {
      alone = records;
      continue;
    }
    alone -= std::min(alone, records);
    batch_.erase(batch_.begin(), batch_.begin() + static_cast<ptrdiff_t>(records));
    {
      const std::lock_guard lock(mutex_);
      (outcome == Outcome::kTaken ? counts_.taken : counts_.refused) += records;
      in_hand_ = batch_.size();
    }
    if (outcome != Outcome::kTaken) {
      Tell(fmt::format("{} refuses {}: {}", options_.to, options_.encoder ? "vectors" : "moments",
                       why_));
    } else if (!told_.empty()) {
      Tell(fmt::format("{} takes {} again", options_.to, options_.encoder ? "vectors" : "moments"));
      told_.clear();
    }
  }
}

MomentFeed::Outcome MomentFeed::Send(size_t records) {
  if (!client_) {
    Result<HttpClient> client = HttpClient::Connect(host_, port_, options_.timeout_ms);
    if (!client.ok()) {
      why_ = client.status().message();
      return Outcome::kAgain;
    }
    client_ = std::move(client).value();
  }
  std::string body = form_.before;
  for (size_t i = 0; i < records; ++i) body += (i > 0 ? form_.between : "") + batch_[i];
  body += form_.after;
  HttpClient::Headers headers = {{"Content-Type", form_.content_type}};
  if (!options_.key.empty()) headers.emplace_back("Authorization", "Bearer " + options_.key);
  const Result<ClientResponse> response = client_->Request("POST", form_.target, body, headers);
  if (!response.ok()) {
    client_.reset();
    why_ = response.status().message();
    return Outcome::kAgain;
  }
  const int status = response.value().status;
  if (status == 200) return Outcome::kTaken;
  // After an error the server may close the connection with its answer.
  client_.reset();
  why_ = DetailOf(response.value());
  // What another moment, or an operator, may change without these records being at fault. A room that may not be
  // watched (403) is no such case: what was measured meanwhile must not come in later.
  const bool again = status >= 500 || status == 401 || status == 404 || status == 408 ||
                     status == 409 || status == 421 || status == 429;
  if (again) return Outcome::kAgain;
  return status == 400 || status == 413 ? Outcome::kRefusedForOne : Outcome::kRefused;
}

void MomentFeed::Tell(const std::string& what) {
  if (what == std::exchange(told_, what)) return;  // once, not with every try
  if (options_.tell) options_.tell(what);
}

}  // namespace heed::server
