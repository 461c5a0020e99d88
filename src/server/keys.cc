#include "server/keys.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>
#include <utility>

#include "base/clock.h"
#include "server/json.h"

namespace heed::server {
namespace {

constexpr std::string_view kPrefix = "heed_";
constexpr size_t kIdDigits = 8, kSecretBytes = 32, kSaltBytes = 16, kHashBytes = 32;

Status SystemError(const std::string& what) {
  return IoError(what + ": " + std::system_category().message(errno));
}

std::string ToHex(std::string_view bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (const char c : bytes) {
    out += kDigits[static_cast<uint8_t>(c) >> 4];
    out += kDigits[static_cast<uint8_t>(c) & 15];
  }
  return out;
}

// Empty when it is not hex.
std::string FromHex(std::string_view hex) {
  std::string out;
  const auto digit = [](char c) { return c >= '0' && c <= '9' ? c - '0' : c - 'a' + 10; };
  if (hex.size() % 2 != 0 || hex.find_first_not_of("0123456789abcdef") != std::string_view::npos)
    return out;
  for (size_t i = 0; i < hex.size(); i += 2)
    out += static_cast<char>(digit(hex[i]) * 16 + digit(hex[i + 1]));
  return out;
}

Result<std::string> RandomBytes(size_t count) {
  std::string out(count, '\0');
  if (RAND_bytes(reinterpret_cast<unsigned char*>(out.data()), static_cast<int>(count)) != 1)
    return Status(Code::kInternal, "no random numbers from OpenSSL");
  return out;
}

std::string HashKey(std::string_view salt, std::string_view key) {
  std::string input(salt);
  input += key;
  std::string out(kHashBytes, '\0');
  EVP_Digest(input.data(), input.size(), reinterpret_cast<unsigned char*>(out.data()), nullptr,
             EVP_sha256(), nullptr);
  OPENSSL_cleanse(input.data(), input.size());
  return out;
}

// Holds the lock file for as long as it lives.
class FileLock {
 public:
  explicit FileLock(const std::string& path)
      : file_(::open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600)) {
    held_ = file_ >= 0 && ::flock(file_, LOCK_EX) == 0;
  }
  ~FileLock() {
    if (file_ >= 0) ::close(file_);
  }
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;
  bool held() const { return held_; }

 private:
  int file_;
  bool held_ = false;
};

Status WriteWhole(int file, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(file, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return SystemError("cannot write the key file");
    text.remove_prefix(static_cast<size_t>(n));
  }
  return ::fsync(file) == 0 ? Status() : SystemError("cannot sync the key file");
}

std::string StampOf(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return "absent";
  std::ostringstream out;
  out << info.st_ino << '/' << info.st_size << '/' << info.st_mtim.tv_sec << '.'
      << info.st_mtim.tv_nsec;
  return out.str();
}

}  // namespace

const std::vector<std::string>& KnownScopes() {
  static const std::vector<std::string> scopes = {
      "events:write", "recommend", "catalog:read", "catalog:write", "rooms:read",
      "rooms:write",  "text",      "models",       "metrics",       "admin"};
  return scopes;
}

bool ApiKey::Allows(std::string_view scope) const {
  return std::any_of(scopes.begin(), scopes.end(),
                     [&](const std::string& each) { return each == scope || each == "admin"; });
}

Result<std::unique_ptr<KeyStore>> KeyStore::Open(std::string path) {
  std::unique_ptr<KeyStore> store(new KeyStore(std::move(path)));
  HEED_RETURN_IF_ERROR(store->Read());
  return store;
}

std::shared_ptr<const KeyStore::Table> KeyStore::table() const {
  const std::lock_guard lock(mutex_);
  return table_;
}

Result<KeyStore::Table> KeyStore::Parse(const std::string& text) {
  HEED_ASSIGN_OR_RETURN(const boost::json::value root, ParseJson(text));
  Table table;
  try {
    if (root.at("version").as_int64() != 1) return Corruption("unknown version");
    for (const boost::json::value& each : root.at("keys").as_array()) {
      const auto text_of = [&each](const char* name) {
        return std::string(std::string_view(each.at(name).as_string()));
      };
      Stored stored;
      stored.key = {
          text_of("id"), text_of("name"), text_of("tenant"), {}, each.at("created_ms").as_int64()};
      for (const boost::json::value& scope : each.at("scopes").as_array())
        stored.key.scopes.emplace_back(std::string_view(scope.as_string()));
      stored.salt = FromHex(text_of("salt"));
      stored.hash = FromHex(text_of("sha256"));
      if (stored.hash.size() != kHashBytes) return Corruption("a hash of the wrong length");
      table.push_back(std::move(stored));
    }
  } catch (const std::exception&) {  // Boost.JSON's checked access
    return Corruption("a member is missing or of the wrong type");
  }
  return table;
}

std::string KeyStore::Print(const Table& table) {
  boost::json::array keys;
  for (const Stored& stored : table) {
    boost::json::array scopes;
    for (const std::string& scope : stored.key.scopes) scopes.emplace_back(scope);
    keys.push_back(boost::json::object{{"id", stored.key.id},
                                       {"name", stored.key.name},
                                       {"tenant", stored.key.tenant},
                                       {"scopes", std::move(scopes)},
                                       {"created_ms", stored.key.created_ms},
                                       {"salt", ToHex(stored.salt)},
                                       {"sha256", ToHex(stored.hash)}});
  }
  return boost::json::serialize(boost::json::object{{"version", 1}, {"keys", std::move(keys)}}) +
         "\n";
}

