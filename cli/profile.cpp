#include "cli/profile.h"

#include <algorithm>

namespace modelhop::cli {

Result<std::uint64_t> threads_of_profile(const Json& experiment, const std::set<std::string>& ran,
                                         const std::vector<Json>& workers) {
  const std::string id = text_of(experiment, "id"), bound = text_of(experiment, "profile");
  const std::string fix = "; say --threads N if you know how many they had";
  std::set<std::string> profiles;
  std::uint64_t threads = 0;
  for (const Json& worker : workers) {
    const std::string profile = text_of(worker, "profile");
    // An experiment under rerun is bound to one profile; any other ran where it ran.
    if (bound.empty() ? !ran.contains(text_of(worker, "name")) : profile != bound) continue;
    profiles.insert(profile);
    threads = std::max<std::uint64_t>(count_of(worker, "threads"), 1);
  }
  if (profiles.empty()) {
    return conflict(bound.empty() ? id + " was trained by workers that are not known any more" + fix
                                  : id + " ran under numeric profile " + bound +
                                        ", and every worker has joined again under another since" + fix);
  }
  if (profiles.size() > 1) {
    return conflict(id + " was trained under " + std::to_string(profiles.size()) +
                    " numeric profiles (machines or thread counts), so no single process gives the same bits; verify "
                    "one --trial at a time" +
                    fix);
  }
  return threads;
}

}  // namespace modelhop::cli
