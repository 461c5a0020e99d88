// A web server of one test: on loopback, a port of its own, gone with the object.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace heed::media {

class HttpForTest {
 public:
  // What a handler may do with one request.
  struct Answer {
    int fd;
    const std::atomic<bool>& stop;

    void Send(std::string_view bytes) const {
      while (!bytes.empty() && !stop) {
        const ssize_t n = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (n <= 0) return;
        bytes.remove_prefix(static_cast<size_t>(n));
      }
    }
    void Head(const std::string& more) const { Send("HTTP/1.1 " + more + "\r\n\r\n"); }
    void File(const std::string& bytes) const {
      Head("200 OK\r\nContent-Length: " + std::to_string(bytes.size()) + "\r\nConnection: close");
      Send(bytes);
    }
    void Redirect(const std::string& url) const {
      Head("302 Found\r\nContent-Length: 0\r\nConnection: close\r\nLocation: " + url);
    }
    void Sleep(int ms) const {
      for (; ms > 0 && !stop; ms -= 10) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  };
  using Handler = std::function<void(const std::string& path, const Answer& answer)>;

  explicit HttpForTest(Handler handler) : handler_(std::move(handler)) {
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    if (bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
        listen(listener_, 16) != 0 ||
        getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
      std::abort();
    }
    port_ = ntohs(address.sin_port);
    acceptor_ = std::thread([this] { Accept(); });
  }
  ~HttpForTest() {
    stop_ = true;
    acceptor_.join();
    for (std::thread& thread : threads_) thread.join();
    close(listener_);
  }
  HttpForTest(const HttpForTest&) = delete;
  HttpForTest& operator=(const HttpForTest&) = delete;

  std::string Url(const std::string& path) const {
    return "http://127.0.0.1:" + std::to_string(port_) + path;
  }
  // Paths asked for so far.
  std::vector<std::string> asked() {
    const std::lock_guard lock(mutex_);
    return asked_;
  }

 private:
  void Accept() {
    while (!stop_) {
      pollfd waiting{.fd = listener_, .events = POLLIN, .revents = 0};
      if (poll(&waiting, 1, 20) <= 0) continue;
      const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) continue;
      const timeval patience{.tv_sec = 1, .tv_usec = 0};
      setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
      threads_.emplace_back([this, fd] { Serve(fd); });
    }
  }
  void Serve(int fd) {
    std::string request;
    char piece[4096];
    while (request.find("\r\n\r\n") == std::string::npos) {
      const ssize_t n = recv(fd, piece, sizeof(piece), 0);
      if (n <= 0) break;
      request.append(piece, static_cast<size_t>(n));
    }
    const size_t from = request.find(' ') + 1;
    const std::string path = request.substr(from, request.find(' ', from) - from);
    {
      const std::lock_guard lock(mutex_);
      asked_.push_back(path);
    }
    handler_(path, {fd, stop_});
    close(fd);
  }

  Handler handler_;
  int listener_ = -1;
  uint16_t port_ = 0;
  std::atomic<bool> stop_{false};
  std::thread acceptor_;
  std::vector<std::thread> threads_;  // the acceptor's, until it has ended
  std::mutex mutex_;
  std::vector<std::string> asked_;
};

}  // namespace heed::media
