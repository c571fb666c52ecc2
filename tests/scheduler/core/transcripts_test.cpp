// Regenerate after a wanted change: MODELHOP_REWRITE=1 scheduler_core_test "[transcript]", then read the diff.
#include <catch2/catch_test_macros.hpp>
#include <cstdlib>

#include "tests/scheduler/core/transcript.h"

using namespace modelhop;

TEST_CASE("every transcript happens as it is written", "[core][transcript]") {
  std::size_t transcripts = 0;
  const std::filesystem::path folder = std::filesystem::path(MODELHOP_SOURCE_DIR) / "tests/scheduler/core/transcripts";
  for (const auto& file : std::filesystem::directory_iterator(folder)) {
    if (file.path().extension() != ".txt") continue;
    ++transcripts;
    std::ifstream in(file.path());
    const std::string text(std::istreambuf_iterator<char>(in), {});
    const std::string now = test::Transcript().rewrite(text);
    INFO(file.path().filename().string());
    CHECK(now.find("BROKEN") == std::string::npos);
    if (std::getenv("MODELHOP_REWRITE") != nullptr) {
      std::ofstream(file.path()) << now;
    } else {
      CHECK(now == text);
    }
  }
  CHECK(transcripts >= 12);
}
