// API keys: made, listed, revoked and checked. They live in one small file, so that `heed keys`
// works whether or not a server runs; a running server sees changes within a second (Refresh).
//
// A key is "heed_" + 8 hex digits that name it + 64 hex digits of secret. The file holds a salt and
// SHA-256(salt, key), never the key. A slow hash (bcrypt, argon2) would buy nothing: it protects
// passwords people choose, while a 256-bit random secret cannot be guessed at any speed, and a check
// must not cost a request milliseconds.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace heed::server {

// What a key may be allowed; "admin" allows everything.
const std::vector<std::string>& KnownScopes();

struct ApiKey {
  std::string id;      // not secret: it is shown in lists and logs
  std::string name;    // for people; may be empty
  std::string tenant;  // the only one it may touch; empty for all
  std::vector<std::string> scopes;
  int64_t created_ms = 0;

  bool Allows(std::string_view scope) const;
};

// Thread-safe; writers in several processes take turns by a lock file.
class KeyStore {
 public:
  // An absent file holds no keys. A damaged one is kCorruption: failing open would unlock the server.
  static Result<std::unique_ptr<KeyStore>> Open(std::string path);

  // The key itself, which is not kept: show it once. kInvalidArgument names a wrong scope.
  Result<std::string> Create(const std::string& name, const std::vector<std::string>& scopes,
                             const std::string& tenant);
  Status Revoke(std::string_view id);
  std::vector<ApiKey> List() const;
  bool empty() const;

  // The key whose text this is, or kUnauthenticated. Compares in constant time.
  Result<ApiKey> Check(std::string_view key) const;

  // Reads the file again when it has changed. After a failure the keys read before stay valid.
  Status Refresh();

 private:
  struct Stored {
    ApiKey key;
    std::string salt, hash;  // bytes
  };
  using Table = std::vector<Stored>;

  explicit KeyStore(std::string path) : path_(std::move(path)) {}
  std::shared_ptr<const Table> table() const;
  Status Read();
  Status Write(const Table& table);
  static Result<Table> Parse(const std::string& text);
  static std::string Print(const Table& table);

  const std::string path_;
  mutable std::mutex mutex_;
  std::shared_ptr<const Table> table_ = std::make_shared<Table>();  // guarded by mutex_
  std::string stamp_;  // guarded by mutex_: size, time and inode of the file as last read
};

}  // namespace heed::server
