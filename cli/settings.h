#pragma once
// Settings and where each came from. Precedence: flag > --config > environment > user file > /etc > default.
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/base/status.h"

namespace modelhop::cli {

enum class Origin : std::uint8_t { kDefault, kSystemFile, kUserFile, kEnvironment, kConfigFile, kFlag };

struct Setting {
  std::string key;       // as in a config file: "state_dir"
  std::string flag;      // "--state-dir"
  std::string variable;  // "MODELHOP_STATE_DIR"
  std::string help;
  std::string value;
  Origin origin{};
  std::string from;  // "flag", "/etc/modelhop/config.json", "MODELHOP_STORE", "default"
};

// What a command line gave; absent: not given.
struct FlagValues {
  std::map<std::string, std::string> values;  // by key
  std::string config;                         // --config FILE
};

// The places settings come from; tests give their own.
struct SettingPlaces {
  std::map<std::string, std::string> environment;  // MODELHOP_*, HOME, XDG_*
  std::string system_file{"/etc/modelhop/config.json"};
};

class Settings {
 public:
  // Errors name the file and key.
  static Result<Settings> load(const FlagValues& flags, const SettingPlaces& places);
  const Setting& get(const std::string& key) const;
  const std::string& value(const std::string& key) const { return get(key).value; }
  bool given(const std::string& key) const { return get(key).origin != Origin::kDefault; }
  const std::vector<Setting>& all() const { return all_; }
  // STATE/store where no store is given.
  std::string store() const;

 private:
  std::vector<Setting> all_;
};

SettingPlaces process_places();
// Every setting with its default and nothing read; for help texts.
std::vector<Setting> known_settings(const SettingPlaces& places);

}  // namespace modelhop::cli
