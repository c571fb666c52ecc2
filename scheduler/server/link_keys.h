#pragma once
// Which keys a scheduler's link gets. Who listens beyond loopback has made them before; who listens on loopback gets
// them at the first start, and may do without.
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/net/keys.h"
#include "scheduler/server/server.h"

namespace modelhop {

inline constexpr const char* kFirstWorkerKeyName = "local";  // made with the scheduler's own

// None: no keys, on loopback. kInvalid: the address needs keys. kConflict: the folder is open to others.
Result<std::optional<ServerKeys>> link_keys(const ServerConfig& config, spdlog::logger& log);
// The file a worker is started with: the first key's, or STATE/keys/NAME.key. Empty: no keys.
std::string worker_key_file(const ServerConfig& config);

// Keys of one life: for workers that this process starts itself. The scheduler's is in memory alone.
class OneTimeKeys {
 public:
  explicit OneTimeKeys(const std::vector<std::string>& workers);
  ~OneTimeKeys();  // removes what it wrote
  OneTimeKeys(const OneTimeKeys&) = delete;
  OneTimeKeys& operator=(const OneTimeKeys&) = delete;
  ServerKeys server() const;
  Status write(const std::string& worker, const std::string& file);

 private:
  const KeyPair scheduler_ = make_key_pair();
  std::map<std::string, KeyPair> workers_;
  std::vector<std::string> written_;
};

}  // namespace modelhop