Status KeyStore::Read() {
  const std::string stamp = StampOf(path_);
  Table table;
  if (stamp != "absent") {
    std::ifstream in(path_, std::ios::binary);
    std::ostringstream text;
    text << in.rdbuf();
    if (!in) return SystemError("cannot read " + path_);
    Result<Table> parsed = Parse(text.str());
    if (!parsed.ok()) return Corruption(path_ + ": " + parsed.status().message());
    table = std::move(parsed).value();
  }
  const std::lock_guard lock(mutex_);
  table_ = std::make_shared<const Table>(std::move(table));
  stamp_ = stamp;
  return {};
}

Status KeyStore::Refresh() {
  {
    const std::lock_guard lock(mutex_);
    if (stamp_ == StampOf(path_)) return {};
  }
  return Read();
}

// Whole or not at all: a temporary file, synced, renamed over the old one, the directory synced.
Status KeyStore::Write(const Table& table) {
  const std::string temporary = path_ + ".new";
  ::unlink(temporary.c_str());
  const int file =
      ::open(temporary.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, S_IRUSR | S_IWUSR);
  if (file < 0) return SystemError("cannot write " + temporary);
  const Status written = WriteWhole(file, Print(table));
  ::close(file);
  HEED_RETURN_IF_ERROR(written);
  if (::rename(temporary.c_str(), path_.c_str()) != 0)
    return SystemError("cannot replace " + path_);
  const std::filesystem::path parent = std::filesystem::path(path_).parent_path();
  const int directory = ::open(parent.empty() ? "." : parent.c_str(), O_RDONLY | O_CLOEXEC);
  if (directory < 0) return SystemError("cannot open the directory of " + path_);
  const bool synced = ::fsync(directory) == 0;
  ::close(directory);
  if (!synced) return SystemError("cannot sync the directory of " + path_);
  return Read();
}

Result<std::string> KeyStore::Create(const std::string& name,
                                     const std::vector<std::string>& scopes,
                                     const std::string& tenant) {
  if (scopes.empty()) return InvalidArgument("a key needs at least one scope", "scopes");
  for (const std::string& scope : scopes) {
    const auto& known = KnownScopes();
    if (std::find(known.begin(), known.end(), scope) != known.end()) continue;
    std::string all;
    for (const std::string& each : known) all += (all.empty() ? "" : ", ") + each;
    return InvalidArgument("unknown scope '" + scope + "'; known are " + all, "scopes");
  }
  std::error_code error;
  const std::filesystem::path parent = std::filesystem::path(path_).parent_path();
  if (!parent.empty()) std::filesystem::create_directories(parent, error);
  if (error) return IoError("cannot make " + parent.string() + ": " + error.message());
  const FileLock lock(path_ + ".lock");
  if (!lock.held()) return SystemError("cannot lock " + path_);
  HEED_RETURN_IF_ERROR(Read());
  HEED_ASSIGN_OR_RETURN(const std::string id, RandomBytes(kIdDigits / 2));
  HEED_ASSIGN_OR_RETURN(const std::string secret, RandomBytes(kSecretBytes));
  HEED_ASSIGN_OR_RETURN(const std::string salt, RandomBytes(kSaltBytes));
  std::string key = std::string(kPrefix) + ToHex(id) + ToHex(secret);
  Table table = *this->table();
  table.push_back(
      {{ToHex(id), name, tenant, scopes, Clock::System().now_ms()}, salt, HashKey(salt, key)});
  HEED_RETURN_IF_ERROR(Write(table));
  return key;
}

Status KeyStore::Revoke(std::string_view id) {
  const FileLock lock(path_ + ".lock");
  if (!lock.held()) return SystemError("cannot lock " + path_);
  HEED_RETURN_IF_ERROR(Read());
  Table kept = *table();
  if (std::erase_if(kept, [id](const Stored& stored) { return stored.key.id == id; }) == 0)
    return NotFound("no key with id '" + std::string(id) + "'");
  return Write(kept);
}

std::vector<ApiKey> KeyStore::List() const {
  std::vector<ApiKey> out;
  for (const Stored& stored : *table()) out.push_back(stored.key);
  return out;
}

bool KeyStore::empty() const { return table()->empty(); }

Result<ApiKey> KeyStore::Check(std::string_view key) const {
  const Status unknown(Code::kUnauthenticated, "unknown or revoked API key");
  if (key.size() != kPrefix.size() + kIdDigits + 2 * kSecretBytes || !key.starts_with(kPrefix))
    return unknown;
  const std::string_view id = key.substr(kPrefix.size(), kIdDigits);
  const std::shared_ptr<const Table> current = table();
  for (const Stored& stored : *current) {
    if (stored.key.id != id) continue;  // the id is public; only the hash must not leak by time
    const std::string hash = HashKey(stored.salt, key);
    if (CRYPTO_memcmp(hash.data(), stored.hash.data(), kHashBytes) == 0) return stored.key;
  }
  return unknown;
}

}  // namespace heed::server
