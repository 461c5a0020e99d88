// Puts an HTTP server under load that does not wait for it: requests start at the times of a Poisson
// process, whether or not earlier ones were answered, and each latency counts from the time its
// request was due. A server that stalls is then seen to stall, where a client that waits for
// answers would have asked less meanwhile ("coordinated omission").
//
// ./run bench serving, or by hand: http_load --help
#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <fstream>
#include <iterator>
#include <map>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/random.h"

namespace heed {
namespace {

constexpr size_t kBodies = 512;  // different requests, made before the clock starts
constexpr int64_t kDrainUs = 5'000'000;

struct Options {
  std::string address = "127.0.0.1";
  uint16_t port = 7600;
  std::string path = "/v1/recommend/hosts";
  double rate = 100;
  double seconds = 10;
  size_t connections = 256;
  bool closed = false;
  std::string body_file, users_file, candidates_file;
  size_t count = 500;
  std::string key;
  uint64_t seed = 1;
  bool json = false;
};

[[noreturn]] void Die(const std::string& message) {
  fmt::print(stderr, "http_load: {}\n", message);
  std::exit(2);  // NOLINT(concurrency-mt-unsafe): before any thread
}

std::vector<std::string> Lines(const std::string& path) {
  std::vector<std::string> lines;
  if (path.empty()) return lines;
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);)
    if (!line.empty()) lines.push_back(line);
  if (lines.empty()) Die("no lines in " + path);
  return lines;
}

void ReplaceAll(std::string& text, std::string_view name, const std::string& value) {
  for (size_t at = 0; (at = text.find(name, at)) != std::string::npos; at += value.size())
    text.replace(at, name.size(), value);
}

// `count` different ones of `ids`, in random order, as JSON texts parted by commas.
std::string Draw(std::vector<std::string>& ids, size_t count, Random& random) {
  std::string out;
  count = std::min(count, ids.size());
  for (size_t i = 0; i < count; ++i) {
    std::swap(ids[i], ids[i + random.Below(ids.size() - i)]);
    out += (i > 0 ? ",\"" : "\"") + ids[i] + '"';
  }
  return out;
}

// Whole requests, head and body.
std::vector<std::string> MakeRequests(const Options& options) {
  std::string pattern = R"({"user":"{user}","limit":10,"candidates":[{candidates}]})";
  if (!options.body_file.empty()) {
    std::ifstream in(options.body_file);
    pattern.assign(std::istreambuf_iterator<char>(in), {});
    if (pattern.empty()) Die("cannot read " + options.body_file);
  }
  const std::vector<std::string> users = Lines(options.users_file);
  std::vector<std::string> candidates = Lines(options.candidates_file);
  Random random(options.seed);
  std::vector<std::string> requests;
  for (size_t i = 0; i < kBodies; ++i) {
    std::string body = pattern;
    ReplaceAll(body, "{user}",
               users.empty() ? fmt::format("load-{}", i) : users[random.Below(users.size())]);
    ReplaceAll(body, "{candidates}", Draw(candidates, options.count, random));
    requests.push_back(
        fmt::format("POST {} HTTP/1.1\r\nHost: {}:{}\r\n{}Content-Type: application/json\r\n"
                    "Content-Length: {}\r\n\r\n{}",
                    options.path, options.address, options.port,
                    options.key.empty() ? "" : "Authorization: Bearer " + options.key + "\r\n",
                    body.size(), body));
  }
  return requests;
}

class Load {
 public:
  Load(const Options& options, std::vector<std::string> requests)
      : options_(options),
        requests_(std::move(requests)),
        random_(options.seed + 1),
        epoll_(::epoll_create1(0)),
        connections_(options.connections) {
    for (size_t i = 0; i < connections_.size(); ++i) {
      if (!Open(i)) Die(fmt::format("cannot connect to {}:{}", options.address, options.port));
    }
  }
  ~Load() {
    for (const Connection& connection : connections_)
      if (connection.fd >= 0) ::close(connection.fd);
    ::close(epoll_);
  }
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;

