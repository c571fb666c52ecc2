#include "cli/settings.h"

#include <algorithm>
#include <cstring>

#include "cli/json_input.h"
#include "common/spec/suggest.h"

extern char** environ;

namespace modelhop::cli {
namespace {

constexpr std::size_t kConfigBytesMax = 64 << 10;

std::string find_in(const SettingPlaces& places, const std::string& name) {
  const auto found = places.environment.find(name);
  return found == places.environment.end() ? "" : found->second;
}

// XDG base directories: a variable, or a folder of the home directory.
std::string xdg(const SettingPlaces& places, const char* variable, const char* in_home) {
  if (const std::string set = find_in(places, variable); set.starts_with('/')) return set;
  const std::string home = find_in(places, "HOME");
  return (home.empty() ? "." : home) + "/" + in_home;
}

void set(std::vector<Setting>& all, const std::string& key, std::string value, Origin origin, std::string from) {
  for (Setting& setting : all) {
    if (setting.key != key || setting.origin > origin) continue;
    setting.value = std::move(value);
    setting.origin = origin;
    setting.from = std::move(from);
    return;
  }
}

Status read_config(const std::string& path, Origin origin, bool must_exist, std::vector<Setting>& all) {
  auto text = read_file(path, kConfigBytesMax);
  if (!text.ok()) {
    return text.status().code() == Code::kNotFound && !must_exist ? Status{} : text.status();
  }
  ASSIGN_OR_RETURN(const Json json, parse_json(*text, path, 4));
  if (!json.is_object()) return invalid(path + ": a JSON object of settings is needed");
  for (const auto& [key, value] : json.items()) {
    std::vector<std::string> keys;
    for (const Setting& setting : all) keys.push_back(setting.key);
    if (std::find(keys.begin(), keys.end(), key) == keys.end()) {
      return invalid(path + " /" + key + ": no such setting" + did_you_mean(key, keys));
    }
    if (!value.is_string()) return invalid(path + " /" + key + ": a string is needed");
    set(all, key, value.get<std::string>(), origin, path);
  }
  return {};
}

}  // namespace

std::vector<Setting> known_settings(const SettingPlaces& places) {
  const std::string state = xdg(places, "XDG_STATE_HOME", ".local/state") + "/modelhop";
  const auto row = [](const char* key, const char* flag, const char* variable, const char* help, std::string value) {
    return Setting{key, flag, variable, help, std::move(value), Origin::kDefault, "default"};
  };
  return {
      row("server", "--server", "MODELHOP_SERVER", "scheduler to ask", "http://127.0.0.1:8080"),
      row("state_dir", "--state-dir", "MODELHOP_STATE_DIR", "journal and logs of a scheduler, on a local disk", state),
      row("store", "--store", "MODELHOP_STORE",
          "data sets and model states; shared by all workers (default STATE_DIR/store)", ""),
      row("output", "--output", "MODELHOP_OUTPUT", "table, json or csv", "table"),
      row("worker", "--worker", "MODELHOP_WORKER", "the worker program (default: modelhop-worker beside this one)", ""),
  };
}

Result<Settings> Settings::load(const FlagValues& flags, const SettingPlaces& places) {
  Settings out;
  out.all_ = known_settings(places);
  RETURN_IF_ERROR(read_config(places.system_file, Origin::kSystemFile, false, out.all_));
  const std::string user = xdg(places, "XDG_CONFIG_HOME", ".config") + "/modelhop/config.json";
  RETURN_IF_ERROR(read_config(user, Origin::kUserFile, false, out.all_));
  for (const Setting& setting : std::vector<Setting>(out.all_)) {
    if (const std::string value = find_in(places, setting.variable); !value.empty()) {
      set(out.all_, setting.key, value, Origin::kEnvironment, setting.variable);
    }
  }
  if (!flags.config.empty()) RETURN_IF_ERROR(read_config(flags.config, Origin::kConfigFile, true, out.all_));
  for (const auto& [key, value] : flags.values) set(out.all_, key, value, Origin::kFlag, "flag");
  const std::string& format = out.value("output");
  if (format != "table" && format != "json" && format != "csv") {
    return invalid("output \"" + format + "\" (" + out.get("output").from + "): table, json or csv is needed");
  }
  return out;
}

const Setting& Settings::get(const std::string& key) const {
  const auto found = std::find_if(all_.begin(), all_.end(), [&](const Setting& setting) { return setting.key == key; });
  CHECK(found != all_.end());
  return *found;
}

std::string Settings::store() const {
  const std::string& given = value("store");
  return given.empty() ? value("state_dir") + "/store" : given;
}

SettingPlaces process_places() {
  SettingPlaces places;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const char* equals = std::strchr(*entry, '=');
    if (equals == nullptr) continue;
    const std::string name(*entry, static_cast<std::size_t>(equals - *entry));
    if (name.starts_with("MODELHOP_") || name.starts_with("XDG_") || name == "HOME")
      places.environment[name] = equals + 1;
  }
  return places;
}

}  // namespace modelhop::cli
