#include "server/http_client.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <chrono>

namespace heed::server {

namespace asio = boost::asio;
namespace http = boost::beast::http;

struct HttpClient::Impl {
  asio::io_context context;
  asio::ip::tcp::socket socket{context};
  boost::beast::flat_buffer buffer;
  std::string host;
  int64_t timeout_ms = 0;

  // Runs what `start` begins with the handler it is given, until that is called or the time is over.
  template <typename Start>
  boost::system::error_code Await(const Start& start) {
    boost::system::error_code result = asio::error::would_block;
    context.restart();
    start([&result](boost::system::error_code error, size_t = 0) { result = error; });
    context.run_for(std::chrono::milliseconds(timeout_ms));
    if (result != asio::error::would_block) return result;
    boost::system::error_code ignored;
    socket.close(ignored);
    context.run();  // the handler refers to us: it must have been called before we leave
    return asio::error::timed_out;
  }
};

HttpClient::HttpClient(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpClient::HttpClient(HttpClient&&) noexcept = default;
HttpClient& HttpClient::operator=(HttpClient&&) noexcept = default;
HttpClient::~HttpClient() = default;

Result<HttpClient> HttpClient::Connect(const std::string& host, uint16_t port, int64_t timeout_ms) {
  auto impl = std::make_unique<Impl>();
  impl->timeout_ms = timeout_ms;
  boost::system::error_code error;
  const auto address = asio::ip::make_address(host, error);
  if (error) return InvalidArgument("'" + host + "' is not an address");
  const asio::ip::tcp::endpoint endpoint(address, port);
  if (timeout_ms == 0) {
    impl->socket.connect(endpoint, error);
  } else {
    error = impl->Await([&](auto done) { impl->socket.async_connect(endpoint, done); });
  }
  if (error) return IoError("connecting to port " + std::to_string(port) + ": " + error.message());
  impl->socket.set_option(asio::ip::tcp::no_delay(true), error);
  impl->host = (address.is_v6() ? "[" + host + "]" : host) + ":" + std::to_string(port);
  return HttpClient(std::move(impl));
}

Result<ClientResponse> HttpClient::Request(std::string_view method, const std::string& target,
                                           const std::string& body, const Headers& headers) {
  http::request<http::span_body<const char>> request;
  request.method_string(method);
  request.target(target);
  request.version(11);
  request.set(http::field::host, impl_->host);
  for (const auto& [name, value] : headers) request.set(name, value);
  request.body() = boost::beast::span<const char>(body.data(), body.size());
  request.prepare_payload();
  boost::system::error_code error;
  // The synchronous calls cost less and know no deadline.
  const bool timed = impl_->timeout_ms > 0;
  if (timed) {
    error = impl_->Await([&](auto done) { http::async_write(impl_->socket, request, done); });
  } else {
    http::write(impl_->socket, request, error);
  }
  if (error) return IoError("sending: " + error.message());
  http::response_parser<http::string_body> parser;
  parser.body_limit(uint64_t{1} << 30);
  if (method == "HEAD") parser.skip(true);
  if (timed) {
    error = impl_->Await(
        [&](auto done) { http::async_read(impl_->socket, impl_->buffer, parser, done); });
  } else {
    http::read(impl_->socket, impl_->buffer, parser, error);
  }
  if (error) return IoError("receiving: " + error.message());
  auto response = parser.release();
  return ClientResponse{static_cast<int>(response.result_int()),
                        std::string(response[http::field::content_type]),
                        std::move(response.body())};
}

}  // namespace heed::server
