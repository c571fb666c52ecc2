#include "scheduler/server/link_keys.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <filesystem>

#include "common/net/key_folder.h"
#include "common/net/link.h"

namespace modelhop {
namespace {

std::string folder_of(const ServerConfig& config) {
  return config.keys.empty() ? config.state_dir + "/keys" : config.keys;
}

Status needs_keys(const ServerConfig& config, const std::string& why) {
  const std::string keys = " --keys " + folder_of(config);
  return invalid("--listen " + config.listen + ": other machines can reach it, so workers need keys" + why +
                 "; make them with `modelhop keys generate" + keys +
                 "`, and one a worker with `modelhop keys generate NAME" + keys + "`");
}

}  // namespace

Result<std::optional<ServerKeys>> link_keys(const ServerConfig& config, spdlog::logger& log) {
  const bool loopback = is_loopback(config.listen);
  if (config.insecure_loopback) {
    if (!loopback) return needs_keys(config, ", and --insecure-loopback is for loopback only");
    log.warn("--insecure-loopback: every process of this machine can speak as a worker");
    return std::optional<ServerKeys>();
  }
  if (config.own_keys) return config.own_keys;
  KeyFolder folder(folder_of(config));
  Result<KeyPair> own = folder.scheduler();
  if (!own.ok() && own.status().code() == Code::kNotFound) {
    if (!loopback) return needs_keys(config, ", and " + folder.path() + " has no scheduler.key");
    own = folder.make_scheduler();
    if (own.ok()) {
      const Status first = folder.make_worker(kFirstWorkerKeyName).status();
      if (!first.ok() && first.code() != Code::kConflict) return first;
    }
    log.info("made keys in {}: workers need one of them", folder.path());
  }
  if (!own.ok()) return own.status();
  return std::optional<ServerKeys>({*own, folder.watch()});
}

std::string worker_key_file(const ServerConfig& config) {
  if (config.insecure_loopback || config.own_keys) return "";
  const std::string first = folder_of(config) + "/" + kFirstWorkerKeyName + ".key";
  std::error_code error;
  return std::filesystem::exists(first, error) ? first : folder_of(config) + "/NAME.key";
}

OneTimeKeys::OneTimeKeys(const std::vector<std::string>& workers) {
  for (const std::string& worker : workers) workers_.emplace(worker, make_key_pair());
}

OneTimeKeys::~OneTimeKeys() {
  for (const std::string& file : written_) ::unlink(file.c_str());
}

ServerKeys OneTimeKeys::server() const {
  AllowedKeys allowed;
  for (const auto& [name, pair] : workers_) allowed.names.emplace(pair.public_key, name);
  return {scheduler_, [allowed, told = false]() mutable {
            return std::exchange(told, true) ? std::nullopt : std::optional<AllowedKeys>(allowed);
          }};
}

Status OneTimeKeys::write(const std::string& worker, const std::string& file) {
  const KeyPair& pair = workers_.at(worker);
  RETURN_IF_ERROR(write_key(file, {worker, pair.public_key, pair.secret_key, scheduler_.public_key}, true));
  written_.push_back(file);
  return {};
}

}  // namespace modelhop
