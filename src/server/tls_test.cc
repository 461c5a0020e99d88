#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/write.hpp>
#include <cstdio>
#include <memory>
#include <string>

#include "server/test_server.h"

namespace heed::server {
namespace {

namespace ssl = boost::asio::ssl;
using boost::asio::ip::tcp;

// A self-signed certificate for "localhost" and its key, good for an hour.
void MakeCertificate(const std::string& certificate_path, const std::string& key_path) {
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(EVP_EC_gen("P-256"), EVP_PKEY_free);
  const std::unique_ptr<X509, decltype(&X509_free)> certificate(X509_new(), X509_free);
  X509* const x = certificate.get();
  X509_set_version(x, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
  X509_gmtime_adj(X509_getm_notBefore(x), -60);
  X509_gmtime_adj(X509_getm_notAfter(x), 3600);
  X509_set_pubkey(x, key.get());
  X509_NAME* const name = X509_get_subject_name(x);
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>("localhost"), -1, -1, 0);
  X509_set_issuer_name(x, name);
  ASSERT_GT(X509_sign(x, key.get(), EVP_sha256()), 0);
  std::FILE* file = std::fopen(certificate_path.c_str(), "w");
  PEM_write_X509(file, x);
  std::fclose(file);
  file = std::fopen(key_path.c_str(), "w");
  PEM_write_PrivateKey(file, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  std::fclose(file);
}

ServerConfig TlsConfig(const TempDirectory& directory) {
  ServerConfig config = TestServer::SmallLimits();
  config.tls_certificate = directory.path() + "/cert.pem";
  config.tls_key = directory.path() + "/key.pem";
  MakeCertificate(config.tls_certificate, config.tls_key);
  return config;
}

// Connects, checks the server's certificate against `root`, sends, reads to the end.
std::string Exchange(uint16_t port, const std::string& root, const std::string& bytes,
                     boost::system::error_code& error) {
  boost::asio::io_context context;
  ssl::context tls(ssl::context::tls_client);
  tls.set_verify_mode(ssl::verify_peer);
  tls.load_verify_file(root);
  ssl::stream<tcp::socket> stream(context, tls);
  stream.next_layer().connect({boost::asio::ip::address_v4::loopback(), port}, error);
  if (!error) stream.handshake(ssl::stream_base::client, error);
  if (!error) boost::asio::write(stream, boost::asio::buffer(bytes), error);
  std::string out;
  if (!error) boost::asio::read(stream, boost::asio::dynamic_buffer(out), error);
  return out;
}

TEST(TlsTest, ServesOverTlsAndClosesCleanly) {
  const TempDirectory directory;
  const ServerConfig config = TlsConfig(directory);
  TestServer server(config);
  boost::system::error_code error;
  const std::string answers =
      Exchange(server.port(), config.tls_certificate,
               Get("/echo/abc") + Post("/echo", "[" + std::string(9'000, '1') + "]") +
                   Get("/echo/last", "Connection: close\r\n"),
               error);
  EXPECT_EQ(error, boost::asio::error::eof) << error.message();  // not "stream truncated"
  EXPECT_NE(answers.find("\r\n\r\nabc"), std::string::npos);
  EXPECT_NE(answers.find("[111"), std::string::npos);
  EXPECT_TRUE(answers.ends_with("last"));
}

TEST(TlsTest, PlainTextAndSilenceHarmNobody) {
  const TempDirectory directory;
  ServerConfig config = TlsConfig(directory);
  config.header_timeout_ms = 150;
  TestServer server(config);
  RawClient plain(server.port()), silent(server.port());
  plain.Send(Get("/healthz"));
  const auto answer = plain.Read();
  EXPECT_FALSE(answer.has_value());
  EXPECT_TRUE(silent.ClosedByServer());  // a handshake has a deadline too
  boost::system::error_code error;
  EXPECT_NE(Exchange(server.port(), config.tls_certificate,
                     Get("/echo/abc", "Connection: close\r\n"), error)
                .find("abc"),
            std::string::npos);
}

TEST(TlsTest, WrongFilesAreNamed) {
  const TempDirectory directory, second;
  ServerConfig config = TlsConfig(directory);
  KeyStore& keys = *KeyStore::Open(directory.path() + "/keys.json").value().release();
  const std::unique_ptr<KeyStore> owned(&keys);
  Metrics metrics;
  const auto field = [&](const ServerConfig& wrong) {
    Dispatcher dispatcher(Router({}), wrong, 0, keys, metrics);
    const auto started = HttpServer::Start(dispatcher, metrics);
    return started.ok() ? "started" : started.status().field();
  };
  ServerConfig wrong = config;
  wrong.tls_certificate = "/nowhere.pem";
  EXPECT_EQ(field(wrong), "server.tls_certificate");
  wrong = config;
  wrong.tls_key = TlsConfig(second).tls_key;  // of another certificate
  EXPECT_EQ(field(wrong), "server.tls_key");
  wrong = ServerConfig();
  wrong.address = "not.an.address";
  EXPECT_EQ(field(wrong), "server.address");
  wrong.address = "127.0.0.1";
  wrong.port = TestServer().port();  // free again by now
  EXPECT_EQ(field(wrong), "started");
}

}  // namespace
}  // namespace heed::server