  void Run() {
    started_us_ = Now();
    const int64_t end_us = started_us_ + static_cast<int64_t>(options_.seconds * 1e6);
    double due_us = static_cast<double>(started_us_) + Gap();
    while (true) {
      const int64_t now_us = Now();
      if (now_us >= end_us + kDrainUs) break;
      if (options_.closed) {
        for (; now_us < end_us && !free_.empty(); ++due_) waiting_.push_back(now_us), Start();
      } else {
        for (; due_us < static_cast<double>(std::min(now_us + 1, end_us)); due_us += Gap(), ++due_)
          waiting_.push_back(static_cast<int64_t>(due_us));
        while (!waiting_.empty() && !free_.empty()) Start();
        most_waiting_ = std::max(most_waiting_, waiting_.size());
      }
      if (now_us >= end_us && waiting_.empty() && free_.size() + broken_ == connections_.size())
        break;
      const bool more = !options_.closed && due_us < static_cast<double>(end_us);
      Poll(more ? static_cast<int64_t>(due_us) - Now() : 10'000);
    }
    seconds_ = static_cast<double>(end_us - started_us_) * 1e-6;
  }

  // The one line or object; 1 when anything but 200 and 503 was answered.
  int Report() {
    size_t answered = 0, other = 0;
    for (const auto& [status, latencies] : latencies_us_) {
      answered += latencies.size();
      if (status != 200 && status != 503) other += latencies.size();
    }
    const size_t lost = due_ - answered;  // broken connections, and answers that never came
    const size_t shed = latencies_us_[503].size();
    const double good = static_cast<double>(latencies_us_[200].size());
    const double share = due_ > 0 ? static_cast<double>(shed) / static_cast<double>(due_) : 0;
    const double asked = static_cast<double>(due_) / seconds_;
    if (options_.json) {
      fmt::print(R"({{"asked_per_s":{:.1f},"goodput_per_s":{:.1f},"requests":{},"p50_ms":{:.3f},)"
                 R"("p99_ms":{:.3f},"p999_ms":{:.3f},"max_ms":{:.3f},"share_503":{:.4f},)"
                 R"("p99_503_ms":{:.3f},"other_errors":{},"lost":{},"most_waiting":{}}})"
                 "\n",
                 asked, good / seconds_, due_, Quantile(200, 0.5), Quantile(200, 0.99),
                 Quantile(200, 0.999), Quantile(200, 1), share, Quantile(503, 0.99), other, lost,
                 most_waiting_);
    } else {
      fmt::print(
          "asked {:.0f}/s  good {:.0f}/s  p50 {:.2f}  p99 {:.2f}  p99.9 {:.2f}  max {:.2f} ms  "
          "503 {:.1f} % (p99 {:.2f} ms)  other errors {}  lost {}\n",
          asked, good / seconds_, Quantile(200, 0.5), Quantile(200, 0.99), Quantile(200, 0.999),
          Quantile(200, 1), share * 100, Quantile(503, 0.99), other, lost);
      for (const auto& [status, latencies] : latencies_us_) {
        if (status == 200 || status == 503 || latencies.empty()) continue;
        fmt::print("  status {}: {}  {}\n", status, latencies.size(), first_answer_[status]);
      }
      if (most_waiting_ > 0)
        fmt::print("  up to {} requests were due while all {} connections were in use\n",
                   most_waiting_, options_.connections);
    }
    return other + lost > 0 ? 1 : 0;
  }

 private:
  struct Connection {
    int fd = -1;
    int64_t due_us = 0;  // of the request under way
    std::string_view unsent;
    std::string received;
    bool busy = false;
  };

  static int64_t Now() { return Clock::System().steady_us(); }
  double Gap() { return random_.Exponential(1e6 / options_.rate); }

  bool Open(size_t number) {
    Connection& connection = connections_[number];
    connection = {};
    connection.fd = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(options_.port);
    const int one = 1;
    ::setsockopt(connection.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (::inet_pton(AF_INET, options_.address.c_str(), &address.sin_addr) != 1 ||
        ::connect(connection.fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0)
      return false;
    ::fcntl(connection.fd, F_SETFL, O_NONBLOCK);
    epoll_event event{};
    event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
    event.data.u64 = number;
    ::epoll_ctl(epoll_, EPOLL_CTL_ADD, connection.fd, &event);
    free_.push_back(number);
    return true;
  }

  // The request longest due, on a free connection.
  void Start() {
    const size_t number = free_.back();
    free_.pop_back();
    Connection& connection = connections_[number];
    connection.due_us = waiting_.front();
    waiting_.pop_front();
    connection.unsent = requests_[random_.Below(requests_.size())];
    connection.busy = true;
    Send(number);
  }

  void Send(size_t number) {
    Connection& connection = connections_[number];
    while (!connection.unsent.empty()) {
      const ssize_t n =
          ::send(connection.fd, connection.unsent.data(), connection.unsent.size(), MSG_NOSIGNAL);
      if (n < 0) return errno == EAGAIN ? void() : Break(number);
      connection.unsent.remove_prefix(static_cast<size_t>(n));
    }
  }

  void Receive(size_t number) {
    Connection& connection = connections_[number];
    char bytes[16384];
    while (true) {
      const ssize_t n = ::recv(connection.fd, bytes, sizeof(bytes), 0);
      if (n < 0 && errno == EAGAIN) break;
      if (n <= 0) return Break(number);
      connection.received.append(bytes, static_cast<size_t>(n));
    }
    const size_t head = connection.received.find("\r\n\r\n");
    if (head == std::string::npos) return;
    const size_t length_at = connection.received.find("Content-Length: ");
    const size_t length =
        length_at < head ? std::strtoull(connection.received.c_str() + length_at + 16, nullptr, 10)
                         : 0;
    if (connection.received.size() < head + 4 + length) return;
    const int status = std::atoi(connection.received.c_str() + 9);
    auto& latencies = latencies_us_[status];
    latencies.push_back(Now() - connection.due_us);
    if (latencies.size() == 1) first_answer_[status] = connection.received.substr(head + 4, 200);
    connection.received.clear();
    connection.busy = false;
    free_.push_back(number);
  }

  // The server closed: the request under way is lost, the connection is made anew.
  void Break(size_t number) {
    ::close(connections_[number].fd);
    std::erase(free_, number);
    if (!Open(number)) {
      connections_[number].fd = -1;
      ++broken_;
      if (broken_ == connections_.size()) Die("the server no longer takes connections");
    }
  }

  void Poll(int64_t timeout_us) {
    const int64_t us = std::max<int64_t>(0, timeout_us);
    const timespec timeout{us / 1'000'000, (us % 1'000'000) * 1000};
    epoll_event events[64];
    const int count = ::epoll_pwait2(epoll_, events, 64, &timeout, nullptr);
    for (int i = 0; i < count; ++i) {
      const size_t number = events[i].data.u64;
      if (connections_[number].busy) Send(number);
      if ((events[i].events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) Receive(number);
    }
  }

  double Quantile(int status, double q) {
    std::vector<int64_t>& all = latencies_us_[status];
    if (all.empty()) return 0;
    const auto at = static_cast<size_t>(q * static_cast<double>(all.size() - 1));
    std::nth_element(all.begin(), all.begin() + static_cast<ptrdiff_t>(at), all.end());
    return static_cast<double>(all[at]) / 1000;
  }

  const Options& options_;
  const std::vector<std::string> requests_;
  Random random_;
  const int epoll_;
  std::vector<Connection> connections_;
  std::vector<size_t> free_;
  std::deque<int64_t> waiting_;                       // due times, without a connection yet
  std::map<int, std::vector<int64_t>> latencies_us_;  // by status
  std::map<int, std::string> first_answer_;
  size_t due_ = 0, broken_ = 0, most_waiting_ = 0;
  int64_t started_us_ = 0;
  double seconds_ = 0;
};

int Main(int argc, char** argv) {
  Options options;
  CLI::App app("Loads an HTTP server with requests that arrive whether or not it keeps up");
  app.footer(
      "Latency counts from the moment a request was due, so waiting for a free connection is in "
      "it.\n"
      "Percentiles are of answers with status 200. Status 1 when there was any error but 503.\n\n"
      "Examples:\n"
      "  http_load --rate 500 --users users.txt --candidates hosts.txt     500 a second for 10 s\n"
      "  http_load --closed --connections 16 --users users.txt             as many as it can: its "
      "saturation\n"
      "  http_load --rate 50 --body request.json --path /v1/recommend/products\n"
      "The candidates file has one id a line; each request names --count of them, drawn anew.");
  app.add_option("--address", options.address, "IPv4 address")->capture_default_str();
  app.add_option("--port", options.port, "")->capture_default_str();
  app.add_option("--path", options.path, "POSTed to")->capture_default_str();
  app.add_option("--rate", options.rate, "Requests a second, mean of a Poisson process")
      ->check(CLI::Range(0.01, 1e6))
      ->capture_default_str();
  app.add_option("--seconds", options.seconds, "How long requests arrive")
      ->check(CLI::Range(0.1, 1e6))
      ->capture_default_str();
  app.add_option("--connections", options.connections, "Kept open; at most so many in flight")
      ->check(CLI::Range(1, 10'000))
      ->capture_default_str();
  app.add_flag("--closed", options.closed,
               "The next request on a connection when the last was answered, --rate without "
               "meaning; finds the most a server can do, and flatters every latency");
  app.add_option("--body", options.body_file,
                 "File with the JSON body; {user} and {candidates} in it are filled in");
  app.add_option("--users", options.users_file, "File of user ids, one a line");
  app.add_option("--candidates", options.candidates_file, "File of candidate ids, one a line");
  app.add_option("--count", options.count, "Candidates a request")->capture_default_str();
  app.add_option("--key", options.key, "API key");
  app.add_option("--seed", options.seed, "Of arrivals and draws")->capture_default_str();
  app.add_flag("--json", options.json, "One JSON object instead of a line");
  CLI11_PARSE(app, argc, argv);
  Load load(options, MakeRequests(options));
  load.Run();
  return load.Report();
}

}  // namespace
}  // namespace heed

int main(int argc, char** argv) { return heed::Main(argc, argv); }
