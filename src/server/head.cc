#include "server/head.h"

#include <boost/beast/core/string.hpp>

namespace heed::server {
namespace {

namespace http = boost::beast::http;

std::string Text(boost::beast::string_view text) { return {text.data(), text.size()}; }

}  // namespace

RequestHead HeadOf(const HeadParser& parser) {
  const auto& message = parser.get();
  RequestHead head;
  head.method = Text(message.method_string());
  head.target = Text(message.target());
  head.version = static_cast<int>(message.version());
  head.keep_alive = parser.keep_alive();
  head.hosts = message.count(http::field::host);
  head.host = Text(message[http::field::host]);
  head.origin = Text(message[http::field::origin]);
  head.authorization = Text(message[http::field::authorization]);
  head.content_type = Text(message[http::field::content_type]);
  head.accept_encoding = Text(message[http::field::accept_encoding]);
  head.expect = Text(message[http::field::expect]);
  head.request_id = Text(message["X-Request-Id"]);
  const auto encodings = message.equal_range(http::field::content_encoding);
  for (auto it = encodings.first; it != encodings.second; ++it)
    head.content_encoding += (head.content_encoding.empty() ? "" : ",") + Text(it->value());
  head.chunked = parser.chunked();
  // Anything else before or instead of "chunked" would leave the end of the body unknown to us and
  // known to a proxy in front: the stuff of request smuggling.
  head.bad_transfer_encoding =
      message.count(http::field::transfer_encoding) > 0 &&
      (!boost::beast::iequals(message[http::field::transfer_encoding], "chunked") ||
       head.version == 10);
  head.content_length = parser.content_length().value_or(0);
  return head;
}

std::pair<int, std::string> ExplainBadHead(const HeadParser& parser,
                                           const boost::system::error_code& error) {
  if (error == http::error::header_limit || error == http::error::buffer_overflow) {
    return parser.get().target().empty()
               ? std::pair(414, std::string("the request line is too long"))
               : std::pair(431, std::string("the request headers are too large"));
  }
  if (error == http::error::bad_version) return {505, "HTTP/1.1 and 1.0 are spoken here"};
  if (error == http::error::bad_transfer_encoding)
    return {400, "Transfer-Encoding is repeated or stands beside Content-Length"};
  return {400, "this is not HTTP: " + error.message()};
}

}  // namespace heed::server
