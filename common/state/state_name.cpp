#include <charconv>

#include "common/state/state_file.h"

namespace modelhop {
namespace {

constexpr std::string_view kStateEnding = ".safetensors";

// Takes a number, then `then`, off the front. False: they are not there.
template <class Number>
bool take(std::string_view& text, Number& number, char then) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end == text.data() + text.size() || *end != then) return false;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()) + 1);
  return true;
}

}  // namespace

std::string states_folder(std::uint64_t cluster) { return "states/c" + std::to_string(cluster) + "/"; }

std::string state_blob_name(const StateName& name, std::uint64_t cluster) {
  return states_folder(cluster) + to_string(name.experiment) + "/" + std::to_string(name.trial.value) + "/" +
         std::to_string(name.lineage) + "." + std::to_string(name.visits) + "-" + to_string(name.hash) +
         std::string(kStateEnding);
}

std::string state_blob_name(const StateRef& ref, StateNaming naming) {
  return state_blob_name(name_of(ref, naming.partitions), naming.cluster);
}

std::optional<StateName> parse_state_blob_name(std::string_view blob, std::uint64_t cluster) {
  const std::string folder = states_folder(cluster);
  if (!blob.starts_with(folder) || !blob.ends_with(kStateEnding)) return std::nullopt;
  std::string_view rest = blob.substr(folder.size());
  StateName name;
  if (!rest.starts_with('e')) return std::nullopt;
  rest.remove_prefix(1);
  if (!take(rest, name.experiment.value, '/') || !take(rest, name.trial.value, '/') || !take(rest, name.lineage, '.') ||
      !take(rest, name.visits, '-') || rest.size() < kStateEnding.size()) {
    return std::nullopt;
  }
  if (!parse(std::string(rest.substr(0, rest.size() - kStateEnding.size())), name.hash)) return std::nullopt;
  // One text a name: no leading zeros, no capital digits.
  return state_blob_name(name, cluster) == blob ? std::optional(name) : std::nullopt;
}

}  // namespace modelhop
