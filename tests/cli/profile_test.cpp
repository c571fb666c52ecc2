#include "cli/profile.h"

#include <catch2/catch_test_macros.hpp>

namespace modelhop::cli {
namespace {

Json worker(const char* name, const char* profile, int threads) {
  return {{"name", name}, {"profile", profile}, {"threads", threads}};
}

TEST_CASE("an experiment is trained again with the threads of its own numeric profile", "[cli][verify]") {
  const Json bound = {{"id", "e1"}, {"profile", "aa"}};
  const auto threads = threads_of_profile(bound, {"w1"}, {worker("w0", "bb", 1), worker("w1", "aa", 4)});
  REQUIRE(threads.ok());
  CHECK(*threads == 4);
  // Another worker of that profile will do: equal profiles give equal bits.
  CHECK(threads_of_profile(bound, {"w1"}, {worker("w9", "aa", 2)}).value() == 2);
  // Its workers joined again with other threads since.
  const auto lost = threads_of_profile(bound, {"w1"}, {worker("w1", "bb", 2)});
  CHECK(lost.status().code() == Code::kConflict);
  CHECK(lost.status().message() ==
        "e1 ran under numeric profile aa, and every worker has joined again under another since; say --threads N if "
        "you know how many they had");
}

TEST_CASE("an experiment without a profile of its own has that of the workers that ran it, if they had one",
          "[cli][verify]") {
  const Json free = {{"id", "e1"}, {"profile", nullptr}};
  CHECK(threads_of_profile(free, {"w2"}, {worker("w1", "aa", 1), worker("w2", "bb", 3)}).value() == 3);
  CHECK(threads_of_profile(free, {"w3"}, {worker("w1", "aa", 1)}).status().code() == Code::kConflict);
  const auto mixed = threads_of_profile(free, {"w1", "w2"}, {worker("w1", "aa", 1), worker("w2", "bb", 3)});
  CHECK(mixed.status().code() == Code::kConflict);
  CHECK(mixed.status().message().find("2 numeric profiles") != std::string::npos);
}

}  // namespace
}  // namespace modelhop::cli
