// From Beast's parser to what the rest of the server knows of a request head.
#pragma once

#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/system/error_code.hpp>
#include <string>
#include <utility>

#include "server/http.h"

namespace heed::server {

using HeadParser = boost::beast::http::request_parser<boost::beast::http::string_body>;

// Call when the parser's header is done.
RequestHead HeadOf(const HeadParser& parser);

// A head that cannot be parsed, as a status and a sentence.
std::pair<int, std::string> ExplainBadHead(const HeadParser& parser,
                                           const boost::system::error_code& error);

}  // namespace heed::server
